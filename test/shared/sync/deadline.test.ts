/** Deadlines: one clock in all threads, no wall clock. */
import { expect, test } from "vitest";
import {
  checkDeadline,
  deadlineAfter,
  monotonicMs,
  PASSED_MS,
  remainingMs,
} from "../../../src/shared/sync/deadline.ts";
import { InvalidError, Mutex, Semaphore } from "../../../src/shared/sync/index.ts";
import { newArena } from "./arena.ts";
import { runCrew, threads } from "./crew.ts";
import { boundWaits } from "./gap.ts";

boundWaits();

test("jumps of the wall clock do not matter", async () => {
  const arena = newArena();
  Mutex.lock(arena.mutex, 9);
  for (const tookMs of await runCrew(arena, threads(2, "waitUnderJumpingClock"))) {
    expect(tookMs).toBeGreaterThanOrEqual(80);
  }
});

test("remaining time counts down to the deadline", () => {
  const deadlineMs = deadlineAfter(1000);
  const leftMs = remainingMs(deadlineMs);
  expect(leftMs).toBeLessThanOrEqual(1000);
  expect(leftMs).toBeGreaterThan(500);
  expect(remainingMs(deadlineAfter(-1))).toBeLessThan(0);
  expect(remainingMs(deadlineAfter(Infinity))).toBe(Infinity);
  expect(remainingMs(PASSED_MS)).toBe(-Infinity);
});

test("what is no deadline of this clock is refused", () => {
  expect(() => checkDeadline(NaN)).toThrow(InvalidError);
  expect(() => checkDeadline("soon" as unknown as number)).toThrow(InvalidError);
  expect(() => deadlineAfter(NaN)).toThrow(InvalidError);
  // oxlint-disable-next-line no-restricted-globals -- what callers of the original pass
  expect(() => checkDeadline(Date.now() + 100)).toThrow(RangeError);
  for (const fine of [0, PASSED_MS, Infinity, monotonicMs(), deadlineAfter(1e9)]) checkDeadline(fine);
});

test("timed forms check the deadline also when they need not wait", () => {
  expect(() => Mutex.timedLock(Mutex.init(), 1, NaN)).toThrow(InvalidError);
  expect(() => Semaphore.timedWait(Semaphore.init(1), NaN)).toThrow(InvalidError);
});
