/**
 * alloc-test: a place of many is drawn, a few places far more often. If it is empty, an object is allocated there and
 * filled; otherwise the object is read and freed. Sizes up to 2^`max_power`, each power of two half as often as the one
 * before.
 */
import type { Random } from "../../src/shared/base/random.ts";
import { type Activity, freeIfAny, type Heap, obtain, OPS, type Thread, type Workload } from "./workload.ts";

const LEVELS = 3;
const MIN_POWER = 3;

class AllocTest implements Activity {
  private readonly heap: Heap;
  private readonly random: Random;
  private readonly maxPower: number;
  private readonly objects: Int32Array;
  /** Length of each. */
  private readonly words: Int32Array;
  /** Of all that was read. */
  private sum = 0;

  constructor({ heap, random, parameter }: Thread) {
    this.heap = heap;
    this.random = random;
    this.maxPower = parameter("max_power");
    this.objects = new Int32Array(parameter("slots"));
    this.words = new Int32Array(this.objects.length);
  }
  chunk(): number {
    for (let i = 0; i < OPS; i++) this.visit(this.drawSlot());
    return OPS / 2; // An object takes two visits.
  }
  /** Four times of five one of the first fifth; there the same again. */
  private drawSlot(): number {
    const { random } = this;
    let from = 0;
    let n = this.objects.length;
    for (let level = 0; level < LEVELS; level++) {
      const fifth = Math.floor(n / 5);
      if (random.below(5) === 0) {
        from += fifth;
        n -= fifth;
        break;
      }
      n = fifth;
    }
    return from + random.below(n);
  }
  private drawWords(): number {
    const bits = this.random.next();
    const power = Math.min(MIN_POWER + (31 - Math.clz32(bits & -bits)), this.maxPower - 1);
    return ((1 << power) + this.random.below(1 << power)) >> 2;
  }
  private visit(slot: number): void {
    const { heap, objects, words } = this;
    const object = objects[slot];
    if (object !== 0) {
      for (let i = 0; i < words[slot]; i++) this.sum = (this.sum + heap.load(object + i * 4)) | 0;
      heap.free(object);
      objects[slot] = 0;
      return;
    }
    const length = this.drawWords();
    const fresh = obtain(heap, length * 4, 0);
    for (let i = 1; i < length; i++) heap.store(fresh + i * 4, i);
    objects[slot] = fresh;
    words[slot] = length;
  }
  finish(): void {
    for (const object of this.objects) freeIfAny(this.heap, object);
  }
}

export const alloc_test: Workload = { start: (thread) => new AllocTest(thread) };
