/**
 * rptest: in a list of `objects` objects some are freed and others allocated, in turn. Sizes are random, large ones
 * rarer. Every `cross`-th time a thread leaves as many objects for others, and frees those that others have left.
 */
import type { Random } from "../../src/shared/base/random.ts";
import { type Activity, freeIfAny, type Heap, obtain, type Thread, type Workload } from "./workload.ts";

/** Shared words: lists of objects, each linked through the first word of the one before it. */
const PLACES = 16;
const FREE_STRIDE = 3;
const ALLOC_STRIDE = 7;

class Rptest implements Activity {
  private readonly heap: Heap;
  private readonly random: Random;
  private readonly places: Int32Array;
  private readonly min: number;
  private readonly sizes: number;
  private readonly objects: Int32Array;
  private readonly ops: number;
  private readonly cross: number;
  private freeAt = 0;
  private allocAt = 0;
  private loops = 0;

  constructor({ heap, random, shared, parameter }: Thread) {
    this.heap = heap;
    this.random = random;
    this.places = shared;
    this.min = parameter("min");
    this.sizes = parameter("max") - this.min + 1;
    this.objects = new Int32Array(parameter("objects"));
    this.ops = parameter("ops");
    this.cross = parameter("cross");
  }
  chunk(): number {
    const { heap, objects, ops } = this;
    for (let i = 0; i < ops; i++) {
      freeIfAny(heap, objects[this.freeAt]);
      objects[this.freeAt] = 0;
      this.freeAt = (this.freeAt + FREE_STRIDE) % objects.length;
    }
    for (let i = 0; i < ops; i++) {
      freeIfAny(heap, objects[this.allocAt]);
      objects[this.allocAt] = this.allocRandom();
      this.allocAt = (this.allocAt + ALLOC_STRIDE) % objects.length;
    }
    if (++this.loops % this.cross !== 0) return ops;
    this.crossOver();
    return 2 * ops;
  }
  private allocRandom(): number {
    const a = this.random.below(this.sizes);
    const b = this.random.below(this.sizes);
    return obtain(this.heap, this.min + Math.min(a, b), a);
  }
  private crossOver(): void {
    let first = 0;
    for (let i = 0; i < this.ops; i++) {
      const object = this.allocRandom();
      this.heap.store(object, first);
      first = object;
    }
    freeChain(this.heap, Atomics.exchange(this.places, this.random.below(PLACES), first));
  }
  finish(): void {
    for (const object of this.objects) freeIfAny(this.heap, object);
  }
}

function freeChain(heap: Heap, first: number): void {
  for (let object = first; object !== 0;) {
    const next = heap.load(object);
    heap.free(object);
    object = next;
  }
}

export const rptest: Workload = {
  sharedWords: () => PLACES,
  start: (thread) => new Rptest(thread),
  clear({ heap, shared }) {
    for (const first of shared) freeChain(heap, first);
  },
};
