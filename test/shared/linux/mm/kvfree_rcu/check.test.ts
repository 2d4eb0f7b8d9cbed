/** check_deferred(): sees everything that still waits, and whether anybody will come for it. */
import { expect, test } from "vitest";
import { local_irq_restore, local_irq_save } from "../../../../../src/shared/cpu/context.ts";
import { IrqWork } from "../../../../../src/shared/layout/irq_work.ts";
import { DeferredPercpuWork, KfreeRcuCpu } from "../../../../../src/shared/layout/kvfree_rcu.ts";
import { PerCpu } from "../../../../../src/shared/layout/percpu.ts";
import { SLAB_NO_SHEAVES } from "../../../../../src/shared/layout/slab_flags.ts";
import { kvfree_rcu_barrier } from "../../../../../src/shared/linux/mm/kvfree_rcu/barrier.ts";
import { check_deferred } from "../../../../../src/shared/linux/mm/kvfree_rcu/check.ts";
import { kfree_rcu } from "../../../../../src/shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { kfree_rcu_nolock } from "../../../../../src/shared/linux/mm/kvfree_rcu/nolock.ts";
import { kmem_cache_create } from "../../../../../src/shared/linux/mm/slub/cache.ts";
import { embedded, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { alloc_for_nolock } from "../nolock_objects.ts";
import { TestMachine, Thing, type ThingPtr } from "./machine.ts";

const { head: HEAD } = Thing.offset;

test("check_deferred", () => {
  const m = new TestMachine();
  const [cpu] = m.cpus;
  const s = kmem_cache_create(cpu, "things", Thing.size, { flags: SLAB_NO_SHEAVES });
  const alloc = (): ThingPtr => alloc_for_nolock(cpu, s) as Ptr as ThingPtr;
  expect(check_deferred(cpu)).toEqual([]);

  const a = alloc();
  const flags = local_irq_save(cpu);
  kfree_rcu_nolock(cpu, a, HEAD);
  expect(check_deferred(cpu)).toEqual([
    "CPU 0: 1 on deferred objects_by_rcu, work pending",
    "CPU 0: deferred work is pending or running",
  ]);
  const work = embedded(embedded(cpu.section, PerCpu.offset.deferred_percpu_work), DeferredPercpuWork.offset.work);
  const claimed = cpu.mem.peek(work, IrqWork.offset.flags);
  cpu.mem.poke(work, IrqWork.offset.flags, 0);
  expect(check_deferred(cpu)).toEqual(["CPU 0: 1 on deferred objects_by_rcu, stranded: no work is pending"]);
  cpu.mem.poke(work, IrqWork.offset.flags, claimed);
  local_irq_restore(cpu, flags);
  expect(check_deferred(cpu)).toEqual(["CPU 0: 1 in krc, monitor pending"]);

  kfree_rcu(cpu, alloc(), HEAD);
  const krcp = embedded(cpu.section, PerCpu.offset.krc);
  cpu.mem.poke(krcp, KfreeRcuCpu.offset.head_count, 7);
  expect(check_deferred(cpu)).toEqual(["CPU 0: krc holds 2 objects, but counts 7", "CPU 0: 2 in krc, monitor pending"]);
  cpu.mem.poke(krcp, KfreeRcuCpu.offset.head_count, 2);

  kvfree_rcu_barrier(cpu);
  expect(check_deferred(cpu)).toEqual([]);
});
