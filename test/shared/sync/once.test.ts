/** Once: nobody returns early, nobody runs twice, failure is told to all. */
import { expect, test } from "vitest";
import { DeadlockError, deadlineAfter, InvalidError, monotonicMs, Once } from "../../../src/shared/sync/index.ts";
import { newArena, TOTAL } from "./arena.ts";
import { allWaiting, runCrew, threads } from "./crew.ts";
import { boundWaits } from "./gap.ts";

boundWaits();

test("threads return only after the initialiser has finished (in the original they return at once)", async () => {
  const arena = newArena();
  expect(await runCrew(arena, threads(4, "initialiseSlowly"))).toEqual([1, 1, 1, 1]);
  expect(arena.counters[TOTAL]).toBe(1);
  expect(Once.isExecuted(arena.once)).toBe(true);
});

test("tryExecute does not wait, timedExecute not beyond its deadline", async () => {
  const arena = newArena();
  const crew = runCrew(arena, ["initialiseSlowly"]);
  await allWaiting(arena, 1);
  const never = (): void => expect.unreachable();
  expect(Once.isExecuted(arena.once)).toBe(false);
  expect(Once.tryExecute(arena.once, never)).toBe(false);
  const start = monotonicMs();
  expect(Once.timedExecute(arena.once, never, start + 20)).toBe(false);
  expect(monotonicMs()).toBeGreaterThanOrEqual(start + 20);
  await crew;
  expect(Once.tryExecute(arena.once, never)).toBe(true);
});

test("it runs in the first thread that asks, whatever the form", () => {
  for (const form of ["execute", "tryExecute"] as const) {
    const once = Once.init();
    let calls = 0;
    expect(Once.isExecuted(once)).toBe(false);
    Once[form](once, () => calls++);
    Once[form](once, () => calls++);
    expect(calls).toBe(1);
  }
  expect(Once.timedExecute(Once.init(), () => {}, deadlineAfter(10))).toBe(true);
});

test("a throw reaches the thread that called, and the others learn of it", async () => {
  const results = await runCrew(newArena(), threads(3, "initialiseInVain"));
  expect(results.toSorted((a, b) => a - b)).toEqual([1, 2, 2]);
});

test("after a throw it is not called again", () => {
  const once = Once.init();
  expect(() =>
    Once.execute(once, () => {
      throw new TypeError("in vain");
    }),
  ).toThrow(TypeError);
  expect(Once.isExecuted(once)).toBe(false);
  expect(() => Once.execute(once, () => {})).toThrow(InvalidError);
  expect(() => Once.tryExecute(once, () => {})).toThrow(InvalidError);
});

test("an initialiser that waits for itself is told", () => {
  const once = Once.init();
  expect(() => Once.execute(once, () => Once.execute(once, () => {}))).toThrow(DeadlockError);
});

test("an asynchronous initialiser is refused", () => {
  const once = Once.init();
  expect(() => Once.execute(once, () => Promise.resolve() as unknown as void)).toThrow(InvalidError);
  expect(Once.isExecuted(once)).toBe(false);
});
