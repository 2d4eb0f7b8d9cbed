/** From a token to the execution that it names, or to what stands in the way. */
import { codeFingerprint } from "./code_fingerprint.ts";
import { type Execution, playTwice, verdictOf } from "./playback.ts";
import { type Subject, subjectOf } from "./subject.ts";
import { parseToken } from "./token.ts";

export interface Reproduction {
  readonly subject: Subject;
  /** Undefined: two runs of the schedule were not the same. */
  readonly execution: Execution | undefined;
  /** What differs from the execution that the token was made of, or undefined. */
  readonly divergence: string | undefined;
  /** The code is not the one that the token was made with. */
  readonly isOtherCode: boolean;
}

/** @throws UsageError  the text is no token, or not one for what is here */
export async function reproduce(text: string): Promise<Reproduction> {
  const token = parseToken(text);
  const subject = await subjectOf(token);
  const execution = playTwice(subject.explorer, token.schedule);
  return {
    subject,
    execution,
    divergence: divergenceOf(execution, token.verdict),
    isOtherCode: codeFingerprint(subject.entry.file) !== token.code,
  };
}

function divergenceOf(execution: Execution | undefined, verdict: string): string | undefined {
  if (execution === undefined) return "two runs of it differ: the scenario keeps something outside shared memory";
  const { missed, picks, failure, steps } = execution;
  if (missed > 0) return `${missed} of its ${missed + picks.length} decisions found no place`;
  if (verdictOf(execution) === verdict) return undefined;
  return `it ended otherwise, after ${steps} steps with ${failure === undefined ? "no failure" : `'${failure.message}'`}`;
}
