/**
 * larson: of `objects` objects of random sizes a random one is replaced, again and again. After so many rounds a thread
 * leaves its objects to whoever comes next, and goes on with those that another has left.
 *
 * Differs: in the original a new thread comes next. Here threads are CPUs, and there are as many from start to end.
 */
import type { Random } from "../../src/shared/base/random.ts";
import { type Activity, freeIfAny, type Heap, obtain, OPS, type Thread, type Workload } from "./workload.ts";

/** Number of the list of objects that nobody has. The lists follow: one for each thread, and one. */
const PARKED = 0;
const LISTS = 16;

class Server implements Activity {
  private readonly heap: Heap;
  private readonly random: Random;
  private readonly shared: Int32Array;
  private readonly min: number;
  private readonly span: number;
  private readonly count: number;
  private readonly perLife: number;
  private list: number;
  private left: number;

  constructor({ heap, random, shared, id, parameter }: Thread) {
    this.heap = heap;
    this.random = random;
    this.shared = shared;
    this.min = parameter("min");
    this.span = parameter("max") - this.min;
    this.count = parameter("objects");
    this.perLife = parameter("rounds") * this.count;
    this.list = id;
    this.left = this.perLife;
    for (let i = 0; i < this.count; i++) this.replace(listStart(this.list, this.count) + i);
  }
  private replace(slot: number): void {
    const { heap, shared } = this;
    freeIfAny(heap, shared[slot]);
    shared[slot] = obtain(heap, this.min + this.random.below(this.span), this.count);
  }
  chunk(): number {
    const start = listStart(this.list, this.count);
    for (let i = 0; i < OPS; i++) this.replace(start + this.random.below(this.count));
    this.left -= OPS;
    if (this.left <= 0) {
      this.list = Atomics.exchange(this.shared, PARKED, this.list);
      this.left = this.perLife;
    }
    return OPS;
  }
  finish(): void {
    freeList(this.heap, this.shared, this.list, this.count);
  }
}

function listStart(list: number, count: number): number {
  return LISTS + list * count;
}
function freeList(heap: Heap, shared: Int32Array, list: number, count: number): void {
  for (let i = 0; i < count; i++) freeIfAny(heap, shared[listStart(list, count) + i]);
}

export const larson: Workload = {
  sharedWords: (threads, parameter) => listStart(threads + 1, parameter("objects")),
  setup({ shared, threads }) {
    shared[PARKED] = threads;
  },
  start: (thread) => new Server(thread),
  clear: ({ heap, shared, parameter }) => freeList(heap, shared, shared[PARKED], parameter("objects")),
};
