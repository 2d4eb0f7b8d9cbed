/** pair: an object is allocated, written to, and freed at once. */
import { type Activity, type Heap, obtain, OPS, type Thread, type Workload } from "./workload.ts";

class Pair implements Activity {
  private readonly heap: Heap;
  private readonly size: number;

  constructor({ heap, parameter }: Thread) {
    this.heap = heap;
    this.size = parameter("size");
  }
  chunk(): number {
    const { heap, size } = this;
    for (let i = 0; i < OPS; i++) heap.free(obtain(heap, size, i));
    return OPS;
  }
  finish(): void {
    // It holds nothing.
  }
}

export const pair: Workload = { start: (thread) => new Pair(thread) };
