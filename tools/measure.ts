/**
 * The two programs that should notice a bug, run in some copy of the tree and timed: `sheaf explore`, with a fixed seed, so
 * that it finds the same each time, and `sheaf torture`.
 */
import { spawnSync } from "node:child_process";

export const EXPLORE_S = 20;
export const TORTURE_S = 60;
/** To start, and to shrink and show what was found. */
const AROUND_S = 60;

export interface Outcome {
  readonly caught: boolean;
  /** First line of the failure; or why there is none. */
  readonly message: string;
  /** Explorer: of the search. Torture: all in all, with starting Node and booting the machine. */
  readonly seconds: number;
}
export interface Explored extends Outcome {
  readonly schedules: number;
}

/** @param words  what `sheaf explore` is given */
export function explore(cwd: string, words: readonly string[]): Explored {
  const limits = ["--duration", `${EXPLORE_S}s`, "--seed", "1"];
  const report = runSheaf(cwd, "explore", [...words, ...limits], EXPLORE_S) as ExploreReport | string;
  if (typeof report === "string") return { caught: false, message: report, seconds: 0, schedules: 0 };
  const [scenario] = report.scenarios;
  const { failure, schedules, duration_ms } = scenario;
  const message = failure === null ? `not within ${EXPLORE_S} s` : firstLine(failure.message);
  // A divergence is a failure of the explorer, and says nothing about the bug.
  const caught = failure !== null && !message.includes("divergence");
  return { caught, message, seconds: duration_ms / 1000, schedules };
}

/** @param words  what `sheaf torture` is given */
export function torture(cwd: string, words: readonly string[], limitS = TORTURE_S): Outcome {
  const startMs = performance.now();
  const report = runSheaf(cwd, "torture", ["--duration", `${limitS}s`, ...words], limitS) as TortureReport | string;
  const seconds = (performance.now() - startMs) / 1000;
  if (typeof report === "string") return { caught: false, message: report, seconds };
  const caught = report.verdict === "FAILURE";
  return { caught, message: caught ? firstLine(report.failures[0] ?? "") : `not within ${limitS} s`, seconds };
}

/** What is used of the reports that --json prints. */
interface ExploreReport {
  readonly scenarios: readonly [
    {
      readonly schedules: number;
      readonly duration_ms: number;
      readonly failure: { readonly message: string } | null;
    },
  ];
}
interface TortureReport {
  readonly verdict: string;
  readonly failures: readonly string[];
}
/** @returns the report; or a line that says why there is none. */
function runSheaf(cwd: string, command: string, words: readonly string[], seconds: number): unknown {
  const { error, stdout, stderr } = spawnSync(process.execPath, ["bin/sheaf.js", command, "--json", ...words], {
    cwd,
    encoding: "utf8",
    timeout: (seconds + AROUND_S) * 1000,
    maxBuffer: Infinity, // A report has every step of the failure.
  });
  const line = stdout.trim().split("\n").at(-1) ?? "";
  if (error === undefined && line.startsWith("{")) return JSON.parse(line) as unknown;
  return `no report: ${error?.message ?? firstLine(stderr.trim())}`;
}
function firstLine(text: string): string {
  return text.split("\n", 1)[0] ?? "";
}
