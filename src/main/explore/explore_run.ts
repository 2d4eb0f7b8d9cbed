/** One run of `sheaf explore`: searches the scenarios one after the other, and reaches a verdict. */
import { setImmediate } from "node:timers/promises";
import { POINT_NAMES } from "../../shared/layout/points.ts";
import { UsageError } from "../errors.ts";
import { type CatalogueEntry, findScenarios } from "./catalogue.ts";
import type { ExploreConfig } from "./explore_config.ts";
import { CoverageCounts } from "./coverage_counts.ts";
import { injectionsOf, nmisOf } from "./explore.ts";
import type { MemoryModel } from "./engine/store_buffer.ts";
import { confirmed, type Finding } from "./finding.ts";
import { search, type SearchResult, type SearchState } from "./search.ts";
import { exhaustedBound, isExhaustive, progressOf, strategyNamed } from "./strategy_names.ts";
import type { Strategy } from "./strategy.ts";
import { MODELS } from "./options.ts";
import { modelOf, type Overrides } from "./overrides.ts";
import { openSubject } from "./subject.ts";

const ALL_POINTS = POINT_NAMES.map((_, point) => point).slice(1);

export type Verdict = "SUCCESS" | "FAILURE" | "INCONCLUSIVE";

/** What bounds all schedules of a scenario besides preemptions. */
export interface Within {
  readonly nmis: number;
  /** NMIs come at named points only. */
  readonly atPoints: boolean;
  readonly ticks: number;
  readonly model: MemoryModel;
}
/** What one scenario came to. */
export interface ScenarioReport extends SearchResult {
  readonly name: string;
  readonly within: Within;
  readonly elapsedMs: number;
  /** Largest number of preemptions up to which every schedule was tried; -1: none. */
  readonly exhausted: number;
  /** How far the next bound has been searched, as a guess. */
  readonly progress: ReturnType<typeof progressOf>;
  readonly verdict: Verdict;
  /** The failure, once it has been confirmed. */
  readonly finding: Finding | undefined;
}
/** A scenario that cannot be run as it is asked for, among others that can. */
export interface NotRun {
  readonly name: string;
  readonly reason: string;
}
export interface ExploreResult {
  /** Of those that ran. */
  readonly verdict: Verdict;
  readonly reports: readonly ScenarioReport[];
  readonly notRun: readonly NotRun[];
  /** Of all scenarios together. */
  readonly coverage: CoverageCounts;
  readonly elapsedMs: number;
  readonly isInterrupted: boolean;
}

export interface ExploreHooks {
  readonly signal: AbortSignal;
  /** All that will be searched. */
  readonly onStart: (names: readonly string[]) => void;
  /** The next one begins. */
  readonly onScenario: (name: string) => void;
  readonly onProgress: (state: SearchState) => void;
  readonly onReport: (report: ScenarioReport) => void;
  readonly onNotRun: (notRun: NotRun) => void;
}

/** @throws UsageError  a scenario that is not there, or none that can be run */
export async function runExplore(config: ExploreConfig, hooks: ExploreHooks): Promise<ExploreResult> {
  const entries = await findScenarios(config.scenarios);
  hooks.onStart(entries.map(({ name }) => name));
  const startMs = performance.now();
  const reports: ScenarioReport[] = [];
  const notRun: NotRun[] = [];
  for (const [i, entry] of entries.entries()) {
    await setImmediate(); // A share may be too small for a turn of the event loop inside: Ctrl-C would wait for all.
    if (hooks.signal.aborted) break;
    hooks.onScenario(entry.name);
    const leftMs = startMs + config.durationMs - performance.now();
    const shareMs = leftMs / (entries.length - i); // What one leaves, others get.
    try {
      const report = await explore(entry, config, shareMs, hooks);
      hooks.onReport(report);
      reports.push(report);
    } catch (error) {
      // What others have shown must not get lost because one of them does not fit the options.
      const isLast = i === entries.length - 1;
      if (!(error instanceof UsageError) || (isLast && reports.length === 0)) throw error;
      notRun.push({ name: entry.name, reason: error.message.replace(`scenario ${entry.scenario.name}: `, "") });
      hooks.onNotRun(notRun[notRun.length - 1]);
    }
  }
  const coverage = new CoverageCounts();
  for (const report of reports) coverage.merge(report.coverage);
  return {
    verdict: overall(reports),
    reports,
    notRun,
    coverage,
    elapsedMs: performance.now() - startMs,
    isInterrupted: hooks.signal.aborted,
  };
}

async function explore(
  entry: CatalogueEntry,
  config: ExploreConfig,
  shareMs: number,
  { signal, onProgress }: ExploreHooks,
): Promise<ScenarioReport> {
  const startMs = performance.now();
  const subject = openSubject(entry, overridesFor(entry, config), {
    filter: !config.allSteps,
    ...(config.nmiAtPoints && { nmiPoints: ALL_POINTS }),
  });
  const { seed, preemptions, depth } = config;
  const injections = injectionsOf(subject.scenario);
  const strategy = strategyNamed(config.strategy, { seed, preemptions, depth, injections });
  const { schedules, untilStable } = config;
  const limits = { schedules, deadlineMs: startMs + shareMs, untilStable, watchAll: config.coverage, signal };
  const result = await search(subject.explorer, strategy, { seed, injections }, limits, onProgress);
  const elapsedMs = performance.now() - startMs;
  const finding = result.failure && (await confirmed(subject, result.failure, seed, signal));
  return {
    ...result,
    name: entry.name,
    within: {
      nmis: nmisOf(subject.scenario),
      atPoints: config.nmiAtPoints || subject.scenario.nmiPoints !== undefined,
      ticks: subject.scenario.ticks ?? 0,
      model: modelOf(subject.overrides),
    },
    elapsedMs,
    exhausted: exhaustedBound(strategy),
    progress: result.end === "failure" ? undefined : progressOf(strategy),
    verdict: verdictOf(entry.happens, preemptions, strategy, result),
    finding,
  };
}

/** Some litmus tests show nothing where stores do not wait: they bring their memory model along. */
function overridesFor({ model }: CatalogueEntry, { overrides }: ExploreConfig): Overrides {
  return model === undefined || overrides.model !== undefined
    ? overrides
    : { ...overrides, model: MODELS.indexOf(model) };
}

/** SUCCESS: it was searched as far as was asked for, and nothing is wrong. */
function verdictOf(happens: boolean, preemptions: number, strategy: Strategy, result: SearchResult): Verdict {
  const { end, hasLearned, hasSearched } = result;
  if (end === "failure") return happens ? "SUCCESS" : "FAILURE";
  const hasEnded = end === "exhausted" || end === "stable";
  // A strategy that tries everything has a bound to reach; one that draws at random has the time, or so many schedules.
  const hasUsedAll = (end === "time" && hasLearned) || (end === "schedules" && hasSearched);
  return hasEnded || (hasUsedAll && !isExhaustive(strategy)) || exhaustedBound(strategy) >= preemptions
    ? "SUCCESS"
    : "INCONCLUSIVE";
}
function overall(reports: readonly ScenarioReport[]): Verdict {
  const verdicts = reports.map(({ verdict }) => verdict);
  if (verdicts.includes("FAILURE")) return "FAILURE";
  return verdicts.includes("SUCCESS") ? "SUCCESS" : "INCONCLUSIVE";
}
