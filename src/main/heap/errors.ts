/** What the heap throws. Each message says what was wrong and what to do about it. */

/** Base of all of them. */
export class HeapError extends Error {
  override readonly name: string = "HeapError";
}
/** The caller's mistake: a size, pointer, view or call that cannot be right. Nothing has changed. */
export class HeapUsageError extends HeapError {
  override readonly name = "HeapUsageError";
}
/** There is no room: for an allocation, a cache, or one more thread. */
export class HeapFullError extends HeapError {
  override readonly name = "HeapFullError";
}
/** The heap is of no use any more: a thread died inside a call, an invariant broke, or it was closed. */
export class HeapDeadError extends HeapError {
  override readonly name = "HeapDeadError";
}
/** The main thread has waited too long. A worker that waits reports the stall, and goes on waiting. */
export class HeapStalledError extends HeapError {
  override readonly name = "HeapStalledError";
}
