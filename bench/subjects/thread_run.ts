/**
 * How a thread is measured: it warms up, meets the others, repeats its chunk until the time is over, and settles. What
 * it says comes back in shared rows. A function that the measured loop calls is short and called often, so that it is
 * compiled; a single long loop would measure the interpreter.
 */
import { clock, threadClock } from "../../src/main/rcuscale/measurements.ts";
import { Random } from "../../src/shared/base/random.ts";
import type { Activity, Heap, Thread, Workload } from "../workloads/workload.ts";
import { type Job, parameterOf, type ThreadTimes } from "./job.ts";

/** Doubles of a row: start, end, CPU time, operations. */
const ROW = 4;

/** Of the metrics, as JSON. */
const METRICS_BYTES = 4096;

/** What the threads share besides their heap. */
export interface Common {
  readonly job: Job;
  /** A row for each thread. */
  readonly rows: SharedArrayBuffer;
  readonly metrics: SharedArrayBuffer;
  /** The workload's words. */
  readonly shared: SharedArrayBuffer;
}

export function commonOf(job: Job, { sharedWords }: Pick<Workload<never>, "sharedWords">): Common {
  const words = sharedWords?.(job.threads, parameterOf(job)) ?? 0;
  return {
    job,
    rows: new SharedArrayBuffer(job.threads * ROW * Float64Array.BYTES_PER_ELEMENT),
    metrics: new SharedArrayBuffer(METRICS_BYTES),
    shared: new SharedArrayBuffer(words * Int32Array.BYTES_PER_ELEMENT),
  };
}
export function threadTimes({ job, rows }: Common): readonly ThreadTimes[] {
  const values = new Float64Array(rows);
  return Array.from({ length: job.threads }, (_, id) => {
    const [start, end, cpu, ops] = values.subarray(id * ROW, (id + 1) * ROW);
    return { start, end, cpu: Number.isNaN(cpu) ? null : cpu, ops };
  });
}

/** @throws RangeError  there is no such workload */
export function workloadOf<W>(workloads: Readonly<Record<string, W>>, { workload: name }: Job): W {
  const workload = workloads[name];
  if (workload === undefined) throw new RangeError(`there is no workload ${name} here`);
  return workload;
}

/** Tells the process what a thread has measured besides time. */
export function publishMetrics({ metrics }: Common, activity: Activity): void {
  new Uint8Array(metrics).set(new TextEncoder().encode(JSON.stringify(activity.metrics?.() ?? {})));
}
export function metricsOf({ metrics }: Common): Readonly<Record<string, number>> {
  const text = new TextDecoder().decode(new Uint8Array(metrics).slice()).replace(/\0+$/, "");
  return JSON.parse(text) as Readonly<Record<string, number>>;
}

export function threadOf<H extends Heap>({ job, shared }: Common, id: number, heap: H): Thread<H> {
  return {
    id,
    threads: job.threads,
    heap,
    random: new Random(1 + id),
    shared: new Int32Array(shared),
    parameter: parameterOf(job),
  };
}

/** @param meet  waits until all threads are here. */
export function measure({ job, rows }: Common, id: number, heap: Heap, activity: Activity, meet: () => void): void {
  meet(); // What one has prepared, another may use.
  repeat(activity, heap, job.warmupMs);
  meet();
  activity.begin?.();
  const start = clock();
  const cpu = threadClock();
  const ops = repeat(activity, heap, job.ms);
  activity.settle?.();
  new Float64Array(rows).set([start, clock(), threadClock() - cpu, ops], id * ROW);
}
/** At least one chunk. */
function repeat(activity: Activity, heap: Heap, ms: number): number {
  const deadline = performance.now() + ms;
  let ops = 0;
  do {
    ops += activity.chunk();
    heap.between();
  } while (performance.now() < deadline);
  return ops;
}
