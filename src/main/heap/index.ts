/**
 * sheaf/heap: a heap in one SharedArrayBuffer for up to 30 threads, with reclamation that waits for readers. Allocation
 * and free are SLUB's, reclamation is RCU's. docs/HEAP.md says what is guaranteed.
 */
export { attachHeap, type AttachOptions } from "./attach.ts";
export type { CacheOptions, HeapCache } from "./cache.ts";
export { closeHeap, createHeap, type HeapDescriptor, type HeapOptions } from "./descriptor.ts";
export { HeapDeadError, HeapError, HeapFullError, HeapStalledError, HeapUsageError } from "./errors.ts";
export type { Heap } from "./heap.ts";
export type { HeapLeak, HeapStats } from "./inspect.ts";
export { watchWorker } from "./reaper.ts";
export type { HeapStall, StalledSlot, StallOptions } from "./stall.ts";
export type { ViewType } from "./view.ts";
