/** The table of states: what it finds, that it grows, what it does when it may not. */
import { expect, test } from "vitest";
import { StateCache } from "../../../../src/main/explore/strategies/state_cache.ts";

test("a state is known if it was reached with as much left", () => {
  const cache = new StateCache();
  expect(cache.visit(1, 2, 3)).toBe(false);
  expect(cache.visit(1, 2, 3)).toBe(true);
  expect(cache.visit(1, 2, 0)).toBe(true);
  expect(cache.visit(1, 2, 4)).toBe(false);
  expect(cache.visit(1, 2, 4)).toBe(true);
  expect(cache.visit(1, 2, Infinity)).toBe(false);
  expect(cache.visit(1, 2, 1000)).toBe(true);
  expect(cache.size).toBe(1);
});

test("both hashes are the key, whatever their sign, 0 included", () => {
  const cache = new StateCache();
  const halves = [0, 1, -1, 0x7fffffff, -0x80000000, 1024, -1024];
  const keys = halves.flatMap((a) => halves.map((b) => [a, b] as const));
  for (const [a, b] of keys) expect(cache.visit(a, b, 0)).toBe(false);
  for (const [a, b] of keys) expect(cache.visit(a, b, 0)).toBe(true);
  expect(cache.visit(0xffffffff, 0, 0)).toBe(true); // The same 32 bits as -1.
});

test("grows, and finds again what it had, with what was left", () => {
  const cache = new StateCache();
  const states = 50_000;
  const known = (more: number): number => {
    let n = 0;
    for (let i = 0; i < states; i++) if (cache.visit(i, i >> 8, (i % 5) + more)) n++;
    return n;
  };
  expect(known(0)).toBe(0);
  expect(cache.size).toBe(states);
  expect(known(0)).toBe(states);
  expect(known(1)).toBe(0);
  expect(cache.visit(states, 0, 0)).toBe(false);
});

test("at its limit it takes no more states, and keeps those it has", () => {
  const cache = new StateCache(2048);
  for (let i = 0; i < 5000; i++) cache.visit(i, 0, 1);
  expect(cache.size).toBe(1536);
  for (let i = 0; i < 1536; i++) expect(cache.visit(i, 0, 1)).toBe(true);
  for (let i = 1536; i < 5000; i++) expect(cache.visit(i, 0, 1)).toBe(false);
  cache.clear();
  expect(cache.size).toBe(0);
  expect(cache.visit(0, 0, 1)).toBe(false);
});
