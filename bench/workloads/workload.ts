/**
 * What a workload is written against: a heap, and threads that share some words. The same code runs on the kernel's
 * allocators and on those of JavaScript; bench/peers has its twin in C, with the same parameters and random numbers.
 */
import type { Random } from "../../src/shared/base/random.ts";

/** An allocator as one thread sees it. Of each process only one class of heap is used: calls of it are inlined. */
export interface Heap {
  /** @returns 0: no memory. */
  malloc(bytes: number): number;
  free(object: number): void;
  /** 32-bit words of objects. */
  load(address: number): number;
  store(address: number, word: number): void;
  /** What a thread owes its heap between two chunks. */
  between(): void;
  /** Bytes that objects and the allocator itself take; NaN: unknown. */
  usedBytes(): number;
}

export interface Thread<H extends Heap = Heap> {
  readonly id: number;
  readonly threads: number;
  readonly heap: H;
  readonly random: Random;
  /** What Workload.sharedWords has asked for, all 0 at first. */
  readonly shared: Int32Array;
  /** @throws RangeError  the job does not have it */
  readonly parameter: (name: string) => number;
}

/** What one thread does. */
export interface Activity {
  /** After the warm-up. */
  begin?(): void;
  /** Some thousand operations. @returns how many objects came and went */
  chunk(): number;
  /** What belongs to the work though all has been called: within the measured time. */
  settle?(): void;
  /** Gives back what this thread holds. */
  finish(): void;
  /** What this thread has measured besides time, by name; asked on thread 0 after settle(). */
  metrics?(): Readonly<Record<string, number>>;
}

export interface Workload<H extends Heap = Heap> {
  readonly sharedWords?: (threads: number, parameter: (name: string) => number) => number;
  /** On thread 0, before the others start. */
  readonly setup?: (thread: Thread<H>) => void;
  readonly start: (thread: Thread<H>) => Activity;
  /** On thread 0, when all have finished: gives back what lies in shared words. */
  readonly clear?: (thread: Thread<H>) => void;
}

/** Operations of a usual chunk: long enough to hide the look at the clock, too short to be left to the interpreter. */
export const OPS = 2000;

/** An allocation that must succeed, written to. */
export function obtain(heap: Heap, bytes: number, word: number): number {
  const object = heap.malloc(bytes);
  if (object === 0) throw new RangeError(`out of memory: ${bytes} bytes were asked for`);
  heap.store(object, word);
  return object;
}
/** Empties a place for objects. 0 is none. */
export function freeIfAny(heap: Heap, object: number): void {
  if (object !== 0) heap.free(object);
}
