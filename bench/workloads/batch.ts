/** batch: `count` objects are allocated, then all freed in the same order. */
import { type Activity, type Heap, obtain, OPS, type Thread, type Workload } from "./workload.ts";

// Why: what is imported is no constant to V8, and it is looked up and compared at each use.
const take: typeof obtain = obtain;
const CHUNK: number = OPS;

class Batch implements Activity {
  private readonly heap: Heap;
  private readonly size: number;
  private readonly objects: Int32Array;

  constructor({ heap, parameter }: Thread) {
    this.heap = heap;
    this.size = parameter("size");
    this.objects = new Int32Array(parameter("count"));
  }
  chunk(): number {
    let done = 0;
    for (; done < CHUNK; done += this.objects.length) this.once();
    return done;
  }
  private once(): void {
    const { heap, size, objects } = this;
    for (let i = 0; i < objects.length; i++) objects[i] = take(heap, size, i);
    for (let i = 0; i < objects.length; i++) heap.free(objects[i]);
  }
  finish(): void {
    // Between two chunks it holds nothing.
  }
}

export const batch: Workload = { start: (thread) => new Batch(thread) };
