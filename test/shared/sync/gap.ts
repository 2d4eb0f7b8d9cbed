/**
 * Control over the waits of the test's own thread, which is the main thread and must never block for long.
 */
import { afterEach, beforeEach, vi } from "vitest";

/** The deadline of a wait whose wake-up comes in time, ms. */
export const BOUND_MS = 1000;

/** How long such a wait may take on a busy machine, ms. */
export const PROMPT_MS = BOUND_MS / 2;

/** Looks at a spin lock after which the test gives up. */
const MAX_PAUSES = 300_000;

type Wait = (words: Int32Array, index: number, value: number, timeoutMs?: number) => "ok" | "not-equal" | "timed-out";

type Exchange = (words: Int32Array, index: number, value: number) => number;

const realWait: Wait = Atomics.wait.bind(Atomics);

/** In each test of the file, a wait without end in the test's own thread throws. */
export function boundWaits(): void {
  const boundedWait: Wait = (words, index, value, timeoutMs = Infinity) => {
    if (Number.isFinite(timeoutMs)) return realWait(words, index, value, timeoutMs);
    const wake = realWait(words, index, value, BOUND_MS);
    if (wake === "timed-out") throw new Error("would block for ever");
    return wake;
  };
  beforeEach(() => {
    vi.spyOn(Atomics, "wait").mockImplementation(boundedWait as typeof Atomics.wait);
    if (!("pause" in Atomics)) return;
    let pauses = 0;
    vi.spyOn(Atomics, "pause").mockImplementation(() => {
      if (++pauses > MAX_PAUSES) throw new Error("would spin for ever");
    });
  });
  afterEach(() => {
    vi.restoreAllMocks();
  });
}

/**
 * Puts an event into the gap between a thread's decision to sleep and its sleep, where wake-ups get lost: the next
 * Atomics.wait of this thread is preceded by it. Deterministic, and in one thread; so are the two below.
 * @returns a function that tells whether the event has taken place
 */
export function beforeSleeping(event: () => void): () => boolean {
  let over = false;
  const eventAndWait: Wait = (words, index, value, timeoutMs) => {
    over = true;
    event();
    return realWait(words, index, value, timeoutMs);
  };
  vi.mocked(Atomics.wait).mockImplementationOnce(eventAndWait as typeof Atomics.wait);
  return () => over;
}

/** Puts an event between the next sleep and what the thread does when it is over. */
export function afterSleeping(event: () => void): () => boolean {
  let over = false;
  const waitAndEvent: Wait = (words, index, value, timeoutMs) => {
    const wake = realWait(words, index, value, timeoutMs);
    over = true;
    event();
    return wake;
  };
  vi.mocked(Atomics.wait).mockImplementationOnce(waitAndEvent as typeof Atomics.wait);
  return () => over;
}

/** Puts an event right behind the next exchange, which is how a mutex is released. */
export function afterExchange(event: () => void): () => boolean {
  let over = false;
  const exchange = vi.spyOn(Atomics, "exchange");
  const exchangeAndEvent: Exchange = (words, index, value) => {
    exchange.mockRestore();
    const old = Atomics.exchange(words, index, value);
    over = true;
    event();
    return old;
  };
  exchange.mockImplementationOnce(exchangeAndEvent as typeof Atomics.exchange);
  return () => over;
}
