/**
 * A finding: a failure that was shrunk and then showed itself twice again, with the token that shows it anywhere. How the
 * commands of the explorer print it, as text and as JSON.
 */
import { programName } from "../program_name.ts";
import { BareMemory } from "../../shared/mem/bare_memory.ts";
import { dmesg } from "../report/dmesg.ts";
import { describeFailure, failureJson, type FailureOrigin } from "../report/interleaving.ts";
import type { Trace } from "../report/trace.ts";
import { TraceRecorder } from "../report/trace_recorder.ts";
import { furtherOf, lanePrograms, type Failure } from "./explore.ts";
import { type Execution, play, playTwice } from "./playback.ts";
import { failureKind, shrink } from "./shrink.ts";
import { scheduleToText } from "./strategy.ts";
import { type Subject, tokenOf } from "./subject.ts";
import { formatToken } from "./token.ts";

/** So long `explore` shrinks a failure: others want their time, too. */
const SHRINKING_MS = 5_000;

export interface Finding {
  readonly subject: Subject;
  readonly failure: Failure;
  readonly token: string;
  /** Of the search that found it. */
  readonly seed?: number;
  /** There was no time to make it as small as it can be. */
  readonly isCut?: boolean;
}

/** @returns undefined if the schedule does not show the failure again: something is kept outside shared memory */
export async function confirmed(
  subject: Subject,
  found: Failure,
  seed: number,
  signal: AbortSignal,
): Promise<Finding | undefined> {
  const first = play(subject.explorer, found.schedule);
  if (failureKind(first.failure) !== failureKind(found)) return undefined;
  const shrunk = await shrink(subject, first, { deadlineMs: performance.now() + SHRINKING_MS, signal });
  const finding = findingOf(shrunk.subject, shrunk.execution);
  return (
    finding && { ...finding, failure: { ...finding.failure, strategy: found.strategy }, seed, isCut: shrunk.isCut }
  );
}
/** Shows it twice again. @returns undefined if it does not */
export function findingOf(subject: Subject, { picks }: Execution): Finding | undefined {
  const execution = playTwice(subject.explorer, picks);
  if (execution?.failure === undefined) return undefined;
  return { subject, failure: execution.failure, token: formatToken(tokenOf(subject, execution)) };
}

export function describeFinding(finding: Finding): readonly string[] {
  const lines = describeFailure(finding.failure, traceOf(finding), originOf(finding));
  const log = logOf(finding);
  const printed = log.length === 0 ? [] : ["", "What the CPUs printed:", ...log.map((line) => `  ${line}`)];
  const cut =
    finding.isCut === true ? ["", "Shrinking was cut short: `shrink` with this token may make it smaller."] : [];
  return [...lines, ...printed, ...cut];
}
/** What the CPUs have printed in the execution that was played last: by traceOf(). */
function logOf({ subject: { explorer } }: Finding): readonly string[] {
  return dmesg(new BareMemory(explorer.buffer, 0), explorer.map);
}
/** The object that `--json` prints. Its keys are an interface: add to them, change none. */
export function jsonFinding(finding: Finding): object {
  const { message, schedule } = finding.failure;
  const report = failureJson(finding.failure, traceOf(finding), originOf(finding));
  const log = logOf(finding);
  return { message, schedule: scheduleToText(schedule), ...report, ...(log.length > 0 && { log }) };
}
/** One more execution, watched step by step. */
export function traceOf({ subject, failure }: Finding): Trace {
  const { explorer, scenario } = subject;
  const further = furtherOf(scenario);
  const lengths = lanePrograms(scenario).map((program) => program.length);
  const words = new Int32Array(explorer.buffer);
  const recorder = new TraceRecorder(explorer.map, words, lengths, scenario.shared, further);
  explorer.replay(failure.schedule, recorder);
  return recorder.trace();
}
function originOf({ subject, token, seed }: Finding): FailureOrigin {
  return {
    scenario: subject.entry.name,
    ...(seed !== undefined && { seed }),
    token,
    replayCommand: commandLine("replay", token),
    shrinkCommand: commandLine("shrink", token),
  };
}

function commandLine(command: string, token: string): string {
  return `${programName()} ${command} ${token}`;
}
