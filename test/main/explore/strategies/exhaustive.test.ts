/** The exhaustive strategies against brute force: they reach all there is, and less work loses no final state. */
import { describe, expect, test } from "vitest";
import { Bounded } from "../../../../src/main/explore/strategies/bounded.ts";
import { SleepSets } from "../../../../src/main/explore/strategies/sleep_sets.ts";
import {
  bruteForce,
  execute,
  explore,
  load,
  randomToy,
  results,
  spin,
  store,
  storeNext,
  type Toy,
  type ToyState,
} from "./toy.ts";

/** Random programs with few enough interleavings to count them all. */
const TOYS = Array.from({ length: 150 }, (_, seed) => ({ seed, toy: randomToy(seed) })).filter(
  ({ toy }) => bruteForce(toy).length < 1000,
);
/** Three lanes that count in one word, with a private word each. */
const COUNTERS: Toy = {
  lanes: [0, 1, 2].map((lane) => [load(0), storeNext(0), load(lane + 1)]),
  words: 4,
};
const traces = (list: readonly { readonly trace: string }[]): string[] =>
  [...new Set(list.map(({ trace }) => trace))].toSorted();

test("the toys differ: some deadlock, some have NMIs, some pending interrupts", () => {
  const all = TOYS.map(({ toy }) => bruteForce(toy));
  const with_ = (what: (trace: string, result: string) => boolean): number =>
    all.filter((list) => list.some(({ trace, result }) => what(trace, result))).length;
  expect(with_((_, result) => result.startsWith("deadlock"))).toBeGreaterThan(8);
  expect(with_((trace) => trace.includes("n"))).toBeGreaterThan(8);
  expect(with_((trace) => trace.includes("i"))).toBeGreaterThan(8);
});

describe("bounded", () => {
  test.each([0, 1, 2, 3, Infinity])("bound %d: exactly the interleavings that brute force finds", (bound) => {
    for (const { seed, toy } of TOYS) {
      const search = new Bounded(bound);
      expect(traces(explore(toy, search)), `toy ${seed}`).toEqual(traces(bruteForce(toy, bound)));
      expect(search.exhausted).toBe(true);
    }
  });

  test.each([0, 1, 2, 3, Infinity])("bound %d: the cache loses no final state and saves executions", (bound) => {
    let plainly = 0;
    let cached = 0;
    for (const { seed, toy } of TOYS) {
      const plain = new Bounded(bound);
      const cache = new Bounded(bound, { cache: true });
      expect(results(explore(toy, cache)), `toy ${seed}`).toEqual(results(explore(toy, plain)));
      expect(cache.executions).toBeLessThanOrEqual(plain.executions);
      plainly += plain.executions;
      cached += cache.executions;
    }
    if (bound > 0) expect(cached).toBeLessThan(plainly);
  });

  test("goes from bound to bound, and stops when a higher one would add nothing", () => {
    const search = new Bounded(100, { from: 0 });
    const preemptions: number[] = [];
    while (search.begin()) {
      preemptions.push(Number(/(\d+) preemptions/.exec(search.name)?.[1]));
      execute(COUNTERS, search);
    }
    expect(preemptions).toEqual(preemptions.toSorted((a, b) => a - b));
    const bounds = [...new Set(preemptions)];
    expect(bounds).toEqual(bounds.map((_, i) => i));
    expect(bounds.length).toBeLessThan(20);
    expect(search.finished).toBe(Infinity);
    const cut = new Bounded(2, { from: 0, cache: true });
    explore(COUNTERS, cut);
    expect(cut).toMatchObject({ finished: 2, exhausted: true });
  });

  test("counts executions, abandoned ones and states", () => {
    const search = new Bounded(Infinity, { cache: true });
    const all = explore(COUNTERS, search);
    expect(search.executions).toBe(all.length);
    expect(search.pruned).toBe(all.filter(({ result }) => result === undefined).length);
    expect(search.pruned).toBeGreaterThan(0);
    expect(search.states).toBeGreaterThan(100);
    expect(search.hashes).toBe(true);
    expect(new Bounded(2).hashes).toBe(false);
  });

  test("starts over when there are more decision points, with an empty cache", () => {
    const full = results(explore(COUNTERS, new Bounded(3, { from: 0, cache: true })));
    const search = new Bounded(3, { from: 0, cache: true });
    for (let i = 0; i < 40; i++) {
      search.begin();
      execute(COUNTERS, search);
    }
    expect(search.finished).toBeGreaterThanOrEqual(0);
    search.end(0, true);
    expect(search).toMatchObject({ finished: -1, exhausted: false, states: 0 });
    expect(results(explore(COUNTERS, search))).toEqual(full);
  });

  test("notices an execution that depends on more than its choices", () => {
    const search = new Bounded(1);
    search.begin();
    execute(COUNTERS, search);
    search.begin();
    const other: Toy = { ...COUNTERS, lanes: COUNTERS.lanes.slice(0, 2) };
    expect(() => execute(other, search)).toThrow("depends on more than the choices");
  });
});

describe("sleep sets", () => {
  test("reach every final state, with fewer executions", () => {
    let plainly = 0;
    let asleep = 0;
    for (const { seed, toy } of TOYS) {
      const plain = new Bounded(Infinity);
      const search = new SleepSets();
      const expected = [...new Set(bruteForce(toy).map(({ result }) => result))].toSorted();
      expect(results(explore(toy, search)), `toy ${seed}`).toEqual(expected);
      expect(search.exhausted).toBe(true);
      explore(toy, plain);
      plainly += plain.executions;
      asleep += search.executions;
    }
    expect(asleep).toBeLessThan(0.7 * plainly);
  });

  test("lanes that share nothing need few orders", () => {
    const apart: Toy = { lanes: [0, 1].map((w) => [load(w), store(w, 1), load(w), store(w, 2), load(w)]), words: 2 };
    const search = new SleepSets();
    explore(apart, search);
    // Not one: where the second lane begins, nothing is known of its first access, so every place is tried.
    expect(search.executions).toBeLessThan(40);
    expect(bruteForce(apart).length).toBe(252);
  });

  test("a lane that is woken, and an NMI that hits a sleeping lane", () => {
    const lanes = [
      [store(1, 1), store(0, 1)],
      [load(1), spin(0, 1), load(2)],
      [store(2, 1), load(1)],
    ];
    const nmi = (s: ToyState, lane: number): void => void (s.words[2] = 5 + 10 * s.registers[lane] + lane);
    for (const toy of [{ lanes, words: 3, nmis: 1, nmi }, randomToy(1013)]) {
      const expected = [...new Set(bruteForce(toy).map(({ result }) => result))].toSorted();
      expect(results(explore(toy, new SleepSets()))).toEqual(expected);
      expect(expected.length).toBeGreaterThan(10);
    }
  });

  test("a sleeping lane is visited for the NMI only", () => {
    const lanes = [0, 1].map((w) => [load(w), store(w, 1), load(w), store(w, 2)]);
    const toy: Toy = { lanes, words: 2, nmis: 1, nmi: (s, lane) => void s.words[lane]++ };
    const search = new SleepSets();
    explore(toy, search);
    expect(bruteForce(toy).length).toBe(1078);
    expect(search.executions).toBeLessThan(300);
  });
});
