/**
 * Allocation and free where a magazine will not do: it is empty or full, the block is a large one, the pointer is no
 * good, or the heap is being debugged, and then nothing is kept at hand. Here tags are checked and changed, so here bad
 * frees are noticed.
 */
import { MachineBug } from "../../shared/base/verdict.ts";
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { is_vmalloc_addr, kmem_cache_alloc, ksize, kvfree, kvmalloc } from "../../shared/linux/api.ts";
import { vmalloc_size } from "../../shared/linux/mm/vmalloc.ts";
import type { Ptr } from "../../shared/mem/struct.ts";
import { type Attachment, isLive, isReadable } from "./attachment.ts";
import { GFP_HEAP, heap_retire } from "./callbacks.ts";
import { HeapFullError, HeapUsageError } from "./errors.ts";
import { FREED, GRANULE_SHIFT, LARGE, RETIRED } from "./layout.ts";
import { flush_magazine, magazine_count, refill_magazine } from "./magazines.ts";
import { reclaim } from "./reclaim.ts";

type Obj = Ptr<"object">;

/** An object of class `c`, its tag as it was, and a half-full magazine if there is enough memory. @throws HeapFullError */
export function takeObject(at: Attachment, c: number): number {
  const { cache, bytes } = at.classes.get(c);
  const limit = at.classes.limits[c];
  if (limit === 0)
    return noted(
      at,
      insist(at, bytes, (cpu) => kmem_cache_alloc(cpu, cache, GFP_HEAP)),
    );
  const magazine = at.map.magazine(at.slot, c);
  const fill = (cpu: Cpu): number => {
    const held = magazine_count(cpu.mem, magazine); // It may have been work, and not want of objects, that led here.
    return held > 0 ? held : refill_magazine(cpu, magazine, cache, limit >> 1);
  };
  for (;;) {
    insist(at, bytes, fill);
    const object = at.magazines.take(c);
    if (object !== 0) return object; // Else new work has come meanwhile.
  }
}
/** A block of pages. @throws HeapFullError */
export function takeLarge(at: Attachment, bytes: number): number {
  // The kernel's sizes have 32 bits.
  if (bytes >= at.descriptor.bytes)
    throw new HeapFullError(`${bytes} bytes are more than there are: make a larger heap`);
  return noted(
    at,
    insist(at, bytes, (cpu) => kvmalloc(cpu, bytes, GFP_HEAP)),
  );
}
function noted(at: Attachment, object: number): number {
  at.sites?.note(object);
  return object;
}
/** Runs `attempt` until it returns something else than 0, once more after what can be given back has been. */
function insist(at: Attachment, bytes: number, attempt: (cpu: Cpu) => number): number {
  let got = at.calls.run(at.slot, attempt);
  if (got === 0) {
    reclaim(at);
    got = at.calls.run(at.slot, attempt);
  }
  if (got === 0) throw new HeapFullError(`no memory for ${bytes} bytes: free or retire some, or make a larger heap`);
  return got;
}

/** Gives back what `free(pointer)` is for. @throws HeapUsageError */
export function freeObject(at: Attachment, object: number): void {
  const tag = liveTag(at, "free", object);
  const limit = tag === LARGE ? 0 : (at.classes.get(tag), at.classes.limits[tag]);
  if (limit !== 0) {
    makeRoom(at, tag, limit);
    if (at.magazines.free(object)) return; // Else new work has come meanwhile.
  }
  retag(at, "free", object, FREED);
  at.calls.run(at.slot, (cpu) => kvfree(cpu, object as Obj));
}
/** In the magazine of class `c`. */
function makeRoom(at: Attachment, c: number, limit: number): void {
  const { cache } = at.classes.get(c);
  const magazine = at.map.magazine(at.slot, c);
  at.calls.run(at.slot, (cpu) => {
    if (magazine_count(cpu.mem, magazine) >= limit) flush_magazine(cpu, magazine, cache, limit >> 1);
  });
}
/** Has it freed once all readers of now have left. @throws HeapUsageError, HeapFullError */
export function retireObject(at: Attachment, object: number): void {
  const tag = liveTag(at, "retire", object);
  retag(at, "retire", object, tag | RETIRED);
  if (at.calls.run(at.slot, (cpu) => heap_retire(cpu, object as Obj))) return;
  reclaim(at);
  if (at.calls.run(at.slot, (cpu) => heap_retire(cpu, object as Obj))) return;
  at.tags[object >> GRANULE_SHIFT] = tag; // Nothing has come of it.
  throw new HeapFullError("retire(): no memory to note the object down");
}

/** Bytes that the user of an object may use. It may be retired, for readers. @throws HeapUsageError */
export function usableBytes(at: Attachment, what: string, object: number): number {
  const tag = at.magazines.tag(object);
  if (!isReadable(tag)) throw badPointer(at, what, object, tag);
  const kind = tag & ~RETIRED;
  if (kind !== LARGE) return at.classes.get(kind).bytes;
  try {
    const cpu = at.calls.cpus[at.slot];
    return is_vmalloc_addr(cpu, object as Obj) ? vmalloc_size(cpu, object as Obj) : ksize(cpu, object as Obj);
  } catch (error) {
    if (error instanceof MachineBug) throw badPointer(at, what, object, tag); // Retired, and gone meanwhile.
    throw error;
  }
}
/** Class of a live object, or LARGE. @throws HeapUsageError */
export function liveTag(at: Attachment, what: string, object: number): number {
  const tag = at.magazines.tag(object);
  if (!isLive(tag)) throw badPointer(at, what, object, tag);
  return tag;
}
/** Changes the tag of a live object. @returns what it was. @throws HeapUsageError */
function retag(at: Attachment, what: string, object: number, to: number): number {
  const tag = liveTag(at, what, object);
  const i = object >> GRANULE_SHIFT;
  if (at.sites === undefined) {
    at.tags[i] = to;
  } else {
    const found = Atomics.compareExchange(at.tags, i, tag, to);
    if (found !== tag) throw badPointer(at, what, object, found);
    at.sites.note(object);
  }
  return tag;
}

function badPointer(at: Attachment, what: string, object: number, tag: number): HeapUsageError {
  const call = `${what}(${Number.isInteger(object) && object >= 0 ? `0x${object.toString(16)}` : object})`;
  const where = tag === 0 || at.sites === undefined ? "" : ` at ${at.sites.of(object)}`;
  if (tag === FREED) return new HeapUsageError(`${call}: that object is free: it was freed${where}`);
  if (tag > FREED) return new HeapUsageError(`${call}: that object is no longer yours: it was retired${where}`);
  return new HeapUsageError(`${call}: no object of this heap begins there`);
}
