/**
 * The owner word of a lock: the id of the thread that holds it, 0 when nobody does.
 *
 * Thread ids are given by the caller, as in `atomics-sync`: any 32-bit integer but 0, one for each thread.
 * Only thread T ever writes T into an owner word, and only T replaces it. So what T learns by comparing the word with
 * its own id cannot change under it, whatever other threads do. That is all these checks rely on.
 */
import { DeadlockError, InvalidError, PermissionError } from "./errors.ts";
import { checkInteger, INT32_MAX_VALUE, INT32_MIN_VALUE, type SharedWords } from "./words.ts";

export const NOBODY = 0;

/**
 * @throws InvalidError  not an integer, or 0
 * @throws RangeError  not a 32-bit integer
 */
export function checkThreadId(threadId: number): void {
  checkInteger("threadId", threadId, INT32_MIN_VALUE, INT32_MAX_VALUE);
  if (threadId === NOBODY) throw new InvalidError("threadId must not be 0, which stands for nobody");
}

/**
 * To be called before locking.
 * @throws DeadlockError  the caller holds the lock
 */
export function checkMayLock(words: SharedWords, owner: number, threadId: number): void {
  checkThreadId(threadId);
  if (Atomics.load(words, owner) === threadId) throw new DeadlockError(`thread ${threadId} holds the lock already`);
}

/**
 * To be called before unlocking.
 * @throws PermissionError  the caller does not hold the lock
 */
export function checkHolds(words: SharedWords, owner: number, threadId: number): void {
  checkThreadId(threadId);
  const holder = Atomics.load(words, owner);
  if (holder === threadId) return;
  const fact = holder === NOBODY ? "nobody holds it" : `thread ${holder} holds it`;
  throw new PermissionError(`thread ${threadId} cannot release the lock: ${fact}`);
}
