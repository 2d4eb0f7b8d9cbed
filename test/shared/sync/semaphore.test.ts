/** Semaphore: permits, wake-ups, both ways of waiting. */
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import {
  deadlineAfter,
  INT32_MAX_VALUE,
  InvalidError,
  monotonicMs,
  Semaphore,
} from "../../../src/shared/sync/index.ts";
import { newArena, TOTAL } from "./arena.ts";
import { allWaiting, runCrew, threads } from "./crew.ts";
import { beforeSleeping, BOUND_MS, boundWaits, PROMPT_MS } from "./gap.ts";

boundWaits();

test("each post wakes a thread, also while the value is above 0 (the original hangs)", async () => {
  const arena = newArena();
  const crew = runCrew(arena, threads(4, "takePermit"));
  await allWaiting(arena, 4);
  for (let i = 0; i < 4; i++) Semaphore.post(arena.semaphore); // Faster than any of them can wake.
  expect(await crew).toEqual([1, 1, 1, 1]);
  expect(Semaphore.getValue(arena.semaphore)).toBe(0);
});

test("never more threads inside than permits, and all get their turn", async () => {
  const arena = newArena({ permits: 2 });
  await runCrew(arena, threads(4, "takeAndPost"), 2000);
  expect(arena.counters[TOTAL]).toBeLessThanOrEqual(2);
  expect(Semaphore.getValue(arena.semaphore)).toBe(2);
});

test("no permit is lost or taken twice", async () => {
  const arena = newArena();
  const taken = await runCrew(arena, threads(3, "postAndDrain"), 8000);
  expect(taken.reduce((sum, each) => sum + each) + Semaphore.getValue(arena.semaphore)).toBe(3 * 8000);
});

test("a post before the waiter sleeps is seen", () => {
  const { semaphore } = newArena();
  const posted = beforeSleeping(() => Semaphore.post(semaphore));
  const start = monotonicMs();
  expect(Semaphore.timedWait(semaphore, deadlineAfter(BOUND_MS))).toBe(true);
  expect(monotonicMs() - start).toBeLessThan(PROMPT_MS);
  expect(posted()).toBe(true);
});

test("permits are counted", () => {
  const sem = Semaphore.init(2);
  Semaphore.wait(sem);
  expect(Semaphore.getValue(sem)).toBe(1);
  expect(Semaphore.tryWait(sem)).toBe(true);
  expect(Semaphore.tryWait(sem)).toBe(false);
  expect(Semaphore.getValue(sem)).toBe(0);
  Semaphore.post(sem);
  expect(Semaphore.timedWait(sem, 0)).toBe(true); // There is one: taken although the deadline has passed.
});

test("timedWait gives up at the deadline, not before", () => {
  const start = monotonicMs();
  expect(Semaphore.timedWait(Semaphore.init(0), start + 30)).toBe(false);
  expect(monotonicMs()).toBeGreaterThanOrEqual(start + 30);
});

test("waitAsync leaves the thread free", async () => {
  const sem = Semaphore.init(0);
  const permit = Semaphore.waitAsync(sem, deadlineAfter(BOUND_MS));
  await sleep(5);
  Semaphore.post(sem);
  expect(await permit).toBe(true);
});

test("waitAsync gives up at the deadline, and takes no later wake-up", async () => {
  const sem = Semaphore.init(0);
  const start = monotonicMs();
  expect(await Semaphore.waitAsync(sem, start + 30)).toBe(false);
  const end = monotonicMs();
  expect(end).toBeGreaterThanOrEqual(start + 30);
  const permit = Semaphore.waitAsync(sem, end + BOUND_MS);
  Semaphore.post(sem);
  expect(await permit).toBe(true);
  expect(monotonicMs() - end).toBeLessThan(PROMPT_MS);
});

test("threads that block and threads that await stand in one queue", async () => {
  const arena = newArena();
  const crew = runCrew(arena, ["takePermit", "awaitPermit", "takePermit"]);
  const deadlineMs = deadlineAfter(2 * BOUND_MS);
  const own = [Semaphore.waitAsync(arena.semaphore, deadlineMs), Semaphore.waitAsync(arena.semaphore, deadlineMs)];
  await allWaiting(arena, 3);
  for (let i = 0; i < 5; i++) Semaphore.post(arena.semaphore);
  expect(await crew).toEqual([1, 1, 1]);
  expect(await Promise.all(own)).toEqual([true, true]);
});

test("values out of range are refused", () => {
  expect(() => Semaphore.init(1.5)).toThrow(InvalidError);
  expect(() => Semaphore.init(-1)).toThrow(RangeError);
  expect(() => Semaphore.init(INT32_MAX_VALUE + 1)).toThrow(RangeError);
  const full = Semaphore.init(INT32_MAX_VALUE);
  expect(() => Semaphore.post(full)).toThrow(RangeError);
  expect(Semaphore.getValue(full)).toBe(INT32_MAX_VALUE);
});
