/** sheaf/heap as a heap: what a JavaScript engineer would use. */
import { attachHeap, createHeap, type Heap as SharedHeap, type HeapDescriptor } from "../../../src/main/heap/index.ts";
import type { Heap } from "../../workloads/workload.ts";

export interface FacadeSpec {
  readonly kind: "sheaf";
  readonly descriptor: HeapDescriptor;
}

export function createFacadeSpec(bytes: number, threads: number): FacadeSpec {
  return { kind: "sheaf", descriptor: createHeap({ bytes, cpus: threads }) };
}

export class FacadeHeap implements Heap {
  private readonly heap: SharedHeap;
  private readonly words: Int32Array;

  constructor({ descriptor }: FacadeSpec) {
    this.heap = attachHeap(descriptor);
    this.words = this.heap.i32;
  }
  malloc(bytes: number): number {
    return this.heap.alloc(bytes);
  }
  free(object: number): void {
    this.heap.free(object);
  }
  load(address: number): number {
    return this.words[address >> 2];
  }
  store(address: number, word: number): void {
    this.words[address >> 2] = word;
  }
  between(): void {
    // What is owed is done in the calls.
  }
  usedBytes(): number {
    const { bytes, freeBytes } = this.heap.stats();
    return bytes - freeBytes;
  }
}
