/**
 * Condition: threads that hold a mutex wait for others to change what it protects.
 *
 * Layout, 4 bytes: word 0 sequence, one more with each signal and broadcast.
 *
 * No wake-up is lost. The waiter reads the sequence while it still holds the mutex. Whoever changes the protected data
 * takes the mutex after it, and signals after that: first the sequence moves, then the queue is notified. If the
 * sequence moves before the waiter is asleep, it does not fall asleep; if it moves afterwards, the waiter is in the
 * queue, which is first in first out: threads that began to wait after the signal stand behind it and cannot take it.
 * (The Condition of `atomics-sync` loses wake-ups.)
 * Race: 2^32 signals in the gap between unlock and sleep would bring the sequence back. They would take minutes.
 *
 * Wake-ups may be spurious: wait in a loop that tests the data.
 */
import { checkDeadline, NEVER_MS } from "./deadline.ts";
import { blockOn } from "./futex.ts";
import { Mutex } from "./mutex.ts";
import { wordsAt, type SharedWords } from "./words.ts";

const BYTES = 4;
const SEQUENCE = 0;

export const Condition = {
  BYTES,

  /**
   * A condition nobody waits for, in the given buffer or in one of its own.
   * @throws InvalidError, RangeError  see `at`
   */
  init(buffer: SharedArrayBuffer = new SharedArrayBuffer(BYTES), byteOffset = 0): SharedWords {
    const cond = wordsAt(buffer, byteOffset, BYTES);
    Atomics.store(cond, SEQUENCE, 0);
    return cond;
  },

  /**
   * The condition that another thread has set up there.
   * @throws InvalidError  the buffer is not shared, or the offset is not a multiple of 4
   * @throws RangeError  the object would not lie inside the buffer
   */
  at(buffer: SharedArrayBuffer, byteOffset: number): SharedWords {
    return wordsAt(buffer, byteOffset, BYTES);
  },

  /**
   * Releases the mutex, waits for a signal, and takes the mutex again.
   * @throws PermissionError  the caller does not hold the mutex
   * @throws InvalidError, RangeError  threadId
   */
  wait(cond: SharedWords, mutex: SharedWords, threadId: number): void {
    Condition.timedWait(cond, mutex, threadId, NEVER_MS);
  },

  /**
   * As wait, but waits for a signal only until the deadline (ms, see deadlineAfter). It returns with the mutex held in
   * any case, and takes as long for that as the mutex is held by others.
   * @returns false if the deadline passed without a signal
   * @throws PermissionError  the caller does not hold the mutex
   * @throws InvalidError, RangeError  threadId, deadlineMs
   */
  timedWait(cond: SharedWords, mutex: SharedWords, threadId: number, deadlineMs: number): boolean {
    checkDeadline(deadlineMs);
    const sequence = Atomics.load(cond, SEQUENCE); // Before the unlock: see above.
    Mutex.unlock(mutex, threadId);
    const wake = blockOn(cond, SEQUENCE, sequence, deadlineMs);
    Mutex.lock(mutex, threadId);
    return wake !== "timed-out";
  },

  /** Wakes one thread that waits, if any. Data must be changed under the mutex; it need not be held any more. */
  signal(cond: SharedWords): void {
    Atomics.add(cond, SEQUENCE, 1);
    Atomics.notify(cond, SEQUENCE, 1);
  },

  /** Wakes all threads that wait. Data must be changed under the mutex; the mutex need not be held any more. */
  broadcast(cond: SharedWords): void {
    Atomics.add(cond, SEQUENCE, 1);
    Atomics.notify(cond, SEQUENCE);
  },
};
