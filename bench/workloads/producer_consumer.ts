/**
 * producer_consumer: threads in pairs; one allocates, the other frees. A ring for each pair takes the objects over, in
 * groups. Objects are counted where they are freed.
 */
import { type Activity, type Heap, obtain, type Thread, type Workload } from "./workload.ts";

const RING = 4096;
const GROUP = 64;
const MOST = 2048;

/** Of a ring, in words; each side's counter on a cache line of its own. */
const HEAD = 0;
const TAIL = 16;
const OBJECTS = 32;
const RING_WORDS = OBJECTS + RING;

/** One thread's side of a ring: HEAD counts the objects ever put in, TAIL those ever taken out. */
abstract class Side implements Activity {
  protected readonly heap: Heap;
  protected readonly words: Int32Array;

  constructor(heap: Heap, shared: Int32Array, ring: number) {
    this.heap = heap;
    this.words = shared.subarray(ring * RING_WORDS, (ring + 1) * RING_WORDS);
  }
  abstract chunk(): number;
  finish(): void {
    // What is left lies in the ring.
  }
}

class Producer extends Side {
  private readonly size: number;

  constructor({ heap, shared, id, parameter }: Thread) {
    super(heap, shared, id >> 1);
    this.size = parameter("size");
  }
  chunk(): number {
    let head = Atomics.load(this.words, HEAD);
    for (let made = 0; made < MOST; made += GROUP) {
      if (((head - Atomics.load(this.words, TAIL)) | 0) > RING - GROUP) break;
      this.fill(head);
      head = (head + GROUP) | 0;
      Atomics.store(this.words, HEAD, head);
    }
    return 0;
  }
  private fill(head: number): void {
    const { heap, words, size } = this;
    for (let i = head; i < head + GROUP; i++) words[OBJECTS + (i & (RING - 1))] = obtain(heap, size, i);
  }
}

class Consumer extends Side {
  chunk(): number {
    let tail = Atomics.load(this.words, TAIL);
    let freed = 0;
    for (; freed < MOST && tail !== Atomics.load(this.words, HEAD); freed += GROUP) {
      this.empty(tail);
      tail = (tail + GROUP) | 0;
      Atomics.store(this.words, TAIL, tail);
    }
    return freed;
  }
  private empty(tail: number): void {
    const { heap, words } = this;
    for (let i = tail; i < tail + GROUP; i++) heap.free(words[OBJECTS + (i & (RING - 1))]);
  }
}

export const producer_consumer: Workload = {
  sharedWords: (threads) => (threads >> 1) * RING_WORDS,
  setup({ threads }) {
    if (threads % 2 !== 0) throw new RangeError("threads come in pairs");
  },
  start(thread) {
    const { heap, shared, id } = thread;
    return id % 2 === 0 ? new Producer(thread) : new Consumer(heap, shared, id >> 1);
  },
  clear({ heap, shared, threads }) {
    for (let ring = 0; ring < threads >> 1; ring++) {
      const consumer = new Consumer(heap, shared, ring);
      while (consumer.chunk() > 0);
    }
  },
};
