/** What the command's exit code says. Scripts rely on the numbers. */
import { UnsupportedError, UsageError } from "./errors.ts";
import type { SupervisedRun } from "./supervise.ts";

/** Nothing wrong was found. */
export const EXIT_SUCCESS = 0;
/** A verdict FAILURE: the machine broke a promise. */
export const EXIT_FAILURE = 1;
/** The command line cannot be run. */
export const EXIT_USAGE = 2;
/** What was asked for is not available here. */
export const EXIT_UNSUPPORTED = 3;
/** The run ended without an answer. */
export const EXIT_INCONCLUSIVE = 4;
/** Ctrl-C, as shells report it: 128 + SIGINT. */
export const EXIT_INTERRUPTED = 130;

/** What a command returns that ran a machine. */
export function exitCodeOf({ verdict, interrupted }: Pick<SupervisedRun, "verdict" | "interrupted">): number {
  if (verdict === "FAILURE") return EXIT_FAILURE;
  if (interrupted) return EXIT_INTERRUPTED;
  return verdict === "SUCCESS" ? EXIT_SUCCESS : EXIT_INCONCLUSIVE;
}

/**
 * Has one line said about an error that is meant for the user.
 * @throws the error, if it is another
 */
export function exitCodeOfError(error: unknown, say: (message: string) => void): number {
  if (!(error instanceof UsageError || error instanceof UnsupportedError)) throw error;
  say(error.message);
  return error instanceof UsageError ? EXIT_USAGE : EXIT_UNSUPPORTED;
}
