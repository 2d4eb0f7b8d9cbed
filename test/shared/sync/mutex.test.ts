/** Mutex: exclusion, ownership, waiting. */
import { expect, test } from "vitest";
import { DeadlockError, deadlineAfter, monotonicMs, Mutex, PermissionError } from "../../../src/shared/sync/index.ts";
import { newArena, TOTAL } from "./arena.ts";
import { runCrew, threads } from "./crew.ts";
import { beforeSleeping, BOUND_MS, boundWaits, PROMPT_MS } from "./gap.ts";

boundWaits();

test("one thread at a time is inside", async () => {
  const arena = newArena();
  const times = await runCrew(arena, threads(4, "lockAndAdd"), 4000);
  expect(arena.counters[TOTAL]).toBe(4 * 4000);
  expect(times).toEqual([4000, 4000, 4000, 4000]);
});

test("threads that give up take no wake-up with them", async () => {
  const arena = newArena();
  const taken = await runCrew(arena, [...threads(2, "lockAndAdd"), ...threads(2, "lockBrieflyAndAdd")], 3000);
  expect(arena.counters[TOTAL]).toBe(taken.reduce((sum, each) => sum + each));
  expect(Mutex.tryLock(arena.mutex, 9)).toBe(true);
});

test("an unlock before the waiter sleeps is seen", () => {
  const { mutex } = newArena();
  Mutex.lock(mutex, 1);
  const unlocked = beforeSleeping(() => Mutex.unlock(mutex, 1));
  const start = monotonicMs();
  expect(Mutex.timedLock(mutex, 2, deadlineAfter(BOUND_MS))).toBe(true);
  expect(monotonicMs() - start).toBeLessThan(PROMPT_MS);
  expect(unlocked()).toBe(true);
});

test("a thread that is woken passes the wake-up on", () => {
  // Thread 2 sleeps; it wakes and takes the lock. Its unlock must notify, since others may have slept behind it.
  const { mutex } = newArena();
  Mutex.lock(mutex, 1);
  beforeSleeping(() => Mutex.unlock(mutex, 1));
  Mutex.timedLock(mutex, 2, deadlineAfter(BOUND_MS));
  const contended = mutex[0];
  expect(contended).toBe(2);
});

test("tryLock takes a free lock only", () => {
  const { mutex } = newArena();
  expect(Mutex.tryLock(mutex, 1)).toBe(true);
  expect(Mutex.tryLock(mutex, 2)).toBe(false);
  Mutex.unlock(mutex, 1);
  expect(Mutex.tryLock(mutex, 2)).toBe(true);
});

test("timedLock gives up at the deadline, not before", () => {
  const { mutex } = newArena();
  Mutex.lock(mutex, 1);
  const start = monotonicMs();
  expect(Mutex.timedLock(mutex, 2, start + 30)).toBe(false);
  expect(monotonicMs()).toBeGreaterThanOrEqual(start + 30);
  Mutex.unlock(mutex, 1);
  expect(Mutex.timedLock(mutex, 2, start)).toBe(true); // Free: taken although the deadline has passed.
});

test("the owner cannot lock again", () => {
  const { mutex } = newArena();
  Mutex.lock(mutex, 7);
  expect(() => Mutex.lock(mutex, 7)).toThrow(DeadlockError);
  expect(() => Mutex.tryLock(mutex, 7)).toThrow(DeadlockError);
  expect(() => Mutex.timedLock(mutex, 7, deadlineAfter(10))).toThrow(DeadlockError);
  Mutex.unlock(mutex, 7);
  expect(Mutex.tryLock(mutex, 7)).toBe(true);
});

test("only the owner can unlock", () => {
  const { mutex } = newArena();
  expect(() => Mutex.unlock(mutex, 7)).toThrow(
    new PermissionError("thread 7 cannot release the lock: nobody holds it"),
  );
  Mutex.lock(mutex, -3);
  expect(() => Mutex.unlock(mutex, 7)).toThrow(
    new PermissionError("thread 7 cannot release the lock: thread -3 holds it"),
  );
  expect(Mutex.tryLock(mutex, 8)).toBe(false); // The vain unlock has changed nothing.
});
