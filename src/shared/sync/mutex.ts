/**
 * Mutex: a lock that spins for a moment and then sleeps. Not recursive, not fair, not released when its owner dies.
 *
 * Layout, 8 bytes: word 0 state (0 unlocked, 1 locked, 2 locked and somebody may sleep), word 1 owner (0 nobody).
 *
 * | from | to | by |
 * |---|---|---|
 * | 0 | 1 | lock without contention, tryLock |
 * | any | 2 | a thread about to sleep; it has the lock if the state was 0 |
 * | 1, 2 | 0 | unlock, which notifies one thread if the state was 2 |
 *
 * No wake-up is lost. A thread sleeps only while the state is 2. Only an unlock takes the state from 2 to 0, and it
 * notifies afterwards; the thread it wakes sets 2 again, by which it either takes the lock, and its own unlock
 * notifies the next sleeper, or obliges the present owner to notify. So a sleeper is always followed by an unlock that
 * sees 2, even if others take the lock (0 to 1) in between. A thread whose time is up leaves 2 behind: the next unlock
 * notifies in vain, which is harmless; and a thread that a notify has reached sets 2 before it looks at the clock.
 */
import { checkDeadline, NEVER_MS } from "./deadline.ts";
import { blockOn } from "./futex.ts";
import { checkHolds, checkMayLock, NOBODY } from "./owner.ts";
import { spinWhile } from "./spin.ts";
import { wordsAt, type SharedWords } from "./words.ts";

const BYTES = 8;
const STATE = 0;
const OWNER = 1;

const UNLOCKED = 0;
const LOCKED = 1;
const CONTENDED = 2;

/** Takes the lock if it is free; the owner word is still to be set. */
function take(mutex: SharedWords): boolean {
  return Atomics.compareExchange(mutex, STATE, UNLOCKED, LOCKED) === UNLOCKED;
}

function takeOrSleep(mutex: SharedWords, deadlineMs: number): boolean {
  spinWhile(mutex, STATE, LOCKED); // Not while it is CONTENDED: others have given up spinning.
  if (take(mutex)) return true;
  while (Atomics.exchange(mutex, STATE, CONTENDED) !== UNLOCKED) {
    if (blockOn(mutex, STATE, CONTENDED, deadlineMs) === "timed-out") return false;
  }
  return true;
}

export const Mutex = {
  BYTES,

  /**
   * An unlocked mutex, in the given buffer or in one of its own.
   * @throws InvalidError, RangeError  see `at`
   */
  init(buffer: SharedArrayBuffer = new SharedArrayBuffer(BYTES), byteOffset = 0): SharedWords {
    const mutex = wordsAt(buffer, byteOffset, BYTES);
    Atomics.store(mutex, OWNER, NOBODY);
    Atomics.store(mutex, STATE, UNLOCKED);
    return mutex;
  },

  /**
   * The mutex that another thread has set up there.
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
  lock(mutex: SharedWords, threadId: number): void {
    Mutex.timedLock(mutex, threadId, NEVER_MS);
  },

  /**
   * Takes the lock, or gives up at the deadline (ms, see deadlineAfter). A free lock is taken even after the deadline.
   * @returns whether the caller has the lock
   * @throws DeadlockError  the caller holds it
   * @throws InvalidError, RangeError  threadId, deadlineMs
   */
  timedLock(mutex: SharedWords, threadId: number, deadlineMs: number): boolean {
    checkMayLock(mutex, OWNER, threadId);
    checkDeadline(deadlineMs);
    if (!take(mutex) && !takeOrSleep(mutex, deadlineMs)) return false;
    Atomics.store(mutex, OWNER, threadId);
    return true;
  },

  /**
   * Takes the lock if it is free. Never waits.
   * @returns whether the caller has the lock
   * @throws DeadlockError  the caller holds it
   * @throws InvalidError, RangeError  threadId
   */
  tryLock(mutex: SharedWords, threadId: number): boolean {
    checkMayLock(mutex, OWNER, threadId);
    if (!take(mutex)) return false;
    Atomics.store(mutex, OWNER, threadId);
    return true;
  },

  /**
   * Releases the lock.
   * @throws PermissionError  the caller does not hold it
   * @throws InvalidError, RangeError  threadId
   */
  unlock(mutex: SharedWords, threadId: number): void {
    checkHolds(mutex, OWNER, threadId);
    Atomics.store(mutex, OWNER, NOBODY); // First: afterwards the word is the next owner's.
    if (Atomics.exchange(mutex, STATE, UNLOCKED) === CONTENDED) Atomics.notify(mutex, STATE, 1);
  },
};
