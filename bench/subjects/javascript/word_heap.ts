/** What heaps that JavaScript calls have in common: one memory, of which a word is loaded and stored by its address. */
import type { Heap } from "../../workloads/workload.ts";

export abstract class WordHeap implements Heap {
  protected readonly words: Int32Array;

  constructor(words: Int32Array) {
    this.words = words;
  }
  abstract malloc(bytes: number): number;
  abstract free(object: number): void;
  load(address: number): number {
    return this.words[address >> 2];
  }
  store(address: number, word: number): void {
    this.words[address >> 2] = word;
  }
  between(): void {
    // Nothing is owed.
  }
  usedBytes(): number {
    return NaN;
  }
}
