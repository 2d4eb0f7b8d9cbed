/** Interleavings of frees, deferred work, barriers and destruction, searched by the explorer with the oracle watching. */
import { describe, expect, test } from "vitest";
import { get, set, type Scenario } from "../../../../../src/main/explore/scenario.ts";
import { krcBarrier } from "../../../../../src/main/races/kit_frees.ts";
import { NO_GRACE_PERIODS } from "../../../../../src/main/races/kit_no_grace_periods.ts";
import { bug } from "../../../../../src/shared/cpu/bug.ts";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { NUMA_NO_NODE } from "../../../../../src/shared/layout/gfp.ts";
import {
  BARRIER_DFDRK,
  Globals,
  IRQWORK_LATE,
  KB_K1,
  KB_K3,
  KB_NESTED_PRODUCER,
} from "../../../../../src/shared/layout/globals.ts";
import { KfreeRcuCpu } from "../../../../../src/shared/layout/kvfree_rcu.ts";
import { KmemCache, SlubPercpuSheaves } from "../../../../../src/shared/layout/slab.ts";
import {
  DelayedWork,
  WORK_STRUCT_CANCELING,
  WORK_STRUCT_PENDING,
  WorkStruct,
} from "../../../../../src/shared/layout/workqueue.ts";
import { SLAB_NO_SHEAVES } from "../../../../../src/shared/layout/slab_flags.ts";
import { kvfree_rcu_barrier_on_cache } from "../../../../../src/shared/linux/mm/kvfree_rcu/barrier.ts";
import { check_deferred } from "../../../../../src/shared/linux/mm/kvfree_rcu/check.ts";
import { kmem_cache_destroy } from "../../../../../src/shared/linux/mm/kvfree_rcu/destroy.ts";
import { __kvfree_rcu_barrier } from "../../../../../src/shared/linux/mm/kvfree_rcu/krc_barrier.ts";
import { kfree_rcu } from "../../../../../src/shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { kfree_rcu_nolock } from "../../../../../src/shared/linux/mm/kvfree_rcu/nolock.ts";
import { kfree_nolock, kmalloc_nolock } from "../../../../../src/shared/linux/mm/slub/nolock.ts";
import { rcu_read_lock, rcu_read_unlock } from "../../../../../src/shared/linux/rcu/update.ts";
import { element, embedded, NULL, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { cache, exploreMmWith, object, withObjects } from "../explore_mm.ts";
import { alloc_for_nolock } from "../nolock_objects.ts";
import { krcOf } from "./krc_kit.ts";
import { Thing, type ThingPtr } from "./machine.ts";

const { head: HEAD, value: VALUE } = Thing.offset;
const { scenario: SCENARIO } = Globals.offset;
/** Scenario words, besides those of withObjects(). */
const RETURNED = 1;
const ROOT = 2;
const CLAIMED = 3;

const explore = exploreMmWith({ barrier_order: BARRIER_DFDRK });
const barrier = (cpu: Cpu): void => kvfree_rcu_barrier_on_cache(cpu, cache(cpu));

describe("two barriers at once (E22)", () => {
  const scenario: Scenario = {
    name: "krc",
    setup: (cpu) => {
      withObjects(1, SLAB_NO_SHEAVES)(cpu);
      kfree_rcu(cpu, object(cpu, 0), HEAD);
    },
    cpus: [[krcBarrier], [krcBarrier]],
  };
  test("none overlooks a batch that the other is queueing", () => {
    expect(explore(scenario, { random: 20, bound: 1 })).toMatchObject({ failure: undefined, exhausted: 1 });
  });
  test("as the kernel does it, one does (K-3)", () => {
    const run = explore({ ...scenario, globals: { kernel_behaviour: KB_K3 } }, { random: 100, bound: 1 });
    expect(run.failure?.message).toContain("missed by kvfree_rcu_barrier()");
  });

  test.each([
    ["sheaves", 0],
    ["krc", SLAB_NO_SHEAVES],
  ])("each CPU frees into %s, then waits", (name, flags) => {
    const program = (i: number) => (cpu: Cpu) => {
      kfree_rcu(cpu, object(cpu, i), HEAD);
      barrier(cpu);
    };
    const run = explore({ name, setup: withObjects(2, flags), cpus: [[program(0)], [program(1)]] }, { random: 15 });
    expect(run.failure).toBeUndefined();
  });
});

describe("a barrier cancels the monitor (E26)", () => {
  const scenario: Scenario = {
    name: "K-1",
    setup: (cpu) => {
      withObjects(2, SLAB_NO_SHEAVES)(cpu);
      kfree_rcu(cpu, object(cpu, 0), HEAD);
    },
    cpus: [[__kvfree_rcu_barrier], [(cpu) => kfree_rcu(cpu, object(cpu, 1), HEAD)]],
    check: (cpu) => check_deferred(cpu).find((problem) => problem.includes("stranded")),
  };
  test("but strands nobody", () => {
    expect(explore(scenario, { random: 20, bound: 1 })).toMatchObject({ failure: undefined, exhausted: 1 });
  });
  test("as the kernel does it, it strands what comes meanwhile (K-1)", () => {
    const run = explore({ ...scenario, globals: { kernel_behaviour: KB_K1 } }, { random: 100, bound: 1 });
    expect(run.failure?.message).toContain("stranded: no monitor is pending");
  });

  // kfree_rcu() puts its object, then looks at the monitor; the barrier cancels the monitor, then looks for objects.
  const buffered: Scenario = {
    ...scenario,
    setup: withObjects(1, SLAB_NO_SHEAVES),
    cpus: [
      [__kvfree_rcu_barrier],
      [
        (cpu) => {
          const monitor = embedded(embedded(krcOf(cpu), KfreeRcuCpu.offset.monitor_work), DelayedWork.offset.work);
          const canceling = cpu.mem.read_once(monitor, WorkStruct.offset.data) & WORK_STRUCT_CANCELING;
          if (canceling) kfree_rcu(cpu, object(cpu, 0), HEAD); // Before, the first pass finds it.
        },
      ],
    ],
    kernel: NO_GRACE_PERIODS,
  };
  test("nor whose stores are on the way", () => {
    const run = explore(buffered, { random: 0, bound: 2 }, { model: "tso" });
    expect(run).toMatchObject({ failure: undefined, exhausted: 2 });
  });
});

describe("an NMI between llist_add() and irq_work_queue() (slub 6.4a)", () => {
  const scenario: Scenario = {
    name: "6.4a",
    setup: withObjects(2, SLAB_NO_SHEAVES),
    nmis: 1,
    nmi: (cpu) => {
      if (cpu.id !== 0 || get(cpu, RETURNED) === 1) return;
      kfree_rcu_nolock(cpu, object(cpu, 1), HEAD);
      set(cpu, RETURNED, 1);
    },
    cpus: [
      [(cpu) => kfree_rcu_nolock(cpu, object(cpu, 0), HEAD)],
      [
        (cpu) => {
          if (get(cpu, RETURNED) === 1) barrier(cpu);
        },
      ],
    ],
  };
  test("its object is not missed by a barrier", () => {
    expect(explore(scenario, { random: 100 }).failure).toBeUndefined();
  });
  test("as the kernel does it, it is", () => {
    const run = explore({ ...scenario, globals: { kernel_behaviour: KB_NESTED_PRODUCER } }, { random: 0, bound: 1 });
    expect(run.failure?.message).toContain("missed by kvfree_rcu_barrier_on_cache()");
  });
});

/** barrier.test.ts shows that the order of 7.3 misses it. */
test("a barrier waits for a sheaf that an NMI fills meanwhile, however late the irq_work (E13)", () => {
  const scenario: Scenario = {
    name: "E13",
    setup: (cpu) => {
      withObjects(4)(cpu);
      for (let i = 0; i < 3; i++) kfree_rcu(cpu, object(cpu, i), HEAD);
    },
    nmis: 20,
    nmi: (cpu) => {
      // Before the flush of CPU 0 is queued, and after it has run, it could not hurt.
      const flush = embedded(
        cpu.mem.read(cache(cpu), KmemCache.offset.cpu_sheaves),
        SlubPercpuSheaves.offset.flush_work,
      );
      if ((cpu.mem.read_once(flush, WorkStruct.offset.data) & WORK_STRUCT_PENDING) === 0) return;
      if (cpu.id !== 0 || get(cpu, RETURNED) === 1) return;
      set(cpu, RETURNED, 1);
      kfree_rcu_nolock(cpu, object(cpu, 3), HEAD);
    },
    cpus: [[(cpu) => void get(cpu, RETURNED)], [barrier]],
    globals: { irqwork_mode: IRQWORK_LATE },
  };
  expect(explore(scenario, { random: 8 }).failure).toBeUndefined();
});

test("nolock frees from an NMI anywhere in a free or a barrier are accounted for (E11, E12)", () => {
  const scenario: Scenario = {
    name: "E12",
    setup: withObjects(3),
    nmis: 2,
    nmi: (cpu) => {
      const thing = kmalloc_nolock(cpu, Thing.size, 0, NUMA_NO_NODE) as Ptr as ThingPtr;
      kfree_rcu_nolock(cpu, thing, HEAD);
      kfree_nolock(cpu, kmalloc_nolock(cpu, Thing.size, 0, NUMA_NO_NODE));
    },
    cpus: [
      [(cpu) => kfree_rcu(cpu, object(cpu, 0), HEAD), (cpu) => kfree_rcu(cpu, object(cpu, 1), HEAD), barrier],
      [(cpu) => kfree_rcu(cpu, object(cpu, 2), HEAD), barrier],
    ],
  };
  expect(explore(scenario, { random: 20 }).failure).toBeUndefined();
});

test("a cache can be destroyed as soon as the last free has returned (E21)", () => {
  /** Frees the last object, unless that has been done: from the program of CPU 0, or from an NMI on it. */
  const freeLast = (cpu: Cpu): void => {
    if (cpu.mem.cmpxchg(cpu.globals, element(SCENARIO, CLAIMED), 0, 1) === 0)
      kfree_rcu_nolock(cpu, object(cpu, 2), HEAD);
  };
  const scenario: Scenario = {
    name: "E21",
    setup: withObjects(3),
    nmis: 1,
    nmi: (cpu) => {
      if (cpu.id === 0) freeLast(cpu);
    },
    cpus: [
      [
        (cpu) => {
          kfree_rcu(cpu, object(cpu, 0), HEAD);
          kfree_rcu_nolock(cpu, object(cpu, 1), HEAD);
          freeLast(cpu);
          set(cpu, RETURNED, 1);
        },
      ],
      [
        (cpu) => {
          while (get(cpu, RETURNED) === 0) cpu.mem.relax();
          if (kmem_cache_destroy(cpu, cache(cpu)) !== 0) bug(cpu, "objects are left");
        },
      ],
    ],
    check: (cpu) => check_deferred(cpu)[0],
  };
  expect(explore(scenario, { random: 25 }).failure).toBeUndefined();
});

test("a reader keeps the object that it found, whoever frees and reuses (E8)", () => {
  const reuse = (cpu: Cpu): void => {
    const thing = alloc_for_nolock(cpu, cache(cpu)) as Ptr as ThingPtr;
    cpu.mem.write(thing, VALUE, 2);
  };
  const scenario: Scenario = {
    name: "E8",
    setup: (cpu) => {
      withObjects(4)(cpu);
      for (let i = 1; i < 4; i++) kfree_rcu(cpu, object(cpu, i), HEAD);
      set(cpu, ROOT, object(cpu, 0));
    },
    cpus: [
      [
        (cpu) => {
          rcu_read_lock(cpu);
          const thing = get(cpu, ROOT) as ThingPtr;
          if (thing !== NULL) {
            for (let look = 0; look < 3; look++) {
              if (cpu.mem.load_word(thing + VALUE) !== 1) bug(cpu, "the object changed in a reader's section");
            }
          }
          rcu_read_unlock(cpu);
        },
      ],
      [
        (cpu) => {
          const thing = object(cpu, 0);
          set(cpu, ROOT, 0);
          kfree_rcu(cpu, thing, HEAD);
          barrier(cpu);
        },
        reuse,
        reuse,
        reuse,
        reuse,
      ],
    ],
  };
  expect(explore(scenario, { random: 15 }).failure).toBeUndefined();
});
