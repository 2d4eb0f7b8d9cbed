/** The per-CPU section: one instance of every per-CPU variable. The CPU's own words come first. */
import { struct } from "../mem/struct.ts";
import { CallQueue, ContextTracking, CpuCounters, CpuPending, CpuSlot, IrqStat, TraceRing } from "./cpu.ts";
import { IrqWorkCpu } from "./irq_work.ts";
import { DeferredPercpuWork, KfreeRcuCpu, KvfreeCounters } from "./kvfree_rcu.ts";
import { RcuData } from "./rcu.ts";
import { SlubCpu } from "./slab.ts";
import { TimerBase } from "./timer.ts";
import { TortureCpu } from "./torture.ts";
import { WorkerPool } from "./workqueue.ts";

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
    workers: WorkerPool,
    rcu_data: RcuData,
    slub: SlubCpu,
    deferred_percpu_work: DeferredPercpuWork,
    krc: KfreeRcuCpu,
    kvfree: KvfreeCounters,
    counters: CpuCounters,
    trace: TraceRing,
    torture: TortureCpu,
  },
  { align: 64 },
);
