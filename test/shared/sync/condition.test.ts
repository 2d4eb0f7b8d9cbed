/** Condition: no signal is lost, and the mutex is held before and after. */
import { describe, expect, test } from "vitest";
import { Condition, deadlineAfter, monotonicMs, Mutex, PermissionError } from "../../../src/shared/sync/index.ts";
import { newArena, TOTAL } from "./arena.ts";
import { allWaiting, runCrew, threads } from "./crew.ts";
import { afterExchange, beforeSleeping, BOUND_MS, boundWaits, PROMPT_MS } from "./gap.ts";

boundWaits();

test("a storm of signals loses none (the original hangs)", async () => {
  const arena = newArena();
  const sums = await runCrew(arena, ["fillMailbox", "fillMailbox", "emptyMailbox", "emptyMailbox"], 1500);
  expect(sums).toEqual([0, 0, 1500, 1500]);
});

describe.each(["signal", "broadcast"] as const)("a %s between unlock and sleep is seen", (wake) => {
  test.each(Object.entries({ "after the unlock": afterExchange, "before the sleep": beforeSleeping }))(
    "%s",
    (_when, gap) => {
      const { condition, mutex } = newArena();
      Mutex.lock(mutex, 1);
      const signalled = gap(() => {
        Mutex.lock(mutex, 2); // The waiter has released it.
        Condition[wake](condition);
        Mutex.unlock(mutex, 2);
      });
      const start = monotonicMs();
      expect(Condition.timedWait(condition, mutex, 1, deadlineAfter(BOUND_MS))).toBe(true);
      expect(monotonicMs() - start).toBeLessThan(PROMPT_MS);
      expect(signalled()).toBe(true);
      Mutex.unlock(mutex, 1); // Held again.
    },
  );
});

test("the sequence wraps", () => {
  const { condition, mutex } = newArena();
  Atomics.store(condition, 0, -1);
  Mutex.lock(mutex, 1);
  beforeSleeping(() => Condition.signal(condition));
  expect(Condition.timedWait(condition, mutex, 1, deadlineAfter(BOUND_MS))).toBe(true);
  expect(condition[0]).toBe(0);
});

test("broadcast wakes all", async () => {
  const arena = newArena();
  const crew = runCrew(arena, threads(3, "waitForTotal"));
  await allWaiting(arena, 3);
  expect(Mutex.tryLock(arena.mutex, 9)).toBe(true); // All have released it.
  arena.counters[TOTAL] = 1;
  Condition.broadcast(arena.condition);
  Mutex.unlock(arena.mutex, 9);
  expect(await crew).toEqual([1, 1, 1]);
});

test("each signal wakes another thread", async () => {
  const arena = newArena();
  const crew = runCrew(arena, threads(3, "waitForTotal"));
  await allWaiting(arena, 3);
  expect(Mutex.tryLock(arena.mutex, 9)).toBe(true);
  arena.counters[TOTAL] = 1;
  for (let i = 0; i < 3; i++) Condition.signal(arena.condition);
  Mutex.unlock(arena.mutex, 9);
  expect(await crew).toEqual([1, 1, 1]);
});

test("timedWait gives up at the deadline, with the mutex held", () => {
  const { condition, mutex } = newArena();
  Mutex.lock(mutex, 1);
  const start = monotonicMs();
  expect(Condition.timedWait(condition, mutex, 1, start + 30)).toBe(false);
  expect(monotonicMs()).toBeGreaterThanOrEqual(start + 30);
  Mutex.unlock(mutex, 1);
});

test("who does not hold the mutex cannot wait", () => {
  const { condition, mutex } = newArena();
  expect(() => Condition.wait(condition, mutex, 1)).toThrow(PermissionError);
  Mutex.lock(mutex, 2);
  expect(() => Condition.timedWait(condition, mutex, 1, deadlineAfter(BOUND_MS))).toThrow(PermissionError);
});
