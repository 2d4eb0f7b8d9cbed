/** Long work that can be left between two of its parts: a generator that yields there. At once, or in turns with others. */
import { setImmediate } from "node:timers/promises";

/** How long the event loop waits for its turn. */
const SLICE_MS = 50;

export type Parts<T> = Generator<undefined, T, undefined>;

export function atOnce<T>(parts: Parts<T>): T {
  for (;;) {
    const { done, value } = parts.next();
    if (done === true) return value;
  }
}
/** Lets the event loop have its turn, so that Ctrl-C arrives. @returns undefined if the signal came first */
export async function inTurns<T>(parts: Parts<T>, signal: AbortSignal): Promise<T | undefined> {
  for (let pauseMs = 0; ;) {
    if (performance.now() >= pauseMs) {
      await setImmediate();
      if (signal.aborted) return undefined;
      pauseMs = performance.now() + SLICE_MS;
    }
    const { done, value } = parts.next();
    if (done === true) return value;
  }
}
