/**
 * Portfolio: the default. No strategy wins everywhere, so the executions go round among all of them: half to the
 * samplers, each with its own stream of the seed, half to the exhaustive search, bound after bound. When that has tried
 * everything, the portfolio has.
 */
import { mixSeed } from "../../../shared/base/random.ts";
import type { DecisionPoint, Strategy } from "../strategy.ts";
import { Bounded } from "./bounded.ts";
import { Pct } from "./pct.ts";
import { Pos } from "./pos.ts";
import { RandomWalk } from "./random_walk.ts";
import { Surw } from "./surw.ts";

export interface PortfolioOptions {
  readonly seed: number;
  /** NMIs and ticks that samplers place in each execution. */
  readonly injections: number;
  /** The last preemption bound to search. */
  readonly bound: number;
  /** PCT runs with depth 2 to this. */
  readonly depth: number;
}

export class Portfolio implements Strategy {
  /** Whose turn it is, round after round; a strategy may have several turns. */
  private readonly turns: readonly Strategy[];
  private readonly search: Bounded;
  private next = 0;
  private current: Strategy;

  constructor({ seed, injections, bound, depth }: PortfolioOptions) {
    let stream = 0;
    const fresh = (): number => mixSeed(seed, stream++);
    const samplers: Strategy[] = [
      new Pos(fresh(), injections),
      new Surw(fresh(), injections),
      new RandomWalk(fresh(), 0.1, injections),
      new RandomWalk(fresh(), 0.01, injections),
    ];
    for (let d = 2; d <= depth; d++) samplers.push(new Pct(fresh(), d, injections));
    this.search = new Bounded(bound, { from: 0, cache: true });
    this.turns = samplers.flatMap((sampler) => [this.search, sampler]);
    this.current = this.search;
  }
  /** The strategy that runs the current execution. */
  get name(): string {
    return this.current.name;
  }
  get hashes(): boolean {
    return this.current.hashes === true;
  }
  get nextAccesses(): boolean {
    return this.current.nextAccesses === true;
  }
  /** Largest preemption bound whose schedules were all tried; -1: none; Infinity: no bound would have more. */
  get exhausted(): number {
    return this.search.finished;
  }

  get progress(): Bounded["progress"] {
    return this.search.progress;
  }

  begin(): boolean {
    if (this.search.finished === Infinity) return false;
    do this.current = this.turns[this.next++ % this.turns.length];
    while (!this.current.begin());
    return true;
  }
  choose(point: DecisionPoint): number {
    return this.current.choose(point);
  }
  quiet(point: DecisionPoint, pending: boolean): number {
    return this.current.quiet?.(point, pending) ?? 0;
  }
  passed(points: number): void {
    this.current.passed?.(points);
  }
  end(points: number, learned: boolean): void {
    this.current.end(points, learned);
    // Whoever learns of new decision points, the search must know.
    if (learned) this.search.startOver();
  }
}
