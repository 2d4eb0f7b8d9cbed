import { describe, expect, it } from "vitest";
import { casesOfGoals, GOALS, goalLines, type Goal } from "../../bench/goals.ts";
import { comparison, figures } from "./harness/comparisons.ts";

describe("the goals", () => {
  it("are each about a comparison that is made", () => {
    const cases = casesOfGoals(GOALS);
    for (const { bench, threads, peer } of GOALS) {
      const c = cases.find((each) => each.bench === bench && each.threads === threads);
      expect(
        c?.peers.map(({ name }) => name),
        bench,
      ).toContain(peer);
    }
  });
  it("make each comparison once, with no peer that they do not name", () => {
    const cases = casesOfGoals(GOALS);
    expect(new Set(cases.map(({ bench, threads }) => `${bench} ${threads}`)).size).toBe(cases.length);
    expect(cases.flatMap(({ peers }) => peers)).toHaveLength(GOALS.length);
  });
});

const GOAL: Goal = {
  work: "kmalloc pair",
  bench: "kmalloc pair",
  threads: 1,
  peer: "mimalloc",
  limit: 1,
  goal: "<= 1",
};
const measured = (ns: number, overlapped = true) =>
  goalLines(
    [GOAL],
    [comparison("kmalloc pair", figures("kmalloc", [ns], { overlapped }), [figures("mimalloc", [10])])],
  )[0];

describe("goalLines()", () => {
  it("compares the ratio with its limit", () => {
    expect(measured(10)).toMatch(/<= 1 +1\.00 +1\.00 {2}met$/);
    expect(measured(11)).toMatch(/<= 1 +1\.10 +1\.10 {2}missed$/);
  });
  it("judges nothing that was not measured", () => {
    expect(goalLines([GOAL], [])[0]).toMatch(/- +- {2}skipped$/);
    expect(measured(Infinity)).toMatch(/- +- {2}nothing was done$/);
    expect(measured(5, false)).toMatch(/0\.50 {2}not overlapped, ignore$/);
  });
  it("shows throughput where that is the goal", () => {
    const throughput = GOALS.find(({ goal }) => goal === ">= 1.8");
    expect(throughput?.show?.(0.5)).toBe("2.00");
    expect(throughput?.limit).toBeCloseTo(1 / 1.8);
  });
});
