/**
 * The waits of all primitives: blocking, for workers, and awaiting, for a thread that must not block.
 *
 * Both compare and go to sleep in one step: if the word differs, nobody sleeps; if it does not, the caller is in the
 * queue before any later notify looks at it. So whoever changes the word first and notifies afterwards cannot slip
 * between. The queue is first in, first out, and blocking and awaiting threads stand in the same one.
 *
 * - "ok": a notify took the caller out of the queue. It owes the others a look at the object before it gives up.
 * - "not-equal": the word had another value. Nothing was taken from anybody.
 * - "timed-out": the deadline passed, and no notify was taken.
 * After "ok" and "not-equal" callers look again, even if the deadline has passed in the meantime.
 *
 * A thread that blocks runs no promises: it must not block on what one of its own awaiting calls would release.
 */
import { remainingMs } from "./deadline.ts";
import type { SharedWords } from "./words.ts";

export type Wake = "ok" | "not-equal" | "timed-out";

/** A timer of this period never fires in practice, ms. */
const IDLE_MS = 2 ** 30;

/** Blocks while the word is `expected`. The only place that blocks: a profile shows waiting under this name. */
export function blockOn(words: SharedWords, index: number, expected: number, deadlineMs: number): Wake {
  for (;;) {
    const leftMs = remainingMs(deadlineMs);
    if (leftMs <= 0) return "timed-out";
    const wake = Atomics.wait(words, index, expected, leftMs);
    if (wake !== "timed-out") return wake; // Otherwise: look at the clock, timers may fire early.
  }
}

/** As blockOn, without blocking the thread. */
export async function awaitOn(words: SharedWords, index: number, expected: number, deadlineMs: number): Promise<Wake> {
  // Why: a pending waitAsync does not keep the process alive, and it would end in the middle of an await.
  const keepAlive = setInterval(() => {}, IDLE_MS);
  try {
    for (;;) {
      const leftMs = remainingMs(deadlineMs);
      if (leftMs <= 0) return "timed-out";
      // Why: waitAsync gets the timeout. One of our own would leave an entry in the queue, which would eat a notify.
      const wait = Atomics.waitAsync(words, index, expected, leftMs);
      const wake = wait.async ? await wait.value : wait.value;
      if (wake !== "timed-out") return wake;
    }
  } finally {
    clearInterval(keepAlive);
  }
}
