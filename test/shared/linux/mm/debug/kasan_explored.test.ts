/** KASAN under the explorer: its shadow and quarantine against frees on two CPUs, NMIs, and the end of a cache. */
import { describe, expect, test } from "vitest";
import { get, type Operation, type Scenario, set } from "../../../../../src/main/explore/scenario.ts";
import { bug } from "../../../../../src/shared/cpu/bug.ts";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { HOOK_KASAN } from "../../../../../src/shared/layout/debug.ts";
import { KasanState } from "../../../../../src/shared/layout/debug_kasan.ts";
import { GFP_KERNEL, NUMA_NO_NODE } from "../../../../../src/shared/layout/gfp.ts";
import { KB_ON_CACHE } from "../../../../../src/shared/layout/globals.ts";
import { SLAB_TYPESAFE_BY_RCU } from "../../../../../src/shared/layout/slab_flags.ts";
import { Spinlock } from "../../../../../src/shared/layout/types.ts";
import { debug_drain } from "../../../../../src/shared/linux/mm/debug/facilities.ts";
import {
  kasan_quarantine_reduce,
  kasan_quarantine_remove_cache,
} from "../../../../../src/shared/linux/mm/debug/kasan_quarantine.ts";
import { kasan_check_range } from "../../../../../src/shared/linux/mm/debug/kasan.ts";
import { kasan_state } from "../../../../../src/shared/linux/mm/debug/kasan_shadow.ts";
import { kmem_cache_destroy } from "../../../../../src/shared/linux/mm/kvfree_rcu/destroy.ts";
import { kfree_rcu } from "../../../../../src/shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { kmem_cache_create } from "../../../../../src/shared/linux/mm/slub/cache.ts";
import { check_slab_cache } from "../../../../../src/shared/linux/mm/slub/check_sheaves.ts";
import { kfree, kmalloc, kmem_cache_alloc, kmem_cache_free } from "../../../../../src/shared/linux/mm/slub/kmalloc.ts";
import { kfree_nolock, kmalloc_nolock } from "../../../../../src/shared/linux/mm/slub/nolock.ts";
import { virt_to_slab } from "../../../../../src/shared/linux/mm/slub/slab.ts";
import { slab_word, word_inuse } from "../../../../../src/shared/linux/mm/slub/slab_word.ts";
import { kmalloc_slab } from "../../../../../src/shared/linux/mm/slub/size_class.ts";
import { rcu_barrier } from "../../../../../src/shared/linux/rcu/tree_barrier.ts";
import { rcu_read_lock, rcu_read_unlock } from "../../../../../src/shared/linux/rcu/update.ts";
import { embedded, NULL, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { take_account } from "../../../../../src/workers/quiescence.ts";
import { exploreMmWith } from "../explore_mm.ts";
import { Thing, type ThingPtr } from "../kvfree_rcu/machine.ts";

const { head: HEAD } = Thing.offset;
const { percpu_size: PERCPU_SIZE, max_size: MAX_SIZE, quarantine_lock: QUARANTINE_LOCK } = KasanState.offset;
/** Scenario words. */
const CACHE = 0;
const OBJECT = 1;
const FOUND_HELD = 10;

const explore = exploreMmWith({ hooks: HOOK_KASAN });
const cache = (cpu: Cpu): Ptr<"kmem_cache"> => get(cpu, CACHE) as Ptr<"kmem_cache">;
const object = (cpu: Cpu, i: number): ThingPtr => get(cpu, OBJECT + i) as ThingPtr;
const free =
  (i: number): Operation =>
  (cpu) =>
    kmem_cache_free(cpu, cache(cpu), object(cpu, i));
/** A cache with `n` objects, and a quarantine for two or three of them in all. */
const withObjects =
  (n: number): Operation =>
  (cpu) => {
    set(cpu, CACHE, kmem_cache_create(cpu, "things", Thing.size));
    for (let i = 0; i < n; i++) set(cpu, OBJECT + i, kmem_cache_alloc(cpu, cache(cpu), GFP_KERNEL));
    cpu.mem.poke(kasan_state(cpu), PERCPU_SIZE, Thing.size);
    cpu.mem.poke(kasan_state(cpu), MAX_SIZE, Thing.size);
  };
const allocate: Operation = (cpu) => void kmem_cache_alloc(cpu, cache(cpu), GFP_KERNEL);

describe("the quarantine", () => {
  test("frees on one CPU, allocations that give back on the other", () => {
    const run = explore(
      {
        name: "reduce",
        setup: (cpu) => {
          withObjects(6)(cpu);
          for (const i of [0, 1]) free(i)(cpu);
        },
        cpus: [
          [free(2), free(3)],
          [free(4), allocate],
        ],
        final: debug_drain,
        check: (cpu) => take_account(cpu).problems[0] ?? check_slab_cache(cpu, cache(cpu))[0],
      },
      { random: 100, bound: 1 },
    );
    expect(run).toMatchObject({ failure: undefined, exhausted: 1 });
  });
  test("a cache leaves it while another CPU gives its objects back: afterwards all are in their slabs", () => {
    const run = explore(
      {
        name: "remove",
        setup: (cpu) => {
          withObjects(4)(cpu);
          for (let i = 0; i < 4; i++) free(i)(cpu);
        },
        cpus: [
          [
            (cpu) => {
              kasan_quarantine_remove_cache(cpu, cache(cpu));
              const inuse = word_inuse(slab_word(cpu, virt_to_slab(cpu, object(cpu, 0))));
              if (inuse !== 0) bug(cpu, `${inuse} objects are still on their way`);
            },
          ],
          [kasan_quarantine_reduce],
        ],
      },
      { random: 300, bound: 1 },
    );
    expect(run).toMatchObject({ failure: undefined, exhausted: 1 });
  });
});

describe("kmem_cache_destroy() of a cache with an object in an rcu_free sheaf", () => {
  const scenario: Scenario = {
    name: "B7",
    oracle: false, // It would notice that the barrier returns early.
    setup: (cpu) => {
      withObjects(2)(cpu);
      kfree_rcu(cpu, object(cpu, 0), HEAD);
      free(1)(cpu);
    },
    cpus: [
      [(cpu) => void kmem_cache_destroy(cpu, cache(cpu))],
      [
        (cpu) => {
          rcu_read_lock(cpu);
          get(cpu, CACHE);
          rcu_read_unlock(cpu);
        },
      ],
    ],
  };
  test("waits for its callback before it empties the quarantine", () => {
    expect(explore(scenario, { random: 50 }).failure).toBeUndefined();
  });
  test("as before January 2026 it does not: the quarantine is filled again, and the cache stays (slub B7)", () => {
    const run = explore({ ...scenario, globals: { kernel_behaviour: KB_ON_CACHE } }, { random: 50 });
    expect(run.failure?.message).toMatch(/Objects remaining on __kmem_cache_shutdown|still has objects/);
  });
});

describe("an object of a typesafe cache (SLUB_RCU_DEBUG)", () => {
  const typesafe: Operation = (cpu) => {
    set(cpu, CACHE, kmem_cache_create(cpu, "things", 64, { flags: SLAB_TYPESAFE_BY_RCU }));
    set(cpu, OBJECT, kmem_cache_alloc(cpu, cache(cpu), GFP_KERNEL));
  };
  const reader: Operation = (cpu) => {
    rcu_read_lock(cpu);
    const found = object(cpu, 0);
    if (found !== NULL) kasan_check_range(cpu, found, 64, "reader");
    rcu_read_unlock(cpu);
  };
  const scenario: Scenario = {
    name: "typesafe",
    setup: typesafe,
    cpus: [
      [
        (cpu) => {
          const ours = object(cpu, 0);
          set(cpu, OBJECT, NULL);
          kmem_cache_free(cpu, cache(cpu), ours);
          rcu_barrier(cpu);
        },
      ],
      [reader],
    ],
  };
  test("is marked as freed when its readers are gone, not before", () => {
    expect(explore(scenario, { random: 60 }).failure).toBeUndefined();
  });
  test("so that a reader who comes too late is found", () => {
    const late: Operation = (cpu) => {
      rcu_barrier(cpu);
      kasan_check_range(cpu, object(cpu, 0), 64, "late reader");
    };
    const run = explore({ ...scenario, cpus: [[free(0), late]] }, { random: 1 });
    expect(run.failure?.message).toMatch(/KASAN: slab-use-after-free in late reader/);
  });
  test("is found if it is freed twice, though both frees pass at first", () => {
    const run = explore({ ...scenario, oracle: false, cpus: [[free(0), free(0), rcu_barrier]] }, { random: 1 });
    expect(run.failure?.message).toMatch(/KASAN: double-free/);
  });
});

test("an NMI on every step of kmalloc() and kfree(), quarantine_lock held or not", () => {
  let found_held = 0;
  const run = explore(
    {
      name: "nmi",
      setup: (cpu) => {
        withObjects(0)(cpu);
        set(cpu, OBJECT, kmalloc_nolock(cpu, Thing.size, 0, NUMA_NO_NODE));
      },
      cpus: [
        [0, 1].map(() => (cpu: Cpu) => kfree(cpu, kmalloc(cpu, Thing.size, GFP_KERNEL))),
        [(cpu) => kfree(cpu, kmalloc(cpu, Thing.size, GFP_KERNEL))],
      ],
      nmi: (cpu) => {
        const lock = embedded(kasan_state(cpu), QUARANTINE_LOCK);
        if (cpu.mem.read_once(lock, Spinlock.offset.val) !== 0) set(cpu, FOUND_HELD, 1);
        const old = object(cpu, 0);
        if (old !== NULL) kfree_nolock(cpu, old);
        set(cpu, OBJECT, kmalloc_nolock(cpu, Thing.size, 0, NUMA_NO_NODE));
      },
      final: debug_drain,
      check: (cpu) => {
        if (get(cpu, FOUND_HELD) !== 0) found_held++;
        return take_account(cpu).problems[0] ?? check_slab_cache(cpu, kmalloc_slab(cpu, Thing.size, 0))[0];
      },
    },
    { random: 30, bound: 0 },
  );
  expect(run).toMatchObject({ failure: undefined, exhausted: 0 });
  expect(found_held).toBeGreaterThan(0);
});
