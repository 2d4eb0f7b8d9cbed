/**
 * Litmus tests: a few lines per CPU, an outcome, and whether it may happen. One shape per file; `check` of the scenario
 * names the outcome when it sees it. "Never" must not be reached by any schedule tried; "Sometimes" must be reached, or
 * the test proves nothing.
 */
import type { Scenario } from "../../src/main/explore/scenario.ts";

export interface Litmus {
  readonly scenario: Scenario;
  readonly result: "Never" | "Sometimes";
  /** All schedules up to this many preemptions are tried; -1: random strategies only. */
  readonly bound: number;
  /** Executions of each random strategy (default 200). */
  readonly random?: number;
  /** Most executions that one bound may take before the search counts as incomplete (default 20,000). */
  readonly exhaustive?: number;
}

/** Says the outcome if it was observed. */
export function observed(outcome: boolean, text: string): string | undefined {
  return outcome ? `observed ${text}` : undefined;
}
