/** debugobjects: what activating, deactivating and freeing do in each state; call_rcu() of a head that is queued. */
import { describe, expect, test } from "vitest";
import type { Cpu } from "../../../../src/shared/cpu/cpu.ts";
import { DebugGlobals, DebugObj, DebugobjectsState, HOOK_DEBUGOBJECTS } from "../../../../src/shared/layout/debug.ts";
import { CB } from "../../../../src/shared/layout/callbacks.ts";
import { logRecords } from "../../../../src/main/report/dmesg.ts";
import { bind_callback } from "../../../../src/shared/cpu/callback_table.ts";
import { GFP_KERNEL, NUMA_NO_NODE } from "../../../../src/shared/layout/gfp.ts";
import { CpuSlot } from "../../../../src/shared/layout/cpu.ts";
import { Globals } from "../../../../src/shared/layout/globals.ts";
import {
  active_debug_objects,
  debug_check_no_obj_freed,
  debug_object_activate,
  debug_object_deactivate,
} from "../../../../src/shared/linux/lib/debugobjects.ts";
import { alloc_frozen_pages, free_frozen_pages } from "../../../../src/shared/linux/mm/page_alloc/page_alloc.ts";
import { page_address } from "../../../../src/shared/linux/mm/page_alloc/zone.ts";
import { kfree, kmalloc } from "../../../../src/shared/linux/mm/slub/kmalloc.ts";
import { rcu_barrier } from "../../../../src/shared/linux/rcu/tree_barrier.ts";
import { call_rcu } from "../../../../src/shared/linux/rcu/tree.ts";
import { embedded, type Ptr } from "../../../../src/shared/mem/struct.ts";
import { TestMachine, Thing, type ThingPtr } from "../mm/kvfree_rcu/machine.ts";

const { rcu: RCU } = Thing.offset;
const { warnings: CPU_WARNINGS } = CpuSlot.offset;
/** @param panic  1: a warning ends the test. */
function machine(panic = 1, hooks = HOOK_DEBUGOBJECTS): { m: TestMachine; cpu: Cpu; warnings: () => number } {
  const m = new TestMachine({}, { hooks, panic_on_warn: panic });
  const [cpu] = m.cpus;
  return { m, cpu, warnings: () => cpu.mem.peek(cpu.slot, CPU_WARNINGS) };
}
const thing = (cpu: Cpu): ThingPtr => kmalloc(cpu, Thing.size, GFP_KERNEL) as Ptr as ThingPtr;
const state = (cpu: Cpu): Ptr<"debugobjects_state"> =>
  cpu.mem.peek(embedded(cpu.globals, Globals.offset.debug), DebugGlobals.offset.debugobjects);
/** Trackers that are in no bucket. */
function pooled(cpu: Cpu): number {
  let n = 0;
  let tracker = cpu.mem.peek(state(cpu), DebugobjectsState.offset.pool);
  for (; tracker !== 0; tracker = cpu.mem.peek(tracker, DebugObj.offset.next)) n++;
  return n;
}

describe("an address", () => {
  const at = 0x123450 as Ptr;
  test("is activated once, and can be again when it is not active any more", () => {
    const { cpu } = machine();
    expect(debug_object_activate(cpu, at)).toBe(true);
    expect(active_debug_objects(cpu)).toEqual([at]);
    expect(() => debug_object_activate(cpu, at)).toThrow(/ODEBUG: activate active: 0x123450, object type: rcu_head/);
    debug_object_deactivate(cpu, at);
    expect(active_debug_objects(cpu)).toEqual([]);
    expect(debug_object_activate(cpu, at)).toBe(true);
  });
  test("that is not active cannot leave its queue", () => {
    const { cpu } = machine();
    expect(() => debug_object_deactivate(cpu, at)).toThrow(/deactivate unknown/);
    debug_object_activate(cpu, at);
    debug_object_deactivate(cpu, at);
    expect(() => debug_object_deactivate(cpu, at)).toThrow(/deactivate inactive/);
  });
  test("is forgotten with the memory around it, which may span pages; its tracker goes back", () => {
    const { cpu, warnings } = machine(0);
    const before = pooled(cpu);
    const all = [0x10ff8, 0x11000, 0x12ff8, 0x13000] as Ptr[];
    for (const each of all) debug_object_activate(cpu, each);
    debug_object_deactivate(cpu, all[1]);
    expect(pooled(cpu)).toBe(before - 4);
    debug_check_no_obj_freed(cpu, 0x11000 as Ptr, 0x2000);
    expect(warnings()).toBe(1);
    expect(new Set(active_debug_objects(cpu))).toEqual(new Set([all[0], all[3]]));
    expect(pooled(cpu)).toBe(before - 2);
  });
  test("is forgotten when its pages are freed, as many as there are buckets or more", () => {
    const { cpu, warnings } = machine(0);
    const before = pooled(cpu);
    const page = alloc_frozen_pages(cpu, 8, NUMA_NO_NODE);
    const start = page_address(cpu, page);
    for (const offset of [0, 4088, 4096 * 64, 4096 * 256 - 8]) debug_object_activate(cpu, (start + offset) as Ptr);
    debug_object_deactivate(cpu, start);
    free_frozen_pages(cpu, page, 8);
    expect(active_debug_objects(cpu)).toEqual([]);
    expect(pooled(cpu)).toBe(before);
    expect(warnings()).toBeGreaterThan(0);
  });
  test("is unknown when the pool is empty: debugobjects is off then", () => {
    const { cpu } = machine();
    debug_object_activate(cpu, at);
    cpu.mem.poke(state(cpu), DebugobjectsState.offset.pool, 0 as Ptr<"debug_obj">);
    expect(debug_object_activate(cpu, (at + 8) as Ptr)).toBe(true);
    expect(debug_object_activate(cpu, at)).toBe(true);
    debug_object_deactivate(cpu, (at + 16) as Ptr);
    expect(active_debug_objects(cpu)).toEqual([]); // It does not see any more when they leave their queues.
    expect(logRecords(cpu.mem, cpu.map).map(({ text }) => text)).toEqual(["ODEBUG: out of trackers; it is off now"]);
  });
  test("cannot be asked about in NMI", () => {
    const { m, cpu } = machine();
    m.nmi(cpu, () => {
      expect(() => debug_object_activate(cpu, at)).toThrow(/spins in NMI: debug_bucket/);
    });
  });
});

describe("call_rcu()", () => {
  test("a callback runs with its head inactive, so it may queue it again", () => {
    const { cpu } = machine();
    const object = thing(cpu);
    let runs = 0;
    bind_callback(CB.torture_rcu_cb, (self) => {
      if (++runs < 3) call_rcu(self, embedded(object, RCU), CB.torture_rcu_cb);
    });
    call_rcu(cpu, embedded(object, RCU), CB.torture_rcu_cb);
    for (let i = 0; i < 3; i++) rcu_barrier(cpu);
    expect(runs).toBe(3);
    expect(active_debug_objects(cpu)).toEqual([]);
    kfree(cpu, object);
  });
  test("of a queued head: a warning, and the callback becomes rcu_leak_callback()", () => {
    const { cpu, warnings } = machine(0);
    const object = thing(cpu);
    let runs = 0;
    bind_callback(CB.torture_rcu_cb, () => {
      runs++;
    });
    call_rcu(cpu, embedded(object, RCU), CB.torture_rcu_cb);
    call_rcu(cpu, embedded(object, RCU), CB.torture_rcu_cb);
    expect(warnings()).toBe(1);
    rcu_barrier(cpu);
    expect(runs).toBe(0);
    expect(active_debug_objects(cpu)).toEqual([]);
  });
  test("the memory around a queued head is freed", () => {
    const { cpu } = machine();
    const object = thing(cpu);
    const head = embedded(object, RCU);
    call_rcu(cpu, head, CB.torture_rcu_cb);
    expect(() => kfree(cpu, object)).toThrow(`ODEBUG: free active: 0x${head.toString(16)}`);
  });
  test("off, a second call of the same head is not noticed here", () => {
    const { cpu } = machine(1, 0);
    const object = thing(cpu);
    call_rcu(cpu, embedded(object, RCU), CB.torture_rcu_cb);
    kfree(cpu, object);
    expect(state(cpu)).toBe(0);
  });
});
