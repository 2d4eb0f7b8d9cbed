/**
 * Barrier: `count` threads wait for each other, round after round. More than `count` threads may share it: each round
 * takes the first `count` that come.
 *
 * Layout, 8 bytes: word 0 state (bits 0-9 arrived, bits 10-31 sequence number of the round), word 1 count.
 * Both parts of the state change in one compare-and-swap, so an arrival belongs to exactly one round, also when threads
 * of the next round come before the last one of this round has gone. No lock is needed, and a thread that must not
 * block can take part.
 *
 * No wake-up is lost. A thread sleeps on the state as it read it in its own round. Further arrivals change the word,
 * which only keeps some threads awake for another look. The last arrival changes it too, and notifies all afterwards.
 * (The barrier of `atomics-sync` is built on its Condition, and four threads that use it repeatedly soon hang.)
 * Race: a thread could mistake a round for its own after 2^22 others. Only with more than `count` threads is there a
 * second round without it, and it would have to be off its processor for some ten seconds, to the exact round.
 */
import { checkDeadline, NEVER_MS } from "./deadline.ts";
import { awaitOn, blockOn } from "./futex.ts";
import { checkThreadId } from "./owner.ts";
import { spinWhile } from "./spin.ts";
import { checkInteger, wordsAt, type SharedWords } from "./words.ts";

const BYTES = 8;
const STATE = 0;
const COUNT = 1;

const ROUND_SHIFT = 10;
const ARRIVED_MASK = 2 ** ROUND_SHIFT - 1;

/** "last": the caller came last and released the others. "timed-out": the caller has left, and counts no more. */
export type BarrierOutcome = "last" | "released" | "timed-out";

const roundOf = (state: number): number => state >>> ROUND_SHIFT;

/** Counts the caller into the present round. The last arrival ends that round and wakes the others. */
function arrive(barrier: SharedWords): { readonly round: number; readonly last: boolean } {
  const count = Atomics.load(barrier, COUNT);
  for (let state = Atomics.load(barrier, STATE); ;) {
    const round = roundOf(state);
    const last = (state & ARRIVED_MASK) + 1 === count;
    const found = Atomics.compareExchange(barrier, STATE, state, last ? (round + 1) << ROUND_SHIFT : state + 1);
    if (found === state) {
      if (last) Atomics.notify(barrier, STATE);
      return { round, last };
    }
    state = found;
  }
}

/** Takes the caller's arrival back, unless its round is over. */
function leave(barrier: SharedWords, round: number): BarrierOutcome {
  for (let state = Atomics.load(barrier, STATE); roundOf(state) === round;) {
    const found = Atomics.compareExchange(barrier, STATE, state, state - 1);
    if (found === state) return "timed-out";
    state = found;
  }
  return "released";
}

export const Barrier = {
  BYTES,
  /** The largest count. */
  MAX_COUNT: ARRIVED_MASK,

  /**
   * A barrier for `count` threads, in the given buffer or in one of its own.
   * @throws InvalidError  count is not an integer; see `at`
   * @throws RangeError  count is below 1 or above MAX_COUNT; see `at`
   */
  init(count: number, buffer: SharedArrayBuffer = new SharedArrayBuffer(BYTES), byteOffset = 0): SharedWords {
    checkInteger("count", count, 1, ARRIVED_MASK);
    const barrier = wordsAt(buffer, byteOffset, BYTES);
    Atomics.store(barrier, COUNT, count);
    Atomics.store(barrier, STATE, 0);
    return barrier;
  },

  /**
   * The barrier that another thread has set up there.
   * @throws InvalidError  the buffer is not shared, or the offset is not a multiple of 4
   * @throws RangeError  the object would not lie inside the buffer
   */
  at(buffer: SharedArrayBuffer, byteOffset: number): SharedWords {
    return wordsAt(buffer, byteOffset, BYTES);
  },

  /**
   * Waits until `count` threads have come. The threadId is checked and otherwise unused: the barrier has no owner.
   * @returns true in the thread that came last
   * @throws InvalidError, RangeError  threadId
   */
  wait(barrier: SharedWords, threadId: number): boolean {
    return Barrier.timedWait(barrier, threadId, NEVER_MS) === "last";
  },

  /**
   * As wait, but leaves the round at the deadline (ms, see deadlineAfter) if it is not complete by then.
   * @throws InvalidError, RangeError  threadId, deadlineMs
   */
  timedWait(barrier: SharedWords, threadId: number, deadlineMs: number): BarrierOutcome {
    checkThreadId(threadId);
    checkDeadline(deadlineMs);
    const { round, last } = arrive(barrier);
    if (last) return "last";
    for (;;) {
      spinWhile(barrier, STATE, Atomics.load(barrier, STATE));
      const state = Atomics.load(barrier, STATE);
      if (roundOf(state) !== round) return "released";
      if (blockOn(barrier, STATE, state, deadlineMs) === "timed-out") return leave(barrier, round);
    }
  },

  /**
   * As timedWait, for a thread that must not block. It has arrived when the call returns, before the promise settles.
   * Rejects where timedWait throws.
   */
  async waitAsync(barrier: SharedWords, threadId: number, deadlineMs: number = NEVER_MS): Promise<BarrierOutcome> {
    checkThreadId(threadId);
    checkDeadline(deadlineMs);
    const { round, last } = arrive(barrier);
    if (last) return "last";
    for (;;) {
      const state = Atomics.load(barrier, STATE);
      if (roundOf(state) !== round) return "released";
      if ((await awaitOn(barrier, STATE, state, deadlineMs)) === "timed-out") return leave(barrier, round);
    }
  },
};
