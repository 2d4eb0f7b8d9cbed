/**
 * Runs one task in several threads at once, and ends them all when it takes too long: the test that finds a lost
 * wake-up fails, it does not hang.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { type Arena, READY } from "./arena.ts";
import type { TaskName } from "./crew_worker.ts";

export interface Job {
  readonly task: TaskName;
  readonly buffer: SharedArrayBuffer;
  /** From 1. */
  readonly id: number;
  /** How many threads there are. */
  readonly crew: number;
  /** How often; what that means is up to the task. */
  readonly times: number;
}

/** Long enough for a busy machine, ms. A crew that finishes takes a tenth of it. */
const LIMIT_MS = 4000;

/** How long a thread may take from announcing that it will wait to waiting, ms. If it takes longer, tests see less. */
const FALLING_ASLEEP_MS = 30;

/**
 * One thread for each task, with ids 1, 2, ...
 * @returns what the tasks return, in that order
 * @throws when a task throws, and when any is not over after LIMIT_MS
 */
export async function runCrew(arena: Arena, tasks: readonly TaskName[], times = 1): Promise<number[]> {
  const workers: Worker[] = [];
  const results = tasks.map(async (task, index) => {
    const job: Job = { task, buffer: arena.buffer, id: index + 1, crew: tasks.length, times };
    const worker = new Worker(new URL("crew_worker.ts", import.meta.url), { workerData: job, execArgv: [] });
    workers.push(worker);
    return new Promise<number>((resolve, reject) => {
      worker.once("message", resolve);
      worker.once("error", reject);
      worker.once("exit", () => reject(new Error(`${task} ${job.id} ended without a result`)));
    });
  });
  const overtime = new AbortController();
  try {
    return await Promise.race([Promise.all(results), tooLong(tasks, overtime.signal)]);
  } finally {
    overtime.abort();
    await Promise.allSettled(workers.map((worker) => worker.terminate()));
    await Promise.allSettled(results);
  }
}

async function tooLong(tasks: readonly TaskName[], signal: AbortSignal): Promise<never> {
  await sleep(LIMIT_MS, undefined, { signal });
  throw new Error(`still waiting after ${LIMIT_MS} ms: ${tasks.join(", ")}`);
}

/** Resolves when `threads` threads have announced that they are about to wait, and have had time to do so. */
export async function allWaiting(arena: Arena, threads: number): Promise<void> {
  for (let left = LIMIT_MS; Atomics.load(arena.counters, READY) < threads; left--) {
    if (left === 0) throw new Error(`not all of ${threads} threads have started`);
    await sleep(1);
  }
  await sleep(FALLING_ASLEEP_MS);
}

/** `count` times the task. */
export function threads(count: number, task: TaskName): TaskName[] {
  return Array.from({ length: count }, () => task);
}
