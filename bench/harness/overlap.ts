/**
 * Did the threads of a run really run at the same time? That they all began before the first ended does not say so: two
 * threads may have taken turns on one core. But if together they used more CPU time than the run was long, then for all
 * that it was longer, two of them ran at once.
 */
import type { ThreadTimes } from "../subjects/job.ts";

/** Of what would be perfect. */
const ENOUGH = 0.8;

export interface Overlap {
  /** Time that all threads were there, as a share of all the time. */
  readonly together: number;
  /** Cores in use, on average; NaN: unknown. */
  readonly cores: number;
}

export function overlapOf(threads: readonly ThreadTimes[]): Overlap {
  const starts = threads.map(({ start }) => start);
  const ends = threads.map(({ end }) => end);
  const all = Math.max(...ends) - Math.min(...starts);
  const together = Math.max(0, Math.min(...ends) - Math.max(...starts));
  const cpu = threads.reduce((sum, thread) => sum + (thread.cpu ?? NaN), 0);
  return { together: together / all, cores: cpu / all };
}

/**
 * @param cores  that the machine has: with more threads, that all cores were busy is all that can be asked for.
 * @param idle   some threads only wait by design: that they were there has to do.
 */
export function hasOverlapped(threads: readonly ThreadTimes[], cores: number, idle: boolean): boolean {
  if (threads.length === 1) return true;
  const overlap = overlapOf(threads);
  if (overlap.together < ENOUGH) return false;
  return idle || overlap.cores >= ENOUGH * Math.min(threads.length, cores);
}
