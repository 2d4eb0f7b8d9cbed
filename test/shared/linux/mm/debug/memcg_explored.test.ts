/** Charges, stocks, objcgs and extension vectors under the explorer: two CPUs, and an NMI on any step. */
import { describe, expect, test } from "vitest";
import { get, type Operation, type Scenario, set } from "../../../../../src/main/explore/scenario.ts";
import { NO_GRACE_PERIODS } from "../../../../../src/main/races/kit_no_grace_periods.ts";
import { PAGE_SIZE } from "../../../../../src/shared/base/limits.ts";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { HOOK_MEMCG } from "../../../../../src/shared/layout/debug.ts";
import {
  MemcgState,
  NR_OBJCGS,
  ObjCgroup,
  ObjStock,
  SlabobjExt,
} from "../../../../../src/shared/layout/debug_memcg.ts";
import { __GFP_ACCOUNT, GFP_ATOMIC, GFP_KERNEL, NUMA_NO_NODE } from "../../../../../src/shared/layout/gfp.ts";
import { Globals, KB_ABORT_SINGLE, KB_OBJCG_SPIN } from "../../../../../src/shared/layout/globals.ts";
import { Slab } from "../../../../../src/shared/layout/slab.ts";
import { SLAB_NO_SHEAVES } from "../../../../../src/shared/layout/slab_flags.ts";
import { Spinlock } from "../../../../../src/shared/layout/types.ts";
import { debug_drain } from "../../../../../src/shared/linux/mm/debug/facilities.ts";
import { memcg_offline, slab_obj_exts } from "../../../../../src/shared/linux/mm/debug/memcg.ts";
import {
  get_obj_cgroup,
  memcg_state,
  obj_cgroup_put,
  obj_stock,
} from "../../../../../src/shared/linux/mm/debug/objcg.ts";
import { kmem_cache_create } from "../../../../../src/shared/linux/mm/slub/cache.ts";
import { kfree, kmalloc, kmem_cache_alloc, kmem_cache_free } from "../../../../../src/shared/linux/mm/slub/kmalloc.ts";
import { kfree_nolock, kmalloc_nolock } from "../../../../../src/shared/linux/mm/slub/nolock.ts";
import { virt_to_slab } from "../../../../../src/shared/linux/mm/slub/slab.ts";
import { stat_sum, STAT } from "../../../../../src/shared/linux/mm/slub/stat.ts";
import { rcu_barrier } from "../../../../../src/shared/linux/rcu/tree_barrier.ts";
import { element, embedded, embedded_at, NULL, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { books, exploreMmWith } from "../explore_mm.ts";

const { memory: MEMORY, max: MAX, objcg_lock: OBJCG_LOCK } = MemcgState.offset;
const { objcg: EXT_OBJCG } = SlabobjExt.offset;
const { objects: OBJECTS } = Slab.offset;
const ACCOUNT = GFP_ATOMIC | __GFP_ACCOUNT;
/** Scenario words. */
const CACHE = 0;
const OBJECT = 1;
const FOUND_HELD = 11;

const explore = exploreMmWith({ hooks: HOOK_MEMCG });
const cache = (cpu: Cpu): Ptr<"kmem_cache"> => get(cpu, CACHE) as Ptr<"kmem_cache">;
const object = (cpu: Cpu, i: number): Ptr<"object"> => get(cpu, OBJECT + i) as Ptr<"object">;
/** Object `i`, which is the caller's from now on; NULL: somebody else has taken it. */
const take = (cpu: Cpu, i: number): Ptr<"object"> =>
  cpu.mem.xchg(cpu.globals, element(Globals.offset.scenario, OBJECT + i), 0) as Ptr<"object">;
/** How many vectors of the size of this one have been freed to the CPUs' sheaves. */
function nr_freed(cpu: Cpu, exts: Ptr): number {
  const s = cpu.mem.peek(virt_to_slab(cpu, exts), Slab.offset.slab_cache);
  return stat_sum(cpu, s, STAT.FREE_FASTPATH);
}
/** Without sheaves, so that objects come from one slab. */
const makeCache: Operation = (cpu) => {
  set(cpu, CACHE, kmem_cache_create(cpu, "things", 512, { flags: SLAB_NO_SHEAVES }));
  set(cpu, OBJECT + 9, kmem_cache_alloc(cpu, cache(cpu), GFP_KERNEL)); // Makes the slab.
};
const alloc =
  (i: number): Operation =>
  (cpu) =>
    set(cpu, OBJECT + i, kmem_cache_alloc(cpu, cache(cpu), ACCOUNT));
const close: Operation = (cpu) => {
  debug_drain(cpu);
  rcu_barrier(cpu);
  debug_drain(cpu);
};
/** With no object in use, all bytes of the pages that are charged are in stocks and objcgs. */
function all_unused(cpu: Cpu): string | undefined {
  const { mem } = cpu;
  const state = memcg_state(cpu);
  let unused = 0;
  for (let id = 0; id < cpu.map.shape.cpus; id++) unused += mem.peek(obj_stock(cpu, id), ObjStock.offset.nr_bytes);
  for (let i = 0; i < NR_OBJCGS; i++) {
    const objcg = embedded_at(state, MemcgState.offset.objcgs, i, ObjCgroup.size);
    const alive = mem.peek(objcg, ObjCgroup.offset.refcnt) !== 0;
    if (alive) unused += mem.peek(objcg, ObjCgroup.offset.nr_charged_bytes);
  }
  const charged = mem.peek(state, MEMORY) * PAGE_SIZE;
  return charged === unused ? undefined : `${charged} bytes are charged, ${unused} are unused`;
}
const alloc_and_free: Operation = (cpu) => {
  const ours = kmalloc(cpu, 64, ACCOUNT);
  if (ours !== NULL) kfree(cpu, ours);
};

test("two CPUs make the vector of a slab at once: one is used, and both objects are paid for", () => {
  let both_made = 0;
  const run = explore(
    {
      name: "two vectors",
      setup: makeCache,
      cpus: [[alloc(0)], [alloc(1)]],
      check: (cpu) => {
        const slab = virt_to_slab(cpu, object(cpu, 0));
        const exts = slab_obj_exts(cpu, slab);
        let paid = 0;
        for (let i = 0; i < cpu.mem.peek(slab, OBJECTS); i++) {
          if (cpu.mem.peek((exts + i * SlabobjExt.size) as Ptr<"slabobj_ext">, EXT_OBJCG) !== NULL) paid++;
        }
        if (nr_freed(cpu, exts) > 0) both_made++;
        return paid === 2 ? undefined : `${paid} objects are paid for`;
      },
    },
    { random: 100, bound: 1 },
  );
  expect(run).toMatchObject({ failure: undefined, exhausted: 1 });
  expect(both_made).toBeGreaterThan(0);
});

test("frees of objects of one slab, on the CPU that was charged and on another one", () => {
  const free =
    (i: number): Operation =>
    (cpu) =>
      kmem_cache_free(cpu, cache(cpu), object(cpu, i));
  const run = explore(
    {
      name: "frees",
      setup: (cpu) => {
        makeCache(cpu);
        for (const i of [0, 1]) alloc(i)(cpu);
      },
      cpus: [
        [free(0), free(9)],
        [free(1), alloc(2), free(2)],
      ],
      final: close,
      check: books,
    },
    { random: 30, bound: 1 },
  );
  expect(run).toMatchObject({ failure: undefined, exhausted: 1 });
});

test("the cgroup goes offline while another CPU takes references, and puts the last one", () => {
  const use: Operation = (cpu) => obj_cgroup_put(cpu, get_obj_cgroup(cpu), true);
  const run = explore(
    {
      name: "references",
      cpus: [[(cpu) => void memcg_offline(cpu)], [use, use]],
      check: (cpu) => {
        const live = cpu.mem.peek(memcg_state(cpu), MemcgState.offset.nr_objcgs);
        return live === 1 ? all_unused(cpu) : `${live} objcgs are alive`;
      },
      kernel: NO_GRACE_PERIODS,
    },
    { random: 60, bound: 1 },
  );
  expect(run).toMatchObject({ failure: undefined, exhausted: 1 });
});

describe("an NMI on every step", () => {
  const nmi: Operation = (cpu) => {
    const lock = embedded(memcg_state(cpu), OBJCG_LOCK);
    if (cpu.mem.read_once(lock, Spinlock.offset.val) !== 0) set(cpu, FOUND_HELD, 1);
    kfree_nolock(cpu, take(cpu, 0));
    kfree_nolock(cpu, kmalloc_nolock(cpu, 64, __GFP_ACCOUNT, NUMA_NO_NODE));
  };
  const scenario: Scenario = {
    name: "nmi",
    setup: (cpu) => set(cpu, OBJECT, kmalloc_nolock(cpu, 64, __GFP_ACCOUNT, NUMA_NO_NODE)),
    cpus: [[alloc_and_free, (cpu) => kfree(cpu, take(cpu, 0))], [alloc_and_free]],
    nmi,
    check: all_unused,
  };
  test("of allocation and free: no byte is lost", () => {
    const run = explore(scenario, { random: 30, bound: 0 });
    expect(run).toMatchObject({ failure: undefined, exhausted: 0 });
  });

  const offline: Scenario = {
    ...scenario,
    name: "offline",
    cpus: [[(cpu) => void memcg_offline(cpu)], [alloc_and_free, (cpu) => kfree(cpu, take(cpu, 0))]],
    kernel: NO_GRACE_PERIODS,
  };
  test("while the cgroup goes offline: nobody spins on what his own CPU holds", () => {
    let found_held = 0;
    const run = explore(
      {
        ...offline,
        check: (cpu) => {
          if (get(cpu, FOUND_HELD) !== 0) found_held++;
          return all_unused(cpu);
        },
      },
      { random: 30, bound: 0 },
    );
    expect(run).toMatchObject({ failure: undefined, exhausted: 0 });
    expect(found_held).toBeGreaterThan(0);
  });
  test("as the kernel does it, some NMI puts the last reference, and spins (slub B24)", () => {
    const run = explore({ ...offline, globals: { kernel_behaviour: KB_OBJCG_SPIN } }, { random: 100, bound: 0 });
    expect(run.failure?.message).toMatch(/spins in NMI: objcg/);
  });

  const atTheLimit: Scenario = {
    ...scenario,
    name: "limit",
    setup: (cpu) => cpu.mem.poke(memcg_state(cpu), MAX, 0),
    cpus: [[alloc_and_free], [alloc_and_free]],
    check: (cpu) => {
      const charged = cpu.mem.peek(memcg_state(cpu), MEMORY);
      return charged === 0 ? undefined : `${charged} pages are charged`;
    },
  };
  test("charges that fail: the object is freed, and nobody spins", () => {
    const run = explore(atTheLimit, { random: 30, bound: 0 });
    expect(run).toMatchObject({ failure: undefined, exhausted: 0 });
  });
  test("as the kernel does it, the free of the object may spin (slub B22)", () => {
    const run = explore({ ...atTheLimit, globals: { kernel_behaviour: KB_ABORT_SINGLE } }, { random: 20 });
    expect(run.failure?.message).toMatch(/__slab_free\(\) in .*nmi/);
  });
});

test("the limit holds against two CPUs that charge at once", () => {
  const run = explore(
    {
      name: "limit",
      setup: (cpu) => cpu.mem.poke(memcg_state(cpu), MAX, 1),
      cpus: [
        [(cpu) => set(cpu, OBJECT, kmalloc(cpu, 4096, ACCOUNT))],
        [(cpu) => set(cpu, OBJECT + 1, kmalloc(cpu, 64, ACCOUNT))],
      ],
      check: (cpu) => {
        const charged = cpu.mem.peek(memcg_state(cpu), MEMORY);
        return charged <= 1 && object(cpu, 0) === NULL ? undefined : `${charged} pages are charged`;
      },
    },
    { random: 30, bound: 1 },
  );
  expect(run).toMatchObject({ failure: undefined, exhausted: 1 });
});
