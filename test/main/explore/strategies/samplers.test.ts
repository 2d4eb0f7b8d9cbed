/** The samplers: what each is good at, with the probability that it promises; and that all their state is in the words. */
import { describe, expect, test } from "vitest";
import { Pct } from "../../../../src/main/explore/strategies/pct.ts";
import { Pos } from "../../../../src/main/explore/strategies/pos.ts";
import { RandomWalk } from "../../../../src/main/explore/strategies/random_walk.ts";
import { Replay } from "../../../../src/main/explore/strategies/replay.ts";
import { RoundRobin } from "../../../../src/main/explore/strategies/round_robin.ts";
import { STRATEGY_WORDS } from "../../../../src/main/explore/strategies/state.ts";
import { Surw } from "../../../../src/main/explore/strategies/surw.ts";
import { WRITES, type Strategy } from "../../../../src/main/explore/strategy.ts";
import { add, execute, explore, load, raise, randomToy, store, type Execution, type Step, type Toy } from "./toy.ts";

type Make = (seed: number, state?: Int32Array) => Strategy;
const SAMPLERS: [string, Make][] = [
  ["random walk", (seed, state) => new RandomWalk(seed, 0.1, 1, false, state)],
  ["PCT", (seed, state) => new Pct(seed, 3, 1, state)],
  ["POS", (seed, state) => new Pos(seed, 1, state)],
  ["SURW", (seed, state) => new Surw(seed, 1, state)],
  ["round-robin", (seed, state) => new RoundRobin(seed, 3, 1, state)],
];
/** A lane that makes `n` accesses to a word of its own. */
const alone = (word: number, n: number): Step[] => Array.from({ length: n }, () => load(word));
const share = (all: readonly Execution[], what: (e: Execution) => boolean): number =>
  all.filter(what).length / all.length;
const longest = (all: readonly Execution[]): number => Math.max(...all.map(({ picks }) => picks.length));

describe.each(SAMPLERS)("%s", (_, make) => {
  const toys = Array.from({ length: 10 }, (_, seed) => randomToy(seed));
  const run = (seed: number): string[] =>
    toys.flatMap((toy) => explore(toy, make(seed), 40).map((e) => e.picks.join(",")));

  test("is deterministic for a seed, and another seed differs", () => {
    expect(run(7)).toEqual(run(7));
    expect(run(7)).not.toEqual(run(8));
  });

  test("goes on the same when another object takes over the words", () => {
    for (const toy of toys) {
      const one = explore(toy, make(7), 40);
      const state = new Int32Array(new SharedArrayBuffer(4 * STRATEGY_WORDS));
      const threads = [make(7, state), make(7, state), make(7, state)];
      const several = one.map((_, i) => {
        threads[i % 3].begin();
        return execute(toy, threads[i % 3], (n) => (n % 2 === 0 ? threads[(i + n) % 3] : make(7, state)));
      });
      expect(several).toEqual(one);
    }
  });

  test("reaches all lanes' first steps, NMIs and pending interrupts", () => {
    const toy: Toy = {
      lanes: [[raise(1), ...alone(0, 5)], alone(0, 5), alone(0, 5)],
      words: 1,
      nmis: 1,
    };
    const traces = explore(toy, make(1), 400).map(({ trace }) => trace);
    for (const event of ["0", "1", "2", "n0", "n1", "n2", "i1"]) {
      expect(
        traces.some((trace) => trace.split(" ").includes(event)),
        event,
      ).toBe(true);
    }
    for (const late of ["i1 1 1", "1 1 i1"])
      expect(
        traces.some((trace) => trace.includes(late)),
        late,
      ).toBe(true);
  });

  test("replay repeats what it did, and counts the picks that find no place", () => {
    for (const toy of toys) {
      for (const { result, trace, schedule } of explore(toy, make(3), 20)) {
        const replay = new Replay(schedule);
        const [again] = explore(toy, replay);
        expect(again).toMatchObject({ result, trace, schedule });
        expect(replay.unused).toBe(0);
        const more = new Replay([...schedule, { lane: 0, access: 10_000, choice: 1 }]);
        expect(explore(toy, more)).toMatchObject([{ trace }]);
        expect(more.unused).toBe(1);
      }
    }
  });
});

test("replay counts a pick whose choice is not offered", () => {
  const replay = new Replay([{ lane: 0, access: 0, choice: 99 }]);
  explore({ lanes: [alone(0, 2), alone(0, 2)], words: 1 }, replay);
  expect(replay.unused).toBe(1);
});

test("random walk switches with probability p", () => {
  const toy: Toy = { lanes: [alone(0, 50), alone(0, 50)], words: 1 };
  const switches = (p: number): number => {
    const all = explore(toy, new RandomWalk(1, p, 0), 200);
    return all.reduce((n, { schedule }) => n + schedule.length, 0) / all.length;
  };
  expect(switches(0)).toBe(0);
  expect(switches(0.1)).toBeGreaterThan(2 * switches(0.02));
});

test("NMIs are spread evenly over the execution", () => {
  const places = 20;
  const toy: Toy = { lanes: [alone(0, places)], words: 1, nmis: 2 };
  const all = explore(toy, new RandomWalk(1, 0, 2), 4000).slice(100);
  const hits = Array.from({ length: places + 1 }, () => 0); // None comes after the last step.;
  for (const { trace } of all) {
    const events = trace.split(" ");
    for (const [i, event] of events.entries()) if (event === "n0") hits[i]++;
  }
  expect(hits.reduce((a, b) => a + b) / all.length).toBeGreaterThan(1.9);
  for (const n of hits) expect((n * hits.length) / all.length).toBeGreaterThan(1);
});

describe("PCT", () => {
  /** Lane 0 loads, lane 1 counts, lane 0 stores: one preemption, two ordering constraints. */
  const depth2: Toy = {
    lanes: [
      [...alone(1, 5), load(0), store(0, 7), ...alone(1, 5)],
      [...alone(2, 5), add(0, 1), ...alone(2, 5)],
    ],
    words: 3,
  };
  const between = ({ trace }: Execution): boolean => {
    const [a1, a2, b] = [nth(trace, "0", 6), nth(trace, "0", 7), nth(trace, "1", 6)];
    return a1 < b && b < a2;
  };
  /** a1 < b1 < a2 < b2: two preemptions, three constraints. */
  const twice = ({ trace }: Execution): boolean => {
    const [a1, a2, b1, b2] = [nth(trace, "0", 6), nth(trace, "0", 7), nth(trace, "1", 6), nth(trace, "1", 7)];
    return a1 < b1 && b1 < a2 && a2 < b2;
  };
  function nth(trace: string, lane: string, n: number): number {
    const events = trace.split(" ");
    let seen = 0;
    return events.findIndex((event) => event === lane && ++seen === n);
  }

  test("d = 2 finds a bug of depth 2 as often as promised; d = 1 cannot", () => {
    const all = explore(depth2, new Pct(1, 2, 0), 4000);
    expect(share(all, between)).toBeGreaterThan(0.8 / (2 * longest(all)));
    expect(share(explore(depth2, new Pct(1, 1, 0), 1000), between)).toBe(0);
  });
  test("d = 3 finds a bug of depth 3 as often as promised; d = 2 cannot", () => {
    const all = explore(depth2, new Pct(1, 3, 0), 20_000);
    expect(share(all, twice)).toBeGreaterThan(0.8 / (2 * longest(all) ** 2));
    expect(share(explore(depth2, new Pct(1, 2, 0), 4000), twice)).toBe(0);
  });
  test("a lane that falls later need not fall deeper", () => {
    const toy: Toy = { lanes: [alone(0, 6), alone(0, 6), alone(0, 6)], words: 1 };
    const fallen = explore(toy, new Pct(1, 3, 0), 4000).map(({ trace }) => trace.replaceAll(" ", ""));
    // Lane 0 falls, then lane 1; lane 2 runs to its end. Which of the two comes back first?
    expect(fallen.some((trace) => /^0+1+2+0+1+$/.test(trace))).toBe(true);
    expect(fallen.some((trace) => /^0+1+2+1+0+$/.test(trace))).toBe(true);
  });
  test("refuses a depth that is none", () => {
    expect(() => new Pct(1, 0, 0)).toThrow("PCT takes 1 to 64");
  });
});

test("POS finds a long alternation of racing accesses, which PCT cannot", () => {
  const toy: Toy = { lanes: [0, 1].map((lane) => [add(0, lane), add(0, lane), add(0, lane)]), words: 1 };
  const alternates = ({ trace }: Execution): boolean => /^(0 1 0 1 0 1|1 0 1 0 1 0)$/.test(trace);
  // Each of the five races is even: 2 / 2^6. Without drawing anew all six priorities would have to descend: 2 / 6!.
  expect(share(explore(toy, new Pos(1, 0), 4000), alternates)).toBeGreaterThan(0.02);
  expect(share(explore(toy, new Pct(1, 3, 0), 4000), alternates)).toBe(0);
});

describe("SURW", () => {
  const accesses = 15;
  /** Where, among the accesses of the long lane to word 0, the single one of lane 1 comes. */
  function places(toy: Toy, strategy: Strategy): number[] {
    const found = Array.from({ length: accesses + 1 }, () => 0);
    const all = explore(toy, strategy, 6000).slice(10);
    for (const { result = "" } of all) found[Number(result.split(/[|,]/)[toy.words + 1])]++;
    return found.map((n) => (n * found.length) / all.length);
  }
  /** Lane 1 stores in its register how many accesses of lane 0 came first. */
  const uneven = (before: readonly Step[], beforeToo: readonly Step[]): Toy => ({
    lanes: [
      [...before, ...Array.from({ length: accesses }, () => add(0, 1))],
      [...beforeToo, { ...load(0), effect: WRITES, run: (s) => void (s.registers[1] = s.words[0]) }],
    ],
    words: 3,
  });

  test("makes all orders of uneven programs about equally likely; a random walk does not", () => {
    const likelihoods = places(uneven([], []), new Surw(1, 0));
    expect(Math.min(...likelihoods)).toBeGreaterThan(0.6);
    expect(Math.max(...likelihoods)).toBeLessThan(1.6);
    expect(Math.max(...places(uneven([], []), new RandomWalk(1, 0.5, 0)))).toBeGreaterThan(3);
  });
  test("in every second execution, does so for the accesses to the one shared word only", () => {
    const [first] = places(uneven(alone(1, 20), alone(2, 1)), new Surw(1, 0));
    // Lane 1 is first at word 0 in 231 of the 666 orders of all 35 + 2 accesses; and in 1 of 136 of the 15 + 2 that are
    // to word 0 or begin lane 1.
    const expected = (16 * (231 / 666 + 1 / 136)) / 2;
    expect(first).toBeGreaterThan(0.8 * expected);
    expect(first).toBeLessThan(1.2 * expected);
  });
});

test("round-robin gives each lane its quantum", () => {
  const toy: Toy = { lanes: [alone(0, 6), alone(0, 6), alone(0, 6)], words: 1 };
  const traces = explore(toy, new RoundRobin(1, 3, 0), 30).map(({ trace }) => trace.replaceAll(" ", ""));
  expect(new Set(traces).size).toBe(3);
  for (const trace of traces) expect(trace).toMatch(/^0{1,3}(111222000)+/);
  expect(() => new RoundRobin(1, 0, 0)).toThrow("quantum 0");
});
