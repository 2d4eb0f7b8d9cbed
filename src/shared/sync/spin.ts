/**
 * Busy waiting: a pause for the processor, and a bounded spin before a thread goes to sleep.
 * Loops read with Atomics.load, since an engine may hoist a plain read out of the loop.
 */
import type { SharedWords } from "./words.ts";

/** Looks at the word before sleeping: some microseconds, about what sleeping and waking cost. */
const SPINS = 100;

/** Tells the processor that this is a spin loop. Does nothing where Atomics.pause is missing (before Node 24). */
export const pause: () => void = "pause" in Atomics ? () => Atomics.pause() : () => {};

/** Spins while the word is `value`, for a bounded number of looks. */
export function spinWhile(words: SharedWords, index: number, value: number): void {
  for (let spins = 0; spins < SPINS && Atomics.load(words, index) === value; spins++) pause();
}
