/** SpinLock: exclusion, ownership, deadline. */
import { expect, test } from "vitest";
import {
  DeadlockError,
  deadlineAfter,
  monotonicMs,
  PermissionError,
  SpinLock,
} from "../../../src/shared/sync/index.ts";
import { newArena, TOTAL } from "./arena.ts";
import { runCrew, threads } from "./crew.ts";
import { boundWaits } from "./gap.ts";

boundWaits();

test("one thread at a time is inside", async () => {
  const arena = newArena();
  await runCrew(arena, threads(3, "spinAndAdd"), 3000);
  expect(arena.counters[TOTAL]).toBe(3 * 3000);
});

test("tryLock takes a free lock only", () => {
  const { spinLock } = newArena();
  expect(SpinLock.tryLock(spinLock, 1)).toBe(true);
  expect(SpinLock.tryLock(spinLock, 2)).toBe(false);
  SpinLock.unlock(spinLock, 1);
  expect(SpinLock.tryLock(spinLock, 2)).toBe(true);
});

test("timedLock gives up at the deadline, not before", () => {
  const { spinLock } = newArena();
  SpinLock.lock(spinLock, 1);
  const start = monotonicMs();
  expect(SpinLock.timedLock(spinLock, 2, start + 10)).toBe(false);
  expect(monotonicMs()).toBeGreaterThanOrEqual(start + 10);
  SpinLock.unlock(spinLock, 1);
  expect(SpinLock.timedLock(spinLock, 2, start)).toBe(true); // Free: taken although the deadline has passed.
});

test("the owner cannot lock again", () => {
  const { spinLock } = newArena();
  SpinLock.lock(spinLock, 7);
  expect(() => SpinLock.lock(spinLock, 7)).toThrow(DeadlockError);
  expect(() => SpinLock.tryLock(spinLock, 7)).toThrow(DeadlockError);
  expect(() => SpinLock.timedLock(spinLock, 7, deadlineAfter(10))).toThrow(DeadlockError);
});

test("only the owner can unlock", () => {
  const { spinLock } = newArena();
  expect(() => SpinLock.unlock(spinLock, 7)).toThrow(PermissionError);
  SpinLock.lock(spinLock, 6);
  expect(() => SpinLock.unlock(spinLock, 7)).toThrow(PermissionError);
  expect(SpinLock.tryLock(spinLock, 8)).toBe(false);
});
