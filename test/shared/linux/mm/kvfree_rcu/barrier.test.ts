/** kvfree_rcu_barrier(): everything freed before, by whatever function and from whatever context, is back. */
import { describe, expect, test } from "vitest";
import { local_irq_restore, local_irq_save } from "../../../../../src/shared/cpu/context.ts";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { CpuSlot } from "../../../../../src/shared/layout/cpu.ts";
import {
  BARRIER_DFDRK,
  BARRIER_DFRK,
  BARRIER_FDRK,
  IRQWORK_LATE,
  IRQWORK_MIXED,
  IRQWORK_PROMPT,
} from "../../../../../src/shared/layout/globals.ts";
import { SlubPercpuSheaves } from "../../../../../src/shared/layout/slab.ts";
import { SLAB_NO_SHEAVES } from "../../../../../src/shared/layout/slab_flags.ts";
import {
  kvfree_rcu_barrier,
  kvfree_rcu_barrier_on_cache,
} from "../../../../../src/shared/linux/mm/kvfree_rcu/barrier.ts";
import { check_deferred } from "../../../../../src/shared/linux/mm/kvfree_rcu/check.ts";
import { kfree_rcu } from "../../../../../src/shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { kfree_rcu_nolock } from "../../../../../src/shared/linux/mm/kvfree_rcu/nolock.ts";
import { kmem_cache_create } from "../../../../../src/shared/linux/mm/slub/cache.ts";
import { kfree_nolock } from "../../../../../src/shared/linux/mm/slub/nolock.ts";
import { per_cpu_sheaves } from "../../../../../src/shared/linux/mm/slub/pcs.ts";
import { rcu_read_lock, rcu_read_unlock } from "../../../../../src/shared/linux/rcu/update.ts";
import { rcu_barrier } from "../../../../../src/shared/linux/rcu/tree.ts";
import { local_lock, local_unlock } from "../../../../../src/shared/linux/sync/local_lock.ts";
import { WORK_STRUCT_PENDING, WorkStruct } from "../../../../../src/shared/layout/workqueue.ts";
import { embedded, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { alloc_for_nolock } from "../nolock_objects.ts";
import { TestMachine, Thing, type ThingPtr } from "./machine.ts";

const { head: HEAD } = Thing.offset;
type Cache = Ptr<"kmem_cache">;

function setup(cpus = 2): { m: TestMachine; cpu: Cpu; s: Cache; plain: Cache } {
  const m = new TestMachine({ cpus }, { tiny: 1 });
  const [cpu] = m.cpus;
  const s = kmem_cache_create(cpu, "sheaves", Thing.size);
  const plain = kmem_cache_create(cpu, "no sheaves", Thing.size, { flags: SLAB_NO_SHEAVES });
  return { m, cpu, s, plain };
}
const alloc = (cpu: Cpu, s: Cache): ThingPtr => alloc_for_nolock(cpu, s) as Ptr as ThingPtr;
/** Frees an object in each of the ways in which it can be on its way back. */
function freeInEveryWay(m: TestMachine, cpu: Cpu, s: Cache): ThingPtr[] {
  const things = Array.from({ length: 9 }, () => alloc(cpu, s));
  const lock = embedded(per_cpu_sheaves(cpu, s, cpu.id), SlubPercpuSheaves.offset.lock);
  for (const a of things.slice(0, 5)) kfree_rcu(cpu, a, HEAD);
  kfree_rcu_nolock(cpu, things[5], HEAD);
  const flags = local_irq_save(cpu);
  local_lock(cpu, lock);
  m.nmi(cpu, () => {
    kfree_rcu_nolock(cpu, things[6], HEAD);
    kfree_nolock(cpu, things[7]);
  });
  kfree_rcu(cpu, things[8], HEAD); // Like an interrupt that finds the sheaf lock taken: to krc.
  local_unlock(cpu, lock);
  local_irq_restore(cpu, flags);
  return things;
}
const DONE = new Set(["freelist", "sheaf", "none"]);
const waiting = (m: TestMachine, things: readonly Ptr[]): string[] =>
  things.map((a) => m.placeOf(a)).filter((place) => !DONE.has(place));

describe.each([
  ["prompt", IRQWORK_PROMPT],
  ["late", IRQWORK_LATE],
  ["mixed", IRQWORK_MIXED],
])("irq_work %s", (_, mode) => {
  test.each([
    ["D F D R K", BARRIER_DFDRK, 2],
    ["D F R K", BARRIER_DFRK, 1],
    ["F D R K", BARRIER_FDRK, 1],
  ])("kvfree_rcu_barrier in order %s", (_order, order, drains) => {
    const { m, cpu, s, plain } = setup();
    m.set("irqwork_mode", mode);
    m.set("barrier_order", order);
    const things = m.cpus.flatMap((on) => [...freeInEveryWay(m, on, s), ...freeInEveryWay(m, on, plain)]);
    kvfree_rcu_barrier(cpu);
    expect(waiting(m, things)).toEqual([]);
    expect(m.count("deferred_work_barriers")).toBe(drains);
    expect(check_deferred(cpu)).toEqual([]);
  });

  test.each([["sheaves"], ["no sheaves"]])("kvfree_rcu_barrier_on_cache, %s", (which) => {
    const { m, cpu, s, plain } = setup();
    m.set("irqwork_mode", mode);
    const cache = which === "sheaves" ? s : plain;
    const other = which === "sheaves" ? plain : s;
    const things = m.cpus.flatMap((on) => freeInEveryWay(m, on, cache));
    const others = m.cpus.flatMap((on) => freeInEveryWay(m, on, other));
    kvfree_rcu_barrier_on_cache(cpu, cache);
    expect(waiting(m, things)).toEqual([]);
    if (which === "no sheaves") expect(waiting(m, others)).not.toEqual([]); // Their rcu_free sheaves stay.
    kvfree_rcu_barrier(cpu);
    expect(waiting(m, others)).toEqual([]);
  });
});

test("rcu_barrier() alone does not wait for kfree_rcu(), kvfree_rcu_barrier() does (E6, E7)", () => {
  const { m, cpu, s } = setup(1);
  const a = alloc(cpu, s);
  kfree_rcu(cpu, a, HEAD);
  rcu_barrier(cpu);
  expect(m.placeOf(a)).toBe("rcu_sheaf");
  kvfree_rcu_barrier(cpu);
  expect(m.placeOf(a)).toBe("freelist");
});

test("the flush looks at every CPU, whether or not it has an rcu_free sheaf", () => {
  const { m, cpu, s } = setup(3);
  const a = alloc(m.cpus[2], s);
  kfree_rcu(m.cpus[2], a, HEAD);
  kvfree_rcu_barrier_on_cache(cpu, s);
  for (const on of m.cpus) {
    expect(on.mem.read(per_cpu_sheaves(on, s, on.id), SlubPercpuSheaves.offset.rcu_free)).toBe(0);
  }
  expect(m.placeOf(a)).toBe("freelist");
});

test("barriers sleep: a bug in a reader, with IRQs off, in an interrupt", () => {
  const { m, cpu, s } = setup(1);
  rcu_read_lock(cpu);
  expect(() => kvfree_rcu_barrier(cpu)).toThrow(/kvfree_rcu_barrier: sleeps in atomic context/);
  expect(() => kvfree_rcu_barrier_on_cache(cpu, s)).toThrow(/kvfree_rcu_barrier_on_cache: sleeps/);
  rcu_read_unlock(cpu);
  const flags = local_irq_save(cpu);
  expect(() => kvfree_rcu_barrier(cpu)).toThrow(/atomic/);
  local_irq_restore(cpu, flags);
  expect(() => m.irq(cpu, () => kvfree_rcu_barrier(cpu))).toThrow(/atomic/);
});

describe("a sheaf that an NMI fills after the first drain of deferred work, the irq_work being late (E13)", () => {
  /** @returns where the old objects are when the barrier returns. */
  function places(order: number): string[] {
    const { m, cpu, s } = setup();
    m.set("irqwork_mode", IRQWORK_LATE);
    m.set("barrier_order", order);
    const [, cpu1] = m.cpus;
    const old = [1, 2, 3].map(() => alloc(cpu1, s)); // One below the capacity.
    const last = alloc(cpu1, s);
    for (const a of old) kfree_rcu(cpu1, a, HEAD);
    const flush = embedded(per_cpu_sheaves(cpu, s, 1), SlubPercpuSheaves.offset.flush_work);
    m.onWait(() => {
      const flushing = (cpu.mem.peek(flush, WorkStruct.offset.data) & WORK_STRUCT_PENDING) !== 0;
      if (m.placeOf(last) !== "user" || !flushing) return undefined;
      m.nmi(cpu1, () => kfree_rcu_nolock(cpu1, last, HEAD));
      cpu1.mem.poke(cpu1.slot, CpuSlot.offset.late_countdown, 1 << 20);
      return "no tick"; // It would run the irq_work.
    });
    kvfree_rcu_barrier_on_cache(cpu, s);
    expect(m.count("rcu_sheaves_deferred")).toBe(1);
    return old.map((a) => m.placeOf(a));
  }
  test("D F D R K waits for it", () => {
    expect(places(BARRIER_DFDRK)).toEqual(["sheaf", "sheaf", "sheaf"]);
  });
  test("D F R K, the order of 7.3, misses it", () => {
    expect(() => places(BARRIER_DFRK)).toThrow(/missed by kvfree_rcu_barrier_on_cache/);
  });
});
