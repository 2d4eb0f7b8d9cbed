/** deferred_percpu_work: three lists, one irq_work. */
import { describe, expect, test } from "vitest";
import { local_irq_restore, local_irq_save } from "../../../../../src/shared/cpu/context.ts";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { KB_NESTED_PRODUCER } from "../../../../../src/shared/layout/globals.ts";
import { IRQ_WORK_CLAIMED, IrqWork } from "../../../../../src/shared/layout/irq_work.ts";
import { DeferredPercpuWork } from "../../../../../src/shared/layout/kvfree_rcu.ts";
import { PerCpu } from "../../../../../src/shared/layout/percpu.ts";
import { POINT } from "../../../../../src/shared/layout/points.ts";
import { SlubPercpuSheaves } from "../../../../../src/shared/layout/slab.ts";
import { deferred_work_barrier } from "../../../../../src/shared/linux/mm/kvfree_rcu/barrier.ts";
import { deferred_percpu_work_fn } from "../../../../../src/shared/linux/mm/kvfree_rcu/deferred_work.ts";
import { kfree_rcu_nolock } from "../../../../../src/shared/linux/mm/kvfree_rcu/nolock.ts";
import { kmem_cache_create } from "../../../../../src/shared/linux/mm/slub/cache.ts";
import { kfree_nolock } from "../../../../../src/shared/linux/mm/slub/nolock.ts";
import { per_cpu_sheaves } from "../../../../../src/shared/linux/mm/slub/pcs.ts";
import { local_lock, local_unlock } from "../../../../../src/shared/linux/sync/local_lock.ts";
import { embedded, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { alloc_for_nolock } from "../nolock_objects.ts";
import { TestMachine, Thing, type ThingPtr } from "./machine.ts";

const { head: HEAD } = Thing.offset;
const D = DeferredPercpuWork.offset;
type Cache = Ptr<"kmem_cache">;

function setup(kernel_behaviour = 0): { m: TestMachine; cpu: Cpu; s: Cache } {
  const m = new TestMachine({}, { kernel_behaviour });
  const [cpu] = m.cpus;
  return { m, cpu, s: kmem_cache_create(cpu, "things", Thing.size) };
}
const alloc = (cpu: Cpu, s: Cache): ThingPtr => alloc_for_nolock(cpu, s) as Ptr as ThingPtr;
const dpw = (cpu: Cpu): Ptr<"deferred_percpu_work"> => embedded(cpu.section, PerCpu.offset.deferred_percpu_work);
const claimed = (cpu: Cpu): boolean =>
  (cpu.mem.peek(embedded(dpw(cpu), D.work), IrqWork.offset.flags) & IRQ_WORK_CLAIMED) !== 0;
/** Runs `code` in an NMI that interrupts the holder of the cache's sheaf lock, IRQs off until it ends. */
function onTopOfSheafLock(m: TestMachine, cpu: Cpu, s: Cache, code: () => void): void {
  const flags = local_irq_save(cpu);
  local_lock(cpu, embedded(per_cpu_sheaves(cpu, s, cpu.id), SlubPercpuSheaves.offset.lock));
  m.nmi(cpu, code);
  local_unlock(cpu, embedded(per_cpu_sheaves(cpu, s, cpu.id), SlubPercpuSheaves.offset.lock));
  local_irq_restore(cpu, flags);
}

describe("producers", () => {
  test("kfree_nolock that finds no sheaf: the object is on its slab's freelist as soon as IRQs are on", () => {
    const { m, cpu, s } = setup();
    const a = alloc(cpu, s);
    onTopOfSheafLock(m, cpu, s, () => {
      kfree_nolock(cpu, a);
      expect(m.placeOf(a)).toBe("deferred");
      expect(claimed(cpu)).toBe(true);
    });
    expect(m.placeOf(a)).toBe("freelist");
    expect(m.count("kfree_nolock_deferred")).toBe(1);
    expect(m.count("deferred_objects")).toBe(1);
    expect(m.stat(s, "FREE_SLOWPATH")).toBe(1);
    expect(claimed(cpu)).toBe(false);
  });

  test("kfree_rcu_nolock that finds no sheaf: the object goes on to kvfree_call_rcu(), and only its head is touched", () => {
    const { m, cpu, s } = setup();
    const a = alloc(cpu, s);
    cpu.mem.write(a, Thing.offset.value, 7);
    cpu.mem.write(a, Thing.offset.generation, 8);
    onTopOfSheafLock(m, cpu, s, () => {
      kfree_rcu_nolock(cpu, a, HEAD);
      expect(m.placeOf(a)).toBe("deferred_rcu");
      expect([cpu.mem.read(a, Thing.offset.value), cpu.mem.read(a, Thing.offset.generation)]).toEqual([7, 8]);
    });
    expect(m.placeOf(a)).toBe("rcu_sheaf");
    expect([cpu.mem.read(a, Thing.offset.value), cpu.mem.read(a, Thing.offset.generation)]).toEqual([7, 8]);
    expect(m.count("deferred_objects_by_rcu")).toBe(1);
    expect(m.count("kfree_rcu_sheaf")).toBe(1);
  });

  test("several objects share a run, newest first, whatever list they are on", () => {
    const { m, cpu, s } = setup();
    const things = Array.from({ length: 4 }, () => alloc(cpu, s));
    onTopOfSheafLock(m, cpu, s, () => {
      kfree_nolock(cpu, things[0]);
      kfree_rcu_nolock(cpu, things[1], HEAD);
      kfree_nolock(cpu, things[2]);
      kfree_rcu_nolock(cpu, things[3], HEAD);
    });
    expect(things.map((a) => m.placeOf(a))).toEqual(["freelist", "rcu_sheaf", "freelist", "rcu_sheaf"]);
    expect(m.count("deferred_runs")).toBe(1);
  });

  test("the handler looks at all lists: one with objects_by_rcu alone is served too", () => {
    const { m, cpu, s } = setup();
    const a = alloc(cpu, s);
    onTopOfSheafLock(m, cpu, s, () => kfree_rcu_nolock(cpu, a, HEAD));
    expect(m.count("deferred_objects")).toBe(0);
    expect(m.count("deferred_objects_by_rcu")).toBe(1);
  });

  test("an object added while the handler runs is handled by another run", () => {
    const { m, cpu, s } = setup();
    const [a, b] = [alloc(cpu, s), alloc(cpu, s)];
    m.nmiAt(cpu, POINT.irq_work_pending_cleared, () => kfree_rcu_nolock(cpu, b, HEAD));
    onTopOfSheafLock(m, cpu, s, () => {
      kfree_nolock(cpu, a);
    });
    m.run(1);
    expect(m.placeOf(a)).toBe("freelist");
    expect(m.placeOf(b)).toBe("rcu_sheaf");
  });

  test("in NMI the handler is a bug", () => {
    const { m, cpu } = setup();
    expect(() => m.nmi(cpu, () => deferred_percpu_work_fn(cpu, embedded(dpw(cpu), D.work)))).toThrow(/nmi/);
  });
});

describe("a producer that interrupts another one between llist_add() and irq_work_queue()", () => {
  /** @returns was the work claimed when the inner producer had returned? */
  function nested(kernel_behaviour: number): boolean {
    const { m, cpu, s } = setup(kernel_behaviour);
    const [a, b] = [alloc(cpu, s), alloc(cpu, s)];
    const flags = local_irq_save(cpu);
    local_lock(cpu, embedded(per_cpu_sheaves(cpu, s, 0), SlubPercpuSheaves.offset.lock));
    let covered = false;
    m.nmiAt(cpu, POINT.llist_added_before_queue, () => {
      kfree_rcu_nolock(cpu, b, HEAD);
      covered = claimed(cpu);
    });
    kfree_rcu_nolock(cpu, a, HEAD);
    local_unlock(cpu, embedded(per_cpu_sheaves(cpu, s, 0), SlubPercpuSheaves.offset.lock));
    local_irq_restore(cpu, flags);
    expect([m.placeOf(a), m.placeOf(b)]).toEqual(["rcu_sheaf", "rcu_sheaf"]);
    return covered;
  }
  test("has work pending when it returns", () => expect(nested(0)).toBe(true));
  test("has none as the kernel does it", () => expect(nested(KB_NESTED_PRODUCER)).toBe(false));
});

describe("deferred_work_barrier", () => {
  test("returns once everything deferred before has been handled", () => {
    const { m, cpu, s } = setup();
    m.set("irqwork_mode", 1); // late: the self-IPI does not come by itself
    const a = alloc(cpu, s);
    onTopOfSheafLock(m, cpu, s, () => kfree_nolock(cpu, a));
    deferred_work_barrier(cpu);
    expect(m.placeOf(a)).toBe("freelist");
    expect(m.count("deferred_work_barriers")).toBe(1);
  });

  test("sleeps, so it is a bug with IRQs off, in an interrupt, with preemption off", () => {
    const { m, cpu } = setup();
    const flags = local_irq_save(cpu);
    expect(() => deferred_work_barrier(cpu)).toThrow(/atomic/);
    local_irq_restore(cpu, flags);
    expect(() => m.irq(cpu, () => deferred_work_barrier(cpu))).toThrow(/atomic/);
  });
});
