/** What becomes of picks when a stretch of accesses is left out. */
import { expect, test } from "vitest";
import { type Stretch, withoutStretches } from "../../../src/main/explore/stretch.ts";

/** An operation that makes accesses 3 to 5, and an interrupt that hits access 8 and makes 9 to 12. */
const OPERATION: Stretch = { lane: 0, begin: 2, end: 5, growth: 3 };
const INTERRUPT: Stretch = { lane: 0, begin: 8, end: 12, growth: 5 };
/** Within the interrupt, another hits access 10 and makes 11. */
const NESTED: Stretch = { lane: 0, begin: 10, end: 11, growth: 2 };

const moved = (stretches: readonly Stretch[], ...accesses: readonly number[]): readonly number[] =>
  withoutStretches(
    accesses.map((access) => ({ lane: 0, access, choice: 64 })),
    stretches,
  ).map(({ access }) => access);

test("later picks move up, earlier ones stay", () => {
  expect(moved([OPERATION], 1, 2, 6, 7)).toEqual([1, 2, 3, 4]);
  expect(moved([INTERRUPT], 8, 13, 14)).toEqual([8, 8, 9]); // Access 8 was counted again, as 13.
  expect(moved([OPERATION, INTERRUPT], 2, 6, 8, 13, 14)).toEqual([2, 3, 5, 5, 6]);
});
test("picks within happen before what came next", () => {
  expect(moved([OPERATION], 3, 5)).toEqual([3, 3]);
  expect(moved([INTERRUPT], 9, 12)).toEqual([8, 8]);
});
test("a stretch within another one is not counted twice", () => {
  expect(moved([INTERRUPT, NESTED], 10, 14)).toEqual(moved([INTERRUPT], 10, 14));
});
test("nothing comes after a stretch that has not ended", () => {
  expect(moved([{ lane: 0, begin: 4, end: Infinity, growth: Infinity }], 4, 9, 70)).toEqual([4, 4, 4]);
});
test("other CPUs do not notice", () => {
  const picks = [{ lane: 1, access: 9, choice: 1 }];
  expect(withoutStretches(picks, [OPERATION, INTERRUPT])).toEqual(picks);
});
