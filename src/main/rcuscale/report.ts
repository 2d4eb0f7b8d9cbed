/** What rcuscale says of a run: the line that the kernel prints, and a table of what it cost; and the same as JSON. */
import { objectSize } from "./config.ts";
import type { ScaleResult } from "./run.ts";

/** The kernel's own line, to be laid beside one of a kernel. */
export function totalLine({ config, measured }: ScaleResult): string {
  const { totalNs, batches, footprint } = measured;
  return (
    `Total time taken by all kfree'ers: ${totalNs} ns, loops: ${config.loops}, batches: ${batches}, ` +
    `memory footprint: ${mib(footprint)} MB`
  );
}

/** The table below it. */
export function scaleTable({ config, measured, stages, summary }: ScaleResult): readonly string[] {
  const { objects, batches, barrier, idleBarrier, cacheBarrier, failedAllocations } = measured;
  const rows: (readonly [what: string, numbers: string])[] = [
    ["objects", `${count(objects)} of ${objectSize(config)} bytes, by ${counted(config.nthreads, "thread")}`],
    ["  time of each", `${nanoseconds(measured.cpuNs)} CPU, ${nanoseconds(measured.wallNs)} wall`],
    ["  went through", parts(Object.entries(stages)) || "no grace period"],
    ["RCU callbacks", `${count(summary.callbacks)}${forEach(objects, summary.callbacks)}`],
    ["grace periods", `${count(batches)}${forEach(objects, batches)}`],
    ["irq_work runs", count(summary.irqWorkRuns)],
    ["memory held", `${mib(measured.footprint)} MB on average, ${mib(measured.peak)} MB at most`],
    ["barrier", `${milliseconds(barrier.ns)} for what was left, ${counted(barrier.gracePeriods, "grace period")}`],
    ["  idle", `${milliseconds(idleBarrier.ns)}, ${counted(idleBarrier.workItems, "work item")}`],
    ["  idle, one cache", `${milliseconds(cacheBarrier.ns)}, ${counted(cacheBarrier.workItems, "work item")}`],
    ["failed allocations", `${count(failedAllocations)}: each waited for a grace period, and was tried again`],
  ];
  const shown = failedAllocations === 0 ? rows.slice(0, -1) : rows;
  const width = Math.max(...shown.map(([what]) => what.length));
  return shown.map(([what, numbers]) => `${what.padEnd(width)}  ${numbers}`);
}
function parts(numbers: readonly (readonly [string, number])[]): string {
  return numbers
    .filter(([, n]) => n > 0)
    .map(([what, n]) => `${what} ${count(n)}`)
    .join(", ");
}
function forEach(objects: number, n: number): string {
  return n === 0 ? "" : `, one for ${count(objects / n)} objects`;
}

/** Threads that had no processor at times: then grace periods took longer, since they wait for every CPU. */
export function busyHost({ config, measured }: ScaleResult): string | undefined {
  const share = measured.cpuNs / measured.wallNs;
  if (config.holdoff > 0 || measured.failedAllocations > 0 || !(share < 0.7)) return undefined;
  return `the threads ran ${Math.round(share * 100)} % of the time: the computer was busy, or they waited for locks`;
}

/** The object that `--json` prints. Its keys are an interface: add to them, change none. Unknown numbers are null. */
export function scaleJson({ config, verdict, measured, stages, summary, failures }: ScaleResult): object {
  const { barrier, idleBarrier, cacheBarrier } = measured;
  return {
    verdict,
    seed: config.seed,
    cpus: config.shape.cpus,
    by: config.by,
    variant: config.variant,
    loops: config.loops,
    alloc_num: config.allocNum,
    nthreads: config.nthreads,
    object_bytes: objectSize(config),
    objects: measured.objects,
    total_ns: measured.totalNs,
    batches: measured.batches,
    memory_footprint: measured.footprint,
    memory_peak: measured.peak,
    cpu_ns_per_object: measured.cpuNs,
    wall_ns_per_object: measured.wallNs,
    failed_allocations: measured.failedAllocations,
    stages,
    rcu_callbacks: summary.callbacks,
    irq_work_runs: summary.irqWorkRuns,
    barrier: { ns: barrier.ns, grace_periods: barrier.gracePeriods },
    idle_barrier: { ns: idleBarrier.ns, work_items: idleBarrier.workItems },
    cache_barrier: { ns: cacheBarrier.ns, work_items: cacheBarrier.workItems },
    failures,
  };
}

export const count = (n: number): string => Math.round(n).toLocaleString("en-US");
export const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(1);
const milliseconds = (ns: number): string => `${(ns / 1e6).toFixed(1)} ms`;
const nanoseconds = (ns: number): string => (Number.isNaN(ns) ? "unknown" : `${count(ns)} ns`);
const counted = (n: number, what: string): string => `${count(n)} ${what}${Math.round(n) === 1 ? "" : "s"}`;
