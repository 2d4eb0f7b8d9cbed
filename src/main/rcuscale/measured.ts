/** The rows that the CPUs have measured, taken together: the numbers of a run. */
import { PAGE_SIZE } from "../../shared/base/limits.ts";
import type { MeasuredRow } from "./measurements.ts";

export interface Measured {
  readonly objects: number;
  /** From the start of the last thread to the end of the last one, and grace periods in that time. */
  readonly totalNs: number;
  readonly batches: number;
  /** Bytes less free than at the start: on average at the quarters of the loops, and at most. */
  readonly footprint: number;
  readonly peak: number;
  /** Of each object: CPU time of all threads, and wall time of its own. */
  readonly cpuNs: number;
  readonly wallNs: number;
  /** Allocations that failed; each waited for a grace period. */
  readonly failedAllocations: number;
  /** After the loops, for what they have left. */
  readonly barrier: { readonly ns: number; readonly gracePeriods: number };
  /** With nothing to wait for: for all caches, and for one. */
  readonly idleBarrier: IdleBarrier;
  readonly cacheBarrier: IdleBarrier;
}
interface IdleBarrier {
  readonly ns: number;
  readonly workItems: number;
}

/** @param rows  of the CPUs that took part; CPU 0 first. */
export function takenTogether(rows: readonly MeasuredRow[]): Measured {
  const sum = (value: (row: MeasuredRow) => number): number => rows.reduce((total, row) => total + value(row), 0);
  const [zero] = rows;
  const lastToStart = rows.reduce((a, b) => (b.start > a.start ? b : a));
  const lastToEnd = rows.reduce((a, b) => (b.end > a.end ? b : a));
  const objects = sum((row) => row.objects);
  const totalNs = lastToEnd.end - lastToStart.start;
  const freeAtStart = Math.max(...rows.map((row) => row.freeAtStart));
  const freeOnAverage = sum((row) => row.freeAtQuarters) / sum((row) => row.quarters);
  return {
    objects,
    totalNs,
    batches: lastToEnd.gpsAtEnd - lastToStart.gpsAtStart,
    footprint: (freeAtStart - freeOnAverage) * PAGE_SIZE,
    peak: (freeAtStart - Math.min(...rows.map((row) => row.freeAtLeast))) * PAGE_SIZE,
    cpuNs: sum((row) => row.cpuTime) / objects,
    wallNs: (totalNs * rows.length) / objects,
    failedAllocations: sum((row) => row.failedAllocations),
    barrier: { ns: zero.barrier, gracePeriods: zero.barrierGps },
    idleBarrier: { ns: zero.idleBarrier, workItems: zero.idleBarrierItems },
    cacheBarrier: { ns: zero.cacheBarrier, workItems: zero.cacheBarrierItems },
  };
}
