/** attachHeap(): a thread claims a slot of a heap. */
import { threadId } from "node:worker_threads";
import { PerCpu } from "../../shared/layout/percpu.ts";
import { embedded } from "../../shared/mem/struct.ts";
import { note_ancestors } from "./ancestry.ts";
import { bindHeap } from "./callbacks.ts";
import { Calls } from "./calls.ts";
import { Classes } from "./classes.ts";
import { checkDescriptor, type HeapDescriptor } from "./descriptor.ts";
import { HeapDeadError, HeapFullError, HeapUsageError } from "./errors.ts";
import { Heap } from "./heap.ts";
import { GRANULE_SHIFT, HeapMap, HeapSlot } from "./layout.ts";
import { deadError, isAlive } from "./life.ts";
import { openMagazines } from "./magazines.ts";
import { watch } from "./reaper.ts";
import type { StallOptions } from "./stall.ts";
import { CallSites } from "./sites.ts";

const { pending: PENDING } = PerCpu.offset;
const { thread: THREAD } = HeapSlot.offset;

export interface AttachOptions extends Partial<StallOptions> {
  /** How long a call waits for another thread's call, which should take microseconds, ms. Default 10,000. */
  readonly lockTimeoutMs?: number;
}

/**
 * Makes this thread a user of the heap. Its slot becomes free again by detach(), or when the thread has ended.
 *
 * @throws HeapUsageError  it is no heap
 * @throws HeapFullError   all slots are taken
 * @throws HeapDeadError   the heap is of no use any more
 */
export function attachHeap(descriptor: HeapDescriptor, options: AttachOptions = {}): Heap {
  checkDescriptor(descriptor, "attachHeap()");
  const { buffer, debug, bytes } = descriptor;
  const { stallTimeoutMs = 10_000, lockTimeoutMs = 10_000, onStall = warn } = options;
  if (!(stallTimeoutMs > 0) || !(lockTimeoutMs > 0))
    throw new HeapUsageError("attachHeap(): a timeout is more than 0 ms");
  if (typeof onStall !== "function") throw new HeapUsageError("attachHeap(): onStall must be a function");
  const map = new HeapMap(descriptor);
  bindHeap();
  watch(descriptor);
  const words = new Int32Array(buffer);
  const slot = claimSlot(words, map);
  const calls = new Calls(buffer, map, slot + 1, lockTimeoutMs);
  if (!isAlive(calls.mem, map)) {
    Atomics.store(words, threadWord(map, slot), 0);
    throw deadError(calls.mem, map);
  }
  const classes = new Classes(calls.cpus[slot], map, debug);
  const tags = new Uint8Array(buffer, map.tags, bytes >> GRANULE_SHIFT);
  note_ancestors(calls.mem, map.slot(slot));
  const pending = embedded(map.machine.section(slot), PENDING);
  const magazines = openMagazines(calls.mem.words, tags, classes.limits, map.magazine(slot, 0) >> 2, pending >> 2);
  const sites = debug ? new CallSites(calls) : undefined;
  serveInEventLoop(calls, slot);
  return new Heap({ descriptor, map, slot, calls, classes, magazines, tags, sites }, { stallTimeoutMs, onStall });
}

/** Index of the word that says whose the slot is. */
function threadWord(map: HeapMap, slot: number): number {
  return (map.slot(slot) + THREAD) >> 2;
}
/** @throws HeapFullError  all are taken */
function claimSlot(words: Int32Array, map: HeapMap): number {
  const threads: number[] = [];
  for (let slot = 0; slot < map.slots; slot++) {
    const found = Atomics.compareExchange(words, threadWord(map, slot), 0, threadId + 1);
    if (found === 0) return slot;
    threads.push(found - 1);
  }
  const taken = `all ${map.slots} slots are taken, by threads ${threads.join(", ")}`;
  throw new HeapFullError(`attachHeap(): ${taken}: create the heap with more cpus, or have one detach() first`);
}

/**
 * While this thread is in its event loop it does what others announce for its slot. They do it themselves as a rule: this
 * is for what somebody announced who died before he could do it. Does not keep the event loop going.
 */
function serveInEventLoop(calls: Calls, slot: number): void {
  const { mem } = calls.cpus[slot];
  const pending = calls.cpus[slot].pending >> 2;
  const arm = (): void => {
    while (!calls.isClosed && isAlive(calls.mem, calls.map)) {
      calls.serveAll(1 << slot);
      const waiting = Atomics.waitAsync(mem.words, pending, mem.pending());
      if (!waiting.async) continue; // Something was announced meanwhile.
      void waiting.value.then(arm).catch(onlyDeath);
      return;
    }
  };
  arm();
}

/** The heap has died: the next call says so. */
function onlyDeath(error: unknown): void {
  if (!(error instanceof HeapDeadError)) throw error;
}
function warn({ message }: { readonly message: string }): void {
  process.emitWarning(message, { type: "HeapStallWarning" });
}
