/** Batches of a krc: polled frees, the two slots, the barrier. */
import { describe, expect, test } from "vitest";
import { local_irq_restore, local_irq_save } from "../../../../../src/shared/cpu/context.ts";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { GFP_KERNEL } from "../../../../../src/shared/layout/gfp.ts";
import { KB_K1 } from "../../../../../src/shared/layout/globals.ts";
import { KfreeRcuCpu, KfreeRcuCpuWork } from "../../../../../src/shared/layout/kvfree_rcu.ts";
import { PerCpu } from "../../../../../src/shared/layout/percpu.ts";
import { SLAB_NO_SHEAVES } from "../../../../../src/shared/layout/slab_flags.ts";
import { DelayedWork, WORK_STRUCT_PENDING, WorkStruct } from "../../../../../src/shared/layout/workqueue.ts";
import { check_deferred } from "../../../../../src/shared/linux/mm/kvfree_rcu/check.ts";
import {
  __kvfree_rcu_barrier,
  kfree_rcu_monitor,
  kfree_rcu_work,
} from "../../../../../src/shared/linux/mm/kvfree_rcu/krc_batch.ts";
import { krwp_of } from "../../../../../src/shared/linux/mm/kvfree_rcu/krc.ts";
import { kfree_rcu } from "../../../../../src/shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { kmem_cache_create } from "../../../../../src/shared/linux/mm/slub/cache.ts";
import { kmem_cache_alloc } from "../../../../../src/shared/linux/mm/slub/kmalloc.ts";
import { rcu_read_lock, rcu_read_unlock } from "../../../../../src/shared/linux/rcu/update.ts";
import { synchronize_rcu } from "../../../../../src/shared/linux/rcu/tree.ts";
import { embedded, NULL, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { TestMachine, Thing, type ThingPtr } from "./machine.ts";

const { head: HEAD } = Thing.offset;
const K = KfreeRcuCpu.offset;

function setup(cpus = 1): { m: TestMachine; cpu: Cpu; alloc: () => ThingPtr } {
  const m = new TestMachine({ cpus });
  const [cpu] = m.cpus;
  const s = kmem_cache_create(cpu, "things", Thing.size, { flags: SLAB_NO_SHEAVES });
  return { m, cpu, alloc: () => kmem_cache_alloc(cpu, s, GFP_KERNEL) as Ptr as ThingPtr };
}
const krc = (cpu: Cpu): Ptr<"kfree_rcu_cpu"> => embedded(cpu.section, PerCpu.offset.krc);
const monitorWork = (cpu: Cpu): Ptr<"work_struct"> =>
  embedded(embedded(krc(cpu), K.monitor_work), DelayedWork.offset.work);
const monitorPending = (cpu: Cpu): boolean =>
  (cpu.mem.peek(monitorWork(cpu), WorkStruct.offset.data) & WORK_STRUCT_PENDING) !== 0;
const batch = (cpu: Cpu, i: number): Ptr<"kvfree_rcu_head"> =>
  cpu.mem.peek(krwp_of(krc(cpu), i), KfreeRcuCpuWork.offset.head_free);

describe("the monitor", () => {
  test("frees at once what has had its grace period", () => {
    const { m, cpu, alloc } = setup();
    const a = alloc();
    kfree_rcu(cpu, a, HEAD);
    synchronize_rcu(cpu);
    kfree_rcu_monitor(cpu, monitorWork(cpu));
    expect(m.placeOf(a)).toBe("freelist");
    expect(m.count("krc_polled")).toBe(1);
    expect(m.count("krc_batches")).toBe(0);
    expect(cpu.mem.peek(krc(cpu), K.head_count)).toBe(0);
  });

  test("goes by the newest object: a younger one keeps the whole list back", () => {
    const { m, cpu, alloc } = setup();
    const [a, b] = [alloc(), alloc()];
    kfree_rcu(cpu, a, HEAD);
    synchronize_rcu(cpu);
    kfree_rcu(cpu, b, HEAD);
    kfree_rcu_monitor(cpu, monitorWork(cpu));
    expect([m.placeOf(a), m.placeOf(b)]).toEqual(["krc", "krc"]);
    expect(batch(cpu, 0)).toBe(b + HEAD);
    m.run(40);
    expect([m.placeOf(a), m.placeOf(b)]).toEqual(["freelist", "freelist"]);
    expect(m.count("krc_freed")).toBe(2);
  });

  test("does not add to a batch that waits: the next list takes the other one, and a third has to wait", () => {
    const { m, cpu, alloc } = setup();
    const [a, b, c] = [alloc(), alloc(), alloc()];
    rcu_read_lock(cpu); // No grace period ends.
    for (const object of [a, b, c]) {
      kfree_rcu(cpu, object, HEAD);
      kfree_rcu_monitor(cpu, monitorWork(cpu));
    }
    expect([batch(cpu, 0), batch(cpu, 1)]).toEqual([a + HEAD, b + HEAD]);
    expect(cpu.mem.peek(krc(cpu), K.head)).toBe(c + HEAD);
    expect(monitorPending(cpu)).toBe(true); // It has to come again for c.
    rcu_read_unlock(cpu);
    __kvfree_rcu_barrier(cpu);
    expect([a, b, c].map((object) => m.placeOf(object))).toEqual(["freelist", "freelist", "freelist"]);
    expect(m.count("krc_batches") + (m.count("krc_polled") > 0 ? 1 : 0)).toBe(3);
  });
});

describe("kfree_rcu_work", () => {
  test("before the grace period of its batch is over warns and leaks rather than frees", () => {
    const { m, cpu, alloc } = setup();
    const a = alloc();
    m.set("panic_on_warn", 0);
    kfree_rcu(cpu, a, HEAD);
    rcu_read_lock(cpu);
    kfree_rcu_monitor(cpu, monitorWork(cpu));
    const krwp = krwp_of(krc(cpu), 0);
    kfree_rcu_work(cpu, embedded(krwp, KfreeRcuCpuWork.offset.rcu_work) as Ptr as Ptr<"work_struct">);
    expect(m.placeOf(a)).toBe("krc");
    expect(batch(cpu, 0)).toBe(NULL);
    rcu_read_unlock(cpu);
  });
});

describe("__kvfree_rcu_barrier", () => {
  test("returns once the lists of all CPUs are free, and leaves no work behind", () => {
    const { m, cpu, alloc } = setup(3);
    const things = m.cpus.map((on) => {
      const a = alloc();
      kfree_rcu(on, a, HEAD);
      return a;
    });
    __kvfree_rcu_barrier(cpu);
    expect(things.map((a) => m.placeOf(a))).toEqual(["freelist", "freelist", "freelist"]);
    expect(check_deferred(cpu)).toEqual([]);
  });

  test("with nothing to do returns", () => {
    const { cpu } = setup(2);
    __kvfree_rcu_barrier(cpu);
  });

  test("sleeps, so it is a bug in a reader and with IRQs off", () => {
    const { cpu } = setup();
    rcu_read_lock(cpu);
    expect(() => __kvfree_rcu_barrier(cpu)).toThrow(/atomic/);
    rcu_read_unlock(cpu);
    const flags = local_irq_save(cpu);
    expect(() => __kvfree_rcu_barrier(cpu)).toThrow(/atomic/);
    local_irq_restore(cpu, flags);
  });

  /** CPU 1 frees after the barrier's first pass. @returns problems once the machine has had much time. */
  function lateFree(kernel_behaviour: number): string[] {
    const { m, cpu, alloc } = setup(2);
    m.set("kernel_behaviour", kernel_behaviour);
    const [, cpu1] = m.cpus;
    const [a, b] = [alloc(), alloc()];
    kfree_rcu(cpu, a, HEAD);
    m.onWait(() => {
      // The barrier waits for the batch of CPU 0, in its second pass; CPU 1's turn comes next.
      if (m.placeOf(b) === "user") kfree_rcu(cpu1, b, HEAD);
      return undefined;
    });
    __kvfree_rcu_barrier(cpu);
    expect(m.placeOf(a)).toBe("freelist");
    m.run(1000);
    return check_deferred(cpu);
  }
  test("does not strand what another CPU frees meanwhile", () => {
    expect(lateFree(0)).toEqual([]);
  });
  test("does strand it as the kernel does it (K-1)", () => {
    expect(lateFree(KB_K1)).toEqual(["CPU 1: 1 in krc, stranded: no monitor is pending"]);
  });
});
