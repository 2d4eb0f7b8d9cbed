/**
 * The workers of threads.test.ts: each attaches, says so, and runs the program that it was given. Every wait is bounded.
 * `words` belong to the test; what lies at which index is up to each program.
 */
import { parentPort, threadId, workerData } from "node:worker_threads";
import { attachHeap, type Heap, type HeapDescriptor } from "../../../src/main/heap/index.ts";
import { Random } from "../../../src/shared/base/random.ts";

export interface ThreadData {
  readonly heap: HeapDescriptor;
  readonly program: keyof typeof programs;
  readonly words: Int32Array;
  readonly seed: number;
  readonly count: number;
  readonly lockTimeoutMs: number;
}
/** What a thread tells. */
export type ThreadMessage =
  | { readonly kind: "attached"; readonly slot: number; readonly thread: number }
  | { readonly kind: "note" | "done" | "error"; readonly text: string };

/** Longest wait, ms. */
const PATIENCE_MS = 30_000;
const GO = 0;
export const MAILBOX = 16;
export const MAILBOX_WORDS = 64;
export const MAGIC = 0x5eed;

const tell = (message: ThreadMessage): void => parentPort?.postMessage(message, []);

/** Blocks in a wait of its own, which the heap knows nothing of. */
function waitForGo(words: Int32Array): void {
  if (Atomics.wait(words, GO, 0, PATIENCE_MS) === "timed-out") throw new Error("nobody said go");
}

/** An object that says of itself how large it is, and whether somebody has written into it. */
export function fillObject(heap: Heap, object: number, bytes: number, seed: number): void {
  const words = heap.i32.subarray(object >> 2, (object + bytes) >> 2);
  words.fill(seed);
  words[0] = bytes;
}
export function checkObject(heap: Heap, object: number): void {
  const bytes = heap.i32[object >> 2];
  const words = heap.i32.subarray((object >> 2) + 1, (object + bytes) >> 2);
  if (words.some((word) => word !== words[0])) throw new Error(`object 0x${object.toString(16)} was written into`);
}

const programs = {
  /** Allocates, exchanges for what lies in a mailbox, checks that and gives it back: mostly other threads' objects. */
  exchange: (heap: Heap, { words, seed, count }: ThreadData): void => {
    const random = new Random(seed);
    for (let i = 0; i < count; i++) {
      const bytes = 8 + 4 * random.below(random.chance(0.01) ? 5000 : random.chance(0.2) ? 300 : 30);
      const object = heap.alloc(bytes);
      fillObject(heap, object, bytes, (seed << 20) | i);
      const other = Atomics.exchange(words, MAILBOX + random.below(MAILBOX_WORDS), object);
      if (other === 0) continue;
      checkObject(heap, other);
      if (random.chance(0.3)) heap.retire(other);
      else heap.free(other);
    }
  },
  /** Replaces the object at the root, again and again: the memory of retired ones is used for the next ones. */
  update: (heap: Heap, { words, count }: ThreadData): void => {
    for (let i = 1; i <= count; i++) {
      const object = heap.alloc(32);
      heap.i32[object >> 2] = i;
      heap.i32[(object >> 2) + 1] = i ^ MAGIC;
      heap.retire(Atomics.exchange(words, MAILBOX, object));
    }
    Atomics.store(words, GO, 1);
  },
  /** Reads the object at the root until the updater has ended. */
  read: (heap: Heap, { words }: ThreadData): void => {
    let sections = 0;
    for (; Atomics.load(words, GO) === 0; sections++) {
      heap.read(() => {
        const at = Atomics.load(words, MAILBOX) >> 2;
        const generation = heap.i32[at];
        for (let look = 0; look < 50; look++) {
          const same = heap.i32[at] === generation && heap.i32[at + 1] === (generation ^ MAGIC);
          if (!same) throw new Error(`a reader's object was used again: generation ${generation}`);
        }
      });
    }
    tell({ kind: "note", text: `${sections}` });
  },
  /** Retires objects, keeps some, then is outside the heap for long: blocked, though not in its event loop. */
  compute: (heap: Heap, { words, count }: ThreadData): void => {
    for (let i = 0; i < count; i++) heap.retire(heap.alloc(100));
    heap.free(heap.alloc(100));
    tell({ kind: "note", text: "computing" });
    waitForGo(words);
  },
  /** The same in its event loop. */
  idle: (heap: Heap, { count }: ThreadData): void => {
    for (let i = 0; i < count; i++) heap.retire(heap.alloc(100));
    heap.free(heap.alloc(100));
    setTimeout(() => undefined, 4 * PATIENCE_MS); // Longer than any test.
  },
  /** Is in a read section until it is told to go. */
  hold: (heap: Heap, { words }: ThreadData): void => {
    heap.readLock();
    tell({ kind: "note", text: "reading" });
    waitForGo(words);
    heap.readUnlock();
  },
  /** Allocates what needs the page allocator: the test has taken its lock. */
  allocate: (heap: Heap): void => {
    heap.alloc(100_000);
  },
  /** Allocates and frees, small ones and large ones, until it is told to go. */
  churn: (heap: Heap, { words }: ThreadData): void => {
    while (Atomics.load(words, GO) === 0) {
      const objects = Array.from({ length: 300 }, (_, i) =>
        heap.alloc(i % 5 === 0 ? 9000 : i % 99 === 0 ? 100_000 : 64),
      );
      for (const object of objects) heap.free(object);
    }
  },
  /** Checks the whole heap, again and again, until it is told to go. */
  check: (heap: Heap, { words }: ThreadData): void => {
    while (Atomics.load(words, GO) === 0) heap.check();
  },
  /** Waits for readers, and tells of stalls. */
  synchronize: (heap: Heap): void => heap.synchronize(),
  /** Leaks, in a heap that is debugged. */
  leak: (heap: Heap): void => {
    leakyFunction(heap);
  },
};
function leakyFunction(heap: Heap): void {
  for (let i = 0; i < 5; i++) heap.alloc(1000);
}

const data = workerData as ThreadData;
try {
  const onStall = (stall: { readonly message: string }): void => tell({ kind: "note", text: stall.message });
  const heap = attachHeap(data.heap, { stallTimeoutMs: 100, onStall, lockTimeoutMs: data.lockTimeoutMs });
  tell({ kind: "attached", slot: heap.slot, thread: threadId });
  programs[data.program](heap, data);
  tell({ kind: "done", text: "" });
} catch (error) {
  tell({ kind: "error", text: String(error) });
}
