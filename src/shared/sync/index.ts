/**
 * `sheaf/sync`: synchronisation between threads that share a SharedArrayBuffer, with the names and errors of
 * `atomics-sync`.
 *
 * | object | bytes | blocks | awaits |
 * |---|---|---|---|
 * | Mutex | 8 | lock, timedLock | |
 * | SpinLock | 4 | (spins) | |
 * | Semaphore | 4 | wait, timedWait | waitAsync |
 * | Condition | 4 | wait, timedWait | |
 * | Barrier | 8 | wait, timedWait | waitAsync |
 * | Once | 4 | execute, timedExecute | |
 *
 * Differs from `atomics-sync`: `init` also takes a buffer and an offset; deadlines are instants of the monotonic clock
 * (deadlineAfter), not of the wall clock; Barrier is one view, not three; no wake-up is lost (see each file).
 * Nothing is released when a thread dies.
 */
export { Barrier, type BarrierOutcome } from "./barrier.ts";
export { Condition } from "./condition.ts";
export { deadlineAfter, monotonicMs } from "./deadline.ts";
export { DeadlockError, InvalidError, PermissionError } from "./errors.ts";
export { Mutex } from "./mutex.ts";
export { Once } from "./once.ts";
export { Semaphore } from "./semaphore.ts";
export { SpinLock } from "./spin_lock.ts";
export { INT32_MAX_VALUE, INT32_MIN_VALUE, type SharedWords } from "./words.ts";
