/**
 * A search: executions of one strategy, one after the other, until something is found, everything within the strategy's
 * bound has been tried, or the limits are reached. The first executions learn which words are shared (adr/0004). It runs
 * on this thread and lets the event loop have its turn many times per second, so that Ctrl-C arrives.
 *
 * Coverage looks at some of the executions only: watching costs a fifth, and what comes once in thousands it would miss
 * either way.
 */
import { setImmediate } from "node:timers/promises";
import { Coverage } from "./coverage.ts";
import type { CoverageCounts } from "./coverage_counts.ts";
import { type Explorer, type Failure, lanePrograms, LEARNING } from "./explore.ts";
import { RandomWalk } from "./strategies/random_walk.ts";
import type { Strategy } from "./strategy.ts";

/** How long the event loop waits for its turn. */
const SLICE_MS = 50;
/** Watched executions without a new pair before a search counts as stable; and as many as it took to the last new pair. */
const STABLE = 1000;
/** The first executions are watched, then one in so many. */
const WATCHED_FIRST = 500;
const WATCHED_ONE_IN = 8;

export interface SearchLimits {
  readonly schedules: number;
  /** On the clock of performance.now(). */
  readonly deadlineMs: number;
  readonly untilStable: boolean;
  /** Coverage watches every execution; with untilStable it does anyway. */
  readonly watchAll: boolean;
  readonly signal: AbortSignal;
}
export interface SearchState {
  readonly schedules: number;
  readonly steps: number;
  /** What has been reached: pairs of coverage_counts.ts. */
  readonly pairs: number;
}
type SearchEnd = "failure" | "exhausted" | "schedules" | "time" | "stable" | "interrupted";
export interface SearchResult extends SearchState {
  readonly end: SearchEnd;
  readonly failure: Failure | undefined;
  /** What the first executions were for was done. */
  readonly hasLearned: boolean;
  /** The strategy itself has run: there was more to do than to learn. */
  readonly hasSearched: boolean;
  readonly coverage: CoverageCounts;
}

/** @param injections  NMIs and ticks in one execution */
export async function search(
  explorer: Explorer,
  strategy: Strategy,
  { seed, injections }: { readonly seed: number; readonly injections: number },
  limits: SearchLimits,
  onProgress: (state: SearchState) => void,
): Promise<SearchResult> {
  const search = new Search(explorer, limits, onProgress);
  const learning = new RandomWalk(seed, 0.1, injections, true);
  let end = await search.run(learning, Math.min(LEARNING, limits.schedules));
  const hasLearned = end === "schedules";
  const learned = search.state.schedules;
  if (hasLearned) end = await search.run(strategy, limits.schedules - LEARNING);
  const { state, failure, coverage } = search;
  const hasSearched = state.schedules > learned;
  return { ...state, end, failure, hasLearned, hasSearched, coverage: coverage.counts };
}

class Search {
  failure: Failure | undefined;
  private schedules = 0;
  private steps = 0;
  readonly coverage: Coverage;
  private readonly explorer: Explorer;
  private readonly limits: SearchLimits;
  private readonly onProgress: (state: SearchState) => void;

  constructor(explorer: Explorer, limits: SearchLimits, onProgress: (state: SearchState) => void) {
    this.explorer = explorer;
    this.coverage = new Coverage(explorer.engine.cpus, lanePrograms(explorer.scenario));
    this.limits = limits;
    this.onProgress = onProgress;
  }
  get state(): SearchState {
    const { schedules, steps } = this;
    return { schedules, steps, pairs: this.coverage.counts.pairs };
  }

  async run(strategy: Strategy, schedules: number): Promise<SearchEnd> {
    const { deadlineMs, untilStable, signal } = this.limits;
    let pauseMs = performance.now() + SLICE_MS;
    for (let n = 0; n < schedules; n++) {
      if (!strategy.begin()) return "exhausted";
      this.failure = this.isWatched() ? this.watch(strategy) : this.explorer.execute(strategy);
      this.schedules++;
      this.steps += this.explorer.engine.steps;
      if (this.failure !== undefined) return "failure";
      if (untilStable && this.isStable()) return "stable";
      const nowMs = performance.now();
      if (nowMs >= pauseMs) {
        this.onProgress(this.state);
        await setImmediate();
        if (signal.aborted) return "interrupted";
        pauseMs = performance.now() + SLICE_MS;
      }
      if (nowMs >= deadlineMs) return "time";
    }
    return "schedules";
  }
  private isWatched(): boolean {
    const { schedules, limits } = this;
    return limits.watchAll || limits.untilStable || schedules < WATCHED_FIRST || schedules % WATCHED_ONE_IN === 0;
  }
  private watch(strategy: Strategy): Failure | undefined {
    this.coverage.begin();
    const failure = this.explorer.execute(strategy, this.coverage);
    this.coverage.end();
    return failure;
  }
  private isStable(): boolean {
    const { counts } = this.coverage;
    return counts.stable(Math.max(STABLE, counts.lastNew));
  }
}
