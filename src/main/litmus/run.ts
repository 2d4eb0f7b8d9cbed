/**
 * runLitmus(): explores a test, counts how often its outcome was seen, and judges. The search does not stop at the first
 * sight: an execution that shows the outcome is counted, and what ends the search is only what else may go wrong.
 */
import { Explorer } from "../explore/explore.ts";
import type { Scenario } from "../explore/scenario.ts";
import type { Schedule } from "../explore/strategy.ts";
import { scheduleToText } from "../explore/strategy.ts";
import { atOnce, type Parts } from "../explore/turns.ts";
import type { Litmus } from "./litmus.ts";

export interface LitmusBudget {
  readonly seed?: number;
  /** Preemptions to search up to; default: the test's own bound. */
  readonly bound?: number;
  /** Most executions that one bound may take (default 100,000). */
  readonly schedules?: number;
  /** Executions of each random strategy; default: what the test asks for. */
  readonly random?: number;
  /** False: the test alone, not the one without its mechanism. */
  readonly vacuity?: boolean;
}
/** What a search has seen. */
interface Sight {
  /** Executions that ended in the outcome, and all others. */
  readonly observed: number;
  readonly others: number;
  /** Largest preemption bound whose schedules were all tried; -1: none. */
  readonly exhausted: number;
  /** Shows the outcome again: the schedule of the first time. */
  readonly schedule: Schedule | undefined;
  /** What went wrong besides. It ended the search. */
  readonly failure: string | undefined;
}
export interface LitmusResult extends Sight {
  readonly litmus: Litmus;
  /** The bound that was asked for. */
  readonly bound: number;
  readonly vacuity: Sight | undefined;
  readonly verdict: "ok" | "failed" | "inconclusive";
  /** Why not ok, in words. */
  readonly problem: string | undefined;
}

/** Runs one test, and the one without its mechanism. */
export function runLitmus(litmus: Litmus, budget: LitmusBudget = {}): LitmusResult {
  return atOnce(runningLitmus(litmus, budget));
}
/** The same, execution by execution: one test may take minutes. */
export function* runningLitmus(litmus: Litmus, budget: LitmusBudget = {}): Parts<LitmusResult> {
  const bound = budget.bound ?? litmus.bound;
  const sight = yield* look(litmus, litmus.scenario, { ...budget, bound });
  const wanted = litmus.verdict === "F" && budget.vacuity !== false;
  // Where the test blocks, others run for free; without its mechanism it takes a preemption to let them in.
  const vacuityBound = bound === 0 ? 1 : bound;
  const vacuity = wanted ? yield* look(litmus, litmus.vacuity, { ...budget, bound: vacuityBound }) : undefined;
  const problem = problemOf(litmus, sight, vacuity);
  const complete = litmus.verdict === "detector" || sight.exhausted >= bound;
  const verdict = problem !== undefined ? "failed" : complete ? "ok" : "inconclusive";
  return { litmus, bound, ...sight, vacuity, verdict, problem };
}

function problemOf(litmus: Litmus, sight: Sight, vacuity: Sight | undefined): string | undefined {
  if (sight.failure !== undefined) return sight.failure;
  if (litmus.verdict !== "F") return sight.observed > 0 ? undefined : `never reached: ${litmus.outcome}`;
  if (sight.observed > 0) return `reached: ${litmus.outcome}. Schedule: ${scheduleToText(sight.schedule ?? [])}`;
  if (vacuity === undefined) return undefined;
  if (vacuity.failure !== undefined) return `without its mechanism: ${vacuity.failure}`;
  return vacuity.observed > 0 ? undefined : `vacuous: ${litmus.outcome} is not reached without its mechanism either`;
}

/** One search. The explorer ends at a failure, so the outcome is none, unless the machine itself has to report it. */
function* look(litmus: Litmus, scenario: Scenario, budget: LitmusBudget & { readonly bound: number }): Parts<Sight> {
  let observed = 0;
  let others = 0;
  let schedule: Schedule | undefined;
  const check: Scenario["check"] = (cpu) => {
    if (litmus.verdict === "detector" || !litmus.observed(cpu)) {
      others++;
    } else {
      observed++;
      schedule ??= [...explorer.engine.picks];
    }
    return scenario.check?.(cpu);
  };
  const explorer: Explorer = new Explorer({ ...scenario, check }, { model: litmus.memory ?? "sc" });
  const { seed = 1, bound, schedules = 100_000, random = litmus.random ?? 100 } = budget;
  const { failure, exhausted } = yield* explorer.exploring({ seed, bound, random, exhaustive: schedules });
  if (failure !== undefined && isOutcome(litmus, failure.message))
    return { observed: observed + 1, others, exhausted, schedule: failure.schedule, failure: undefined };
  return {
    observed,
    others,
    exhausted,
    schedule: failure?.schedule ?? schedule,
    failure: failure && `${failure.message}. Schedule: ${scheduleToText(failure.schedule)}`,
  };
}
/** Has the machine stopped with the outcome in its message? */
function isOutcome(litmus: Litmus, message: string): boolean {
  return litmus.verdict === "detector" ? message.includes(litmus.outcome) : litmus.reported?.test(message) === true;
}
