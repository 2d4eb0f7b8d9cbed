/** kfree_rcu_cpu: the list through the heads, when its monitor comes, and the time before works run. */
import { describe, expect, test } from "vitest";
import { local_irq_restore, local_irq_save } from "../../../../../src/shared/cpu/context.ts";
import { oracle_allow_nolock } from "../../../../../src/shared/cpu/oracle.ts";
import { Globals } from "../../../../../src/shared/layout/globals.ts";
import { KfreeRcuCpu, KFREE_DRAIN_JIFFIES, KvfreeGlobals } from "../../../../../src/shared/layout/kvfree_rcu.ts";
import { POINT } from "../../../../../src/shared/layout/points.ts";
import { kvfree_rcu_barrier } from "../../../../../src/shared/linux/mm/kvfree_rcu/barrier.ts";
import { check_deferred } from "../../../../../src/shared/linux/mm/kvfree_rcu/check.ts";
import { kfree_rcu_scheduler_running } from "../../../../../src/shared/linux/mm/kvfree_rcu/krc_init.ts";
import {
  krc_count,
  krc_lock,
  krc_this_cpu_lock,
  krc_unlock,
  need_offload_krc,
} from "../../../../../src/shared/linux/mm/kvfree_rcu/krc.ts";
import { kfree_rcu, kfree_rcu_mightsleep } from "../../../../../src/shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { kfree_rcu_nolock } from "../../../../../src/shared/linux/mm/kvfree_rcu/nolock.ts";
import { embedded } from "../../../../../src/shared/mem/struct.ts";
import { comesIn, isPending, krcMachine, krcOf, monitor, setBulkMaxEntr } from "./krc_kit.ts";
import { Thing } from "./machine.ts";

const { head: HEAD } = Thing.offset;
const K = KfreeRcuCpu.offset;

describe("the list", () => {
  test("is newest first, counted, and nothing on it is freed before its time", () => {
    const { m, cpu, alloc } = krcMachine();
    const [a, b] = [alloc(), alloc()];
    expect(isPending(cpu, "monitor_work")).toBe(false);
    expect(need_offload_krc(cpu, krcOf(cpu))).toBe(false);
    kfree_rcu(cpu, a, HEAD);
    kfree_rcu(cpu, b, HEAD);
    expect(cpu.mem.peek(krcOf(cpu), K.head)).toBe(b + HEAD);
    expect(cpu.mem.peek(krcOf(cpu), K.head_count)).toBe(2);
    expect([m.placeOf(a), m.placeOf(b)]).toEqual(["krc", "krc"]);
    expect([m.count("kfree_rcu_krc"), m.count("krc_bulk")]).toEqual([2, 0]);
    expect(isPending(cpu, "monitor_work")).toBe(true);
    expect(need_offload_krc(cpu, krcOf(cpu))).toBe(true);
  });

  test("belongs to the CPU that frees, not to the one that allocated", () => {
    const { m, alloc } = krcMachine(2);
    const [cpu0, cpu1] = m.cpus;
    kfree_rcu(cpu1, alloc(), HEAD);
    expect(cpu0.mem.peek(krcOf(cpu0), K.head_count)).toBe(0);
    expect(cpu1.mem.peek(krcOf(cpu1), K.head_count)).toBe(1);
  });

  test("is counted together with the records of bnodes", () => {
    const { m, cpu, alloc } = krcMachine();
    kfree_rcu(cpu, alloc(), HEAD);
    kfree_rcu_mightsleep(cpu, alloc());
    expect(krc_count(cpu, krcOf(cpu))).toBe(2);
    expect(m.count("krc_bulk")).toBe(1);
    expect(check_deferred(cpu)).toEqual(["CPU 0: 2 in krc, monitor pending"]);
  });
});

describe("the lock", () => {
  test("an NMI on top of it takes the nolock way", () => {
    const { m, cpu, alloc } = krcMachine();
    const [a, b] = [alloc(), alloc()];
    oracle_allow_nolock(cpu, b);
    m.nmiAt(cpu, POINT.krc_lock_held, () => kfree_rcu_nolock(cpu, b, HEAD));
    kfree_rcu(cpu, a, HEAD);
    expect(m.count("kfree_rcu_nolock_deferred")).toBe(1);
    expect([m.placeOf(a), m.placeOf(b)]).toEqual(["krc", "krc"]);
  });

  test("taken on top of itself is reported at once, and so is kfree_rcu() there", () => {
    const { m, cpu, alloc } = krcMachine();
    const [a, b] = [alloc(), alloc()];
    m.nmiAt(cpu, POINT.krc_lock_held, () => krc_lock(cpu, krcOf(cpu)));
    expect(() => kfree_rcu(cpu, a, HEAD)).toThrow(/spins in NMI: krc/);
    expect(() => m.nmi(cpu, () => kfree_rcu(cpu, b, HEAD))).toThrow(/only kfree_rcu_nolock/);
  });

  test("of this CPU is taken with IRQs off only", () => {
    const { cpu } = krcMachine();
    expect(() => krc_this_cpu_lock(cpu)).toThrow("krc_this_cpu_lock() with IRQs on");
    const flags = local_irq_save(cpu);
    krc_unlock(cpu, krc_this_cpu_lock(cpu), flags);
    local_irq_restore(cpu, flags);
  });
});

describe("the monitor", () => {
  test("comes after 5 seconds of machine time", () => {
    const { m, cpu, alloc } = krcMachine();
    kfree_rcu(cpu, alloc(), HEAD);
    expect(KFREE_DRAIN_JIFFIES).toBe(500);
    expect(comesIn(cpu, "monitor_work")).toBe(KFREE_DRAIN_JIFFIES);
    m.run(100);
    kfree_rcu(cpu, alloc(), HEAD);
    expect(comesIn(cpu, "monitor_work")).toBe(KFREE_DRAIN_JIFFIES - 100); // It is not put off.
    m.run(KFREE_DRAIN_JIFFIES - 101);
    expect(m.count("krc_batches") + m.count("krc_polled")).toBe(0);
    m.run(60);
    expect(m.count("krc_polled") + m.count("krc_freed")).toBe(2);
    expect(isPending(cpu, "monitor_work")).toBe(false);
  });

  test("comes with the next tick once much is pending, in bnodes or on the list", () => {
    const { m, cpu, alloc } = krcMachine();
    setBulkMaxEntr(cpu, 3);
    kfree_rcu(cpu, alloc(), HEAD);
    kfree_rcu_mightsleep(cpu, alloc());
    expect(comesIn(cpu, "monitor_work")).toBe(KFREE_DRAIN_JIFFIES);
    kfree_rcu(cpu, alloc(), HEAD);
    expect(comesIn(cpu, "monitor_work")).toBe(1);
    m.run(40);
    expect(m.count("krc_polled") + m.count("krc_freed")).toBe(3);
  });

  test("is never put off by one who is in less of a hurry", () => {
    const { cpu, alloc } = krcMachine();
    setBulkMaxEntr(cpu, 1);
    kfree_rcu(cpu, alloc(), HEAD);
    expect(comesIn(cpu, "monitor_work")).toBe(1);
    setBulkMaxEntr(cpu, 10);
    kfree_rcu(cpu, alloc(), HEAD);
    expect(comesIn(cpu, "monitor_work")).toBe(1);
  });
});

test("before works run, objects are collected; then each CPU that has some gets its monitor", () => {
  const { m, alloc } = krcMachine(3, { rcu_min_cached_objs: 2 });
  const [cpu0, cpu1, cpu2] = m.cpus;
  const globals = embedded(cpu0.globals, Globals.offset.kvfree);
  cpu0.mem.poke(globals, KvfreeGlobals.offset.scheduler_running, 0);
  const things = [alloc(), alloc()];
  kfree_rcu(cpu0, things[0], HEAD);
  kfree_rcu(cpu2, things[1], HEAD);
  const pending = (): boolean[] => m.cpus.map((cpu) => isPending(cpu, "monitor_work"));
  expect(pending()).toEqual([false, false, false]);
  m.run(20);
  expect(m.count("page_cache_runs")).toBe(0);
  kfree_rcu_scheduler_running(cpu0);
  expect(pending()).toEqual([true, false, true]);
  kvfree_rcu_barrier(cpu1);
  expect(things.map((a) => m.placeOf(a))).toEqual(["freelist", "freelist"]);
});

test("what comes after a batch was queued is pending again", () => {
  const { m, cpu, alloc } = krcMachine();
  const [a, b] = [alloc(), alloc()];
  kfree_rcu(cpu, a, HEAD);
  monitor(cpu);
  m.irq(cpu, () => kfree_rcu(cpu, b, HEAD));
  expect(check_deferred(cpu)).toEqual(["CPU 0: 1 in krc, monitor pending", "CPU 0: 1 in krc batch 0, work pending"]);
  kvfree_rcu_barrier(cpu);
  expect([m.placeOf(a), m.placeOf(b)]).toEqual(["freelist", "freelist"]);
});
