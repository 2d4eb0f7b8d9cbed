/** The fast paths of spec slub 2.3, 2.6, 2.7. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { GFP_KERNEL, NUMA_NO_NODE } from "../../../../../src/shared/layout/gfp.ts";
import { POINT } from "../../../../../src/shared/layout/points.ts";
import { SL_pfmemalloc, Slab } from "../../../../../src/shared/layout/slab.ts";
import { barn_put_empty_sheaf } from "../../../../../src/shared/linux/mm/slub/barn.ts";
import { kmem_cache_create } from "../../../../../src/shared/linux/mm/slub/cache.ts";
import {
  kmem_cache_alloc,
  kmem_cache_alloc_node,
  kmem_cache_free,
} from "../../../../../src/shared/linux/mm/slub/kmalloc.ts";
import { kfree_nolock } from "../../../../../src/shared/linux/mm/slub/nolock.ts";
import {
  alloc_from_pcs,
  can_free_to_pcs,
  free_to_pcs,
  get_barn,
  get_node_barn,
  per_cpu_sheaves,
  this_cpu_sheaves,
} from "../../../../../src/shared/linux/mm/slub/pcs.ts";
import { slab_nid, virt_to_slab } from "../../../../../src/shared/linux/mm/slub/slab.ts";
import { O_TRANSIT, O_USER } from "../../../../../src/shared/mem/oracle.ts";
import { NULL, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { TestMachine } from "../kvfree_rcu/machine.ts";
import { alloc_for_nolock } from "../nolock_objects.ts";
import { counted, makeSheaf, problems, setSheafState, sheafState } from "./sheaf_state.ts";

type Obj = Ptr<"object">;

let m: TestMachine;
let cpu: Cpu;
let s: Ptr<"kmem_cache">;

afterEach(() => {
  expect(problems(cpu, s)).toEqual([]);
});

describe("one node", () => {
  beforeEach(() => {
    m = new TestMachine({ cpus: 2 });
    [cpu] = m.cpus;
    s = kmem_cache_create(cpu, "test", 128);
    kmem_cache_free(cpu, s, kmem_cache_alloc(cpu, s, GFP_KERNEL));
  });
  const alloc = (): Obj => alloc_for_nolock(cpu, s);

  test("last in, first out", () => {
    const objects = [alloc(), alloc(), alloc()];
    const stats = counted(cpu, s, () => {
      for (const object of objects) kmem_cache_free(cpu, s, object);
      expect([alloc(), alloc(), alloc()]).toEqual(objects.toReversed());
    });
    expect(stats).toEqual({ FREE_FASTPATH: 3, ALLOC_FASTPATH: 3 });
  });
  test("each CPU has sheaves of its own", () => {
    const [, other] = m.cpus;
    const object = alloc();
    const before = sheafState(cpu, s);
    kmem_cache_free(other, s, object);
    expect(sheafState(cpu, s)).toEqual(before);
    expect(sheafState(other, s).main).toBe(1);
    expect(this_cpu_sheaves(other, s)).toBe(per_cpu_sheaves(cpu, s, 1));
    expect(get_barn(cpu, s)).toBe(get_node_barn(cpu, s, 0));
  });
  test("nothing atomic", () => {
    const spies = (["load", "store", "exchange", "compareExchange", "add", "or", "and"] as const).map((name) =>
      vi.spyOn(Atomics, name),
    );
    // The oracle's words are not the machine's.
    const machine: unknown = cpu.mem.words;
    const atomics = (): number => spies.flatMap((spy) => spy.mock.calls).filter(([words]) => words === machine).length;
    kmem_cache_free(cpu, s, alloc());
    kfree_nolock(cpu, alloc());
    const onFastPath = atomics();
    barn_put_empty_sheaf(cpu, get_barn(cpu, s), makeSheaf(cpu, s, 0));
    const withBarn = atomics();
    vi.restoreAllMocks();
    expect(onFastPath).toBe(0);
    expect(withBarn).toBeGreaterThan(0);
  });
  test.each([POINT.local_trylock_acquired, POINT.local_unlock])(
    "an NMI that hits the holder goes elsewhere",
    (point) => {
      const objects = [alloc(), alloc()];
      let got: Obj = NULL;
      m.nmiAt(cpu, point, () => {
        got = alloc_from_pcs(cpu, s, 0, 1, NUMA_NO_NODE);
        kfree_nolock(cpu, objects[0]);
      });
      kmem_cache_free(cpu, s, objects[1]);
      expect(got).toBe(NULL);
      expect(m.placeOf(objects[1])).toBe("sheaf");
      expect(m.placeOf(objects[0])).toBe("freelist"); // Through the deferred list.
    },
  );
  test("a trylock that fails makes both say no, and changes nothing", () => {
    const object = alloc();
    const before = sheafState(cpu, s);
    m.set("spurious", -1);
    const stats = counted(cpu, s, () => {
      expect(alloc_from_pcs(cpu, s, GFP_KERNEL, 0, NUMA_NO_NODE)).toBe(NULL);
      expect(free_to_pcs(cpu, s, object, true)).toBe(false);
    });
    m.set("spurious", 0);
    expect(stats).toEqual({});
    expect(sheafState(cpu, s)).toEqual(before);
  });
  test("objects from memory reserves are not kept", () => {
    const object = alloc();
    const slab = virt_to_slab(cpu, object);
    expect(can_free_to_pcs(cpu, slab)).toBe(true);
    cpu.mem.poke(slab, Slab.offset.flags, cpu.mem.peek(slab, Slab.offset.flags) | SL_pfmemalloc);
    expect(can_free_to_pcs(cpu, slab)).toBe(false);
    expect(counted(cpu, s, () => kmem_cache_free(cpu, s, object))).toMatchObject({ FREE_SLOWPATH: 1 });
    cpu.mem.poke(slab, Slab.offset.flags, cpu.mem.peek(slab, Slab.offset.flags) & ~SL_pfmemalloc);
  });
});

describe("two nodes", () => {
  beforeEach(() => {
    m = new TestMachine({ cpus: 2, nodes: 2 });
    [cpu] = m.cpus;
    s = kmem_cache_create(cpu, "test", 128);
  });

  test("each node has a barn", () => {
    expect(get_barn(m.cpus[0], s)).toBe(get_node_barn(cpu, s, 0));
    expect(get_barn(m.cpus[1], s)).toBe(get_node_barn(cpu, s, 1));
    expect(get_node_barn(cpu, s, 0)).not.toBe(get_node_barn(cpu, s, 1));
  });
  test("the sheaves are for the CPU's node only", () => {
    setSheafState(cpu, s, { main: 3, full: 0, empty: 0 });
    let object: Obj = NULL;
    const remote = counted(cpu, s, () => {
      object = kmem_cache_alloc_node(cpu, s, GFP_KERNEL, 1);
    });
    expect(remote).toMatchObject({ ALLOC_NODE_MISMATCH: 1, ALLOC_SLOWPATH: 1 });
    expect(slab_nid(cpu, virt_to_slab(cpu, object))).toBe(1);
    expect(can_free_to_pcs(cpu, virt_to_slab(cpu, object))).toBe(false);
    expect(can_free_to_pcs(m.cpus[1], virt_to_slab(cpu, object))).toBe(true);
    expect(counted(cpu, s, () => kmem_cache_free(cpu, s, object))).toMatchObject({ FREE_SLOWPATH: 1 });
    expect(counted(cpu, s, () => kmem_cache_alloc_node(cpu, s, GFP_KERNEL, 0))).toEqual({ ALLOC_FASTPATH: 1 });
  });
  test("they are not even refilled for another node's sake", () => {
    setSheafState(cpu, s, { main: 0, full: 0, empty: 0 });
    const stats = counted(cpu, s, () => expect(alloc_from_pcs(cpu, s, GFP_KERNEL, 0, 1)).toBe(NULL));
    expect(stats).toEqual({ ALLOC_NODE_MISMATCH: 1 });
  });
  test("a remote object that got in all the same is not given to who asks for a node", () => {
    setSheafState(cpu, s, { main: 3, full: 0, empty: 0 });
    const object = kmem_cache_alloc_node(cpu, s, GFP_KERNEL, 1);
    m.oracle.move(0, object, O_USER, O_TRANSIT, 0);
    expect(free_to_pcs(cpu, s, object, true)).toBe(true);
    const stats = counted(cpu, s, () => expect(alloc_from_pcs(cpu, s, GFP_KERNEL, 0, 0)).toBe(NULL));
    expect(stats).toEqual({ ALLOC_NODE_MISMATCH: 1 });
    expect(sheafState(cpu, s).main).toBe(4); // It stays,
    expect(kmem_cache_alloc(cpu, s, GFP_KERNEL)).toBe(object); // for who does not mind.
  });
});
