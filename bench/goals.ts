/** Are the goals met? Measures what they are about, and prints the table of goals with a column more. */
import { execFile } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";
import type { Bench } from "./bench.ts";
import type { Speed } from "./explore_speed.ts";
import type { Case, Comparison } from "./harness/compare.ts";
import { ratioText, resultsOf } from "./harness/report.ts";
import { instrumented } from "./instrumented.ts";
import { kfree_rcu } from "./kfree_rcu.ts";
import { kmalloc } from "./kmalloc.ts";
import { kmem_cache } from "./kmem_cache.ts";
import { producer_consumer } from "./producer_consumer.ts";
import { scaling } from "./scaling.ts";
import { shared_heap } from "./shared_heap.ts";

export interface Goal {
  readonly work: string;
  /** Of which comparison, by name, threads, and peer. */
  readonly bench: string;
  readonly threads: number;
  readonly peer: string;
  /** The ratio may be at most this. */
  readonly limit: number;
  /** As it is written. */
  readonly goal: string;
  /** What is shown in place of the ratio. */
  readonly show?: (ratio: number) => string;
}

const throughput = (ratio: number): string => (1 / ratio).toFixed(2);
const fraction = (ratio: number): string => `1/${(1 / ratio).toFixed(1)}`;

export const GOALS: readonly Goal[] = [
  goal("kmem_cache pair", "kmem_cache pair", 1, "mimalloc", 0.6),
  goal("kmem_cache batch of 100", "kmem_cache batch", 1, "mimalloc", 2),
  goal("kmem_cache random in 10k live", "kmem_cache random", 1, "mimalloc", 1.2),
  goal("kmalloc pair", "kmalloc pair", 1, "mimalloc", 1),
  goal("kmalloc batch of 100", "kmalloc batch", 1, "mimalloc", 2.5),
  goal("kmalloc random in 10k live", "kmalloc random", 1, "mimalloc", 2),
  goal("shared heap from JS, 1 thread", "shared_heap pair", 1, "emscripten dlmalloc", 0.3),
  goal("the same", "shared_heap pair", 1, "emscripten emmalloc", 0.3),
  goal("shared heap from JS, 2 threads", "shared_heap pair", 2, "emscripten dlmalloc", 0.05),
  goal("the same", "shared_heap pair", 2, "emscripten emmalloc", 0.05),
  goal("shared heap from JS, pair", "shared_heap pair", 1, "@thi.ng/malloc", 0.25),
  goal("shared heap from JS, pair", "shared_heap pair", 1, "@thi.ng/malloc, no lock", 0.25),
  goal("shared heap from JS, 1000 live", "shared_heap random", 1, "@thi.ng/malloc", 0.01),
  goal("shared heap from JS, 1000 live", "shared_heap random", 1, "@thi.ng/malloc, no lock", 0.01),
  goal("producer allocates, consumer frees", "producer_consumer", 2, "mimalloc", 2),
  { ...goal("kfree_rcu incl. reclaim", "kfree_rcu", 1, "liburcu-memb", 1 / 8), goal: "<= 1/8", show: fraction },
  { ...goal("the same", "kfree_rcu", 1, "liburcu-qsbr", 1 / 3), goal: "<= 1/3", show: fraction },
  {
    ...goal("2 threads / 1 thread, throughput", "scaling pair", 2, "kmalloc, 1 thread", 1 / 1.8),
    goal: ">= 1.8",
    show: throughput,
  },
  goal("instrumented / bare, pair", "instrumented pair", 1, "kmalloc", 3),
  goal("instrumented / bare, batch", "instrumented batch", 1, "kmalloc", 3),
  goal("instrumented / bare, random", "instrumented random", 1, "kmalloc", 3),
];
function goal(work: string, bench: string, threads: number, peer: string, limit: number): Goal {
  return { work, bench, threads, peer, limit, goal: `<= ${limit}` };
}

/** Schedules per second that the explorer is to reach, by PCT on one thread; of a folder, over all its scenarios. */
const SPEED_GOALS = [
  { name: "litmus", steps: 300, work: "explore, schedules/s, litmus up to 300 steps", least: 50_000 },
  { name: "T28-T4", steps: 300, work: "one of them, three CPUs (187 steps)", least: 50_000 },
  { name: "T28-T5", steps: 300, work: "one of them, waiting updaters (229 steps)", least: 50_000 },
  { name: "races", steps: 4000, work: "the same, races up to 4,000 steps", least: 5_000 },
  { name: "nolock-on-kfree-rcu", steps: 4000, work: "one of them, kfree_rcu_nolock (158 steps)", least: 5_000 },
  { name: "full-sheaf-barrier-dfdrk-late", steps: 4000, work: "one of them, a barrier (3,100 steps)", least: 5_000 },
] as const;

const SOURCES: readonly Bench[] = [
  kmem_cache,
  kmalloc,
  shared_heap,
  producer_consumer,
  kfree_rcu,
  scaling,
  instrumented,
];

/** Each comparison that a goal is about, once, with the peers that goals name. */
export function casesOfGoals(goals: readonly Goal[]): readonly Case[] {
  return SOURCES.flatMap(({ cases }) => cases({})).flatMap((c) => {
    const named = goals.filter(({ bench, threads }) => bench === c.bench && threads === c.threads);
    const peers = c.peers.filter(({ name }) => named.some(({ peer }) => peer === name));
    return peers.length === 0 ? [] : [{ ...c, peers }];
  });
}

const WORK_WIDTH = 46;
const PEER_WIDTH = 22;
const NUMBER_WIDTH = 12;
function row(work: string, peer: string, wanted: string, measured: string, cpu: string, verdict: string): string {
  const numbers = [wanted, measured, cpu].map((text) => text.padStart(NUMBER_WIDTH)).join("");
  return `${work.padEnd(WORK_WIDTH)}${peer.padEnd(PEER_WIDTH)}${numbers}  ${verdict}`.trimEnd();
}

/** The table, a line for each goal. */
export function goalLines(goals: readonly Goal[], comparisons: readonly Comparison[]): readonly string[] {
  const results = comparisons.flatMap(resultsOf);
  return goals.map(({ work, bench, threads, peer, limit, goal: wanted, show = ratioText }) => {
    const result = results.find((r) => r.bench === bench && r.threads === threads && r.peer === peer);
    if (result === undefined) return row(work, peer, wanted, "-", "-", "skipped");
    if (result.ratio === null) return row(work, peer, wanted, "-", "-", "nothing was done");
    const cpu = ratioText((result.subject_cpu_ns ?? NaN) / (result.peer_cpu_ns ?? NaN));
    const verdict = result.ratio <= limit ? "met" : "missed";
    return row(work, peer, wanted, show(result.ratio), cpu, result.overlapped ? verdict : "not overlapped, ignore");
  });
}

async function exploreLine({ name, steps, work, least }: (typeof SPEED_GOALS)[number], ms: number): Promise<string> {
  const script = path.join(import.meta.dirname, `explore_speed${path.extname(import.meta.filename)}`);
  const args = ["--json", "--strategy", "pct", "--steps", String(steps), "--seconds", `${ms}ms`, name];
  const { stdout } = await promisify(execFile)(process.execPath, [script, ...args]);
  const speeds = JSON.parse(stdout) as readonly Speed[];
  const measured = speeds.find(({ scenario }) => scenario === name)?.perSecond ?? NaN;
  return row(work, "", `>= ${least}`, String(Math.round(measured)), "", measured >= least ? "met" : "missed");
}

export const goals: Bench = {
  name: "goals",
  question: "Are the goals met?",
  cases: () => casesOfGoals(GOALS),
  async conclude(comparisons, { ms }) {
    const lines = [row("work", "peer", "goal", "measured", "CPU ratio", ""), ...goalLines(GOALS, comparisons)];
    for (const speedGoal of SPEED_GOALS) lines.push(await exploreLine(speedGoal, ms)); // One at a time: each is measured.
    return lines;
  },
};
