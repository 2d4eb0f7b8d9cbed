/** When a search ends, and that it counts what it did. */
import { expect, test } from "vitest";
import { Explorer, injectionsOf } from "../../../src/main/explore/explore.ts";
import { search, type SearchLimits, type SearchResult } from "../../../src/main/explore/search.ts";
import type { Scenario } from "../../../src/main/explore/scenario.ts";
import { type StrategyName, strategyNamed } from "../../../src/main/explore/strategy_names.ts";
import { atomicCounter, lostUpdate } from "./subjects.ts";

const interrupted: Scenario = { ...atomicCounter, nmi: () => undefined };

const NO_LIMITS: SearchLimits = {
  schedules: Infinity,
  deadlineMs: Infinity,
  untilStable: false,
  watchAll: false,
  signal: new AbortController().signal,
};
async function run(scenario: Scenario, name: StrategyName, limits: Partial<SearchLimits> = {}): Promise<SearchResult> {
  const parameters = { seed: 1, preemptions: 2, depth: 3, injections: injectionsOf(scenario) };
  const strategy = strategyNamed(name, parameters);
  return search(new Explorer(scenario), strategy, parameters, { ...NO_LIMITS, ...limits }, () => undefined);
}

test("at a failure", async () => {
  const found = await run(lostUpdate, "pct");
  expect(found).toMatchObject({ end: "failure", failure: { message: "lost update: 1 of 2" } });
});
test("when everything has been tried", async () => {
  expect(await run(atomicCounter, "bounded")).toMatchObject({ end: "exhausted", failure: undefined, hasLearned: true });
});
test("after the schedules that were asked for, the first ones included", async () => {
  expect(await run(atomicCounter, "pct", { schedules: 30 })).toMatchObject({ end: "schedules", schedules: 30 });
  expect(await run(atomicCounter, "pct", { schedules: 250 })).toMatchObject({ end: "schedules", schedules: 250 });
});
test("when nothing new has come for long enough", async () => {
  const { end, schedules, coverage } = await run(interrupted, "pct", { untilStable: true });
  expect(end).toBe("stable");
  expect(coverage.pairs).toBeGreaterThan(0);
  expect(coverage.executions).toBe(schedules);
  expect(schedules - coverage.lastNew).toBe(Math.max(1000, coverage.lastNew));
});
test("watches the first executions, then some of them, unless all are to be watched", async () => {
  const some = await run(atomicCounter, "pct", { schedules: 1300 });
  expect(some.coverage.executions).toBe(500 + 100);
  const all = await run(atomicCounter, "pct", { schedules: 1300, watchAll: true });
  expect(all.coverage.executions).toBe(1300);
});
test("when the time is up, learned or not", async () => {
  expect(await run(atomicCounter, "pct", { deadlineMs: 0 })).toMatchObject({ end: "time", hasLearned: false });
  const deadlineMs = performance.now() + 200;
  expect(await run(atomicCounter, "pct", { deadlineMs })).toMatchObject({ end: "time", hasLearned: true });
});
test("when it is told to, at the next turn of the event loop", async () => {
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 20);
  expect(await run(atomicCounter, "pct", { signal: controller.signal })).toMatchObject({ end: "interrupted" });
});
