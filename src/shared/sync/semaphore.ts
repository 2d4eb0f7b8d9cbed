/**
 * Semaphore: a count of permits, 0 to INT32_MAX_VALUE. `wait` takes one, `post` gives one back.
 *
 * Layout, 4 bytes: word 0 value. A permit has no owner: any thread may post.
 *
 * No wake-up is lost. A thread sleeps only while the value is 0, and every post raises the value first and then
 * notifies one thread. Suppose that in the end the value is above 0 and thread W sleeps. Since the value was last 0
 * nobody has gone to sleep, so W slept before, and each of the p >= 1 posts since then took another sleeper than W out
 * of the queue. Each of those p threads looks again and takes a permit, for the value is never 0: all p permits are
 * taken, and the value is 0. (`atomics-sync` notifies only on 0 to 1. Two posts before the first sleeper runs: the
 * second finds the value at 1 and wakes nobody, and the second sleeper stays asleep with a permit free.)
 */
import { checkDeadline, NEVER_MS } from "./deadline.ts";
import { awaitOn, blockOn } from "./futex.ts";
import { checkInteger, INT32_MAX_VALUE, wordsAt, type SharedWords } from "./words.ts";

const BYTES = 4;
const VALUE = 0;

/** Takes a permit if there is one. */
function take(sem: SharedWords): boolean {
  for (let value = Atomics.load(sem, VALUE); value > 0;) {
    const found = Atomics.compareExchange(sem, VALUE, value, value - 1);
    if (found === value) return true;
    value = found;
  }
  return false;
}

export const Semaphore = {
  BYTES,

  /**
   * A semaphore with `value` permits, in the given buffer or in one of its own.
   * @throws InvalidError  value is not an integer; see `at`
   * @throws RangeError  value is negative or above INT32_MAX_VALUE; see `at`
   */
  init(value: number, buffer: SharedArrayBuffer = new SharedArrayBuffer(BYTES), byteOffset = 0): SharedWords {
    checkInteger("value", value, 0, INT32_MAX_VALUE);
    const sem = wordsAt(buffer, byteOffset, BYTES);
    Atomics.store(sem, VALUE, value);
    return sem;
  },

  /**
   * The semaphore that another thread has set up there.
   * @throws InvalidError  the buffer is not shared, or the offset is not a multiple of 4
   * @throws RangeError  the object would not lie inside the buffer
   */
  at(buffer: SharedArrayBuffer, byteOffset: number): SharedWords {
    return wordsAt(buffer, byteOffset, BYTES);
  },

  /** Takes a permit, however long it takes. */
  wait(sem: SharedWords): void {
    Semaphore.timedWait(sem, NEVER_MS);
  },

  /**
   * Takes a permit, or gives up at the deadline (ms, see deadlineAfter). A free permit is taken even after it.
   * @returns whether a permit was taken
   * @throws InvalidError, RangeError  deadlineMs
   */
  timedWait(sem: SharedWords, deadlineMs: number): boolean {
    checkDeadline(deadlineMs);
    while (!take(sem)) {
      if (blockOn(sem, VALUE, 0, deadlineMs) === "timed-out") return false;
    }
    return true;
  },

  /**
   * As timedWait, for a thread that must not block. It cannot be cancelled: without a deadline, somebody has to post.
   * Rejects where timedWait throws.
   * @returns whether a permit was taken
   */
  async waitAsync(sem: SharedWords, deadlineMs: number = NEVER_MS): Promise<boolean> {
    checkDeadline(deadlineMs);
    while (!take(sem)) {
      if ((await awaitOn(sem, VALUE, 0, deadlineMs)) === "timed-out") return false;
    }
    return true;
  },

  /** Takes a permit if there is one. Never waits. Returns whether it did. */
  tryWait(sem: SharedWords): boolean {
    return take(sem);
  },

  /**
   * Gives a permit and wakes one thread that waits.
   * @throws RangeError  the value is INT32_MAX_VALUE
   */
  post(sem: SharedWords): void {
    for (let value = Atomics.load(sem, VALUE); ;) {
      if (value === INT32_MAX_VALUE) throw new RangeError("the semaphore has INT32_MAX_VALUE permits already");
      const found = Atomics.compareExchange(sem, VALUE, value, value + 1);
      if (found === value) break;
      value = found;
    }
    Atomics.notify(sem, VALUE, 1); // Whatever the value was.
  },

  /** The permits that are free. Other threads may have changed it by the time it is read. */
  getValue(sem: SharedWords): number {
    return Atomics.load(sem, VALUE);
  },
};
