/**
 * Once: one thread runs an initialiser, and every thread that asks returns only after it has finished.
 *
 * Layout, 4 bytes: word 0 state (0 nobody has begun, above 0 the thread that runs it, -1 done, -2 it threw).
 *
 * | from | to | by |
 * |---|---|---|
 * | 0 | runner | the first thread, which then calls the initialiser |
 * | runner | -1 | that thread, after the initialiser has returned |
 * | runner | -2 | that thread, after it has thrown |
 *
 * No wake-up is lost: the others sleep only while the word names the runner. It changes once, and all are notified
 * afterwards. What the initialiser wrote precedes the -1, so whoever reads that sees it. (With `atomics-sync` the
 * others return while it still runs.)
 * The initialiser is called at most once, as there: after a throw the object stays unusable, and says so.
 */
import { types } from "node:util";
import { threadId } from "node:worker_threads";
import { checkDeadline, NEVER_MS, PASSED_MS } from "./deadline.ts";
import { DeadlockError, InvalidError } from "./errors.ts";
import { blockOn } from "./futex.ts";
import { wordsAt, type SharedWords } from "./words.ts";

const BYTES = 4;
const STATE = 0;

const NEW = 0;
const DONE = -1;
const FAILED = -2;

/** This thread in the state word. Node numbers threads from 0. */
const SELF = threadId + 1;

function settle(once: SharedWords, state: typeof DONE | typeof FAILED): void {
  Atomics.store(once, STATE, state);
  Atomics.notify(once, STATE);
}

function run(once: SharedWords, fn: () => void): void {
  try {
    const result: unknown = fn();
    if (types.isPromise(result)) throw new InvalidError("the initialiser must not be asynchronous");
  } catch (error) {
    settle(once, FAILED);
    throw error;
  }
  settle(once, DONE);
}

export const Once = {
  BYTES,

  /**
   * A Once that has not run, in the given buffer or in one of its own.
   * @throws InvalidError, RangeError  see `at`
   */
  init(buffer: SharedArrayBuffer = new SharedArrayBuffer(BYTES), byteOffset = 0): SharedWords {
    const once = wordsAt(buffer, byteOffset, BYTES);
    Atomics.store(once, STATE, NEW);
    return once;
  },

  /**
   * The Once that another thread has set up there.
   * @throws InvalidError  the buffer is not shared, or the offset is not a multiple of 4
   * @throws RangeError  the object would not lie inside the buffer
   */
  at(buffer: SharedArrayBuffer, byteOffset: number): SharedWords {
    return wordsAt(buffer, byteOffset, BYTES);
  },

  /**
   * Calls `fn` if no thread has; returns when the call, whoever made it, is over.
   * @throws whatever fn throws, in the thread that called it
   * @throws InvalidError  fn threw in the thread that called it, or returned a promise
   * @throws DeadlockError  called from inside fn
   */
  execute(once: SharedWords, fn: () => void): void {
    Once.timedExecute(once, fn, NEVER_MS);
  },

  /**
   * As execute, but waits for another thread's call only until the deadline (ms, see deadlineAfter). An own call of fn
   * is not cut short.
   * @returns false if another thread's call was not over by then
   * @throws as execute; InvalidError, RangeError  deadlineMs
   */
  timedExecute(once: SharedWords, fn: () => void, deadlineMs: number): boolean {
    checkDeadline(deadlineMs);
    while (!Once.isExecuted(once)) {
      const found = Atomics.compareExchange(once, STATE, NEW, SELF);
      if (found === NEW) run(once, fn);
      else if (found === SELF) throw new DeadlockError("the initialiser waits for itself");
      else if (found === FAILED) throw new InvalidError("the initialiser threw, and is not called again");
      else if (found !== DONE && blockOn(once, STATE, found, deadlineMs) === "timed-out") return false;
    }
    return true;
  },

  /**
   * As execute, but does not wait for another thread's call.
   * @returns false if another thread's call is not over
   * @throws as execute
   */
  tryExecute(once: SharedWords, fn: () => void): boolean {
    return Once.timedExecute(once, fn, PASSED_MS);
  },

  /** Whether the initialiser has finished without throwing. */
  isExecuted(once: SharedWords): boolean {
    return Atomics.load(once, STATE) === DONE;
  },
};
