/** The strategies as the command line and the threads of an engine know them: by name, with one set of parameters. */
import { Bounded } from "./strategies/bounded.ts";
import * as named from "./strategies/named.ts";
import { Portfolio } from "./strategies/portfolio.ts";
import { SleepSets } from "./strategies/sleep_sets.ts";
import type { Strategy } from "./strategy.ts";

export const STRATEGY_SUMMARIES = {
  portfolio: "all of pos, surw, random-walk and pct in turn, and after each of them one step of bounded (default)",
  bounded: "every schedule with no preemption, then with one, and so on up to --preemptions",
  "sleep-sets": "every schedule, but one only of those that differ in the order of independent steps",
  pct: "a random priority for each CPU, and --depth - 1 random points at which one becomes the lowest",
  pos: "a random priority for each step, drawn again for those that race with the step that was taken",
  surw: "every interleaving of the steps that matter equally likely, as far as their number is known",
  "random-walk": "at each decision point another CPU with probability 0.1",
  "round-robin": "each CPU for some decision points, then the next",
} as const;
export type StrategyName = keyof typeof STRATEGY_SUMMARIES;
export const STRATEGY_NAMES = Object.keys(STRATEGY_SUMMARIES) as readonly StrategyName[];

export interface StrategyParameters {
  readonly seed: number;
  /** Largest number of preemptions for strategies that try every schedule. */
  readonly preemptions: number;
  /** PCT's d: how many orderings of steps a bug needs. */
  readonly depth: number;
  /** NMIs and ticks in one execution. */
  readonly injections: number;
}

/** @param state  words of the strategy, where several threads share it */
export function strategyNamed(name: StrategyName, parameters: StrategyParameters, state?: Int32Array): Strategy {
  const { preemptions: bound, ...rest } = parameters;
  return named.strategyNamed(name, { ...rest, bound, ...(state !== undefined && { state }) });
}

/** Whether there is a bound at which it has tried everything; the others could go on for ever. */
export function isExhaustive(strategy: Strategy): boolean {
  return strategy instanceof Portfolio || strategy instanceof Bounded || strategy instanceof SleepSets;
}
/** How far an exhaustive search has come with the bound that it is at; undefined: it is none with bounds, or complete. */
export function progressOf(strategy: Strategy): Bounded["progress"] | undefined {
  const bounded = strategy instanceof Portfolio || strategy instanceof Bounded ? strategy : undefined;
  return bounded === undefined || bounded.progress.share === 1 ? undefined : bounded.progress;
}
/** Largest number of preemptions up to which every schedule has been tried; -1: none; Infinity: there are no others. */
export function exhaustedBound(strategy: Strategy): number {
  if (strategy instanceof Portfolio) return strategy.exhausted;
  if (strategy instanceof Bounded) return strategy.finished;
  return strategy instanceof SleepSets && strategy.exhausted ? Infinity : -1;
}
