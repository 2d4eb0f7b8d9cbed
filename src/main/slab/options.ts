/** What the commands that look at the caches of a torture run have in common: its options, and how it ends. */
import type { Output } from "../command.ts";
import { exitCodeOf } from "../exit_code.ts";
import type { OptionSpec } from "../options.ts";
import type { SupervisedRun } from "../supervise.ts";
import { TORTURE_OPTIONS } from "../torture/config.ts";

/** The options of `sheaf torture`, with a shorter run unless told otherwise. */
export const LOOK_OPTIONS: readonly OptionSpec[] = TORTURE_OPTIONS.map((option) =>
  option.name === "duration"
    ? { ...option, summary: "how long the machine runs before it is looked at: 500ms, 10s", default: "3s" }
    : option,
);

/** Says what went wrong. @returns the exit code. */
export function endOfRun(run: SupervisedRun, output: Output): number {
  for (const failure of run.failures) output.err(`!!! ${run.verdict}: ${failure}`);
  for (const line of run.cpus) output.err(line);
  return exitCodeOf(run);
}
