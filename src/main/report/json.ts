/** The object that `--json` prints. Its keys are an interface: add to them, change none. */
import { formatHooks } from "../behaviour_options.ts";
import type { TortureResult } from "../torture/run.ts";

export function jsonReport({ config, verdict, elapsedMs, summary, failures, log }: TortureResult): string {
  const { nmis, kfreeRcuNolock, kfreeRcu, bnodes } = summary;
  return JSON.stringify({
    verdict,
    seed: config.seed,
    cpus: config.shape.cpus,
    duration_ms: Math.round(elapsedMs),
    irqwork: config.irqwork,
    variant: config.variant,
    hooks: formatHooks(config.hooks),
    head: config.head,
    config: config.words,
    ops: summary.ops,
    nmis: nmis.controller + nmis.local,
    irqs: summary.irqs,
    nmis_by_context: summary.nmisByContext,
    nmis_by_source: nmis,
    grace_periods: summary.gracePeriods,
    rcu_barriers: summary.rcuBarriers,
    irq_work_runs: summary.irqWorkRuns,
    kfree_rcu: {
      calls: kfreeRcu.calls,
      sheaf: kfreeRcu.sheaf,
      krc: kfreeRcu.krc,
      bulk: kfreeRcu.bulk,
      vmalloc: kfreeRcu.vmalloc,
      synchronous: kfreeRcu.synchronous,
      call_rcu: kfreeRcu.callRcu,
    },
    bnodes: {
      cached: bnodes.cached,
      allocated: bnodes.allocated,
      refused: bnodes.refused,
      worker_runs: bnodes.workerRuns,
      shrinks: bnodes.shrinks,
    },
    kfree_rcu_nolock: {
      calls: kfreeRcuNolock.calls,
      sheaf: kfreeRcuNolock.sheaf,
      objects_by_rcu: kfreeRcuNolock.objectsByRcu,
      rcu_sheaves: kfreeRcuNolock.rcuSheaves,
    },
    nolock_rfc: summary.nolockRfc,
    kmalloc_nolock: summary.kmallocNolock,
    kfree_nolock: summary.kfreeNolock,
    reader_age: summary.readerAge,
    migrations: summary.migrations,
    hotplug: { offlines: summary.hotplug.offlines, lost_interrupts: summary.hotplug.lostInterrupts },
    faults: {
      pages: summary.faults.pages,
      objects: summary.faults.objects,
      short_refills: summary.faults.shortRefills,
    },
    slub_reports: summary.slabReports,
    failures,
    log,
  });
}
