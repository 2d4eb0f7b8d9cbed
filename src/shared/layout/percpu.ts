/** The per-CPU section: one instance of every per-CPU variable. The CPU's own words come first. */
import { array, struct } from "../mem/struct.ts";
import {
  CallQueue,
  ContextTracking,
  CpuCounters,
  CpuPending,
  CpuSlot,
  IrqStat,
  MAX_TASKS,
  SchedTask,
  TraceRing,
} from "./cpu.ts";
import { CpuhpCpuState } from "./cpuhp.ts";
import { Cpuset } from "./cpuset.ts";
import { FaultInject } from "./fault_inject.ts";
import { IrqWorkCpu } from "./irq_work.ts";
import { DeferredPercpuWork, KfreeRcuCpu, KvfreeCounters } from "./kvfree_rcu.ts";
import { NolockRfc, NolockRfcCounters } from "./nolock_rfc.ts";
import { PrintkRing } from "./printk.ts";
import { BatchedEntropy } from "./random.ts";
import { RcuData } from "./rcu.ts";
import { SlubCpu } from "./slab.ts";
import { StackDepotCpu } from "./stackdepot.ts";
import { HrtimerCpuBase, TimerBase } from "./timer.ts";
import { TortureCpu } from "./torture.ts";
import { VfreeDeferred } from "./vmalloc.ts";
import { WorkerPool } from "./workqueue.ts";
import { WorkloadCpu } from "./workloads.ts";

export const PerCpu = struct(
  "percpu",
  {
    pending: CpuPending,
    slot: CpuSlot,
    ct: ContextTracking,
    calls: CallQueue,
    irq_stat: IrqStat,
    cpuhp: CpuhpCpuState,
    irq_work: IrqWorkCpu,
    timers: TimerBase,
    hrtimers: HrtimerCpuBase,
    workers: WorkerPool,
    rcu_data: RcuData,
    batched_entropy: BatchedEntropy,
    fault_inject: FaultInject,
    slub: SlubCpu,
    cpuset: Cpuset,
    vfree_deferred: VfreeDeferred,
    deferred_percpu_work: DeferredPercpuWork,
    krc: KfreeRcuCpu,
    kvfree: KvfreeCounters,
    nolock_rfc: NolockRfc,
    nolock_rfc_counters: NolockRfcCounters,
    counters: CpuCounters,
    trace: TraceRing,
    printk: PrintkRing,
    stack_depot: StackDepotCpu,
    torture: TortureCpu,
    workloads: WorkloadCpu,
    tasks: array(SchedTask, MAX_TASKS),
  },
  { align: 64 },
);
