/**
 * Deadlines: instants on the monotonic clock, in milliseconds, the same clock in every thread of the process.
 *
 * `atomics-sync` takes instants of the wall clock, which a step of that clock makes early or late. `performance.now()`
 * is no replacement: its origin differs from thread to thread. `hrtime` has one origin.
 * Infinity waits for ever; an instant that has passed means: try, do not wait.
 */
import { hrtime } from "node:process";
import { InvalidError } from "./errors.ts";

/** Wait for ever. */
export const NEVER_MS = Infinity;
/** A deadline that has always passed. */
export const PASSED_MS = -Infinity;

/** Deadlines further away than this are refused, ms. An instant of the wall clock is decades away. */
const FURTHEST_MS = 2 ** 31;

/** Now, in milliseconds since an arbitrary origin that all threads share. */
export function monotonicMs(): number {
  return Number(hrtime.bigint()) / 1e6;
}

/**
 * The deadline `timeoutMs` milliseconds from now.
 * @throws InvalidError  not a number
 */
export function deadlineAfter(timeoutMs: number): number {
  if (typeof timeoutMs !== "number" || Number.isNaN(timeoutMs)) throw new InvalidError("timeoutMs must be a number");
  return monotonicMs() + timeoutMs;
}

/** Milliseconds until the deadline; zero or less when it has passed. */
export function remainingMs(deadlineMs: number): number {
  return deadlineMs === NEVER_MS ? NEVER_MS : deadlineMs - monotonicMs();
}

/**
 * To be called by each timed form, also where it would not have to wait.
 * @throws InvalidError  not a number
 * @throws RangeError  more than 24 days away: no instant of this clock
 */
export function checkDeadline(deadlineMs: number): void {
  if (typeof deadlineMs !== "number" || Number.isNaN(deadlineMs)) throw new InvalidError("deadlineMs must be a number");
  if (!Number.isFinite(deadlineMs)) return;
  if (remainingMs(deadlineMs) > FURTHEST_MS) {
    throw new RangeError(`deadline ${deadlineMs} ms is no near instant of the monotonic clock: use deadlineAfter()`);
  }
}
