/**
 * mstress: each thread allocates blocks of 1 to 128 items, keeps half of them to the end of its phase, and frees others
 * soon. Some it exchanges with blocks of other threads. Threads have work of different sizes. Each block is filled, and
 * checked when it is freed.
 */
import type { Random } from "../../src/shared/base/random.ts";
import { type Activity, type Heap, obtain, type Thread, type Workload } from "./workload.ts";

const STEPS = 1000;
const TRANSFERS = 1000;
/** Blocks have 2^0 to 2^(n-1) items. */
const MAX_POWER = 5;
const MAX_KEPT_POWER = 7;
const COOKIE = 0x1fb5ae23;
/** As in C, where an item is a word of 64 bits. Here its first half is used. */
const ITEM_BYTES = 8;

class Stress implements Activity {
  private readonly heap: Heap;
  private readonly random: Random;
  private readonly transfer: Int32Array;
  private readonly quota: number;
  private readonly data: Int32Array;
  private readonly kept: Int32Array;
  private allocsLeft = 0;
  private keepsLeft = 0;
  private nrData = 0;
  private nrKept = 0;

  constructor({ heap, random, shared, id, parameter }: Thread) {
    this.heap = heap;
    this.random = random;
    this.transfer = shared;
    this.quota = 100 * parameter("scale") * ((id % 8) + 1);
    this.data = new Int32Array(this.quota);
    this.kept = new Int32Array(this.quota);
    this.beginPhase();
  }
  private beginPhase(): void {
    this.allocsLeft = this.quota;
    this.keepsLeft = this.quota >> 1;
    this.nrData = this.nrKept = 0;
  }
  private endPhase(): void {
    for (let i = 0; i < this.nrKept; i++) freeItems(this.heap, this.kept[i]);
    for (let i = 0; i < this.nrData; i++) freeItems(this.heap, this.data[i]);
  }
  chunk(): number {
    let done = 0;
    for (; done < STEPS && this.allocsLeft + this.keepsLeft > 0; done++) this.step();
    if (this.allocsLeft + this.keepsLeft === 0) {
      this.endPhase();
      this.beginPhase();
    }
    return done;
  }
  private step(): void {
    const { heap, random, data, transfer } = this;
    if (this.keepsLeft === 0 || (this.allocsLeft > 0 && random.below(2) === 0)) {
      this.allocsLeft--;
      data[this.nrData++] = this.allocItems(MAX_POWER);
    } else {
      this.keepsLeft--;
      this.kept[this.nrKept++] = this.allocItems(MAX_KEPT_POWER);
    }
    if (random.below(100) < 66 && this.nrData > 0) {
      const i = random.below(this.nrData);
      freeItems(heap, data[i]);
      data[i] = 0;
    }
    if (random.below(100) < 25 && this.nrData > 0) {
      const i = random.below(this.nrData);
      data[i] = Atomics.exchange(transfer, random.below(TRANSFERS), data[i]);
    }
  }
  private allocItems(maxPower: number): number {
    const { heap, random } = this;
    let items = 1 << random.below(maxPower);
    if (random.below(100) === 0) items *= 100;
    const block = obtain(heap, items * ITEM_BYTES, items ^ COOKIE);
    for (let i = 1; i < items; i++) heap.store(block + i * ITEM_BYTES, (items - i) ^ COOKIE);
    return block;
  }
  finish(): void {
    this.endPhase();
  }
}

/** @throws Error  the block was overwritten */
function freeItems(heap: Heap, block: number): void {
  if (block === 0) return;
  const items = heap.load(block) ^ COOKIE;
  for (let i = 0; i < items; i++) {
    if ((heap.load(block + i * ITEM_BYTES) ^ COOKIE) !== items - i) throw new Error("a block has been overwritten");
  }
  heap.free(block);
}

export const mstress: Workload = {
  sharedWords: () => TRANSFERS,
  start: (thread) => new Stress(thread),
  clear({ heap, shared }) {
    for (const block of shared) freeItems(heap, block);
  },
};
