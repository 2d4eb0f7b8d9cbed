/**
 * The reaper: frees the slots of threads that have died. Whoever creates a worker learns of its end, so each thread that
 * has made a heap or is attached to one watches the workers that it creates from then on. With a worker die its own
 * workers, and who watched them: they are reaped together.
 *
 * A thread that died between two calls leaves whole structures: its magazines are emptied, its CPU's sheaves given back,
 * its read section ends; its RCU callbacks stay with the CPU, which anybody drives on. One that died inside a call, on
 * whichever slot, may have left a lock or half a list: the heap dies with it.
 */
import type { Worker } from "node:worker_threads";
import { dies_with, forget_ancestors, handDownAncestry } from "./ancestry.ts";
import { Calls } from "./calls.ts";
import { Classes } from "./classes.ts";
import type { HeapDescriptor } from "./descriptor.ts";
import { HeapDeadError } from "./errors.ts";
import { HeapMap, HeapSlot } from "./layout.ts";
import { bump, isAlive, kill } from "./life.ts";
import { OWNER_MASK, REAPER_TOKEN } from "./owner.ts";
import { READER_INSIDE, reader_leave } from "./readers.ts";
import { flushMagazines, flushSheaves } from "./reclaim.ts";

const { owner: OWNER, reader: READER, thread: THREAD } = HeapSlot.offset;
/** The reaper may be the main thread, which should not wait long. */
const LOCK_TIMEOUT_MS = 10_000;

/** Heaps that this thread knows of. */
const heaps = new Set<WeakRef<HeapDescriptor>>();
/** Its workers, and the heaps that each of them could be attached to: all that have been there in its lifetime. */
const workers = new Map<number, Set<HeapDescriptor>>();
let watching = false;

/** From now on slots of this heap are freed when their threads die, if this thread has created their workers. */
export function watch(descriptor: HeapDescriptor): void {
  if (!watching) {
    process.on("worker", watchWorker);
    handDownAncestry();
  }
  watching = true;
  for (const ref of heaps) if (ref.deref() === undefined) heaps.delete(ref);
  heaps.add(new WeakRef(descriptor));
  for (const known of workers.values()) known.add(descriptor);
}
/** Lets go of a heap that nobody uses any more. */
export function forget({ buffer }: HeapDescriptor): void {
  for (const ref of heaps) if (ref.deref()?.buffer === buffer) heaps.delete(ref);
  for (const known of workers.values()) {
    for (const descriptor of known) if (descriptor.buffer === buffer) known.delete(descriptor);
  }
}
/**
 * Watches a worker, as is done by itself for those that a thread creates after it has made a heap or attached to one.
 * For workers that were there before.
 */
export function watchWorker(worker: Worker): void {
  const { threadId } = worker; // It is -1 when the worker has ended.
  if (threadId < 0 || workers.has(threadId)) return;
  const known = new Set<HeapDescriptor>();
  for (const ref of heaps) {
    const descriptor = ref.deref();
    if (descriptor !== undefined) known.add(descriptor);
  }
  workers.set(threadId, known);
  worker.once("exit", () => {
    workers.delete(threadId);
    for (const descriptor of new Map([...known].map((each) => [each.buffer, each])).values()) {
      reapThread(descriptor, threadId);
    }
  });
}

/** The thread is dead, and with it its workers: frees the slots that they had. */
function reapThread(descriptor: HeapDescriptor, threadId: number): void {
  const map = new HeapMap(descriptor);
  const calls = new Calls(descriptor.buffer, map, REAPER_TOKEN, LOCK_TIMEOUT_MS);
  const { mem } = calls;
  const dead: number[] = [];
  for (let id = 0; id < map.slots; id++) {
    const slot = map.slot(id);
    if (mem.read_once(slot, THREAD) === threadId + 1 || dies_with(mem, slot, threadId)) dead.push(id);
  }
  if (!isAlive(mem, map)) return;
  // All of them first: one may have died inside a call on the slot of another, which nobody can enter then.
  for (const id of dead) {
    if (!diedInside(calls, id)) continue;
    kill(mem, map, `thread ${mem.read_once(map.slot(id), THREAD) - 1} (slot ${id}) died inside a call`);
    return;
  }
  try {
    for (const id of dead) giveUpSlot(calls, new Classes(calls.cpus[id], map, descriptor.debug), id);
  } catch (error) {
    if (!(error instanceof HeapDeadError)) throw error; // Who uses the heap will hear of it.
  }
}
/** Does the thread of this slot still have an owner word, its own or another's? */
function diedInside({ mem, map }: Calls, dead: number): boolean {
  for (let i = 0; i <= map.registrySlot; i++) {
    if ((mem.read_once(map.slot(i), OWNER) & OWNER_MASK) === dead + 1) return true;
  }
  return false;
}

/** Empties a slot whose thread uses it no more, and frees it. @throws HeapDeadError */
export function giveUpSlot(calls: Calls, classes: Classes, id: number): void {
  const { mem, map } = calls;
  const slot = map.slot(id);
  calls.run(id, (cpu) => {
    if ((mem.read_once(slot, READER) & READER_INSIDE) !== 0) reader_leave(mem, slot);
    flushMagazines(cpu, map, classes, id);
    flushSheaves(cpu, classes);
  });
  forget_ancestors(mem, slot);
  mem.write_once(slot, THREAD, 0);
  bump(mem, map);
}
