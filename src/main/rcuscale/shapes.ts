/**
 * What has been published about kfree_rcu() and sheaves, as claims that runs of rcuscale are held against: spec rcu 8.
 * The numbers come from other machines. What can be found again is their shape: which of two ways takes fewer grace
 * periods, holds more memory, or costs less. docs/RCUSCALE.md has results.
 */
import { NR_KMALLOC_BUCKETS } from "../../shared/layout/slab.ts";
import type { ScaleConfig } from "./config.ts";
import { count, mib } from "./report.ts";
import type { ScaleResult } from "./run.ts";

/** What a run has other than the defaults. */
export type RunOptions = Partial<Omit<ScaleConfig, "shape">> & { readonly cpus?: number; readonly nodes?: number };

/**
 * Why 400: that many take half a millisecond, as 8000 do in the published runs. With more, a grace period, which waits
 * for cond_resched() everywhere, would take a jiffy, and batching by the jiffy could save none.
 */
const AT_FULL_SPEED = { loops: 2000, allocNum: 400 };
/** Too few for the monitor to hurry: they wait for it up to 5 s. */
const NOW_AND_THEN = { loops: 100, allocNum: 4, holdoff: 1, mult: 8 };
const BARRIERS_ONLY = { loops: 1, allocNum: 1 };
const PLAIN_FREES = { loops: 200, allocNum: 2000, by: "kfree", cpus: 2, nodes: 2 } as const;
const EXTRA_CACHES = 80;

export const RUNS = {
  unbatched: { ...AT_FULL_SPEED, unbatched: true },
  batched: { ...AT_FULL_SPEED, noSheaves: true },
  unbatchedNowAndThen: { ...NOW_AND_THEN, unbatched: true },
  batchedNowAndThen: { ...NOW_AND_THEN, noSheaves: true },
  unpolled: { ...AT_FULL_SPEED, noSheaves: true, unpolled: true },
  sheaves: AT_FULL_SPEED,
  twoCpus: { ...BARRIERS_ONLY, cpus: 2 },
  twoCpusManyCaches: { ...BARRIERS_ONLY, cpus: 2, extraCaches: EXTRA_CACHES },
  fourCpus: { ...BARRIERS_ONLY, cpus: 4 },
  fourCpusManyCaches: { ...BARRIERS_ONLY, cpus: 4, extraCaches: EXTRA_CACHES },
  local: PLAIN_FREES,
  localNoSheaves: { ...PLAIN_FREES, noSheaves: true },
  remote: { ...PLAIN_FREES, remote: true },
  remoteNoSheaves: { ...PLAIN_FREES, remote: true, noSheaves: true },
  bpfBefore: { ...NOW_AND_THEN, by: "call_rcu_nolock_free" },
  bpfNow: { ...NOW_AND_THEN, by: "kfree_rcu_nolock" },
} as const satisfies Readonly<Record<string, RunOptions>>;
export type RunName = keyof typeof RUNS;
export const RUN_NAMES = Object.keys(RUNS) as readonly RunName[];
export type Results = Readonly<Record<RunName, ScaleResult>>;

export interface Claim {
  /** Number of the shape in the specification. */
  readonly shape: string;
  readonly says: string;
  readonly published: string;
  /** The two numbers whose ratio it is about, the larger one first, as it says. */
  readonly numbers: (results: Results) => readonly [number, number];
  readonly text: (n: number) => string;
  /** The direction is right, and the size roughly. */
  readonly holds: (ratio: number) => boolean;
}

const atLeast =
  (least: number) =>
  (ratio: number): boolean =>
    ratio >= least;
const megabytes = (n: number): string => `${mib(n)} MB`;
const ns = (n: number): string => `${count(n)} ns`;

/** Caches of the machine that have sheaves: three sets of kmalloc caches. */
const KMALLOC_CACHES = 3 * (NR_KMALLOC_BUCKETS - 1);
/** For each CPU and cache, in each of the four machines. */
function perCpuAndCache(results: Results, value: (result: ScaleResult) => number): readonly number[] {
  const { twoCpus, twoCpusManyCaches, fourCpus, fourCpusManyCaches } = results;
  return [twoCpus, twoCpusManyCaches, fourCpus, fourCpusManyCaches].map(
    (result) => value(result) / result.config.shape.cpus / (KMALLOC_CACHES + result.config.extraCaches),
  );
}
const mostAndLeast = (numbers: readonly number[]): readonly [number, number] => [
  Math.max(...numbers),
  Math.min(...numbers),
];

export const CLAIMS: readonly Claim[] = [
  {
    shape: "i",
    says: "batching cuts the number of grace periods",
    published: "6893 / 1596 = 4.3",
    numbers: ({ unbatched, batched }) => [unbatched.measured.batches, batched.measured.batches],
    text: count,
    holds: atLeast(1.5),
  },
  {
    shape: "i",
    says: "and holds more memory",
    published: "261 / 67 MB = 3.9",
    numbers: ({ unbatched, batched }) => [batched.measured.footprint, unbatched.measured.footprint],
    text: megabytes,
    holds: atLeast(1.5),
  },
  {
    shape: "i",
    says: "the same, where few objects are freed now and then: grace periods",
    published: "(no number)",
    numbers: ({ unbatchedNowAndThen, batchedNowAndThen }) => [
      unbatchedNowAndThen.measured.batches,
      batchedNowAndThen.measured.batches,
    ],
    text: count,
    holds: atLeast(1.5),
  },
  {
    shape: "i",
    says: "and memory",
    published: "(no number)",
    numbers: ({ unbatchedNowAndThen, batchedNowAndThen }) => [
      batchedNowAndThen.measured.footprint,
      unbatchedNowAndThen.measured.footprint,
    ],
    text: (n) => `${count(n / 1024)} KB`,
    holds: atLeast(1.5),
  },
  {
    shape: "ii",
    says: "a cookie for each page of pointers cuts memory more than 10 times",
    published: "2704..5057 / 72..91 MB = 38..56",
    numbers: ({ unpolled, batched }) => [unpolled.measured.footprint, batched.measured.footprint],
    text: megabytes,
    holds: atLeast(10),
  },
  {
    shape: "ii",
    says: "at slightly more grace periods",
    published: "1600 / 1100 = 1.5",
    numbers: ({ unpolled, batched }) => [batched.measured.batches, unpolled.measured.batches],
    text: count,
    holds: (ratio) => ratio >= 1.1 && ratio < 2,
  },
  {
    shape: "iii",
    says: "sheaves take most objects away from kfree_rcu_cpu",
    published: "(no number)",
    numbers: ({ batched, sheaves }) => [inKrc(batched), inKrc(sheaves)],
    text: count,
    holds: atLeast(10),
  },
  {
    shape: "iv",
    says: "a barrier does the same work for each CPU and cache, however many there are",
    published: "proportional",
    numbers: (results) => mostAndLeast(perCpuAndCache(results, ({ measured }) => measured.idleBarrier.workItems)),
    text: (n) => n.toFixed(2),
    holds: (ratio) => ratio < 2,
  },
  {
    shape: "iv",
    says: "and takes as long for each",
    published: "proportional",
    numbers: (results) => mostAndLeast(perCpuAndCache(results, ({ measured }) => measured.idleBarrier.ns)),
    text: ns,
    holds: (ratio) => ratio < 3,
  },
  {
    shape: "iv",
    says: "a barrier on one cache takes less",
    published: "18127 / 10066 us = 1.8",
    numbers: ({ fourCpus }) => [fourCpus.measured.idleBarrier.ns, fourCpus.measured.cacheBarrier.ns],
    text: ns,
    holds: atLeast(1.5),
  },
  {
    shape: "v",
    says: "sheaves make an allocation and a free cheaper",
    published: "1.06..1.31",
    numbers: ({ local, localNoSheaves }) => [costOf(localNoSheaves), costOf(local)],
    text: ns,
    holds: atLeast(1.06),
  },
  {
    shape: "v",
    says: "a free on another node costs more",
    published: "(no number)",
    numbers: ({ remote, local }) => [costOf(remote), costOf(local)],
    text: ns,
    holds: atLeast(1.2),
  },
  {
    shape: "v",
    says: "so that sheaves lose",
    published: "36 / 13 M/s = 2.8",
    numbers: ({ remote, remoteNoSheaves }) => [costOf(remote), costOf(remoteNoSheaves)],
    text: ns,
    holds: atLeast(1.05),
  },
  {
    shape: "vi",
    says: "call_rcu() and kfree_nolock(), as in BPF before, take a grace period for a few objects",
    published: "(no number)",
    numbers: ({ bpfBefore, bpfNow }) => [bpfBefore.measured.batches, bpfNow.measured.batches],
    text: count,
    holds: atLeast(4),
  },
];

function inKrc({ stages }: ScaleResult): number {
  return stages.bnode + stages.head;
}
/** Of an object, in ns. Wall time where CPU time is not known. */
function costOf({ measured }: ScaleResult): number {
  return Number.isNaN(measured.cpuNs) ? measured.wallNs : measured.cpuNs;
}
