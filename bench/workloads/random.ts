/**
 * random: of `live` objects of each thread a random one is freed, and another allocated in its place.
 * Metric bytes: memory that each object takes, after the warm-up.
 */
import type { Random } from "../../src/shared/base/random.ts";
import { type Activity, type Heap, obtain, OPS, type Thread, type Workload } from "./workload.ts";

/** Shared word: memory in use before the first object, in KiB. */
const USED_BEFORE = 0;

// Why: what is imported is no constant to V8, and it is looked up and compared at each use.
const take: typeof obtain = obtain;
const CHUNK: number = OPS;

class Replace implements Activity {
  private readonly thread: Thread;
  private readonly heap: Heap;
  private readonly random: Random;
  private readonly size: number;
  private readonly objects: Int32Array;
  private bytes = NaN;

  constructor(thread: Thread) {
    const { heap, random, parameter } = thread;
    this.thread = thread;
    this.heap = heap;
    this.random = random;
    this.size = parameter("size");
    this.objects = new Int32Array(parameter("live"));
    for (let i = 0; i < this.objects.length; i++) this.objects[i] = take(heap, this.size, i);
  }
  begin(): void {
    const { heap, threads, shared } = this.thread;
    this.bytes = (heap.usedBytes() - shared[USED_BEFORE] * 1024) / (threads * this.objects.length);
  }
  chunk(): number {
    const { heap, random, size, objects } = this;
    for (let i = 0; i < CHUNK; i++) {
      const slot = random.below(objects.length);
      heap.free(objects[slot]);
      objects[slot] = take(heap, size, i);
    }
    return CHUNK;
  }
  finish(): void {
    for (const object of this.objects) this.heap.free(object);
  }
  metrics(): Readonly<Record<string, number>> {
    return Number.isNaN(this.bytes) ? {} : { bytes: this.bytes };
  }
}

export const random: Workload = {
  sharedWords: () => 1,
  setup({ heap, shared }) {
    shared[USED_BEFORE] = heap.usedBytes() / 1024;
  },
  start: (thread) => new Replace(thread),
};
