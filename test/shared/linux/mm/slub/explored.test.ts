/**
 * Slab word, partial lists and refill under the explorer: what two or three CPUs and an NMI do to one slab. At the end
 * of every execution the cache is whole; the oracle watches every object.
 */
import { describe, expect, test } from "vitest";
import { Explorer } from "../../../../../src/main/explore/explore.ts";
import { get, type Scenario, set } from "../../../../../src/main/explore/scenario.ts";
import { GFP_ATOMIC, NUMA_NO_NODE } from "../../../../../src/shared/layout/gfp.ts";
import { KmemCache } from "../../../../../src/shared/layout/slab.ts";
import {
  __CMPXCHG_DOUBLE,
  SLAB_ALLOC_DEFAULT,
  SLAB_ALLOC_NOLOCK,
} from "../../../../../src/shared/layout/slab_flags.ts";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { check_page_allocator } from "../../../../../src/shared/linux/mm/page_alloc/check.ts";
import { page_alloc_init } from "../../../../../src/shared/linux/mm/page_alloc/page_alloc.ts";
import { check_slab_cache, take_census } from "../../../../../src/shared/linux/mm/slub/check_sheaves.ts";
import { __slab_free } from "../../../../../src/shared/linux/mm/slub/free.ts";
import { bind_free_slab } from "../../../../../src/shared/linux/mm/slub/free_slab.ts";
import { refill_objects } from "../../../../../src/shared/linux/mm/slub/refill.ts";
import { ___slab_alloc } from "../../../../../src/shared/linux/mm/slub/slab_alloc.ts";
import { oo_make, virt_to_slab } from "../../../../../src/shared/linux/mm/slub/slab.ts";
import { stat_sum, STAT } from "../../../../../src/shared/linux/mm/slub/stat.ts";
import { NULL, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { BARE_KERNEL } from "../../../../../src/main/explore/kernel.ts";
import { makeCache, objectArray } from "../slab_machine.ts";

type Cache = Ptr<"kmem_cache">;
const KERNEL = {
  ...BARE_KERNEL,
  bind: (): void => {
    BARE_KERNEL.bind();
    bind_free_slab();
  },
  boot: page_alloc_init,
};
const explore = (scenario: Scenario, bound = 2): ReturnType<Explorer["explore"]> =>
  new Explorer({ ...scenario, kernel: KERNEL, oracle: true }).explore({
    bound,
    random: 100,
    exhaustive: 30_000,
  });

const CACHE = 0;
/** Words OBJECT + i: objects that the programs free; ARRAY + i: arrays that they fill. */
const OBJECT = 1;
const ARRAY = 20;
const cache = (cpu: Cpu): Cache => get(cpu, CACHE) as Cache;
const alloc = (cpu: Cpu, s = cache(cpu)): Ptr<"object"> =>
  ___slab_alloc(cpu, s, GFP_ATOMIC, NUMA_NO_NODE, SLAB_ALLOC_DEFAULT);
const free = (cpu: Cpu, object: Ptr): void =>
  __slab_free(cpu, cache(cpu), virt_to_slab(cpu, object), object, object, 1);
const free_word = (i: number) => (cpu: Cpu) => free(cpu, get(cpu, OBJECT + i) as Ptr);
const alloc_free = (cpu: Cpu): void => free(cpu, alloc(cpu));
const refill = (i: number, count: number) => (cpu: Cpu) => {
  refill_objects(cpu, cache(cpu), get(cpu, ARRAY + i) as Ptr<"object_array">, GFP_ATOMIC, count, count);
};

interface Slab {
  /** Objects of a slab, and how many of the first one are allocated before the start. */
  readonly objects: number;
  readonly used: number;
  readonly min_partial: number;
  readonly double?: boolean;
}
/** A cache with one slab; its first objects are allocated and in words OBJECT + i. */
function oneSlab({ objects, used, min_partial, double = true }: Slab): (cpu: Cpu) => void {
  return (cpu) => {
    const s = makeCache(cpu, {}, { oo: oo_make(0, objects), min_partial });
    if (!double) {
      const { flags } = KmemCache.offset;
      cpu.mem.poke(s, flags, cpu.mem.peek(s, flags) & ~__CMPXCHG_DOUBLE);
    }
    set(cpu, CACHE, s);
    for (let i = 0; i < used; i++) set(cpu, OBJECT + i, alloc(cpu, s));
    for (let i = 0; i < 3; i++) set(cpu, ARRAY + i, objectArray(cpu));
  };
}
/** Nothing is wrong, and so many objects are in use. */
const whole =
  (inuse: number, slabs?: number) =>
  (cpu: Cpu): string | undefined => {
    const census = take_census(cpu, cache(cpu));
    const problems = [...census.problems, ...check_page_allocator(cpu)];
    if (census.inuse !== inuse) problems.push(`${census.inuse} objects in use, not ${inuse}`);
    if (slabs !== undefined && census.slabs.size !== slabs) problems.push(`${census.slabs.size} slabs, not ${slabs}`);
    return problems[0];
  };

describe.each([
  ["cmpxchg", true],
  ["slab_lock", false],
])("slab word by %s", (_, double) => {
  test("two frees of a full slab, one allocation: each object is in one place", () => {
    const run = explore({
      name: "free, free, alloc",
      cpus: [[free_word(0)], [free_word(1)], [alloc]],
      setup: oneSlab({ objects: 3, used: 3, min_partial: 5, double }),
      check: (cpu) => whole(2)(cpu),
    });
    expect(run).toMatchObject({ failure: undefined, exhausted: 2 });
  });
});

test("two frees empty a full slab of two: one adds it to the list, the other discards it", () => {
  const run = explore({
    name: "full, partial, empty",
    cpus: [[free_word(0)], [free_word(1)]],
    setup: oneSlab({ objects: 2, used: 2, min_partial: 1 }),
    check: whole(0, 0),
  });
  expect(run).toMatchObject({ failure: undefined, exhausted: 2 });
});

test("the last free of a slab against an allocation from it", () => {
  const run = explore({
    name: "empty or not",
    cpus: [[free_word(0)], [alloc]],
    setup: oneSlab({ objects: 2, used: 1, min_partial: 0 }),
    check: whole(1, 1),
  });
  expect(run).toMatchObject({ failure: undefined, exhausted: 2 });
});

describe("refill", () => {
  test("against a free into the isolated slab, and an allocation from where that free puts it (slub B29)", () => {
    let returned_by_push = 0;
    const run = explore({
      name: "return of a freelist",
      cpus: [[refill(0, 1)], [free_word(0)], [alloc]],
      setup: oneSlab({ objects: 4, used: 2, min_partial: 5 }),
      check: (cpu) => {
        if (stat_sum(cpu, cache(cpu), STAT.FREE_ADD_PARTIAL) > 1) returned_by_push++;
        return whole(3)(cpu);
      },
    });
    expect(run).toMatchObject({ failure: undefined, exhausted: 2 });
    expect(returned_by_push).toBeGreaterThan(0);
  });

  test("two refills and a free", () => {
    const run = explore(
      {
        name: "two refills",
        cpus: [[refill(0, 2)], [refill(1, 1)], [free_word(0)]],
        setup: oneSlab({ objects: 4, used: 1, min_partial: 0 }),
        check: whole(3),
      },
      1,
    );
    expect(run).toMatchObject({ failure: undefined, exhausted: 1 });
  });

  test("every used object is freed while the slab is isolated", () => {
    const run = explore({
      name: "empty while isolated",
      cpus: [[refill(0, 1)], [free_word(0)], [free_word(1)]],
      setup: oneSlab({ objects: 4, used: 2, min_partial: 0 }),
      check: whole(1, 1),
    });
    expect(run).toMatchObject({ failure: undefined, exhausted: 2 });
  });
});

test("an NMI that allocates at any step of allocation, free and refill: an object or NULL, and nothing is damaged", () => {
  const nmi = (cpu: Cpu): void => {
    const object = ___slab_alloc(cpu, cache(cpu), 0, NUMA_NO_NODE, SLAB_ALLOC_NOLOCK);
    set(cpu, object === NULL ? 40 : 41, 1);
  };
  const outcomes = new Set<string>();
  const run = explore(
    {
      name: "nolock allocation in NMI",
      cpus: [[alloc_free, free_word(0)], [refill(0, 2)]],
      setup: oneSlab({ objects: 4, used: 2, min_partial: 0 }),
      nmi,
      nmis: 1,
      check: (cpu) => {
        outcomes.add(`${get(cpu, 40)}${get(cpu, 41)}`);
        return check_slab_cache(cpu, cache(cpu))[0] ?? check_page_allocator(cpu)[0];
      },
    },
    1,
  );
  expect(run).toMatchObject({ failure: undefined, exhausted: 1 });
  expect(outcomes).toEqual(new Set(["00", "01", "10"]));
});
