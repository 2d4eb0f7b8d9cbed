/** What `sheaf explore` prints: the parameters, a line for each scenario, each failure, and the verdict. */
import { styleText } from "node:util";
import { POINT_NAMES } from "../../shared/layout/points.ts";
import type { Output } from "../command.ts";
import type { CoverageCounts } from "./coverage_counts.ts";
import { coverageJson, coverageTable, neverReached } from "./coverage_report.ts";
import { describeParameters, type ExploreConfig } from "./explore_config.ts";
import type { ExploreResult, NotRun, ScenarioReport, Verdict, Within } from "./explore_run.ts";
import { describeFinding, jsonFinding } from "./finding.ts";
import { grouped, perSecond, Progress } from "./progress.ts";
import type { SearchState } from "./search.ts";
import { scheduleToText } from "./strategy.ts";

const PREFIX = "sheaf-explore:";

export class ExploreReporter {
  private readonly config: ExploreConfig;
  private readonly output: Output;
  private readonly isQuiet: boolean;
  private readonly progress: Progress;
  private names: readonly string[] = [];
  private nameWidth = 0;
  private begun = 0;

  /** @param isQuiet  nothing but failures and the last line */
  constructor(config: ExploreConfig, output: Output, isQuiet: boolean) {
    this.config = config;
    this.output = output;
    this.isQuiet = isQuiet;
    this.progress = new Progress(output, isQuiet);
  }

  start(names: readonly string[]): void {
    this.names = names;
    this.nameWidth = Math.max(...names.map((name) => name.length));
    if (!this.isQuiet) this.output.out(`${PREFIX}--- Start of search: ${describeParameters(this.config)}`);
  }
  scenario(name: string): void {
    this.begun++;
    this.progress.begin(`${name} (${this.begun} of ${this.names.length})`);
  }
  searching(state: SearchState): void {
    this.progress.update(state);
  }
  report(report: ScenarioReport): void {
    this.progress.clear();
    if (!this.isQuiet) this.output.out(`${report.name.padEnd(this.nameWidth)}  ${describeReport(report)}`);
    for (const line of describeFailure(report)) this.output.out(line);
  }
  /** Also if quiet: what is missing in the verdict is no detail. */
  notRun({ name, reason }: NotRun): void {
    this.progress.clear();
    this.output.out(`${name}: not run: ${reason}`);
  }
  end(result: ExploreResult): void {
    const { verdict, coverage } = result;
    if (this.config.coverage) for (const line of coverageTable(coverage)) this.output.out(line);
    else if (!this.isQuiet) this.output.out(describeCoverage(coverage));
    const about = describeEnd(result, this.names.length);
    this.output.out(`${PREFIX}--- End of search: ${colour(verdict)}${about}: ${describeParameters(this.config)}`);
  }
}

/** "123,456 schedules (48,000/s), 1,234,567 steps: every schedule with up to 2 preemptions, clean" */
function describeReport(report: ScenarioReport): string {
  const { schedules, steps, elapsedMs } = report;
  const rate = perSecond(schedules, elapsedMs);
  return `${grouped(schedules)} schedules (${rate}), ${grouped(steps)} steps: ${describeBound(report)}`;
}
function describeBound({ exhausted, progress, end, verdict, hasSearched, within }: ScenarioReport): string {
  const few = hasSearched ? "the schedules are used up" : "only the random walk that learns has run: more --schedules";
  const outcomes = {
    failure: verdict === "FAILURE" ? "FAILURE" : "seen, as expected",
    exhausted: "clean",
    schedules: verdict === "SUCCESS" ? "clean" : `clean so far, ${few}`,
    stable: "clean, and nothing new any more",
    time: verdict === "SUCCESS" ? "clean" : "clean so far, the time is up",
    interrupted: "clean so far, interrupted",
  };
  const all = exhausted < 0 ? "" : `every schedule${describePreemptions(exhausted)}${describeWithin(within)}, `;
  const part =
    progress === undefined ? "" : `${percent(progress.share)} of those${describePreemptions(progress.bound)}, `;
  return `${all}${part}${outcomes[end]}`;
}
/** " (1 NMI, tso)": what else every schedule is within. */
function describeWithin({ nmis, atPoints, ticks, model }: Within): string {
  const parts = [
    ...(nmis === 0 ? [] : [`${nmis} ${nmis === 1 ? "NMI" : "NMIs"}${atPoints ? " at named points" : ""}`]),
    ...(ticks === 0 ? [] : [`${ticks} ${ticks === 1 ? "tick" : "ticks"}`]),
    ...(model === "sc" ? [] : [model]),
  ];
  return parts.length === 0 ? "" : ` (${parts.join(", ")})`;
}
function percent(share: number): string {
  return share < 0.001 ? "less than 0.1 %" : `about ${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`;
}
function describePreemptions(bound: number): string {
  if (bound === Infinity) return "";
  if (bound === 0) return " without preemption";
  return ` with at most ${bound} ${bound === 1 ? "preemption" : "preemptions"}`;
}

/** " (interrupted after 1.7 s; 13 of 265 scenarios as far as asked for)". SUCCESS may be that of some. */
function describeEnd({ verdict, reports, elapsedMs, isInterrupted }: ExploreResult, count: number): string {
  const done = reports.filter((report) => report.verdict === "SUCCESS").length;
  const parts = [
    ...(isInterrupted ? [`interrupted after ${(elapsedMs / 1000).toFixed(1)} s`] : []),
    ...(verdict === "SUCCESS" && done < count ? [`${done} of ${count} scenarios as far as asked for`] : []),
  ];
  return parts.length === 0 ? "" : ` (${parts.join("; ")})`;
}
function describeFailure({ name, failure, finding }: ScenarioReport): readonly string[] {
  if (finding !== undefined) return describeFinding(finding);
  if (failure === undefined) return [];
  return [
    `!!! FAILURE: ${name}: ${failure.message}`,
    "  Its schedule does not show it again: something is kept outside shared memory, by the scenario or by the explorer.",
    `  schedule: ${scheduleToText(failure.schedule)}`,
  ];
}

function colour(verdict: Verdict): string {
  const format = { SUCCESS: "green", FAILURE: "red", INCONCLUSIVE: "yellow" } as const;
  return styleText(format[verdict], verdict); // Leaves the text as it is where stdout is no terminal.
}

/** So many names fit a line. */
const FEW = 4;
/** One line: how much was reached, and the named points that never were. */
function describeCoverage(coverage: CoverageCounts): string {
  const { points } = neverReached(coverage);
  const all = POINT_NAMES.length - 1;
  if (points.length === all) return `coverage: ${grouped(coverage.pairs)} pairs`;
  const named = points.length <= FEW ? `: ${points.join(", ")}` : "";
  const missed = points.length === 0 ? "every named point visited" : `${points.length} points never visited${named}`;
  return `coverage: ${grouped(coverage.pairs)} pairs; ${missed} (--coverage prints it all)`;
}

/** The object that `--json` prints. Its keys are an interface: add to them, change none. */
export function jsonReport(config: ExploreConfig, result: ExploreResult): string {
  const { verdict, reports, notRun, elapsedMs, isInterrupted, coverage } = result;
  const unlessEndless = (n: number): number | null => (n === Infinity ? null : n);
  return JSON.stringify({
    verdict,
    interrupted: isInterrupted,
    seed: config.seed,
    strategy: config.strategy,
    preemptions: config.preemptions,
    depth: config.depth,
    all_steps: config.allSteps,
    nmi_at_points: config.nmiAtPoints,
    until_stable: config.untilStable,
    schedules_asked: unlessEndless(config.schedules),
    duration_asked_ms: unlessEndless(config.durationMs),
    options: config.overrideWords,
    duration_ms: Math.round(elapsedMs),
    coverage: coverageJson(coverage),
    scenarios: reports.map((report) => ({
      name: report.name,
      verdict: report.verdict,
      schedules: report.schedules,
      steps: report.steps,
      duration_ms: Math.round(report.elapsedMs),
      pairs: report.pairs,
      within: report.within,
      /** Every schedule, with any number of preemptions; exhausted_preemptions is null then. */
      complete: report.exhausted === Infinity,
      exhausted_preemptions: unlessEndless(report.exhausted),
      searching: report.progress ?? null,
      ended_by: report.end,
      failure: report.finding === undefined ? (report.failure ?? null) : jsonFinding(report.finding),
    })),
    not_run: notRun,
  });
}
