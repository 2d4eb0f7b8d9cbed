/**
 * Errors of the synchronisation primitives, with the names of `atomics-sync`. An argument of the right kind that is too
 * large or too small is a plain RangeError.
 */

/** The calling thread would wait for itself: it holds the lock, or runs the initialiser, that it asks for. */
export class DeadlockError extends Error {
  override readonly name = "DeadlockError";
}

/** The calling thread does not hold the lock that it releases. */
export class PermissionError extends Error {
  override readonly name = "PermissionError";
}

/** An argument of the wrong kind, or an object that cannot be used. */
export class InvalidError extends Error {
  override readonly name = "InvalidError";
}
