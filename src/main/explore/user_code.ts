/** What functions of a scenario give back that no scenario may: said in one line, since it is their author who reads it. */
import { inspect } from "node:util";
import { MachineBug } from "../../shared/base/verdict.ts";
import { UsageError } from "../errors.ts";

/** @throws UsageError  it has returned a promise: what comes behind an await would run when nobody watches */
export function refusePromise(scenario: string, what: string, returned: unknown): void {
  if (!isPromise(returned)) return;
  returned.catch(() => undefined); // It may be rejected later, and that is no news any more.
  throw new UsageError(`scenario ${scenario}: ${what} returned a promise: make it a function that is not async`);
}
/** @returns what a check has to say. @throws UsageError  it is no text */
export function complaintOf(scenario: string, what: string, returned: unknown): string | undefined {
  if (returned === undefined || typeof returned === "string") return returned;
  if (isPromise(returned)) returned.catch(() => undefined);
  const found = isPromise(returned) ? "a promise" : inspect(returned, { depth: 0, breakLength: Infinity });
  throw new UsageError(
    `scenario ${scenario}: ${what} must return a string that says what is wrong, or undefined, not ${firstLine(found)}`,
  );
}
/** "Error: no memory": a setup that throws is no finding, nothing has been explored. */
export function setupFailure(scenario: string, error: unknown): UsageError {
  const kind = error instanceof Error && !(error instanceof MachineBug) ? `${error.name}: ` : "";
  const message = error instanceof Error ? error.message : String(error);
  return new UsageError(`scenario ${scenario}: its setup fails: ${kind}${firstLine(message)}`);
}
export function firstLine(text: string): string {
  return text.split("\n", 1)[0];
}

function isPromise(value: unknown): value is Promise<unknown> {
  return value instanceof Promise;
}
