/**
 * Compares a subject with its peers: each in processes of its own, in turn, so that whatever happens to the machine
 * meanwhile happens to all of them.
 */
import os from "node:os";
import type { Command, Contender } from "../subjects/contenders.ts";
import type { Job, Sample } from "../subjects/job.ts";
import { hasOverlapped, overlapOf } from "./overlap.ts";
import { BenchError, runOnce } from "./run.ts";

/** One question to the machine. */
export interface Case {
  /** Name in the results. */
  readonly bench: string;
  readonly workload: string;
  readonly threads: number;
  readonly parameters: Readonly<Record<string, number>>;
  readonly subject: Contender;
  readonly peers: readonly Contender[];
  /** What is compared: metrics of the workload, or TIME. Absent: TIME. */
  readonly metrics?: readonly string[];
  /** Some threads wait by design. */
  readonly idle?: boolean;
}
/** Wall time of an operation, all threads together. */
export const TIME = "time";

export interface Settings {
  readonly runs: number;
  readonly ms: number;
  readonly warmupMs: number;
  /** A process is about to run. */
  readonly onRun?: (name: string) => void;
}

/** What a contender's runs have given. */
export interface Figures {
  readonly name: string;
  readonly version: string;
  /** By metric, a value for each run. */
  readonly values: ReadonlyMap<string, readonly number[]>;
  /** CPU time of an operation; NaN: unknown. */
  readonly cpuNs: readonly number[];
  readonly overlapped: boolean;
  /** The least of all runs: cores in use, for each thread that could have one. NaN: unknown, or some wait by design. */
  readonly share: number;
}
export interface Comparison {
  readonly case: Case;
  readonly subject: Figures;
  readonly peers: readonly Figures[];
  /** What could not run here, and why. */
  readonly skipped: readonly string[];
}

interface Entrant {
  readonly contender: Contender;
  readonly start: (job: Job) => Command;
  readonly samples: Sample[];
}

/** @throws BenchError  a process has failed, or the subject cannot run here */
export async function compare(c: Case, { runs, ms, warmupMs, onRun }: Settings): Promise<Comparison> {
  const { workload, threads, parameters } = c;
  const job: Job = { workload, threads, ms, warmupMs, parameters };
  const entrants: Entrant[] = [];
  const skipped: string[] = [];
  for (const contender of [c.subject, ...c.peers]) {
    const start = await contender.prepare();
    if (typeof start !== "string") entrants.push({ contender, start, samples: [] });
    else if (contender === c.subject) throw new BenchError(`${contender.name} cannot run here: ${start}`);
    else skipped.push(`${contender.name} skipped: ${start}`);
  }
  for (let run = 0; run < runs; run++) {
    for (const { contender, start, samples } of entrants) {
      onRun?.(`${c.bench}: ${contender.name}, run ${run + 1} of ${runs}`);
      samples.push(await runOnce(start(job)));
    }
  }
  const [subject, ...peers] = entrants.map((entrant) => figuresOf(c, entrant));
  return { case: c, subject, peers, skipped };
}

function figuresOf({ metrics = [TIME], idle = false }: Case, { contender, samples }: Entrant): Figures {
  const cores = os.availableParallelism();
  const shares = samples.map(({ threads }) => overlapOf(threads).cores / Math.min(threads.length, cores));
  return {
    name: contender.name,
    version: samples[0].version,
    values: new Map(metrics.map((metric) => [metric, samples.map((sample) => valueOf(sample, metric))])),
    cpuNs: samples.map(({ threads }) => threads.reduce((sum, { cpu }) => sum + (cpu ?? NaN), 0) / opsOf(threads)),
    overlapped: samples.every(({ threads }) => hasOverlapped(threads, cores, idle)),
    share: idle ? NaN : Math.min(...shares),
  };
}
function opsOf(threads: Sample["threads"]): number {
  return threads.reduce((sum, { ops }) => sum + ops, 0);
}
/** NaN: the workload has not measured it. */
function valueOf({ threads, metrics }: Sample, metric: string): number {
  if (metric !== TIME) return metrics[metric] ?? NaN;
  const wall = Math.max(...threads.map(({ end }) => end)) - Math.min(...threads.map(({ start }) => start));
  return wall / opsOf(threads);
}
