/**
 * sh6bench, sh8bench: objects of growing and shrinking sizes, small ones more often. They are written down one by one;
 * when the list is full, all are freed but a fifth, another fifth each time: those before it from the first on, those
 * behind it from the last back. In sh8bench that fifth is exchanged with what other threads have left.
 */
import { type Activity, freeIfAny, type Heap, obtain, type Thread, type Workload } from "./workload.ts";

class SmartHeapBench implements Activity {
  private readonly heap: Heap;
  private readonly max: number;
  private readonly slots: Int32Array;
  private readonly kept: number;
  /** Where kept objects are exchanged; undefined: they stay. */
  private readonly transfer: Int32Array | undefined;
  private at = 0;
  private keepFrom: number;
  private keepTo: number;
  private base = 1;

  constructor({ heap, shared, parameter }: Thread, exchanges: boolean) {
    this.heap = heap;
    this.max = parameter("max");
    this.slots = new Int32Array(parameter("slots"));
    this.kept = keptOf(this.slots.length);
    this.transfer = exchanges ? shared : undefined;
    this.keepFrom = this.keepTo = this.slots.length;
  }
  chunk(): number {
    let done = 0;
    for (let size = this.base; size > 0; size >>= 1) done += this.allocate(size, howOften(size));
    this.base = Math.floor((this.base * 3) / 2) + 1;
    if (this.base > this.max) this.base = 1;
    return done;
  }
  private allocate(size: number, times: number): number {
    for (let n = times; n > 0; n--) this.noteDown(obtain(this.heap, Math.max(size, 4), n));
    return times;
  }
  private noteDown(object: number): void {
    this.slots[this.at++] = object;
    if (this.at === this.keepFrom) this.at = this.keepTo;
    if (this.at >= this.slots.length) this.sweep();
  }
  private sweep(): void {
    const { slots, kept } = this;
    this.keepFrom = this.keepTo >= slots.length ? 0 : this.keepTo;
    this.keepTo = Math.min(this.keepFrom + kept, slots.length);
    for (let i = 0; i < this.keepFrom; i++) this.freeSlot(i);
    for (let i = slots.length - 1; i >= this.keepTo; i--) this.freeSlot(i);
    if (this.transfer !== undefined) this.exchange(this.transfer);
    this.at = this.keepFrom === 0 ? this.keepTo : 0;
  }
  private exchange(transfer: Int32Array): void {
    const { slots, keepFrom, keepTo } = this;
    for (let i = keepFrom; i < keepTo; i++) slots[i] = Atomics.exchange(transfer, i - keepFrom, slots[i]);
  }
  private freeSlot(i: number): void {
    freeIfAny(this.heap, this.slots[i]);
    this.slots[i] = 0;
  }
  finish(): void {
    for (let i = 0; i < this.slots.length; i++) this.freeSlot(i);
  }
}

function howOften(size: number): number {
  if (size < 100) return 250;
  return size < 1000 ? 50 : 10;
}
function keptOf(slots: number): number {
  return Math.floor(slots / 5);
}

export const sh6bench: Workload = { start: (thread) => new SmartHeapBench(thread, false) };
export const sh8bench: Workload = {
  sharedWords: (_, parameter) => keptOf(parameter("slots")),
  start: (thread) => new SmartHeapBench(thread, true),
  clear({ heap, shared }) {
    for (const object of shared) freeIfAny(heap, object);
  },
};
