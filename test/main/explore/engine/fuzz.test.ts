/**
 * Random programs. On both engines the same schedules are step by step the same executions; and exhaustive search reaches
 * the same ends with the shared-word filter, the state cache and sleep sets as without.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { Explorer, injectionsOf, LEARNING } from "../../../../src/main/explore/explore.ts";
import { Fleet, STEP_LOG_ENTRIES } from "../../../../src/main/explore/hand_over/fleet.ts";
import { StepLog } from "../../../../src/main/explore/hand_over/step_log.ts";
import { MODELS } from "../../../../src/main/explore/options.ts";
import type { Scenario } from "../../../../src/main/explore/scenario.ts";
import type { MemoryModel } from "../../../../src/main/explore/engine/store_buffer.ts";
import type { Strategy } from "../../../../src/main/explore/strategy.ts";
import { Bounded } from "../../../../src/main/explore/strategies/bounded.ts";
import { RandomWalk } from "../../../../src/main/explore/strategies/random_walk.ts";
import { SleepSets } from "../../../../src/main/explore/strategies/sleep_sets.ts";
import { openSubject } from "../../../../src/main/explore/subject.ts";
import { Globals } from "../../../../src/shared/layout/globals.ts";
import { element } from "../../../../src/shared/mem/struct.ts";
import large, { small } from "./fuzz_cases.ts";

const { scenario: WORDS } = Globals.offset;
const FILE = new URL("./fuzz_cases.ts", import.meta.url);
const SCHEDULES: readonly (readonly [MemoryModel, number])[] = [
  ["sc", 40],
  ["tso", 10],
  ["pso", 10],
  ["pso", 10],
];
/** Executions that one search may take: it is compared where it finishes, and that must be in so many programs. */
const MOST = 1500;
const COMPARED = 8;

let fleet: Fleet;
beforeAll(() => {
  fleet = new Fleet(Math.max(...large.map(({ cpus }) => cpus.length)));
});
afterAll(() => fleet.close());

test.each(SCHEDULES)("%s: %d random schedules of each program are the same on both engines", async (model, count) => {
  const log = StepLog.of(STEP_LOG_ENTRIES);
  for (const scenario of large) {
    const entry = { name: scenario.name, file: FILE, scenario, happens: false };
    const subject = openSubject(entry, { model: MODELS.indexOf(model) });
    const { explorer } = subject;
    const walk = new RandomWalk(7, 0.3, injectionsOf(scenario));
    const recorded = Array.from({ length: count }, () => {
      walk.begin();
      log.clear();
      const failure = explorer.execute(walk, log);
      const { picks: schedule, steps } = explorer.engine;
      return { schedule, message: failure?.message, steps, digest: log.digest };
    });
    const executed = await fleet.run(subject, { schedules: recorded.map(({ schedule }) => schedule) }, true);
    expect(executed.length).toBe(count);
    for (const [n, { message, steps, digest }] of executed.entries()) {
      const { schedule: _, ...here } = recorded[n];
      expect({ message, steps, digest }, `${scenario.name}, schedule ${n}`).toEqual(here);
    }
  }
});

type Search = (scenario: Scenario) => readonly string[] | undefined;

/** How executions end under a strategy: words of the scenario, and failures. Undefined: it takes too many. */
const search =
  (filter: boolean, start: () => Strategy & { readonly exhausted: boolean }): Search =>
  (scenario) => {
    const ends = new Set<string>();
    const check: Scenario["check"] = (cpu) => {
      const values: string[] = [];
      for (let i = 0; i < 256; i++) {
        const value = cpu.mem.peek(cpu.globals, element(WORDS, i));
        if (value !== 0) values.push(`${i}=${value}`);
      }
      ends.add(values.join(" "));
      return undefined;
    };
    const explorer = new Explorer({ ...scenario, check }, { filter });
    const execute = (strategy: Strategy, most: number): void => {
      for (let n = 0; n < most && strategy.begin(); n++) {
        const failure = explorer.execute(strategy);
        if (failure !== undefined) ends.add(failure.message);
      }
    };
    if (filter) execute(new RandomWalk(1, 0.1, injectionsOf(scenario), true), LEARNING);
    ends.clear();
    const strategy = start();
    execute(strategy, MOST);
    return strategy.exhausted ? [...ends].toSorted() : undefined;
  };

/** Wherever both finish, each search must find the same ends as the reference. */
function compare(reference: Search, searches: Readonly<Record<string, Search>>): void {
  const compared = Object.fromEntries(Object.keys(searches).map((name) => [name, 0]));
  for (const scenario of small) {
    const expected = reference(scenario);
    if (expected === undefined) continue;
    for (const [name, run] of Object.entries(searches)) {
      const ends = run(scenario);
      if (ends === undefined) continue;
      expect(ends, `${scenario.name}, ${name}`).toEqual(expected);
      compared[name]++;
    }
  }
  for (const [name, count] of Object.entries(compared)) expect(count, name).toBeGreaterThanOrEqual(COMPARED);
}

test("with a bound, the filter and the cache leave out no end", () => {
  const bounded = (cache: boolean) => () => new Bounded(1, { cache });
  compare(search(false, bounded(false)), {
    filter: search(true, bounded(false)),
    cache: search(false, bounded(true)),
    "filter and cache": search(true, bounded(true)),
  });
});

test("without a bound, sleep sets leave out no end", () => {
  const cached = () => new Bounded(Infinity, { cache: true });
  const sleeping = () => new SleepSets();
  compare(search(false, cached), {
    "filter and cache": search(true, cached),
    "sleep sets": search(false, sleeping),
    "filter and sleep sets": search(true, sleeping),
  });
});
