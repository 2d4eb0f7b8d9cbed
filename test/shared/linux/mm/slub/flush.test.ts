/** Emptying sheaves: spec slub 2.11. */
import { beforeEach, describe, expect, test } from "vitest";
import { MachineBug } from "../../../../../src/shared/base/verdict.ts";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { POINT } from "../../../../../src/shared/layout/points.ts";
import { SlubPercpuSheaves } from "../../../../../src/shared/layout/slab.ts";
import { kfree_rcu } from "../../../../../src/shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { kmem_cache_create } from "../../../../../src/shared/linux/mm/slub/cache.ts";
import {
  __pcs_flush_all_cpu,
  flush_all,
  flush_all_cpus_locked,
  has_pcs_used,
  pcs_destroy,
  pcs_flush_all,
  PCS_BATCH_MAX,
  sheaf_flush_main,
  sheaf_try_flush_main,
} from "../../../../../src/shared/linux/mm/slub/flush.ts";
import { kfree_nolock } from "../../../../../src/shared/linux/mm/slub/nolock.ts";
import { this_cpu_sheaves } from "../../../../../src/shared/linux/mm/slub/pcs.ts";
import { rcu_barrier } from "../../../../../src/shared/linux/rcu/tree_barrier.ts";
import { cpus_read_lock, cpus_read_unlock } from "../../../../../src/shared/linux/sync/cpu_hotplug.ts";
import { local_lock, local_unlock } from "../../../../../src/shared/linux/sync/local_lock.ts";
import { embedded, NULL, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { TestMachine, Thing, type ThingPtr } from "../kvfree_rcu/machine.ts";
import { alloc_for_nolock } from "../nolock_objects.ts";
import { counted, problems, setSheafState, sheafState } from "./sheaf_state.ts";

const { lock: LOCK, main: MAIN, spare: SPARE, rcu_free: RCU_FREE } = SlubPercpuSheaves.offset;

let m: TestMachine;
let cpu: Cpu;
let s: Ptr<"kmem_cache">;

beforeEach(() => {
  m = new TestMachine({ cpus: 3 });
  [cpu] = m.cpus;
  s = kmem_cache_create(cpu, "test", 128);
});
const rcuFree = (on: Cpu): Ptr<"slab_sheaf"> => on.mem.peek(this_cpu_sheaves(on, s), RCU_FREE);
/** Puts one object into the rcu_free sheaf of a CPU. */
const kfreeRcu = (on: Cpu): Ptr => {
  const object = alloc_for_nolock(on, s) as Ptr as ThingPtr;
  kfree_rcu(on, object, Thing.offset.head);
  return object;
};
const nothing = { main: 0, spare: undefined, full: 0, empty: 0 };

test("main is flushed in batches, the newest objects first", () => {
  setSheafState(cpu, s, { main: 60, full: 0, empty: 0 });
  expect(PCS_BATCH_MAX).toBe(32);
  const left: number[] = [];
  m.nmiAt(cpu, POINT.pcs_unlocked_window, () => left.push(sheafState(cpu, s).main));
  expect(counted(cpu, s, () => sheaf_flush_main(cpu, s))).toMatchObject({ SHEAF_FLUSH: 60 });
  expect(left).toEqual([28]);
  expect(sheafState(cpu, s)).toEqual(nothing);
  expect(problems(cpu, s)).toEqual([]);
});
test("what is put into main meanwhile is flushed as well, unless it came with the last batch", () => {
  setSheafState(cpu, s, { main: 40, full: 0, empty: 0 });
  const object = alloc_for_nolock(cpu, s);
  m.nmiAt(cpu, POINT.pcs_unlocked_window, () => kfree_nolock(cpu, object));
  sheaf_flush_main(cpu, s);
  expect(sheafState(cpu, s).main).toBe(0);
  expect(m.placeOf(object)).toBe("freelist");
});

describe("sheaf_try_flush_main()", () => {
  test("flushes all", () => {
    setSheafState(cpu, s, { main: 40, full: 0, empty: 0 });
    expect(counted(cpu, s, () => expect(sheaf_try_flush_main(cpu, s)).toBe(true))).toMatchObject({ SHEAF_FLUSH: 40 });
    expect(sheafState(cpu, s).main).toBe(0);
  });
  test("does not wait for the lock: nothing flushed", () => {
    setSheafState(cpu, s, { main: 40, full: 0, empty: 0 });
    const lock = embedded(this_cpu_sheaves(cpu, s), LOCK);
    local_lock(cpu, lock);
    m.irq(cpu, () => {
      expect(sheaf_try_flush_main(cpu, s)).toBe(false);
      expect(() => sheaf_flush_main(cpu, s)).toThrow(MachineBug);
    });
    local_unlock(cpu, lock);
    expect(sheafState(cpu, s).main).toBe(40);
  });
  test("one batch is something", () => {
    setSheafState(cpu, s, { main: 40, full: 0, empty: 0 });
    m.nmiAt(cpu, POINT.pcs_unlocked_window, () => m.set("spurious", -1));
    expect(sheaf_try_flush_main(cpu, s)).toBe(true);
    m.set("spurious", 0);
    expect(sheafState(cpu, s).main).toBe(8);
  });
});

describe("pcs_flush_all()", () => {
  test("empties main, spare and rcu_free, past the barn", () => {
    setSheafState(cpu, s, { main: 10, spare: 60, full: 1, empty: 1 });
    const object = kfreeRcu(cpu);
    const stats = counted(cpu, s, () => pcs_flush_all(cpu, s));
    expect(stats).toMatchObject({ SHEAF_FLUSH: 69, SHEAF_FREE: 1 });
    expect(stats).not.toHaveProperty("BARN_PUT");
    expect(sheafState(cpu, s)).toEqual({ main: 0, spare: undefined, full: 1, empty: 0 }); // The empty one is rcu_free's.
    expect(rcuFree(cpu)).toBe(NULL);
    expect(m.placeOf(object)).toBe("rcu_sheaf"); // Not before its grace period,
    rcu_barrier(cpu);
    expect(m.placeOf(object)).toBe("freelist"); // and then past the barn.
    expect(problems(cpu, s)).toEqual([]);
  });
  test("is for tasks and work items", () => {
    m.irq(cpu, () => expect(() => pcs_flush_all(cpu, s)).toThrow(/pcs_flush_all/));
  });
});

test("has_pcs_used() looks at all three sheaves", () => {
  setSheafState(cpu, s, nothing);
  const used = (): boolean => has_pcs_used(m.cpus[1], s, 0);
  expect(used()).toBe(false);
  setSheafState(cpu, s, { ...nothing, main: 1 });
  expect(used()).toBe(true);
  setSheafState(cpu, s, { ...nothing, spare: 0 });
  expect(used()).toBe(true);
  setSheafState(cpu, s, { ...nothing, main: 1 });
  kfreeRcu(cpu);
  sheaf_flush_main(cpu, s);
  expect(used()).toBe(true);
  pcs_flush_all(cpu, s);
  expect(used()).toBe(false);
});

test("flush_all() empties the sheaves of every CPU that has any", () => {
  for (const each of m.cpus.slice(0, 2)) setSheafState(each, s, { main: 5, spare: 60, full: 0, empty: 0 });
  kfreeRcu(m.cpus[1]);
  flush_all(m.cpus[2], s);
  for (const each of m.cpus) {
    expect(sheafState(each, s)).toEqual(nothing);
    expect(rcuFree(each)).toBe(NULL);
  }
  rcu_barrier(cpu);
  expect(problems(cpu, s)).toEqual([]);
});
test("flush_all() may sleep, so it may not be called where one may not", () => {
  m.irq(cpu, () => expect(() => flush_all(cpu, s)).toThrow(MachineBug));
  cpus_read_lock(cpu);
  flush_all_cpus_locked(cpu, s);
  cpus_read_unlock(cpu);
});

test("the sheaves of a dead CPU are emptied by another one, which takes no lock", () => {
  const [, dead] = m.cpus;
  setSheafState(dead, s, { main: 5, spare: 60, full: 0, empty: 0 });
  const object = kfreeRcu(dead);
  expect(() => __pcs_flush_all_cpu(cpu, s, 1)).toThrow(/online/);
  m.set("online", 0b101);
  expect(counted(cpu, s, () => __pcs_flush_all_cpu(cpu, s, 1))).toMatchObject({ SHEAF_FLUSH: 64, SHEAF_FREE: 1 });
  expect(sheafState(dead, s)).toEqual(nothing);
  m.set("online", 0b111);
  rcu_barrier(cpu);
  expect(m.placeOf(object)).toBe("freelist");
});

describe("pcs_destroy()", () => {
  test("frees the main sheaves", () => {
    expect(counted(cpu, s, () => pcs_destroy(cpu, s))).toEqual({ SHEAF_FREE: 3 });
    expect(cpu.mem.peek(this_cpu_sheaves(cpu, s), MAIN)).toBe(NULL);
  });
  test.each([
    ["objects in main", { ...nothing, main: 1 }],
    ["a spare sheaf", { ...nothing, spare: 0 }],
  ])("reports %s", (_, state) => {
    setSheafState(cpu, s, state);
    expect(() => pcs_destroy(cpu, s)).toThrow(/pcs_destroy/);
  });
  test("reports an rcu_free sheaf", () => {
    setSheafState(cpu, s, { ...nothing, main: 1 });
    kfreeRcu(cpu);
    expect(cpu.mem.peek(this_cpu_sheaves(cpu, s), SPARE)).toBe(NULL);
    expect(() => pcs_destroy(cpu, s)).toThrow(/rcu_free/);
  });
});
