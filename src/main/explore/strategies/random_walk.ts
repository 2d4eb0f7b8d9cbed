/**
 * Random walk: at each decision point another lane runs with probability p. Small p finds more than a fair coin: most
 * bugs need few switches at the right places, and long stretches in between.
 *
 * Thomson, Donaldson, Betts, "Concurrency testing using controlled schedulers: an empirical study" (TOPC 2016).
 */
import type { DecisionPoint } from "../strategy.ts";
import { isRun } from "./injections.ts";
import { Sampler } from "./sampler.ts";
import { STRATEGY_WORDS, type StoredRandom } from "./state.ts";

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
  protected override pick(point: DecisionPoint): number {
    const interrupt = this.injections.accept(point);
    if (interrupt !== 0) return interrupt;
    if (point.blocked) return anyRun(point, 0, this.random);
    return this.random.chance(this.p) ? anyRun(point, 1, this.random) : 0;
  }
}
