/**
 * The workloads that mimalloc-bench has made common, written anew for this heap, by their names there. Parameters are
 * theirs, apart from how long one runs.
 */
import type { Bench } from "./bench.ts";
import { NATIVE_ALLOCATORS, type Pattern } from "./patterns.ts";
import { sheaf } from "./subjects/contenders.ts";

interface Known extends Pattern {
  readonly question: string;
}
const WORKLOADS: readonly Known[] = [
  {
    workload: "larson",
    question: "What does a server cost whose threads leave objects to each other?",
    parameters: { min: 8, max: 1000, objects: 5000, rounds: 100 },
  },
  {
    workload: "sh6bench",
    question: "What do objects of many sizes cost that are freed in both directions?",
    parameters: { max: 1000, slots: 10_000 },
  },
  {
    workload: "sh8bench",
    question: "What do they cost if other threads free some of them?",
    parameters: { max: 1000, slots: 10_000 },
  },
  {
    workload: "xmalloc-test",
    question: "What do objects cost that half of the threads allocate and the others free?",
    parameters: { size: 64, batch: 4096 },
  },
  {
    workload: "cache-scratch",
    question: "Do threads get parts of one cache line by freeing each other's objects?",
    parameters: { size: 8, repetitions: 1000 },
  },
  {
    workload: "cache-thrash",
    question: "Do threads get parts of one cache line by allocating at once?",
    parameters: { size: 8, repetitions: 1000 },
  },
  {
    workload: "mstress",
    question: "What do blocks cost that live long and short and change threads? (All are checked.)",
    parameters: { scale: 50 },
  },
  {
    workload: "rptest",
    question: "What do objects of up to 16 KB cost, some of them freed by other threads?",
    parameters: { min: 8, max: 16_000, objects: 1000, ops: 100, cross: 2 },
  },
  {
    workload: "alloc-test",
    question: "What do objects cost whose sizes and lives follow Pareto?",
    parameters: { slots: 16_384, max_power: 10 },
  },
  {
    workload: "glibc-thread",
    question: "What do objects cost that are the rarer the larger?",
    parameters: { slots: 1024, max_power: 15 },
  },
];

export const mimalloc_bench: readonly Bench[] = WORKLOADS.map(({ workload, question, parameters }) => ({
  name: workload,
  question,
  cases: ({ threads = [1, 2] }) =>
    threads.map((n) => ({
      bench: workload,
      workload,
      threads: n,
      parameters,
      subject: sheaf("kmalloc"),
      peers: NATIVE_ALLOCATORS,
    })),
}));
