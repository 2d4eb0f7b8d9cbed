/**
 * Interleavings of kfree_rcu_cpu's bulk pages, page cache, shrinker and batches with each other and with barriers and
 * readers. With globals.tiny a page holds three records.
 */
import { describe, expect, test } from "vitest";
import { get, set, type Operation, type Scenario } from "../../../../../src/main/explore/scenario.ts";
import { raiseIrq } from "../../../../../src/main/kit/interrupts.ts";
import { krcBarrier, pendingIsReady } from "../../../../../src/main/races/kit_frees.ts";
import { NO_GRACE_PERIODS } from "../../../../../src/main/races/kit_no_grace_periods.ts";
import { check_whereabouts } from "../../../../../src/main/races/kit_whereabouts.ts";
import { PAGE_SIZE } from "../../../../../src/shared/base/limits.ts";
import { bug } from "../../../../../src/shared/cpu/bug.ts";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { HOOK_DEBUGOBJECTS } from "../../../../../src/shared/layout/debug.ts";
import { GFP_KERNEL } from "../../../../../src/shared/layout/gfp.ts";
import { KB_K2 } from "../../../../../src/shared/layout/globals.ts";
import { SLAB_NO_SHEAVES } from "../../../../../src/shared/layout/slab_flags.ts";
import { kvfree_rcu_barrier } from "../../../../../src/shared/linux/mm/kvfree_rcu/barrier.ts";
import { check_deferred } from "../../../../../src/shared/linux/mm/kvfree_rcu/check.ts";
import {
  kfree_rcu,
  kfree_rcu_mightsleep,
  kvfree_rcu_mightsleep,
} from "../../../../../src/shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { krc_lock, krc_unlock } from "../../../../../src/shared/linux/mm/kvfree_rcu/krc.ts";
import {
  alloc_bnode,
  flush_page_cache_work,
  nr_cached_bnodes,
  put_cached_bnode,
} from "../../../../../src/shared/linux/mm/kvfree_rcu/page_cache.ts";
import { shrink_kvfree_rcu } from "../../../../../src/shared/linux/mm/kvfree_rcu/shrinker.ts";
import { nr_free_pages } from "../../../../../src/shared/linux/mm/page_alloc/page_alloc.ts";
import { kmem_cache_alloc } from "../../../../../src/shared/linux/mm/slub/kmalloc.ts";
import { vmalloc } from "../../../../../src/shared/linux/mm/vmalloc.ts";
import { rcu_read_lock, rcu_read_unlock } from "../../../../../src/shared/linux/rcu/update.ts";
import { NULL, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { cache, exploreMm, object, withObjects } from "../explore_mm.ts";
import { krcOf, monitor, takeAllPages } from "./krc_kit.ts";
import { Thing, type ThingPtr } from "./machine.ts";

const { head: HEAD, value: VALUE } = Thing.offset;
/** Scenario words, besides those of withObjects(). */
const ROOT = 1;
const PAGES = 2;
const KEPT = 3;

const allocThing = (cpu: Cpu): ThingPtr => kmem_cache_alloc(cpu, cache(cpu), GFP_KERNEL) as Ptr as ThingPtr;
/** `n` objects of a cache without sheaves; then more. */
const setUp =
  (n: number, more: Operation = () => undefined): Operation =>
  (cpu) => {
    withObjects(n, SLAB_NO_SHEAVES, allocThing)(cpu);
    more(cpu);
  };
const kept = (cpu: Cpu): readonly Ptr[] => (get(cpu, KEPT) === NULL ? [] : [get(cpu, KEPT) as Ptr]);
/** What is wrong in krcs, and objects that are nowhere, all but one having been freed; not that something waits. */
const broken = (cpu: Cpu): string | undefined =>
  [
    ...check_deferred(cpu).filter((problem) => !problem.endsWith("pending")),
    ...check_whereabouts(cpu, cache(cpu), kept(cpu), HEAD),
  ][0];
/** Frees by kfree_rcu_mightsleep(). */
const free = (i: number) => (cpu: Cpu) => kfree_rcu_mightsleep(cpu, object(cpu, i));
const freeByHead = (i: number) => (cpu: Cpu) => kfree_rcu(cpu, object(cpu, i), HEAD);
/** Looks at the published object, as long as it is, several times in one section. */
const reader: Operation = (cpu) => {
  rcu_read_lock(cpu);
  const found = get(cpu, ROOT);
  if (found !== NULL) {
    for (let look = 0; look < 3; look++) {
      if (cpu.mem.load_word(found + VALUE) !== 1) bug(cpu, "the object changed in a reader's section");
    }
  }
  rcu_read_unlock(cpu);
};
const publish = (cpu: Cpu, found: Ptr): void => {
  cpu.mem.store_word(found + VALUE, 1);
  set(cpu, ROOT, found);
};

describe("the lock dropped for an allocation (E23)", () => {
  test("no record is lost and none counted twice, whoever comes meanwhile", () => {
    const scenario: Scenario = {
      name: "E23",
      setup: setUp(3, freeByHead(0)),
      irq: freeByHead(2),
      cpus: [
        [free(1)],
        [
          (cpu) => {
            raiseIrq(cpu, 0);
            shrink_kvfree_rcu(cpu); // Drains CPU 0's krc and queues its batch.
          },
        ],
      ],
      check: broken,
    };
    expect(exploreMm(scenario, { random: 30, bound: 1 })).toMatchObject({ failure: undefined, exhausted: 1 });
  });

  test("two pages for one list: an interrupt finds one while we allocate another", () => {
    const scenario: Scenario = {
      name: "E23-two-pages",
      setup: setUp(5, (cpu) => {
        for (let i = 0; i < 3; i++) free(i)(cpu); // A full page.
        pendingIsReady(cpu);
      }),
      globals: { rcu_min_cached_objs: 1 },
      irq: freeByHead(4),
      cpus: [
        [free(3)],
        [
          (cpu) => {
            shrink_kvfree_rcu(cpu); // Frees the records; their page goes to the cache of CPU 0.
            raiseIrq(cpu, 0);
          },
        ],
      ],
      check: broken,
    };
    expect(exploreMm(scenario, { random: 30, bound: 1 })).toMatchObject({ failure: undefined, exhausted: 1 });
  });
});

describe("a reader keeps what it found", () => {
  test.each([
    ["page", free(0)],
    ["list", freeByHead(0)],
  ])("though its %s has an old object, too, and is looked at meanwhile (E10)", (_, freeOld) => {
    const scenario: Scenario = {
      name: "E10",
      setup: setUp(2, (cpu) => {
        freeOld(cpu);
        pendingIsReady(cpu);
        publish(cpu, object(cpu, 1));
      }),
      cpus: [
        [
          (cpu) => {
            set(cpu, ROOT, NULL);
            freeByHead(1)(cpu);
            monitor(cpu);
            cpu.mem.write(allocThing(cpu), VALUE, 2);
          },
        ],
        [reader],
      ],
    };
    expect(exploreMm(scenario, { random: 30, bound: 1 })).toMatchObject({ failure: undefined, exhausted: 1 });
  });

  test("though a batch of another kind is about to be freed (E9)", () => {
    const scenario: Scenario = {
      name: "E9",
      setup: setUp(1, (cpu) => {
        free(0)(cpu);
        monitor(cpu); // Asks for a grace period.
        publish(cpu, vmalloc(cpu, 64));
      }),
      cpus: [
        [
          (cpu) => {
            const found = get(cpu, ROOT) as Ptr;
            set(cpu, ROOT, NULL);
            kvfree_rcu_mightsleep(cpu, found);
            monitor(cpu);
          },
          krcBarrier,
        ],
        [reader],
      ],
    };
    expect(exploreMm(scenario, { random: 30 }).failure).toBeUndefined();
  });

  test("though there is no memory to note it down (E20)", () => {
    const scenario: Scenario = {
      name: "E20",
      setup: setUp(1, (cpu) => {
        publish(cpu, object(cpu, 0));
        takeAllPages(cpu);
      }),
      cpus: [
        [
          (cpu) => {
            set(cpu, ROOT, NULL);
            free(0)(cpu);
            const thing = allocThing(cpu);
            if (thing !== NULL) cpu.mem.write(thing, VALUE, 2);
          },
        ],
        [reader],
      ],
      check: (cpu) => check_deferred(cpu)[0],
    };
    expect(exploreMm(scenario, { random: 30, bound: 1 })).toMatchObject({ failure: undefined, exhausted: 1 });
  });
});

describe("a shrinker that frees while a barrier runs (E25)", () => {
  const scenario: Scenario = {
    name: "K-2",
    setup: setUp(2, (cpu) => {
      freeByHead(0)(cpu);
      free(1)(cpu);
      pendingIsReady(cpu);
    }),
    cpus: [[krcBarrier], [(cpu) => void shrink_kvfree_rcu(cpu)]],
    check: broken,
  };
  test("is waited for", () => {
    expect(exploreMm(scenario, { random: 30, bound: 1 })).toMatchObject({ failure: undefined, exhausted: 1 });
  });
  test("is not, as the kernel does it (K-2)", () => {
    const run = exploreMm({ ...scenario, globals: { kernel_behaviour: KB_K2 } }, { random: 100, bound: 1 });
    expect(run.failure?.message).toContain("missed by kvfree_rcu_barrier()");
  });
});

test.each([
  ["one that skips what another has", 0],
  ["one that does not, as the kernel's", KB_K2],
])("two shrinkers and the monitor's own work on one krc: %s", (_, kernel_behaviour) => {
  const shrink: Operation = (cpu) => void shrink_kvfree_rcu(cpu);
  const scenario: Scenario = {
    name: "shrinkers",
    setup: setUp(5, (cpu) => {
      for (let i = 0; i < 4; i++) free(i)(cpu); // A full page and another one: the monitor comes with the next tick.
      pendingIsReady(cpu);
    }),
    globals: { kernel_behaviour },
    cpus: [[freeByHead(4)], [shrink], [shrink]],
    ticks: 1,
    check: broken,
  };
  expect(exploreMm(scenario, { random: 30 }).failure).toBeUndefined();
});

describe("the page cache", () => {
  const pages = (cpu: Cpu): number => nr_free_pages(cpu) + nr_cached_bnodes(cpu);
  /** A scenario at the end of which there are as many pages as after its set-up. */
  const lossless = (of: Scenario): Scenario => ({
    ...of,
    setup: (cpu) => {
      of.setup?.(cpu);
      set(cpu, KEPT, allocThing(cpu)); // Its slab stays.
    },
    final: (cpu) => {
      kvfree_rcu_barrier(cpu);
      flush_page_cache_work(cpu);
      kvfree_rcu_barrier(cpu);
    },
    check: (cpu) => broken(cpu) ?? (get(cpu, PAGES) === pages(cpu) ? undefined : "a page is lost"),
  });
  const notePages: Operation = (cpu) => set(cpu, PAGES, pages(cpu));

  test("counts its pages, whoever takes one and whoever takes all", () => {
    const scenario: Scenario = {
      name: "get-drain",
      setup: setUp(1, (cpu) => {
        const krcp = krcOf(cpu);
        const bnode = alloc_bnode(cpu);
        const flags = krc_lock(cpu, krcp);
        put_cached_bnode(cpu, krcp, bnode);
        krc_unlock(cpu, krcp, flags);
      }),
      globals: { rcu_min_cached_objs: 2 },
      cpus: [[freeByHead(0)], [(cpu) => void shrink_kvfree_rcu(cpu)]],
      check: broken,
      kernel: NO_GRACE_PERIODS,
    };
    expect(exploreMm(scenario, { random: 20, bound: 2 })).toMatchObject({ failure: undefined, exhausted: 2 });
  });

  test("that is filled and drained at the same time loses no page", () => {
    const scenario = lossless({
      name: "fill-drain",
      setup: setUp(3, notePages),
      globals: { rcu_min_cached_objs: 2 },
      cpus: [[freeByHead(0), freeByHead(1), freeByHead(2)], [(cpu) => void shrink_kvfree_rcu(cpu)]],
    });
    expect(exploreMm(scenario, { random: 40 }).failure).toBeUndefined();
  });

  test("that is filled from two sides takes what it may, and the rest goes back", () => {
    const scenario = lossless({
      name: "fill-fill",
      setup: setUp(4, (cpu) => {
        notePages(cpu);
        for (let i = 0; i < 3; i++) free(i)(cpu); // A full page,
        pendingIsReady(cpu);
      }),
      globals: { rcu_min_cached_objs: 1 },
      // whose records the shrinker frees: it goes to the cache, as does the one that the worker allocates.
      cpus: [[freeByHead(3)], [(cpu) => void shrink_kvfree_rcu(cpu)]],
    });
    expect(exploreMm(scenario, { random: 40, bound: 0 }).failure).toBeUndefined();
  });

  test("has one worker for a krc, whoever starts it: interrupts on top of each other", () => {
    const scenario = lossless({
      name: "one-worker",
      setup: setUp(3, notePages),
      globals: { rcu_min_cached_objs: 2 },
      irq: freeByHead(2),
      cpus: [[freeByHead(0), freeByHead(1)], [(cpu) => raiseIrq(cpu, 0)]],
    });
    expect(exploreMm(scenario, { random: 30 }).failure).toBeUndefined();
  });
});

test("played again, a free tells the debug facilities of the same records, whoever has their page by then", () => {
  const scenario: Scenario = {
    name: "bhead-unqueue",
    setup: setUp(3, (cpu) => {
      for (let i = 0; i < 3; i++) free(i)(cpu);
      pendingIsReady(cpu);
    }),
    globals: { hooks: HOOK_DEBUGOBJECTS },
    cpus: [
      [
        (cpu) => {
          monitor(cpu);
          for (let i = 0; i < 5; i++) set(cpu, ROOT, get(cpu, ROOT) + 1);
        },
      ],
      [
        (cpu) => {
          get(cpu, ROOT);
          shrink_kvfree_rcu(cpu);
          for (let bnode = alloc_bnode(cpu); bnode !== NULL; bnode = alloc_bnode(cpu)) {
            cpu.mem.fill(bnode, PAGE_SIZE, 0x77);
          }
          set(cpu, PAGES, get(cpu, ROOT));
        },
      ],
    ],
  };
  expect(exploreMm(scenario, { random: 10 }).failure).toBeUndefined();
});

describe("two barriers at once (E22), objects in pages", () => {
  test("none overlooks a batch that the other is queueing", () => {
    const scenario: Scenario = { name: "E22", setup: setUp(1, free(0)), cpus: [[krcBarrier], [krcBarrier]] };
    expect(exploreMm(scenario, { random: 20 }).failure).toBeUndefined();
  });

  test("without batching each CPU frees, then waits", () => {
    const program = (i: number) => (cpu: Cpu) => {
      kfree_rcu(cpu, object(cpu, i), Thing.offset.rcu);
      kvfree_rcu_barrier(cpu);
    };
    const scenario: Scenario = {
      name: "unbatched",
      setup: setUp(2),
      globals: { unbatched: 1 },
      cpus: [[program(0)], [program(1)]],
    };
    expect(exploreMm(scenario, { random: 15 }).failure).toBeUndefined();
  });
});
