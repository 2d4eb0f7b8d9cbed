/** Shrinking: what remains is needed, and fails in the same way. */
import { describe, expect, test } from "vitest";
import { findScenarios } from "../../../src/main/explore/catalogue.ts";
import { type Execution, play } from "../../../src/main/explore/playback.ts";
import { failureKind, shrink, type ShrinkLimits } from "../../../src/main/explore/shrink.ts";
import { RandomWalk } from "../../../src/main/explore/strategies/random_walk.ts";
import { openSubject, type Subject } from "../../../src/main/explore/subject.ts";

async function subjectNamed(name: string): Promise<Subject> {
  const [entry] = await findScenarios([`test/main/explore/subjects.ts#${name}`]);
  return openSubject(entry, {});
}
/** The first failure of a random walk that decides often: full of picks that do not matter. */
function failingExecution(subject: Subject, seed: number): Execution {
  const strategy = new RandomWalk(seed, 0.5, 2, true);
  for (let n = 0; n < 1000 && strategy.begin(); n++) {
    const failure = subject.explorer.execute(strategy);
    if (failure !== undefined) return play(subject.explorer, failure.schedule);
  }
  throw new Error("no failure in 1000 executions");
}

describe("a lost update among noise", () => {
  test.each([1, 2, 3, 4, 6])("is a preemption or two between two operations (seed %i)", async (seed) => {
    const subject = await subjectNamed("noisy-lost-update");
    const failing = failingExecution(subject, seed);
    expect(failing.picks.length).toBeGreaterThan(5);
    const shrunk = await shrink(subject, failing);
    expect(shrunk.execution.failure?.message).toBe("lost update: 1 of 2");
    expect(shrunk.execution.picks.length).toBeLessThanOrEqual(2);
    for (const { kind } of shrunk.execution.picks) expect(kind).toBe("preemption");
    expect(shrunk.subject.overrides.without).toEqual([0, 2, 3, 5]); // Both adds are left.
    expect(shrunk.subject.scenario.cpus.map((program) => program.length)).toEqual([1, 1, 0]);
    // What was found is what runs.
    const again = play(shrunk.subject.explorer, shrunk.execution.picks);
    expect(again).toEqual(shrunk.execution);
    expect(play(shrunk.subject.explorer, []).failure).toBeUndefined();
  });
  test("leaves nothing that could go", async () => {
    const subject = await subjectNamed("noisy-lost-update");
    const shrunk = await shrink(subject, failingExecution(subject, 1));
    const { picks } = shrunk.execution;
    for (const pick of picks) {
      const without = play(
        shrunk.subject.explorer,
        picks.filter((other) => other !== pick),
      );
      expect(without.failure).toBeUndefined();
    }
  });
  test("takes no more executions than allowed", async () => {
    const subject = await subjectNamed("noisy-lost-update");
    const failing = failingExecution(subject, 5);
    const { runs, execution } = await shrink(subject, failing, { runs: 3 });
    expect(runs).toBe(3);
    expect(execution.failure).toBeDefined();
    expect((await shrink(subject, failing, { runs: 0 })).execution).toBe(failing);
  });
  test.each<[string, (controller: AbortController) => ShrinkLimits]>([
    ["a deadline", () => ({ deadlineMs: performance.now() + 100 })],
    ["a signal", ({ signal }) => ({ signal })],
  ])("ends in time, with what there is: %s", async (_, limits) => {
    const subject = await subjectNamed("livelock");
    const failing = failingExecution(subject, 1);
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 100);
    const { execution, isCut, runs } = await shrink(subject, failing, limits(controller));
    expect(isCut).toBe(true);
    expect(runs).toBeGreaterThan(0);
    expect(failureKind(execution.failure)).toBe(failureKind(failing.failure));
  });
});

test("failures are of one kind if only addresses, numbers and CPUs differ", () => {
  const kind = (message: string): string | undefined =>
    failureKind({ message, schedule: [], strategy: "", contexts: [], steps: 0 });
  expect(kind("CPU 1: object 0x1f40 freed twice, ticket 77")).toBe(kind("CPU 0: object 0x20ABC freed twice, ticket 8"));
  expect(kind("CPU 1: object 0x1f40 freed twice")).not.toBe(kind("CPU 1: object 0x1f40 freed early"));
});
