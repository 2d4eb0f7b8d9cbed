/** Decision points that the engine passes without a question: asking there would change nothing. */
import { afterEach, describe, expect, test } from "vitest";
import { findScenarios } from "../../../../src/main/explore/catalogue.ts";
import { ALONE } from "../../../../src/main/explore/engine/execution.ts";
import { Engine } from "../../../../src/main/explore/engine/engine.ts";
import type { Lane } from "../../../../src/main/explore/engine/lane.ts";
import { Explorer, injectionsOf } from "../../../../src/main/explore/explore.ts";
import { BARE_KERNEL } from "../../../../src/main/explore/kernel.ts";
import { get, type Scenario, set } from "../../../../src/main/explore/scenario.ts";
import { openSubject } from "../../../../src/main/explore/subject.ts";
import { Pct } from "../../../../src/main/explore/strategies/pct.ts";
import { RandomWalk } from "../../../../src/main/explore/strategies/random_walk.ts";
import { type DecisionPoint, scheduleToText, type Strategy } from "../../../../src/main/explore/strategy.ts";

const NAMES = [
  "spin",
  "T2",
  "T4",
  "T25b",
  "E14",
  "llist-push-push-drain",
  "nolock-on-kfree-rcu",
  "drains-full-sheaf-dfdrk-late",
  "T28-T27",
  "E16",
  "preempt-kfree-rcu",
  "rt-free-free",
  "migrate-kfree-rcu-some",
];
const EXECUTIONS = 60;

/** Answers like `inner`, and is asked everywhere. */
class Asked implements Strategy {
  readonly name = "asked";
  private readonly inner: Strategy;
  constructor(inner: Strategy) {
    this.inner = inner;
  }
  begin(): boolean {
    return this.inner.begin();
  }
  choose(point: DecisionPoint): number {
    return this.inner.choose(point);
  }
  end(points: number, learned: boolean): void {
    this.inner.end(points, learned);
  }
}

/** CPU 1 spins on a word that CPU 0 sets in the middle of its program. */
const SPIN: Scenario = {
  name: "spin",
  kernel: BARE_KERNEL,
  cpus: [
    [
      (cpu) => {
        for (let i = 1; i < 6; i++) set(cpu, i, get(cpu, i + 1) + 1);
        set(cpu, 0, 1);
        for (let i = 1; i < 6; i++) set(cpu, i, get(cpu, i + 1) + 2);
      },
    ],
    [
      (cpu) => {
        while (get(cpu, 0) === 0) cpu.mem.relax();
        for (let i = 1; i < 6; i++) set(cpu, i, get(cpu, i) * 2);
      },
    ],
  ],
};

async function explorerOf(name: string): Promise<Explorer> {
  if (name === SPIN.name) return new Explorer(SPIN);
  const [entry] = await findScenarios([name]);
  return openSubject(entry, {}).explorer;
}
async function schedulesOf(name: string, strategyFor: (injections: number) => Strategy): Promise<readonly string[]> {
  const explorer = await explorerOf(name);
  const { scenario } = explorer;
  const strategy = strategyFor(injectionsOf(scenario));
  return Array.from({ length: EXECUTIONS }, () => {
    strategy.begin();
    explorer.execute(strategy);
    return `${scheduleToText(explorer.engine.picks)} (${explorer.engine.points} points)`;
  });
}

describe.each(NAMES)("%s", (name) => {
  test.each([
    ["PCT", (injections: number) => new Pct(7, 3, injections)],
    ["random walk", (injections: number) => new RandomWalk(7, 0.05, injections)],
  ])("%s makes the same choices if it is asked everywhere", async (_, strategyFor) => {
    const asked = await schedulesOf(name, (injections) => new Asked(strategyFor(injections)));
    expect(await schedulesOf(name, strategyFor)).toEqual(asked);
  });
});

interface Decisions {
  isAlone?: boolean;
  decision: { count: number };
  decide(lane: Lane, blocked: boolean, point: number): number;
  decideBefore: (this: Decisions, lane: Lane, index: number, effect: number, point: number) => void;
  beQuiet: (this: Decisions, points: number) => void;
  endQuiet: (this: Decisions) => void;
}
const prototype = Engine.prototype as unknown as Decisions;
const originals = {
  decideBefore: prototype.decideBefore,
  beQuiet: prototype.beQuiet,
  endQuiet: prototype.endQuiet,
};
afterEach(() => {
  Object.assign(prototype, originals);
});

test("a lane that passes alone has no other choice", async () => {
  const counts: number[] = []; // An assertion in there would be taken for a failure of the execution.
  prototype.beQuiet = function (this: Decisions, points) {
    this.isAlone = points === ALONE;
    originals.beQuiet.call(this, this.isAlone ? 0 : points);
  };
  prototype.endQuiet = function (this: Decisions) {
    this.isAlone = false;
    originals.endQuiet.call(this);
  };
  prototype.decideBefore = function (this: Decisions, lane, index, effect, point) {
    if (this.isAlone === true) {
      this.decide(lane, false, point);
      counts.push(this.decision.count);
    }
    originals.decideBefore.call(this, lane, index, effect, point);
  };
  for (const name of NAMES) await schedulesOf(name, (injections) => new RandomWalk(7, 0.05, injections));
  expect(counts.length).toBeGreaterThan(1000);
  expect(Math.max(...new Set(counts))).toBe(1);
});
