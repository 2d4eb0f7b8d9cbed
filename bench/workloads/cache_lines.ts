/**
 * cache-thrash, cache-scratch: small objects that are written to very often. If an allocator gives parts of one cache
 * line to two threads, they slow each other down. In cache-scratch each thread first frees an object that thread 0 has
 * allocated, and so could get memory next to another's.
 */
import { type Activity, freeIfAny, type Heap, obtain, type Thread, type Workload } from "./workload.ts";

const OBJECTS = 10;

class Writer implements Activity {
  private readonly thread: Thread;
  private readonly heap: Heap;
  private readonly size: number;
  private readonly repetitions: number;
  private readonly scratches: boolean;

  constructor(thread: Thread, scratches: boolean) {
    this.thread = thread;
    this.heap = thread.heap;
    this.size = thread.parameter("size");
    this.repetitions = thread.parameter("repetitions");
    this.scratches = scratches;
  }
  chunk(): number {
    if (this.scratches) this.scratch();
    for (let i = 0; i < OBJECTS; i++) {
      const object = obtain(this.heap, this.size, i);
      this.writeOften(object);
      this.heap.free(object);
    }
    return OBJECTS;
  }
  private scratch(): void {
    const { id, threads, shared } = this.thread;
    freeGiven(this.thread, id);
    if (id !== 0) return;
    for (let to = 0; to < threads; to++) {
      if (Atomics.load(shared, to) === 0) Atomics.store(shared, to, obtain(this.heap, this.size, to));
    }
  }
  private writeOften(object: number): void {
    const { heap, size, repetitions } = this;
    for (let n = repetitions; n > 0; n--) {
      for (let at = object; at < object + size; at += 4) heap.store(at, heap.load(at) + 1);
    }
  }
  finish(): void {
    // Between two chunks it holds nothing.
  }
}

/** Word `id` of the shared ones: an object that thread `id` is to free. */
function freeGiven({ heap, shared }: Thread, id: number): void {
  freeIfAny(heap, Atomics.exchange(shared, id, 0));
}

export const cache_thrash: Workload = { start: (thread) => new Writer(thread, false) };
export const cache_scratch: Workload = {
  sharedWords: (threads) => threads,
  start: (thread) => new Writer(thread, true),
  clear(thread) {
    for (let id = 0; id < thread.threads; id++) freeGiven(thread, id);
  },
};
