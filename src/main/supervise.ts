/**
 * What the host does while a machine runs: watches it, tells it to stop after its time or at Ctrl-C, waits for its CPUs
 * to end, and reaches a verdict:
 *
 *   SUCCESS       the machine came to rest and everything was accounted for
 *   FAILURE       a CPU reported a bug, died, or is locked up by its own machine time
 *   INCONCLUSIVE  the host could not run the machine
 */
import { setTimeout as delay } from "node:timers/promises";
import { CpuCounters } from "../shared/layout/cpu.ts";
import { Globals } from "../shared/layout/globals.ts";
import { PerCpu } from "../shared/layout/percpu.ts";
import { TortureCpu, TortureGlobals } from "../shared/layout/torture.ts";
import { ticks_until_now } from "../shared/linux/kernel/tick_sched.ts";
import { element, embedded } from "../shared/mem/struct.ts";
import { allCpus } from "../workers/stop.ts";
import { UsageError } from "./errors.ts";
import type { Machine, Outcome } from "./machine.ts";
import { dmesg } from "./report/dmesg.ts";
import { describeCpus } from "./report/failure.ts";
import { type CpuSample, type Finding, Watchdog } from "./torture/watchdog.ts";
import { formatSize } from "./values.ts";

const { slot: SLOT, counters: COUNTERS, torture: TORTURE_CPU } = PerCpu.offset;
const { torture: TORTURE, jiffies: JIFFIES, online: ONLINE } = Globals.offset;
const { resting: RESTING, finished: FINISHED } = TortureGlobals.offset;
const { ops: OPS } = TortureCpu.offset;

const { nmis: NMIS } = CpuCounters.offset;

const SAMPLE_MS = 250;

type Verdict = "SUCCESS" | "FAILURE" | "INCONCLUSIVE";

export interface Supervision {
  /** When to tell the machine to stop, after boot; Infinity: it ends by itself. */
  readonly durationMs: number;
  /** Ends the run early, in order. */
  readonly signal?: AbortSignal | undefined;
  readonly watchdog?: Watchdog | undefined;
  /** All CPUs are up. */
  readonly onBoot?: ((bootMs: number) => void) | undefined;
  /** Now and then while it runs. */
  readonly onProgress?: ((elapsedMs: number) => void) | undefined;
}
export interface SupervisedRun {
  readonly verdict: Verdict;
  /** It was told to stop before its time. */
  readonly interrupted: boolean;
  /** From the boot barrier to the end. */
  readonly elapsedMs: number;
  /** One line or paragraph each, the first failure first. */
  readonly failures: readonly string[];
  /** Where each CPU stands; empty after a success. */
  readonly cpus: readonly string[];
  /** What the CPUs have printed. */
  readonly log: readonly string[];
}

/**
 * Follows a machine from its start to its end. Its threads have ended, or are given up, when this returns.
 * @throws UsageError  the machine has too little memory to boot
 */
export async function supervise(machine: Machine, supervision: Supervision): Promise<SupervisedRun> {
  const start = performance.now();
  try {
    const isUp = await machine.booted;
    const booted = performance.now();
    if (isUp) supervision.onBoot?.(booted - start);
    const finding = await watch(machine, supervision, booted);
    if (finding !== undefined) machine.halt();
    const outcomes = await machine.outcomes;
    const small = outcomes.find((outcome) => outcome.kind === "too small");
    if (small !== undefined) throw new UsageError(`${sizeOf(machine)}: ${small.message}: give a larger --memory`);
    const failures = describeFailures(machine, outcomes, finding);
    return {
      verdict: verdictOf(outcomes, finding),
      interrupted: supervision.signal?.aborted ?? false,
      elapsedMs: performance.now() - booted,
      failures,
      cpus: failures.length === 0 ? [] : describeCpus(machine),
      log: dmesg(machine.mem, machine.map),
    };
  } finally {
    await machine.shutDown();
  }
}

/** What a machine that is too small was to be. Its words may have been drawn: the user learns of them here. */
function sizeOf({ map: { shape }, words }: Machine): string {
  const config = words.length === 0 ? "" : ` --config ${words.join(",")}`;
  return `--memory ${formatSize(shape.bytes)} is too small for --cpus ${shape.cpus}${config}`;
}

/** Until all CPUs have ended, one way or another. @returns what the watchdog found, if it did. */
async function watch(machine: Machine, supervision: Supervision, bootedMs: number): Promise<Finding | undefined> {
  const { durationMs, signal, watchdog = new Watchdog() } = supervision;
  const over = machine.outcomes.then(() => true as const);
  let stopping = false;
  for (;;) {
    const elapsed = performance.now() - bootedMs;
    if (!stopping && (elapsed >= durationMs || signal?.aborted === true)) {
      stopping = true;
      machine.stop();
    }
    const pauseMs = stopping ? SAMPLE_MS : Math.min(SAMPLE_MS, durationMs - elapsed);
    if (await Promise.race([over, sleep(pauseMs, stopping ? undefined : signal)])) return undefined;
    const finding = watchdog.observe(
      sampleCpus(machine),
      machine.mem.peek(machine.map.globals, JIFFIES),
      performance.now(),
    );
    if (finding !== undefined) return finding;
    supervision.onProgress?.(performance.now() - bootedMs);
  }
}
/** @returns false, after the time or when the signal comes. */
async function sleep(ms: number, signal: AbortSignal | undefined): Promise<false> {
  const options = signal === undefined ? {} : { signal };
  return delay(ms, false as const, options).catch(() => false as const);
}

function sampleCpus({ mem, map }: Machine): readonly CpuSample[] {
  const torture = embedded(map.globals, TORTURE);
  const resting = mem.peek(torture, RESTING);
  const finished = mem.peek(torture, FINISHED) !== 0;
  const allRest = resting === allCpus(map.shape);
  return Array.from({ length: map.shape.cpus }, (_, id) => {
    const section = map.section(id);
    const rests = (resting & (1 << id)) !== 0;
    const online = (mem.peek(map.globals, ONLINE) & (1 << id)) !== 0;
    const checks = id === 0 && allRest && !finished; // The last thing it does is one long operation.
    return {
      progress: mem.peek(embedded(section, TORTURE_CPU), OPS),
      resting: (rests && !checks) || !online,
      ticks: ticks_until_now(mem, map.globals, embedded(section, SLOT)),
      interrupts: [0, 1].reduce((sum, source) => sum + mem.peek(embedded(section, COUNTERS), element(NMIS, source)), 0),
    };
  });
}

function verdictOf(outcomes: readonly Outcome[], finding: Finding | undefined): Verdict {
  if (outcomes.some(isFailure)) return "FAILURE";
  if (finding !== undefined) return finding.verdict;
  return outcomes.every(({ kind }) => kind === "rested") ? "SUCCESS" : "INCONCLUSIVE";
}
function isFailure(outcome: Outcome): boolean {
  return outcome.kind === "bug" || outcome.kind === "crashed" || outcome.kind === "lost";
}

/** The CPU that failed first comes first: what the others report may be its consequence. */
function describeFailures(
  machine: Machine,
  outcomes: readonly Outcome[],
  finding: Finding | undefined,
): readonly string[] {
  const first = machine.control.firstFailure();
  const failed = outcomes.filter(isFailure).toSorted((a, b) => Number(b.cpu === first) - Number(a.cpu === first));
  const others = [finding?.message, machine.trouble].filter((message) => message !== undefined);
  return [...others, ...failed.map(describeFailure)];
}
function describeFailure(outcome: Outcome): string {
  const { kind, cpu } = outcome;
  if (kind === "lost") return `CPU ${cpu} is lost: ${outcome.message}`;
  if (kind === "bug") return `CPU ${cpu}: ${outcome.message}${callers(outcome.stack)}`;
  return kind === "crashed" ? `CPU ${cpu} crashed: ${outcome.message}${callers(outcome.stack)}` : `CPU ${cpu}: ${kind}`;
}
/** The functions of the stack that end in the failure, innermost first: interrupts lie on top of what they hit. */
function callers(stack: string): string {
  const frames = stack
    .split("\n")
    .filter((line) => /^ {4}at /.test(line))
    .map((line) => line.replace(/\(?(?:file:\/\/)?\S*\/(?:src|dist)\//, "(").trim());
  return frames.length === 0 ? "" : `\n  ${frames.join("\n  ")}`;
}
