/** Strategies by the names that the command line takes. */
import type { Strategy } from "../strategy.ts";
import { Bounded } from "./bounded.ts";
import { Pct } from "./pct.ts";
import { Portfolio } from "./portfolio.ts";
import { Pos } from "./pos.ts";
import { RandomWalk } from "./random_walk.ts";
import { RoundRobin } from "./round_robin.ts";
import { SleepSets } from "./sleep_sets.ts";
import { Surw } from "./surw.ts";

export interface StrategyOptions {
  readonly seed?: number;
  /** NMIs and ticks to place in each execution. */
  readonly injections?: number;
  /** Random walk: probability of a switch at each point. */
  readonly p?: number;
  /** PCT. */
  readonly depth?: number;
  /** Bounded and portfolio: the last preemption bound to search. */
  readonly bound?: number;
  /** Round-robin: decision points in a turn. */
  readonly quantum?: number;
  /** Words of a sampler's state, for threads that run one execution in turn. Default: new ones. */
  readonly state?: Int32Array;
}

type Make = (options: Required<Omit<StrategyOptions, "state">>, state: Int32Array | undefined) => Strategy;

const MAKE: Readonly<Record<string, Make>> = {
  portfolio: ({ seed, injections, bound, depth }) => new Portfolio({ seed, injections, bound, depth }),
  "random-walk": ({ seed, p, injections }, state) => new RandomWalk(seed, p, injections, false, state),
  pct: ({ seed, depth, injections }, state) => new Pct(seed, depth, injections, state),
  pos: ({ seed, injections }, state) => new Pos(seed, injections, state),
  surw: ({ seed, injections }, state) => new Surw(seed, injections, state),
  bounded: ({ bound }) => new Bounded(bound, { from: 0, cache: true }),
  "sleep-sets": () => new SleepSets(),
  "round-robin": ({ seed, quantum, injections }, state) => new RoundRobin(seed, quantum, injections, state),
};

export const STRATEGY_NAMES: readonly string[] = Object.keys(MAKE);

/** @throws RangeError that lists the names. */
export function strategyNamed(name: string, options: StrategyOptions = {}): Strategy {
  const make = Object.hasOwn(MAKE, name) ? MAKE[name] : undefined;
  if (make === undefined) throw new RangeError(`no strategy "${name}": ${STRATEGY_NAMES.join(", ")}`);
  const { seed = 1, injections = 0, p = 0.1, depth = 3, bound = 2, quantum = 4, state } = options;
  return make({ seed, injections, p, depth, bound, quantum }, state);
}
