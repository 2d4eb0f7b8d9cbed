/**
 * SpinLock: a lock for sections of a few instructions. It never sleeps, so it may be taken where blocking is forbidden,
 * and it burns its processor while it waits: with more threads than processors use a Mutex. Not recursive, not fair.
 *
 * Layout, 4 bytes: word 0 owner (0 nobody). Taking the lock and naming its owner is one compare-and-swap: there is no
 * moment at which it is held by nobody. (`atomics-sync` has a state word before the owner word.)
 *
 * Waiters read until the word is 0 and only then try: a failed compare-and-swap takes the cache line from the owner.
 * Nobody sleeps, so no wake-up can be lost.
 */
import { checkDeadline, NEVER_MS, remainingMs } from "./deadline.ts";
import { checkHolds, checkMayLock, NOBODY } from "./owner.ts";
import { pause } from "./spin.ts";
import { wordsAt, type SharedWords } from "./words.ts";

const BYTES = 4;
const OWNER = 0;

/** Looks at the lock between two looks at the clock. */
const SPINS_PER_CLOCK = 64;

function take(lock: SharedWords, threadId: number): boolean {
  return Atomics.compareExchange(lock, OWNER, NOBODY, threadId) === NOBODY;
}

export const SpinLock = {
  BYTES,

  /**
   * A free lock, in the given buffer or in one of its own.
   * @throws InvalidError, RangeError  see `at`
   */
  init(buffer: SharedArrayBuffer = new SharedArrayBuffer(BYTES), byteOffset = 0): SharedWords {
    const lock = wordsAt(buffer, byteOffset, BYTES);
    Atomics.store(lock, OWNER, NOBODY);
    return lock;
  },

  /**
   * The lock that another thread has set up there.
   * @throws InvalidError  the buffer is not shared, or the offset is not a multiple of 4
   * @throws RangeError  the object would not lie inside the buffer
   */
  at(buffer: SharedArrayBuffer, byteOffset: number): SharedWords {
    return wordsAt(buffer, byteOffset, BYTES);
  },

  /**
   * Takes the lock, however long it takes.
   * @throws DeadlockError  the caller holds it
   * @throws InvalidError, RangeError  threadId
   */
  lock(lock: SharedWords, threadId: number): void {
    SpinLock.timedLock(lock, threadId, NEVER_MS);
  },

  /**
   * Takes the lock, or gives up at the deadline (ms, see deadlineAfter). A free lock is taken even after the deadline.
   * @returns whether the caller has the lock
   * @throws DeadlockError  the caller holds it
   * @throws InvalidError, RangeError  threadId, deadlineMs
   */
  timedLock(lock: SharedWords, threadId: number, deadlineMs: number): boolean {
    checkMayLock(lock, OWNER, threadId);
    checkDeadline(deadlineMs);
    while (!take(lock, threadId)) {
      for (let spins = 0; Atomics.load(lock, OWNER) !== NOBODY; spins++) {
        if (spins % SPINS_PER_CLOCK === 0 && remainingMs(deadlineMs) <= 0) return false;
        pause();
      }
    }
    return true;
  },

  /**
   * Takes the lock if it is free. Never spins.
   * @returns whether the caller has the lock
   * @throws DeadlockError  the caller holds it
   * @throws InvalidError, RangeError  threadId
   */
  tryLock(lock: SharedWords, threadId: number): boolean {
    checkMayLock(lock, OWNER, threadId);
    return take(lock, threadId);
  },

  /**
   * Releases the lock.
   * @throws PermissionError  the caller does not hold it
   * @throws InvalidError, RangeError  threadId
   */
  unlock(lock: SharedWords, threadId: number): void {
    checkHolds(lock, OWNER, threadId);
    Atomics.store(lock, OWNER, NOBODY);
  },
};
