/** kmemleak and debugobjects on the way of an object through krc: lists, bnodes, the form without a head. */
import { describe, expect, test } from "vitest";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { CpuSlot } from "../../../../../src/shared/layout/cpu.ts";
import {
  HOOK_DEBUGOBJECTS,
  HOOK_KMEMLEAK,
  KMEMLEAK_BLACK,
  KMEMLEAK_WHITE,
  KmemleakObject,
} from "../../../../../src/shared/layout/debug.ts";
import { GFP_KERNEL } from "../../../../../src/shared/layout/gfp.ts";
import { active_debug_objects } from "../../../../../src/shared/linux/lib/debugobjects.ts";
import { kmemleak_state } from "../../../../../src/shared/linux/mm/debug/kmemleak.ts";
import { kmemleak_objects, kmemleak_scan } from "../../../../../src/shared/linux/mm/debug/kmemleak_scan.ts";
import { kvfree_rcu_barrier } from "../../../../../src/shared/linux/mm/kvfree_rcu/barrier.ts";
import { bnodes_of } from "../../../../../src/shared/linux/mm/kvfree_rcu/check_krc.ts";
import { bulk_head_free_of } from "../../../../../src/shared/linux/mm/kvfree_rcu/krc_batch.ts";
import { kvfree_rcu_bulk } from "../../../../../src/shared/linux/mm/kvfree_rcu/krc_bulk.ts";
import { bulk_head_of, krwp_of } from "../../../../../src/shared/linux/mm/kvfree_rcu/krc.ts";
import { kfree_rcu, kfree_rcu_mightsleep } from "../../../../../src/shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { kfree, kmalloc } from "../../../../../src/shared/linux/mm/slub/kmalloc.ts";
import { rcu_read_lock, rcu_read_unlock } from "../../../../../src/shared/linux/rcu/update.ts";
import type { Ptr } from "../../../../../src/shared/mem/struct.ts";
import { krcMachine, krcOf, monitor, records, takeAllPages } from "../kvfree_rcu/krc_kit.ts";
import { Thing, type ThingPtr } from "../kvfree_rcu/machine.ts";

const { head: HEAD } = Thing.offset;
const warnings = (cpu: Cpu): number => cpu.mem.peek(cpu.slot, CpuSlot.offset.warnings);

describe("kmemleak", () => {
  const leaks = (cpu: Cpu): Ptr[] => kmemleak_scan(cpu, 0).map(({ pointer }) => pointer);
  test("ignores what is in a page of pointers, which no scan looks at; else it would be a leak", () => {
    const { cpu, alloc } = krcMachine(1, { hooks: HOOK_KMEMLEAK });
    const thing = alloc();
    kfree_rcu_mightsleep(cpu, thing);
    expect(records(cpu, bulk_head_of(krcOf(cpu), 0))).toEqual([[thing]]);
    expect(leaks(cpu)).toEqual([]);
    const record = [...kmemleak_objects(cpu, kmemleak_state(cpu))].find(
      (each) => cpu.mem.peek(each, KmemleakObject.offset.pointer) === (thing as Ptr),
    );
    if (record === undefined) throw new Error("unknown");
    const { min_count } = KmemleakObject.offset;
    expect(cpu.mem.peek(record, min_count)).toBe(KMEMLEAK_BLACK);
    cpu.mem.poke(record, min_count, KMEMLEAK_WHITE);
    expect(leaks(cpu)).toEqual([thing]);
    kvfree_rcu_barrier(cpu);
    expect(leaks(cpu)).toEqual([]);
  });
});

describe("debugobjects", () => {
  const machine = (panic_on_warn = 1): ReturnType<typeof krcMachine> =>
    krcMachine(1, { hooks: HOOK_DEBUGOBJECTS, panic_on_warn });
  const FORMS: [string, (cpu: Cpu, thing: ThingPtr) => void][] = [
    ["the list", (cpu, thing) => kfree_rcu(cpu, thing, HEAD)],
    ["a bnode", kfree_rcu_mightsleep],
  ];
  describe.each(FORMS)("an object in %s", (_, free) => {
    test("is active until its grace period is over", () => {
      const { m, cpu, alloc } = machine();
      const thing = alloc();
      free(cpu, thing);
      expect(active_debug_objects(cpu)).toEqual([thing]);
      kvfree_rcu_barrier(cpu);
      expect(active_debug_objects(cpu)).toEqual([]);
      expect(m.placeOf(thing)).toBe("freelist");
    });
    test("is not taken a second time: a warning, and the first free goes its way", () => {
      const { m, cpu, alloc } = machine(0);
      const thing = alloc();
      free(cpu, thing);
      free(cpu, thing);
      expect(warnings(cpu)).toBe(1);
      expect(m.count("kfree_rcu_krc")).toBe(1);
      kvfree_rcu_barrier(cpu);
      expect(m.placeOf(thing)).toBe("freelist");
    });
    test("may not be freed otherwise", () => {
      const { cpu, alloc } = machine();
      const thing = alloc();
      free(cpu, thing);
      expect(() => kfree(cpu, thing)).toThrow(`ODEBUG: free active: 0x${thing.toString(16)}`);
    });
  });
  test("an object in a sheaf is none of its business", () => {
    const { cpu } = machine();
    kfree_rcu(cpu, kmalloc(cpu, Thing.size, GFP_KERNEL) as Ptr as ThingPtr, HEAD);
    expect(active_debug_objects(cpu)).toEqual([]);
  });
  test("an object for which there is no record is freed by its caller, and is not active then", () => {
    const { m, cpu, alloc } = machine();
    const thing = alloc();
    const giveBack = takeAllPages(cpu);
    kfree_rcu_mightsleep(cpu, thing);
    giveBack();
    expect(m.count("kfree_rcu_synchronous")).toBe(1);
    expect(m.placeOf(thing)).toBe("freelist");
  });
  test("objects that are leaked because their grace period is not over stay active", () => {
    const { cpu, alloc } = machine(0);
    const thing = alloc();
    kfree_rcu_mightsleep(cpu, thing);
    rcu_read_lock(cpu);
    monitor(cpu);
    const [bnode] = bnodes_of(cpu, bulk_head_free_of(krwp_of(krcOf(cpu), 0), 0));
    expect(kvfree_rcu_bulk(cpu, krcOf(cpu), bnode, 0)).toBe(0);
    expect(active_debug_objects(cpu)).toContain(thing);
    rcu_read_unlock(cpu);
  });
});
