/** pair: an object is allocated, written to, and freed at once. */
import { type Activity, type Heap, obtain, OPS, type Thread, type Workload } from "./workload.ts";

// Why: what is imported is no constant to V8, and it is looked up and compared at each use.
const take: typeof obtain = obtain;
const CHUNK: number = OPS;

class Pair implements Activity {
  private readonly heap: Heap;
  private readonly size: number;

  constructor({ heap, parameter }: Thread) {
    this.heap = heap;
    this.size = parameter("size");
  }
  chunk(): number {
    const { heap, size } = this;
    for (let i = 0; i < CHUNK; i++) heap.free(take(heap, size, i));
    return CHUNK;
  }
  finish(): void {
    // It holds nothing.
  }
}

export const pair: Workload = { start: (thread) => new Pair(thread) };
