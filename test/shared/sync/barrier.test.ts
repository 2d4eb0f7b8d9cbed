/** Barrier: rounds, more threads than count, leaving, both ways of waiting. */
import { expect, test } from "vitest";
import {
  Barrier,
  type BarrierOutcome,
  deadlineAfter,
  InvalidError,
  monotonicMs,
} from "../../../src/shared/sync/index.ts";
import { newArena } from "./arena.ts";
import { runCrew, threads } from "./crew.ts";
import { afterSleeping, beforeSleeping, BOUND_MS, boundWaits, PROMPT_MS } from "./gap.ts";

boundWaits();

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

test("four threads meet again and again (the original hangs)", async () => {
  const arena = newArena({ threads: 4 });
  const last = await runCrew(arena, threads(4, "meetOften"), 1500);
  expect(last).not.toContain(-1);
  expect(sum(last)).toBe(1500); // One of them in each round.
});

test("more threads than count share it", async () => {
  const arena = newArena({ threads: 3 });
  const last = await runCrew(arena, threads(6, "meetByTicket"), 3 * 1000);
  expect(sum(last)).toBe(1000);
});

test("the last arrival before a waiter sleeps is seen", () => {
  const barrier = Barrier.init(2);
  const met = beforeSleeping(() => expect(Barrier.wait(barrier, 2)).toBe(true));
  const start = monotonicMs();
  expect(Barrier.timedWait(barrier, 1, deadlineAfter(BOUND_MS))).toBe("released");
  expect(monotonicMs() - start).toBeLessThan(PROMPT_MS);
  expect(met()).toBe(true);
});

test("an arrival that is not the last one lets nobody go", async () => {
  const barrier = Barrier.init(3);
  const others: Promise<BarrierOutcome>[] = [];
  const arrived = beforeSleeping(() => others.push(Barrier.waitAsync(barrier, 2, deadlineAfter(10))));
  expect(Barrier.timedWait(barrier, 1, deadlineAfter(20))).toBe("timed-out");
  expect(arrived()).toBe(true);
  expect(await Promise.all(others)).toEqual(["timed-out"]);
});

test("who leaves at the deadline counts no more", async () => {
  const barrier = Barrier.init(2);
  const start = monotonicMs();
  expect(Barrier.timedWait(barrier, 1, start + 30)).toBe("timed-out");
  expect(monotonicMs()).toBeGreaterThanOrEqual(start + 30);
  expect(await Barrier.waitAsync(barrier, 1, deadlineAfter(20))).toBe("timed-out");
  const first = Barrier.waitAsync(barrier, 1, deadlineAfter(BOUND_MS)); // The first again, not the third.
  expect(Barrier.wait(barrier, 2)).toBe(true);
  expect(await first).toBe("released");
});

test("who is released at the deadline is released", () => {
  const barrier = Barrier.init(2);
  const met = afterSleeping(() => expect(Barrier.wait(barrier, 2)).toBe(true));
  expect(Barrier.timedWait(barrier, 1, deadlineAfter(10))).toBe("released");
  expect(met()).toBe(true);
  expect(Barrier.timedWait(barrier, 1, 0)).toBe("timed-out"); // A round of its own.
});

test("the main thread can await workers", async () => {
  const arena = newArena({ threads: 4 });
  const own = Barrier.waitAsync(arena.barrier, 4, deadlineAfter(2 * BOUND_MS));
  const crew = await runCrew(arena, threads(3, "meetOnce"));
  expect(sum(crew) + Number((await own) === "last")).toBe(1);
});

test("the round number wraps", async () => {
  const barrier = Barrier.init(2);
  Atomics.store(barrier, 0, -1 << 10); // The last round, nobody there.
  const first = Barrier.waitAsync(barrier, 1, deadlineAfter(BOUND_MS));
  expect(Barrier.wait(barrier, 2)).toBe(true);
  expect(await first).toBe("released");
  expect(barrier[0]).toBe(0);
});

test("a barrier for one never waits", async () => {
  const barrier = Barrier.init(1);
  expect(Barrier.wait(barrier, 1)).toBe(true);
  expect(Barrier.timedWait(barrier, 1, 0)).toBe("last");
  expect(await Barrier.waitAsync(barrier, 1)).toBe("last");
});

test("the largest count has room", () => {
  const barrier = Barrier.init(Barrier.MAX_COUNT);
  Atomics.store(barrier, 0, Barrier.MAX_COUNT - 1); // All have come but one.
  expect(Barrier.wait(barrier, 1)).toBe(true);
  expect(barrier[0]).toBe(1 << 10); // The second round, nobody there.
});

test("bad arguments are refused, and nobody arrives", async () => {
  expect(() => Barrier.init(1.5)).toThrow(InvalidError);
  expect(() => Barrier.init(0)).toThrow(RangeError);
  expect(() => Barrier.init(Barrier.MAX_COUNT + 1)).toThrow(RangeError);
  const barrier = Barrier.init(1);
  expect(() => Barrier.wait(barrier, 0)).toThrow(InvalidError);
  await expect(Barrier.waitAsync(barrier, 0)).rejects.toThrow(InvalidError);
  await expect(Barrier.waitAsync(barrier, 1, NaN)).rejects.toThrow(InvalidError);
  expect(barrier[0]).toBe(0);
});
