/**
 * Random walk: at each decision point another lane runs with probability p. Small p finds more than a fair coin: most
 * bugs need few switches at the right places, and long stretches in between.
 *
 * Thomson, Donaldson, Betts, "Concurrency testing using controlled schedulers: an empirical study" (TOPC 2016).
 */
import { NEVER, type DecisionPoint } from "../strategy.ts";
import { isRun } from "./injections.ts";
import { Sampler } from "./sampler.ts";
import { OWN, STRATEGY_WORDS, type StoredRandom } from "./state.ts";

/** Decision point at which the running lane is left. */
const LEAVE = OWN;

/** One of the choices from `first` on that let a lane run, all equally likely; 0 if there is none. */
function anyRun(point: DecisionPoint, first: number, random: StoredRandom): number {
  let runs = 0;
  for (let i = first; i < point.count; i++) if (isRun(point, i)) runs++;
  if (runs === 0) return 0;
  let n = random.below(runs);
  for (let i = first; ; i++) if (isRun(point, i) && n-- === 0) return i;
}

export class RandomWalk extends Sampler {
  readonly name: string;
  readonly everyAccess: boolean;
  private readonly p: number;

  /** @param everyAccess  also decide at words that are not known to be shared: to learn which are. */
  constructor(
    seed: number,
    p: number,
    injections: number,
    everyAccess = false,
    state: Int32Array = new Int32Array(STRATEGY_WORDS),
  ) {
    super(seed, injections, state);
    this.name = `random walk p=${p}`;
    this.everyAccess = everyAccess;
    this.p = p;
  }
  protected override start(): void {
    this.drawLeave(0);
  }
  /** With probability p at each point from number `at` on: so far ahead that is. */
  private drawLeave(at: number): void {
    const ahead = this.p > 0 ? Math.floor(Math.log(1 - this.random.fraction()) / Math.log(1 - this.p)) : NEVER;
    this.state[LEAVE] = at + Math.min(ahead, NEVER);
  }
  protected override pick(point: DecisionPoint, at: number): number {
    const interrupt = this.injections.accept(point);
    if (interrupt !== 0) return interrupt;
    if (at >= this.state[LEAVE]) {
      this.drawLeave(at + 1);
      if (!point.blocked) return anyRun(point, 1, this.random);
    }
    return point.blocked ? anyRun(point, 0, this.random) : 0;
  }
  quiet(_point: DecisionPoint, pending: boolean): number {
    if (pending) return 0; // It draws anew whether one is taken.
    return this.quietUntil(this.state[LEAVE]);
  }
}
