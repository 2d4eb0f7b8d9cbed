/**
 * Shrinking: the fewest picks, then the fewest operations, that still show the same failure. Interrupts and ticks go
 * first, then preemptions, then every pick. Chunks are left out, large ones first, since most picks of a random schedule
 * do not matter; what then ran is recorded anew, because without a pick others may find no place.
 *
 * A scenario with fewer operations must not fail by itself: a check that expects the work of all would call the mere
 * absence of one the same failure.
 *
 * It takes thousands of executions, and those of a livelock are long: so the event loop has its turns as in a search, and
 * whoever has no more time gets what there is by then.
 */
import { setImmediate } from "node:timers/promises";
import type { Explorer, Failure } from "./explore.ts";
import { type Execution, type PickKind, play, type PlayedPick } from "./playback.ts";
import { type Schedule, SWITCH } from "./strategy.ts";
import { type Stretch, withoutStretches } from "./stretch.ts";
import { openSubject, type Subject } from "./subject.ts";

/** What is left out, in this order. */
const PASSES: readonly (readonly PickKind[])[] = [["injection"], ["preemption"], ["injection", "preemption", "other"]];

/** How long the event loop waits for its turn. */
const SLICE_MS = 50;

/** When to be content with what there is. */
export interface ShrinkLimits {
  /** Executions that this may take; default 5,000. */
  readonly runs?: number;
  /** On the clock of performance.now(). */
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
}
export interface Shrunk {
  /** With fewer operations, if some could go. */
  readonly subject: Subject;
  readonly execution: Execution;
  readonly runs: number;
  /** The deadline or the signal came first: it may become smaller still. */
  readonly isCut: boolean;
}

/** @param failing  an execution of the subject that failed */
export async function shrink(subject: Subject, failing: Execution, limits: ShrinkLimits = {}): Promise<Shrunk> {
  const attempts = new Attempts(failing, limits);
  let best = { subject, execution: await shrinkPicks(subject.explorer, failing, attempts) };
  for (const operation of operationsOf(subject).toReversed()) {
    best = (await withoutOperation(best.subject, best.execution, operation, attempts)) ?? best;
  }
  return { ...best, runs: attempts.made, isCut: attempts.isCut };
}

/** A failure without what differs between executions: addresses, tickets, counts, CPUs. */
export function failureKind(failure: Failure | undefined): string | undefined {
  return failure?.message.replaceAll(/0x[0-9a-f]+|\d+/gi, "#");
}

/** Executions, and whether they fail in the way that is wanted. */
class Attempts {
  made = 0;
  isCut = false;
  private readonly kind: string | undefined;
  private readonly limits: ShrinkLimits;
  private pauseMs = performance.now() + SLICE_MS;
  constructor(failing: Execution, limits: ShrinkLimits) {
    this.kind = failureKind(failing.failure);
    this.limits = limits;
  }
  /** No more of them. Looks at the clock, and lets the event loop have its turn. */
  async areSpent(): Promise<boolean> {
    const { runs = 5_000, deadlineMs = Infinity, signal } = this.limits;
    if (!this.isCut && performance.now() >= this.pauseMs) {
      await setImmediate();
      this.isCut = signal?.aborted === true || performance.now() >= deadlineMs;
      this.pauseMs = performance.now() + SLICE_MS;
    }
    return this.isCut || this.made >= runs;
  }
  /** @returns the execution if it fails in the same way */
  async make(explorer: Explorer, schedule: Schedule): Promise<Execution | undefined> {
    if (await this.areSpent()) return undefined;
    this.made++;
    const execution = play(explorer, schedule);
    return failureKind(execution.failure) === this.kind ? execution : undefined;
  }
}

async function shrinkPicks(explorer: Explorer, failing: Execution, attempts: Attempts): Promise<Execution> {
  let best = failing;
  for (const kinds of PASSES) {
    let size = best.picks.length;
    while (size > 0) {
      const smaller = await withoutChunks(explorer, best, kinds, size, attempts);
      const isDone = size === 1 && smaller === best; // One at a time, until none can go.
      best = smaller;
      size = isDone ? 0 : Math.max(1, size >> 1);
    }
  }
  return best;
}

async function withoutChunks(
  explorer: Explorer,
  failing: Execution,
  kinds: readonly PickKind[],
  size: number,
  attempts: Attempts,
): Promise<Execution> {
  let best = failing;
  for (let at = 0; ;) {
    const candidates = best.picks.filter(({ kind }) => kinds.includes(kind));
    if (at >= candidates.length) return best;
    const chunk = candidates.slice(at, at + size);
    const smaller = await firstOf(ways(best.picks, chunk), (schedule) => attempts.make(explorer, schedule));
    if (smaller === undefined) at += size;
    else best = smaller;
  }
}

/** Schedules without a chunk of their picks, the likeliest first. */
function* ways(picks: readonly PlayedPick[], chunk: readonly PlayedPick[]): Generator<Schedule> {
  const rest = picks.filter((pick) => !chunk.includes(pick));
  const stretches = chunk.flatMap(({ stretch }) => stretch ?? []);
  yield withoutStretches(rest, stretches);
  // An interrupt that is not chosen here may still come later: then the numbers are as they were.
  if (stretches.length > 0) yield rest;
  // From A to B and from there to C: straight to C.
  const [only] = chunk;
  const before = picks[picks.indexOf(only) - 1];
  if (chunk.length === 1 && before?.choice === SWITCH + only.lane && only.kind !== "injection") {
    yield rest.map((pick) => (pick === before ? { ...before, choice: only.choice } : pick));
  }
}
async function firstOf<T, R>(
  candidates: Iterable<T>,
  test: (candidate: T) => Promise<R | undefined>,
): Promise<R | undefined> {
  for (const candidate of candidates) {
    const result = await test(candidate);
    if (result !== undefined) return result;
  }
  return undefined;
}

/** Number and CPU of each operation that the scenario has as it is written. */
function operationsOf({ entry }: Subject): readonly { readonly number: number; readonly lane: number }[] {
  return entry.scenario.cpus
    .flatMap((program, lane) => program.map(() => lane))
    .map((lane, number) => ({ number, lane }));
}

/** @returns undefined if the operation is needed, or is left out already */
async function withoutOperation(
  { entry, overrides }: Subject,
  failing: Execution,
  { number, lane }: { readonly number: number; readonly lane: number },
  attempts: Attempts,
): Promise<{ readonly subject: Subject; readonly execution: Execution } | undefined> {
  const { without = [] } = overrides;
  if (without.includes(number) || (await attempts.areSpent())) return undefined;
  const subject = openSubject(entry, { ...overrides, without: [...without, number].toSorted((a, b) => a - b) });
  if (play(subject.explorer, []).failure !== undefined) return undefined;
  const first = entry.scenario.cpus.slice(0, lane).flat().length;
  const position = number - first - without.filter((other) => other >= first && other < number).length;
  const stretch: Stretch | undefined = failing.operations[lane][position];
  const schedule = stretch === undefined ? failing.picks : withoutStretches(failing.picks, [stretch]);
  const execution = await attempts.make(subject.explorer, schedule);
  return execution && { subject, execution: await shrinkPicks(subject.explorer, execution, attempts) };
}
