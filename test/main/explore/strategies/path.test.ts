/** The path of a depth-first search: it tries what it was given, in order, however many choices there are. */
import { expect, test } from "vitest";
import { Path } from "../../../../src/main/explore/strategies/path.ts";
import type { DecisionPoint } from "../../../../src/main/explore/strategy.ts";

const point = (count: number): DecisionPoint => {
  const none = { lane: 0, access: 0, blocked: false, point: 0, hash1: 0, hash2: 0, rivals: [] };
  return { ...none, choices: [], lanes: [], words: [], effects: [], count };
};

test("tries the choices of a mask, and all beyond its 31 bits", () => {
  const path = new Path();
  path.push(point(40), 0b1010_0100);
  const tried: number[] = [];
  do tried.push(path.choice(0, point(40)));
  while (path.advance());
  expect(tried).toEqual([2, 5, 7, ...Array.from({ length: 9 }, (_, i) => 31 + i)]);
});

test("grows, and goes back entry by entry", () => {
  const path = new Path();
  for (let depth = 0; depth < 1000; depth++) path.push(point(2), 0b11);
  path.note(999, 1, 2);
  expect([path.mask1(999), path.mask2(999), path.mask1(998)]).toEqual([1, 2, 0]);
  expect(path.advance()).toBe(true);
  expect([path.length, path.choice(999, point(2))]).toEqual([1000, 1]);
  expect(path.advance()).toBe(true);
  expect([path.length, path.choice(998, point(2)), path.choice(0, point(2))]).toEqual([999, 1, 0]);
  path.push(point(3), 0b100);
  expect([path.mask1(999), path.choice(999, point(3))]).toEqual([0, 2]);
  path.clear();
  expect(path.advance()).toBe(false);
});

test("says what part lies behind: exactly so in a regular tree", () => {
  const path = new Path();
  const shares: number[] = [];
  do {
    while (path.length < 3) path.push(point(path.length === 1 ? 40 : 2), path.length === 1 ? 0b101 : 0b11);
    shares.push(path.share());
  } while (path.advance());
  // Two choices, then two of a mask and nine beyond it, then two.
  expect(shares.length).toBe(2 * 11 * 2);
  for (const [n, share] of shares.entries()) expect(share).toBeCloseTo(n / shares.length);
  expect(shares).toEqual(shares.toSorted((a, b) => a - b));
  expect(shares.at(-1)).toBeLessThan(1);
});
