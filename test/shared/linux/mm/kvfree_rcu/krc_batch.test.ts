/** Batches of a krc: what the monitor frees at once, the two slots, and the works. */
import { describe, expect, test } from "vitest";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { KB_UNPOLLED } from "../../../../../src/shared/layout/globals.ts";
import { cond_resched } from "../../../../../src/shared/cpu/sched.ts";
import { KFREE_DRAIN_JIFFIES, KfreeRcuCpu, KfreeRcuCpuWork } from "../../../../../src/shared/layout/kvfree_rcu.ts";
import { __kvfree_rcu_barrier } from "../../../../../src/shared/linux/mm/kvfree_rcu/krc_barrier.ts";
import {
  bulk_head_free_of,
  kfree_rcu_work,
  kvfree_rcu_queue_batch,
} from "../../../../../src/shared/linux/mm/kvfree_rcu/krc_batch.ts";
import { bulk_head_of, krc_count, krwp_of } from "../../../../../src/shared/linux/mm/kvfree_rcu/krc.ts";
import {
  kfree_rcu,
  kfree_rcu_mightsleep,
  kvfree_rcu_mightsleep,
} from "../../../../../src/shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { vmalloc } from "../../../../../src/shared/linux/mm/vmalloc.ts";
import { rcu_read_lock, rcu_read_unlock } from "../../../../../src/shared/linux/rcu/update.ts";
import { synchronize_rcu } from "../../../../../src/shared/linux/rcu/tree.ts";
import { element, embedded, NULL, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { comesIn, isPending, krcMachine, krcOf, monitor, records, setBulkMaxEntr } from "./krc_kit.ts";
import { Thing } from "./machine.ts";

const { head: HEAD } = Thing.offset;
const K = KfreeRcuCpu.offset;

const krwp = (cpu: Cpu, i: number): Ptr<"kfree_rcu_cpu_work"> => krwp_of(krcOf(cpu), i);
const batch = (cpu: Cpu, i: number): Ptr<"kvfree_rcu_head"> =>
  cpu.mem.peek(krwp(cpu, i), KfreeRcuCpuWork.offset.head_free);
const work = (cpu: Cpu, i: number): Ptr<"work_struct"> =>
  embedded(krwp(cpu, i), KfreeRcuCpuWork.offset.rcu_work) as Ptr as Ptr<"work_struct">;

describe("the monitor", () => {
  test("frees at once what has had its grace period", () => {
    const { m, cpu, alloc } = krcMachine();
    const [a, b, area] = [alloc(), alloc(), vmalloc(cpu, 100)];
    kfree_rcu(cpu, a, HEAD);
    kfree_rcu_mightsleep(cpu, b);
    kvfree_rcu_mightsleep(cpu, area);
    synchronize_rcu(cpu);
    monitor(cpu);
    expect([a, b, area].map((object) => m.placeOf(object))).toEqual(["freelist", "freelist", "none"]);
    expect([m.count("krc_polled"), m.count("krc_batches")]).toEqual([3, 0]);
    expect(krc_count(cpu, krcOf(cpu))).toBe(0);
  });

  test("leaves that to a batch as well where nothing is polled, as before there were cookies", () => {
    const { m, cpu, alloc } = krcMachine(1, { kernel_behaviour: KB_UNPOLLED });
    const [a, b] = [alloc(), alloc()];
    kfree_rcu(cpu, a, HEAD);
    kfree_rcu_mightsleep(cpu, b);
    synchronize_rcu(cpu);
    monitor(cpu);
    expect([m.placeOf(a), m.placeOf(b)]).toEqual(["krc", "krc"]);
    expect([m.count("krc_polled"), m.count("krc_batches")]).toEqual([0, 1]);
    __kvfree_rcu_barrier(cpu);
    expect([m.placeOf(a), m.placeOf(b)]).toEqual(["freelist", "freelist"]);
  });

  test("goes by the newest object of the list: a younger one keeps the whole list back", () => {
    const { m, cpu, alloc } = krcMachine();
    const [a, b] = [alloc(), alloc()];
    kfree_rcu(cpu, a, HEAD);
    synchronize_rcu(cpu);
    kfree_rcu(cpu, b, HEAD);
    monitor(cpu);
    expect([m.placeOf(a), m.placeOf(b)]).toEqual(["krc", "krc"]);
    expect(batch(cpu, 0)).toBe(b + HEAD);
    m.run(40);
    expect([m.placeOf(a), m.placeOf(b)]).toEqual(["freelist", "freelist"]);
    expect(m.count("krc_freed")).toBe(2);
  });

  test("takes bnodes from the oldest on, up to the first that is not ready", () => {
    const { m, cpu, alloc } = krcMachine();
    setBulkMaxEntr(cpu, 2);
    const things = [1, 2, 3, 4, 5, 6].map(alloc);
    for (const thing of things.slice(0, 4)) kfree_rcu_mightsleep(cpu, thing);
    synchronize_rcu(cpu);
    for (const thing of things.slice(4)) kfree_rcu_mightsleep(cpu, thing);
    expect(records(cpu, bulk_head_of(krcOf(cpu), 0)).map((page) => page.length)).toEqual([2, 2, 2]);
    rcu_read_lock(cpu); // No grace period ends.
    monitor(cpu);
    expect(things.map((a) => m.placeOf(a))).toEqual(["freelist", "freelist", "freelist", "freelist", "krc", "krc"]);
    expect(records(cpu, bulk_head_free_of(krwp(cpu, 0), 0))).toEqual([things.slice(4)]);
    expect(m.count("krc_polled")).toBe(4);
    rcu_read_unlock(cpu);
    __kvfree_rcu_barrier(cpu);
  });

  test("does not add to a batch that waits: the next list takes the other one, and a third has to wait", () => {
    const { m, cpu, alloc } = krcMachine();
    const [a, b, c] = [alloc(), alloc(), alloc()];
    rcu_read_lock(cpu); // No grace period ends.
    for (const object of [a, b, c]) {
      kfree_rcu(cpu, object, HEAD);
      monitor(cpu);
    }
    expect([batch(cpu, 0), batch(cpu, 1)]).toEqual([a + HEAD, b + HEAD]);
    expect(cpu.mem.peek(krcOf(cpu), K.head)).toBe(c + HEAD);
    expect(isPending(cpu, "monitor_work")).toBe(true); // It has to come again for c.
    rcu_read_unlock(cpu);
    __kvfree_rcu_barrier(cpu);
    expect([a, b, c].map((object) => m.placeOf(object))).toEqual(["freelist", "freelist", "freelist"]);
    expect(m.count("krc_batches") + (m.count("krc_polled") > 0 ? 1 : 0)).toBe(3);
  });

  test("comes again as long as no batch takes the rest", () => {
    const { m, cpu, alloc } = krcMachine(2);
    const [, cpu1] = m.cpus;
    const [a, b, c] = [alloc(), alloc(), alloc()];
    rcu_read_lock(cpu1); // No grace period ends.
    for (const object of [a, b]) {
      kfree_rcu(cpu, object, HEAD);
      monitor(cpu);
    }
    m.tick(KFREE_DRAIN_JIFFIES);
    cond_resched(cpu); // The monitor has found nothing.
    expect(isPending(cpu, "monitor_work")).toBe(false);
    kfree_rcu(cpu, c, HEAD);
    m.tick(KFREE_DRAIN_JIFFIES);
    cond_resched(cpu);
    expect(cpu.mem.peek(krcOf(cpu), K.head)).toBe(c + HEAD);
    expect(comesIn(cpu, "monitor_work")).toBe(KFREE_DRAIN_JIFFIES);
    rcu_read_unlock(cpu1);
    m.run(KFREE_DRAIN_JIFFIES + 40);
    expect(m.placeOf(c)).toBe("freelist");
  });

  test("does not add to a batch of which another list waits (E9)", () => {
    const { m, cpu, alloc } = krcMachine();
    const [thing, area] = [alloc(), vmalloc(cpu, 100)];
    kfree_rcu_mightsleep(cpu, thing);
    monitor(cpu); // Asks for a grace period.
    kvfree_rcu_mightsleep(cpu, area);
    monitor(cpu);
    expect(records(cpu, bulk_head_free_of(krwp(cpu, 0), 0))).toEqual([[thing]]);
    expect(records(cpu, bulk_head_free_of(krwp(cpu, 0), 1))).toEqual([]);
    expect(records(cpu, bulk_head_free_of(krwp(cpu, 1), 1))).toEqual([[area]]);
    __kvfree_rcu_barrier(cpu);
    expect([m.placeOf(thing), m.placeOf(area)]).toEqual(["freelist", "none"]);
  });
});

describe("kvfree_rcu_queue_batch", () => {
  test("takes all lists into one batch, and leaves their counts at 0", () => {
    const { m, cpu, alloc } = krcMachine();
    const [a, b, area] = [alloc(), alloc(), vmalloc(cpu, 100)];
    kfree_rcu(cpu, a, HEAD);
    kfree_rcu_mightsleep(cpu, b);
    kvfree_rcu_mightsleep(cpu, area);
    expect(kvfree_rcu_queue_batch(cpu, krcOf(cpu))).toBe(true);
    expect(batch(cpu, 0)).toBe(a + HEAD);
    expect([0, 1].map((idx) => records(cpu, bulk_head_free_of(krwp(cpu, 0), idx)))).toEqual([[[b]], [[area]]]);
    expect(krc_count(cpu, krcOf(cpu))).toBe(0);
    expect(m.count("krc_batches")).toBe(1);
    expect(kvfree_rcu_queue_batch(cpu, krcOf(cpu))).toBe(false); // Nothing is pending.
  });

  test("stops the machine if records and their count differ", () => {
    const { cpu, alloc } = krcMachine();
    kfree_rcu_mightsleep(cpu, alloc());
    cpu.mem.poke(krcOf(cpu), element(K.bulk_count, 0), 2);
    expect(() => kvfree_rcu_queue_batch(cpu, krcOf(cpu))).toThrow(/channel 0: 1 records, but 2 are counted/);
  });
});

describe("kfree_rcu_work", () => {
  test("before the grace period of its list is over warns and leaks rather than frees", () => {
    const { m, cpu, alloc } = krcMachine();
    const a = alloc();
    m.set("panic_on_warn", 0);
    kfree_rcu(cpu, a, HEAD);
    rcu_read_lock(cpu);
    monitor(cpu);
    kfree_rcu_work(cpu, work(cpu, 0));
    expect(m.placeOf(a)).toBe("krc");
    expect(batch(cpu, 0)).toBe(NULL);
    rcu_read_unlock(cpu);
  });

  test("tells a page that is not ready from those that are", () => {
    const { m, cpu, alloc } = krcMachine();
    m.set("panic_on_warn", 0);
    setBulkMaxEntr(cpu, 1);
    const [a, b] = [alloc(), alloc()];
    kfree_rcu_mightsleep(cpu, a);
    synchronize_rcu(cpu);
    kfree_rcu_mightsleep(cpu, b);
    rcu_read_lock(cpu);
    kvfree_rcu_queue_batch(cpu, krcOf(cpu));
    kfree_rcu_work(cpu, work(cpu, 0));
    expect([m.placeOf(a), m.placeOf(b)]).toEqual(["freelist", "krc"]);
    rcu_read_unlock(cpu);
  });

  test("for a batch that holds nothing is a bug", () => {
    const { cpu } = krcMachine();
    expect(() => kfree_rcu_work(cpu, work(cpu, 0))).toThrow(/empty batch/);
  });
});
