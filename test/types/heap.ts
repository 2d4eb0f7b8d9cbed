/**
 * Misuse of sheaf/heap that must not compile. Each line below an "expect-error" is wrong; tsc fails when one is accepted.
 */
import { attachHeap, createHeap, type Heap, type HeapDescriptor, type HeapStats } from "../../src/main/heap/index.ts";

// @ts-expect-error a heap needs a number of threads
createHeap({ bytes: 1 << 20 });
// @ts-expect-error and bytes, as a number
createHeap({ bytes: "1 MiB", cpus: 4 });

export function misuse(heap: Heap, descriptor: HeapDescriptor): void {
  // @ts-expect-error a buffer is no heap
  attachHeap(descriptor.buffer);
  attachHeap(descriptor, { onStall: ({ message, slots }) => void [message, slots[0].thread], stallTimeoutMs: 5 });
  // @ts-expect-error the descriptor is what all threads have in common
  descriptor.bytes = 5;
  // @ts-expect-error a heap is made by attachHeap(), not by a constructor
  void new Heap(descriptor);

  const doubles: Float64Array = heap.view(heap.alloc(64), Float64Array);
  const big: BigInt64Array = heap.view(heap.alloc(64), BigInt64Array, 2);
  const bytes: DataView = heap.view(heap.alloc(64), DataView);
  // @ts-expect-error a view of 32-bit integers is none of floats
  const floats: Float32Array = heap.view(heap.alloc(64), Int32Array);
  // @ts-expect-error an array is no view
  heap.view(heap.alloc(64), Array);

  const text: string = heap.read(() => "text");
  // @ts-expect-error a section is synchronous: it would end before what it awaits
  void heap.read(async () => Promise.resolve(5));
  // @ts-expect-error a section is a function
  heap.read(5);

  const cache = heap.cache({ size: 16, ctor: (object) => heap.u8.fill(0, object, object + 16) });
  cache.free(cache.alloc());
  // @ts-expect-error objects have a size
  heap.cache({ ctor: () => undefined });
  // @ts-expect-error a constructor gets the address of an object
  heap.cache({ size: 16, ctor: (object: string) => object.length });
  // @ts-expect-error the size of an object is the cache's
  cache.alloc(16);

  const waited: Promise<void> = heap.barrierAsync();
  const problems: string[] = heap.check();
  const stats: HeapStats = heap.stats();
  // @ts-expect-error who frees says what
  heap.free();
  void [doubles, big, bytes, floats, text, waited, problems, stats];
}
