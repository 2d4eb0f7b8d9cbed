/**
 * The strategies of the explorer's core: random walk, PCT, bounded exhaustive search, replay.
 *
 *   random walk   at each point leave the default with probability p
 *   PCT           Burckhardt et al., "A randomized scheduler with probabilistic guarantees of finding bugs" (ASPLOS 2010)
 *   bounded       Musuvathi and Qadeer, "Iterative context bounding" (PLDI 2007): all schedules with at most n preemptions
 */
import { Random } from "../../shared/base/random.ts";
import { IRQ, NMI, NMI_TO, SWITCH, TICK, TIME, type DecisionPoint, type Schedule, type Strategy } from "./strategy.ts";

/** Is a choice an interrupt or a tick, rather than the question of who runs? */
function isInjection(choice: number): boolean {
  return choice === NMI || choice === TICK || choice === TIME || choice >= NMI_TO;
}

/** Draws the points at which injections happen, so that they spread over the whole execution. */
class Injections {
  private readonly random: Random;
  private readonly perRun: number;
  private left: number[] = [];
  constructor(random: Random, perRun: number) {
    this.random = random;
    this.perRun = perRun;
  }
  begin(length: number): void {
    this.left = Array.from({ length: this.perRun }, () => this.random.below(Math.max(1, length))).toSorted(
      (a, b) => b - a,
    );
  }
  /** @returns index of an injection to make at decision point number `at`, or 0. */
  choose(point: DecisionPoint, at: number): number {
    const next = this.left.at(-1);
    if (next !== undefined && at >= next) {
      const injections: number[] = [];
      for (let i = 1; i < point.count; i++) if (isInjection(point.choices[i])) injections.push(i);
      if (injections.length > 0) {
        this.left.pop();
        return injections[this.random.below(injections.length)];
      }
    }
    // A pending interrupt is taken soon, but not always at once.
    for (let i = 1; i < point.count; i++) {
      if (point.choices[i] >= IRQ && this.random.chance(0.25)) return i;
    }
    return 0;
  }
}

/** At each point: with probability `p` another lane runs. */
export class RandomWalk implements Strategy {
  readonly name: string;
  readonly everyAccess: boolean;
  private readonly p: number;
  private readonly random: Random;
  private readonly injections: Injections;
  private length = 64;
  private at = 0;
  /** @param everyAccess  also decide at words that are not known to be shared: to learn which are. */
  constructor(seed: number, p: number, injectionsPerRun: number, everyAccess = false) {
    this.name = `random walk p=${p}`;
    this.everyAccess = everyAccess;
    this.p = p;
    this.random = new Random(seed);
    this.injections = new Injections(this.random, injectionsPerRun);
  }
  begin(): boolean {
    this.at = 0;
    this.injections.begin(this.length);
    return true;
  }
  choose(point: DecisionPoint): number {
    const injection = this.injections.choose(point, this.at++);
    if (injection !== 0) return injection;
    if (!point.blocked && !this.random.chance(this.p)) return 0;
    const runnable: number[] = [];
    for (let i = point.blocked ? 0 : 1; i < point.count; i++) {
      if (!isInjection(point.choices[i])) runnable.push(i);
    }
    return runnable.length === 0 ? 0 : runnable[this.random.below(runnable.length)];
  }
  end(points: number): void {
    this.length = Math.max(16, points);
  }
}

/** PCT: the lane with the highest priority runs; at d-1 random points the running lane becomes the lowest. */
export class Pct implements Strategy {
  readonly name: string;
  private readonly depth: number;
  private readonly random: Random;
  private readonly injections: Injections;
  private priorities: number[] = [];
  private changes: number[] = [];
  private length = 64;
  private at = 0;
  private lowest = 0;
  constructor(seed: number, depth: number, injectionsPerRun: number) {
    this.name = `PCT d=${depth}`;
    this.depth = depth;
    this.random = new Random(seed);
    this.injections = new Injections(this.random, injectionsPerRun);
  }
  begin(): boolean {
    this.at = 0;
    this.lowest = 0;
    this.priorities = Array.from({ length: 32 }, () => 1 + this.random.below(65536));
    this.changes = Array.from({ length: this.depth - 1 }, () => this.random.below(this.length)).toSorted(
      (a, b) => b - a,
    );
    this.injections.begin(this.length);
    return true;
  }
  choose(point: DecisionPoint): number {
    const at = this.at++;
    const injection = this.injections.choose(point, at);
    if (injection !== 0) return injection;
    const change = this.changes.at(-1);
    if (change !== undefined && at >= change) {
      this.changes.pop();
      this.priorities[point.lane] = --this.lowest;
    }
    let best = 0;
    for (let i = 1; i < point.count; i++) {
      if (isInjection(point.choices[i])) continue;
      if (this.priority(point, i) > this.priority(point, best)) best = i;
    }
    return best;
  }
  end(points: number): void {
    this.length = Math.max(16, points);
  }
  private priority(point: DecisionPoint, i: number): number {
    return this.priorities[point.lanes[i]];
  }
}

/** All schedules with at most `bound` preemptions (switches away from a lane that could go on), depth first. */
export class Bounded implements Strategy {
  readonly name: string;
  readonly bound: number;
  /** True once every schedule within the bound has been tried. */
  exhausted = false;
  private path: { choice: number; count: number; cost: number[] }[] = [];
  private depth = 0;
  private spent = 0;
  constructor(bound: number) {
    this.name = `exhaustive, ${bound} preemptions`;
    this.bound = bound;
  }
  begin(): boolean {
    this.depth = 0;
    this.spent = 0;
    return !this.exhausted;
  }
  choose(point: DecisionPoint): number {
    let step = this.path[this.depth];
    if (step === undefined) {
      const cost: number[] = [];
      for (let i = 0; i < point.count; i++) {
        const choice = point.choices[i];
        cost.push(!point.blocked && choice >= SWITCH && choice < NMI_TO ? 1 : 0);
      }
      step = { choice: 0, count: point.count, cost };
      this.path.push(step);
    }
    this.depth++;
    this.spent += step.cost[step.choice];
    return step.choice;
  }
  end(_points: number, learned: boolean): void {
    if (learned) {
      this.path = []; // There are more decision points than before: the numbering is void.
      return;
    }
    let spent = this.spent;
    while (this.path.length > 0) {
      const step = this.path.at(-1) as { choice: number; count: number; cost: number[] };
      spent -= step.cost[step.choice];
      do step.choice++;
      while (step.choice < step.count && spent + step.cost[step.choice] > this.bound);
      if (step.choice < step.count) return;
      this.path.pop();
    }
    this.exhausted = true;
  }
}

/** Repeats a schedule; everything it does not name is the default. */
export class Replay implements Strategy {
  readonly name = "replay";
  readonly everyAccess = true;
  private readonly schedule: Schedule;
  private next = 0;
  private done = false;
  constructor(schedule: Schedule) {
    this.schedule = schedule;
  }
  begin(): boolean {
    this.next = 0;
    return !this.done;
  }
  choose(point: DecisionPoint): number {
    const pick = this.schedule[this.next];
    if (pick === undefined || pick.lane !== point.lane || pick.access !== point.access) return 0;
    this.next++;
    for (let i = 0; i < point.count; i++) if (point.choices[i] === pick.choice) return i;
    return 0;
  }
  end(): void {
    this.done = true;
  }
  /** Picks that found no place in the execution: 0 for a faithful replay. */
  get unused(): number {
    return this.schedule.length - this.next;
  }
}
