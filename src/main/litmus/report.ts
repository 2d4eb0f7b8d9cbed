/** Results of litmus tests as text: herd's line, the last line, the list, JSON. */
import { scheduleToText } from "../explore/strategy.ts";
import { nameOf } from "./catalogue.ts";
import { LEFT_OUT } from "./left_out.ts";
import type { Litmus } from "./litmus.ts";
import type { LitmusResult } from "./run.ts";

/** "Observation T4 Never 0 5035    F bound 2 exhausted no-op: Sometimes 102", and a line below if that is wrong. */
export function litmusLine(result: LitmusResult): string {
  const { litmus, observed, others, problem } = result;
  const observation = `Observation ${nameOf(litmus)} ${frequency(observed, others)} ${observed} ${others}`;
  const columns = [observation.padEnd(55), verdictText(litmus), boundText(result).padEnd(17), vacuityText(result)];
  const line = columns.join(" ").trimEnd();
  return problem === undefined ? line : `${line}\n  ${problem}`;
}
function frequency(observed: number, others: number): string {
  if (observed === 0) return "Never";
  return others === 0 ? "Always" : "Sometimes";
}
function verdictText({ verdict }: Litmus): string {
  return verdict === "detector" ? "-" : verdict;
}
function boundText({ litmus, bound, exhausted }: LitmusResult): string {
  if (litmus.verdict === "detector") return "must be detected";
  if (bound < 0) return "random only";
  return exhausted >= bound ? `bound ${bound} exhausted` : `bound ${bound} NOT done`;
}
function vacuityText({ vacuity }: LitmusResult): string {
  if (vacuity === undefined) return "";
  return `no-op: ${frequency(vacuity.observed, vacuity.others)} ${vacuity.observed}`;
}

/** The last line: "OK", or which tests are not, and why. */
export function litmusSummary(results: readonly LitmusResult[]): string {
  const verdict = overall(results);
  if (verdict === "ok") return `OK: ${results.length} ${results.length === 1 ? "test" : "tests"}`;
  const names = results.flatMap((each) => (each.verdict === verdict ? nameOf(each.litmus) : [])).join(", ");
  if (verdict === "failed") return `FAILURE: ${names}`;
  return `INCONCLUSIVE: bound not exhausted: ${names}; give more --schedules or a smaller --bound`;
}
/** What the last line says after Ctrl-C: no "OK" for what did not run. */
export function interruptedSummary(results: readonly LitmusResult[], tests: number): string {
  const wrong = overall(results) === "ok" ? "" : `${litmusSummary(results)}; `;
  return `${wrong}interrupted, ${results.length} of ${tests} tests`;
}
/** The worst verdict of them. */
export function overall(results: readonly LitmusResult[]): LitmusResult["verdict"] {
  const worst = (["failed", "inconclusive"] as const).find((verdict) => results.some((r) => r.verdict === verdict));
  return worst ?? "ok";
}

/** The tests, and what the specification has besides. */
export function litmusList(tests: readonly Litmus[]): string[] {
  const width = Math.max(...tests.map((litmus) => nameOf(litmus).length));
  const rows = tests.map((litmus) => {
    const model = litmus.memory === undefined ? "" : `, ${litmus.memory}`;
    return `${nameOf(litmus).padEnd(width)}  ${litmus.title} (${litmus.outcome}: ${litmus.verdict}${model})`;
  });
  return [...rows, "", "Left out:", ...LEFT_OUT.map(({ names, reason }) => `${names.join(" ")}: ${reason}`)];
}

/** Its keys are an interface: add to them, change none. @param wanted  how many tests there would have been */
export function litmusJson(results: readonly LitmusResult[], wanted: number): string {
  const isInterrupted = results.length < wanted;
  const verdict = overall(results);
  return JSON.stringify({
    verdict: isInterrupted && verdict === "ok" ? "inconclusive" : verdict,
    ...(isInterrupted && { interrupted: true, wanted }),
    tests: results.map(({ litmus, vacuity, schedule, verdict, problem, observed, others, bound, exhausted }) => ({
      name: nameOf(litmus),
      title: litmus.title,
      outcome: litmus.outcome,
      expected: litmus.verdict,
      memory: litmus.memory ?? "sc",
      observed,
      others,
      bound,
      exhausted,
      vacuity: vacuity && { observed: vacuity.observed, others: vacuity.others },
      verdict,
      problem,
      schedule: verdict === "failed" && schedule !== undefined ? scheduleToText(schedule) : undefined,
    })),
  });
}
