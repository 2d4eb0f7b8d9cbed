/** kfree_rcu_cpu: the list, and when its monitor comes. */
import { describe, expect, test } from "vitest";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { GFP_KERNEL } from "../../../../../src/shared/layout/gfp.ts";
import { Globals } from "../../../../../src/shared/layout/globals.ts";
import { KfreeRcuCpu, KFREE_DRAIN_JIFFIES, KvfreeGlobals } from "../../../../../src/shared/layout/kvfree_rcu.ts";
import { PerCpu } from "../../../../../src/shared/layout/percpu.ts";
import { POINT } from "../../../../../src/shared/layout/points.ts";
import { SLAB_NO_SHEAVES } from "../../../../../src/shared/layout/slab_flags.ts";
import { TimerList } from "../../../../../src/shared/layout/timer.ts";
import { DelayedWork, WORK_STRUCT_PENDING, WorkStruct } from "../../../../../src/shared/layout/workqueue.ts";
import { add_ptr_to_krc } from "../../../../../src/shared/linux/mm/kvfree_rcu/krc.ts";
import { kfree_rcu } from "../../../../../src/shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { kfree_rcu_nolock } from "../../../../../src/shared/linux/mm/kvfree_rcu/nolock.ts";
import { kmem_cache_create } from "../../../../../src/shared/linux/mm/slub/cache.ts";
import { kmem_cache_alloc } from "../../../../../src/shared/linux/mm/slub/kmalloc.ts";
import { embedded, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { TestMachine, Thing, type ThingPtr } from "./machine.ts";

const { head: HEAD } = Thing.offset;
const K = KfreeRcuCpu.offset;

/** Objects of a cache without sheaves: all go through krc. */
function setup(cpus = 1): { m: TestMachine; cpu: Cpu; alloc: (cpu?: Cpu) => ThingPtr } {
  const m = new TestMachine({ cpus });
  const [cpu] = m.cpus;
  const s = kmem_cache_create(cpu, "things", Thing.size, { flags: SLAB_NO_SHEAVES });
  return { m, cpu, alloc: (on = cpu) => kmem_cache_alloc(on, s, GFP_KERNEL) as Ptr as ThingPtr };
}
const krc = (cpu: Cpu): Ptr<"kfree_rcu_cpu"> => embedded(cpu.section, PerCpu.offset.krc);
const monitor = (cpu: Cpu): Ptr<"delayed_work"> => embedded(krc(cpu), K.monitor_work);
const monitorPending = (cpu: Cpu): boolean =>
  (cpu.mem.peek(embedded(monitor(cpu), DelayedWork.offset.work), WorkStruct.offset.data) & WORK_STRUCT_PENDING) !== 0;
const monitorIn = (cpu: Cpu): number =>
  cpu.mem.peek(embedded(monitor(cpu), DelayedWork.offset.timer), TimerList.offset.expires) -
  cpu.mem.peek(cpu.globals, Globals.offset.jiffies);

describe("the list", () => {
  test("is newest first, counted, and nothing on it is freed before its time", () => {
    const { m, cpu, alloc } = setup();
    const [a, b] = [alloc(), alloc()];
    expect(monitorPending(cpu)).toBe(false);
    kfree_rcu(cpu, a, HEAD);
    kfree_rcu(cpu, b, HEAD);
    expect(cpu.mem.peek(krc(cpu), K.head)).toBe(b + HEAD);
    expect(cpu.mem.peek(krc(cpu), K.head_count)).toBe(2);
    expect([m.placeOf(a), m.placeOf(b)]).toEqual(["krc", "krc"]);
    expect(m.count("kfree_rcu_krc")).toBe(2);
    expect(monitorPending(cpu)).toBe(true);
  });

  test("belongs to the CPU that frees, not to the one that allocated", () => {
    const { m, alloc } = setup(2);
    const [cpu0, cpu1] = m.cpus;
    const a = alloc(cpu0);
    kfree_rcu(cpu1, a, HEAD);
    expect(cpu0.mem.peek(krc(cpu0), K.head_count)).toBe(0);
    expect(cpu1.mem.peek(krc(cpu1), K.head_count)).toBe(1);
  });

  test("is out of reach of an NMI on top of its lock: that takes the nolock way", () => {
    const { m, cpu, alloc } = setup();
    const [a, b] = [alloc(), alloc()];
    m.nmiAt(cpu, POINT.krc_lock_held, () => kfree_rcu_nolock(cpu, b, HEAD));
    kfree_rcu(cpu, a, HEAD);
    expect(m.count("kfree_rcu_nolock_deferred")).toBe(1);
    expect([m.placeOf(a), m.placeOf(b)]).toEqual(["krc", "krc"]);
  });

  test("entered on top of its own lock is a self-deadlock, reported at once", () => {
    const { m, cpu, alloc } = setup();
    const [a, b] = [alloc(), alloc()];
    m.nmiAt(cpu, POINT.krc_lock_held, () => add_ptr_to_krc(cpu, (b + HEAD) as Ptr<"kvfree_rcu_head">, b));
    expect(() => kfree_rcu(cpu, a, HEAD)).toThrow(/NMI|nmi/);
  });
});

describe("the monitor", () => {
  test("comes after 5 seconds of machine time", () => {
    const { m, cpu, alloc } = setup();
    kfree_rcu(cpu, alloc(), HEAD);
    expect(KFREE_DRAIN_JIFFIES).toBe(500);
    expect(monitorIn(cpu)).toBe(KFREE_DRAIN_JIFFIES);
    m.run(100);
    kfree_rcu(cpu, alloc(), HEAD);
    expect(monitorIn(cpu)).toBe(KFREE_DRAIN_JIFFIES - 100); // It is not put off.
    m.run(KFREE_DRAIN_JIFFIES - 101);
    expect(m.count("krc_batches") + m.count("krc_polled")).toBe(0);
    m.run(60);
    expect(m.count("krc_polled") + m.count("krc_freed")).toBe(2);
    expect(monitorPending(cpu)).toBe(false);
  });

  test("comes with the next tick once much is pending", () => {
    const { m, cpu, alloc } = setup();
    cpu.mem.poke(embedded(cpu.globals, Globals.offset.kvfree), KvfreeGlobals.offset.bulk_max_entr, 3);
    kfree_rcu(cpu, alloc(), HEAD);
    kfree_rcu(cpu, alloc(), HEAD);
    expect(monitorIn(cpu)).toBe(KFREE_DRAIN_JIFFIES);
    kfree_rcu(cpu, alloc(), HEAD);
    expect(monitorIn(cpu)).toBe(1);
    m.run(40);
    expect(m.count("krc_polled") + m.count("krc_freed")).toBe(3);
  });
});
