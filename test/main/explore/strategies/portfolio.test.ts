/** The portfolio: whose turn it is, when it ends, what it says; and strategies by name. */
import { expect, test } from "vitest";
import { STRATEGY_NAMES, strategyNamed } from "../../../../src/main/explore/strategies/named.ts";
import { Portfolio } from "../../../../src/main/explore/strategies/portfolio.ts";
import { add, bruteForce, execute, explore, load, results, storeNext, type Toy } from "./toy.ts";

const COUNTERS: Toy = { lanes: [0, 1, 2].map(() => [load(0), storeNext(0), add(1, 1)]), words: 2 };
const OPTIONS = { seed: 1, injections: 0, bound: 2, depth: 4 };

test("every strategy has its turns, the search every second", () => {
  const portfolio = new Portfolio(OPTIONS);
  const names: string[] = [];
  const hashes: boolean[] = [];
  for (let i = 0; i < 28; i++) {
    portfolio.begin();
    names.push(portfolio.name);
    hashes.push(portfolio.hashes);
    execute(COUNTERS, portfolio);
  }
  const round = ["POS", "SURW", "random walk p=0.1", "random walk p=0.01", "PCT d=2", "PCT d=3", "PCT d=4"];
  expect(names.filter((_, i) => i % 2 === 1)).toEqual([...round, ...round]);
  expect(names.filter((_, i) => i % 2 === 0).every((name) => /^exhaustive, \d/.test(name))).toBe(true);
  expect(hashes).toEqual(names.map((_, i) => i % 2 === 0));
});

test("the seed decides all of it", () => {
  const run = (seed: number): string[] =>
    explore(COUNTERS, new Portfolio({ ...OPTIONS, seed }), 100).map(({ trace }) => trace);
  expect(run(1)).toEqual(run(1));
  expect(run(1)).not.toEqual(run(2));
});

test("says which bound is exhausted; then the samplers go on alone", () => {
  const portfolio = new Portfolio(OPTIONS);
  expect(portfolio.exhausted).toBe(-1);
  const seen: number[] = [];
  for (let i = 0; i < 2000; i++) {
    portfolio.begin();
    execute(COUNTERS, portfolio);
    seen.push(portfolio.exhausted);
  }
  expect([...new Set(seen)]).toEqual([-1, 0, 1, 2]);
  portfolio.begin();
  expect(portfolio.name).not.toContain("exhaustive");
});

test("ends when the search has tried everything", () => {
  const portfolio = new Portfolio({ ...OPTIONS, bound: Infinity });
  const found = results(explore(COUNTERS, portfolio, 100_000));
  expect(portfolio.exhausted).toBe(Infinity);
  expect(portfolio.begin()).toBe(false);
  expect(found).toEqual([...new Set(bruteForce(COUNTERS).map(({ result }) => result))].toSorted());
});

test("the search starts over when a sampler meets new decision points", () => {
  const portfolio = new Portfolio(OPTIONS);
  while (portfolio.exhausted < 1) {
    portfolio.begin();
    execute(COUNTERS, portfolio);
  }
  while (portfolio.name.includes("exhaustive")) portfolio.begin();
  portfolio.end(1, true);
  expect(portfolio.exhausted).toBe(-1);
});

test.each(STRATEGY_NAMES)("%s runs by its name", (name) => {
  expect(explore(COUNTERS, strategyNamed(name), 5).length).toBe(5);
});

test("options reach the strategies, and an unknown name is told the known ones", () => {
  expect(strategyNamed("pct", { depth: 5 }).name).toBe("PCT d=5");
  expect(strategyNamed("random-walk", { p: 0.3 }).name).toBe("random walk p=0.3");
  expect(strategyNamed("round-robin", { quantum: 9 }).name).toBe("round-robin q=9");
  const state = new Int32Array(8192);
  strategyNamed("pos", { state }).begin();
  expect(state.some((word) => word !== 0)).toBe(true);
  expect(() => strategyNamed("dfs")).toThrow(
    'no strategy "dfs": portfolio, random-walk, pct, pos, surw, bounded, sleep-sets, round-robin',
  );
  expect(() => strategyNamed("toString")).toThrow(RangeError);
});
