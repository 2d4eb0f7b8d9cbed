/** The per-CPU section: one instance of every per-CPU variable. The CPU's own words come first. */
import { struct } from "../mem/struct.ts";
import { CallQueue, ContextTracking, CpuCounters, CpuPending, CpuSlot, IrqStat, TraceRing } from "./cpu.ts";
import { IrqWorkCpu } from "./irq_work.ts";
import { DeferredPercpuWork, KfreeRcuCpu, KvfreeCounters } from "./kvfree_rcu.ts";
import { NolockRfc, NolockRfcCounters } from "./nolock_rfc.ts";
import { RcuData } from "./rcu.ts";
import { SlubCpu } from "./slab.ts";
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
    irq_work: IrqWorkCpu,
    timers: TimerBase,
    hrtimers: HrtimerCpuBase,
    workers: WorkerPool,
    rcu_data: RcuData,
    slub: SlubCpu,
    vfree_deferred: VfreeDeferred,
    deferred_percpu_work: DeferredPercpuWork,
    krc: KfreeRcuCpu,
    kvfree: KvfreeCounters,
    nolock_rfc: NolockRfc,
    nolock_rfc_counters: NolockRfcCounters,
    counters: CpuCounters,
    trace: TraceRing,
    torture: TortureCpu,
    workloads: WorkloadCpu,
  },
  { align: 64 },
);
