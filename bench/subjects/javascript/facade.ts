/** sheaf/heap as a heap: what a JavaScript engineer would use. */
import { attachHeap, createHeap, type Heap as SharedHeap, type HeapDescriptor } from "../../../src/main/heap/index.ts";
import { WordHeap } from "./word_heap.ts";

export interface FacadeSpec {
  readonly kind: "sheaf";
  readonly descriptor: HeapDescriptor;
}

export function createFacadeSpec(bytes: number, threads: number): FacadeSpec {
  return { kind: "sheaf", descriptor: createHeap({ bytes, cpus: threads }) };
}

export class FacadeHeap extends WordHeap {
  private readonly heap: SharedHeap;

  constructor({ descriptor }: FacadeSpec) {
    const heap = attachHeap(descriptor);
    super(heap.i32);
    this.heap = heap;
  }
  malloc(bytes: number): number {
    return this.heap.alloc(bytes);
  }
  free(object: number): void {
    this.heap.free(object);
  }
  override usedBytes(): number {
    const { bytes, freeBytes } = this.heap.stats();
    return bytes - freeBytes;
  }
}
