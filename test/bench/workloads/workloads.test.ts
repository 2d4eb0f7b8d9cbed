/** Each workload uses only what it has allocated, and gives everything back, however its threads take turns. */
import { describe, expect, it } from "vitest";
import { Random } from "../../../src/shared/base/random.ts";
import { HEAP_WORKLOADS } from "../../../bench/workloads/catalogue.ts";
import { mstress } from "../../../bench/workloads/mstress.ts";
import { random } from "../../../bench/workloads/random.ts";
import type { Activity, Heap, Thread, Workload } from "../../../bench/workloads/workload.ts";
import { CheckedHeap } from "./checked_heap.ts";

const PARAMETERS: Readonly<Record<string, number>> = {
  size: 64,
  count: 100,
  live: 500,
  batch: 64,
  min: 8,
  max: 1000,
  objects: 200,
  rounds: 10,
  slots: 3000,
  repetitions: 3,
  scale: 20,
  ops: 20,
  cross: 2,
  max_power: 10,
};
const ROUNDS = 60;
const HEAP_BYTES = 32 << 20;

function threadsOf(workload: Workload, heap: Heap, threads: number): readonly Thread[] {
  const parameter = (name: string): number => PARAMETERS[name] ?? NaN;
  const shared = new Int32Array(new SharedArrayBuffer(4 * (workload.sharedWords?.(threads, parameter) ?? 0)));
  return Array.from({ length: threads }, (_, id) => ({
    id,
    threads,
    heap,
    shared,
    parameter,
    random: new Random(1 + id),
  }));
}
/** As the threads of a process, but in turn. @returns what they have counted */
function play(workload: Workload, threads: readonly Thread[], rounds = ROUNDS): number {
  workload.setup?.(threads[0]);
  const activities = threads.map((thread) => workload.start(thread));
  let ops = 0;
  activities.forEach((activity) => activity.begin?.());
  for (let round = 0; round < rounds; round++) ops += sum(activities, round);
  activities.forEach((activity) => activity.settle?.());
  activities.forEach((activity) => activity.finish());
  workload.clear?.(threads[0]);
  return ops;
}
/** Another order in each round, and one or more chunks at a time: nobody keeps pace with anybody. */
function sum(activities: readonly Activity[], round: number): number {
  let ops = 0;
  for (let turn = 0; turn < activities.length; turn++) {
    const activity = activities[(turn + round) % activities.length];
    for (let chunks = 1 + ((round + 2 * turn) % 3); chunks > 0; chunks--) ops += activity.chunk();
  }
  return ops;
}

const allocating = Object.entries(HEAP_WORKLOADS).filter(([name]) => !name.startsWith("access-"));

describe.each(allocating)("%s", (name, workload) => {
  it.each(name === "producer_consumer" ? [2, 4] : [1, 2, 4])("on %i threads gives back all it takes", (threads) => {
    const heap = new CheckedHeap(HEAP_BYTES);
    const ops = play(workload, threadsOf(workload, heap, threads));
    expect(heap.live.size).toBe(0);
    expect(ops).toBeGreaterThan(0);
    expect(ops).toBeLessThanOrEqual(heap.mallocs);
  });
});

describe("what the heap of these tests notices", () => {
  it("a second free", () => {
    const heap = new CheckedHeap(1 << 20);
    const object = heap.malloc(8);
    heap.free(object);
    expect(() => heap.free(object)).toThrow("not allocated");
  });
  it("a use after the free, and one behind the end", () => {
    const heap = new CheckedHeap(1 << 20);
    const object = heap.malloc(8);
    expect(() => heap.store(object + 8, 1)).toThrow("not allocated");
    heap.free(object);
    expect(() => heap.load(object)).toThrow("not allocated");
  });
});

describe("random", () => {
  it("measures the bytes of an object, of all threads", () => {
    const heap = new CheckedHeap(HEAP_BYTES);
    const threads = threadsOf(random, heap, 2);
    random.setup?.(threads[0]);
    const activities = threads.map((thread) => random.start(thread));
    activities[0].begin?.();
    expect(activities[0].metrics?.()).toEqual({ bytes: PARAMETERS["size"] });
  });
});

describe("mstress", () => {
  it("notices a block that was overwritten", () => {
    const heap = new CheckedHeap(HEAP_BYTES);
    const threads = threadsOf(mstress, heap, 1);
    const activity = mstress.start(threads[0]);
    activity.chunk();
    for (const [object, bytes] of heap.live) if (bytes > 8) heap.store(object + 8, -1);
    expect(() => activity.finish()).toThrow("a block has been overwritten");
  });
});

describe("a workload", () => {
  it("fails where there is no memory left", () => {
    const heap = new CheckedHeap(1 << 10);
    expect(() => play(random, threadsOf(random, heap, 1))).toThrow("out of memory: 64 bytes");
  });
});
