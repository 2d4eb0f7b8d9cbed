/**
 * xmalloc-test: half of the threads only allocate, the others only free. Objects go over in batches, through places
 * that all threads share. A thread that is alone does both in turn.
 */
import { type Activity, type Heap, obtain, type Thread, type Workload } from "./workload.ts";

const PLACES = 32;
/** State of a place: a word on a cache line of its own. */
const STATE_WORDS = 16;
const EMPTY = 0;
const FULL = 1;
const BUSY = 2;
const OBJECTS = PLACES * STATE_WORDS;

class Exchange implements Activity {
  private readonly heap: Heap;
  private readonly shared: Int32Array;
  private readonly size: number;
  private readonly batch: number;
  private readonly allocates: boolean;
  private readonly frees: boolean;

  constructor({ heap, shared, id, threads, parameter }: Thread) {
    this.heap = heap;
    this.shared = shared;
    this.size = parameter("size");
    this.batch = parameter("batch");
    this.allocates = threads === 1 || id % 2 === 0;
    this.frees = threads === 1 || id % 2 !== 0;
  }
  chunk(): number {
    if (this.allocates) this.allocate();
    return this.frees ? this.release() : 0;
  }
  /** @returns a place in state `from`, now busy; or -1. */
  private takePlace(from: number): number {
    for (let place = 0; place < PLACES; place++) {
      const state = place * STATE_WORDS;
      if (Atomics.load(this.shared, state) !== from) continue;
      if (Atomics.compareExchange(this.shared, state, from, BUSY) === from) return place;
    }
    return -1;
  }
  private allocate(): void {
    const { heap, shared, size, batch } = this;
    const place = this.takePlace(EMPTY);
    if (place < 0) return;
    const first = OBJECTS + place * batch;
    for (let i = 0; i < batch; i++) shared[first + i] = obtain(heap, size, i);
    Atomics.store(shared, place * STATE_WORDS, FULL);
  }
  release(): number {
    const { heap, shared, batch } = this;
    const place = this.takePlace(FULL);
    if (place < 0) return 0;
    const first = OBJECTS + place * batch;
    for (let i = 0; i < batch; i++) heap.free(shared[first + i]);
    Atomics.store(shared, place * STATE_WORDS, EMPTY);
    return batch;
  }
  finish(): void {
    // What is left lies in the shared places.
  }
}

export const xmalloc_test: Workload = {
  sharedWords: (_, parameter) => OBJECTS + PLACES * parameter("batch"),
  start: (thread) => new Exchange(thread),
  clear(thread) {
    const exchange = new Exchange(thread);
    while (exchange.release() > 0);
  },
};
