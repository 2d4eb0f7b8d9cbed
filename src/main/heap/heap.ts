/**
 * Heap: what one thread does with a heap that it is attached to. docs/HEAP.md says what is guaranteed.
 *
 * Fast paths are here: they touch this thread's magazines and the tags of objects that are its own, all plain memory.
 * What they cannot do is done by calls into the kernel (objects.ts, calls.ts).
 */
import type { Attachment } from "./attachment.ts";
import { type CacheOptions, type HeapCache, openCache } from "./cache.ts";
import { CLASS_BY_GRANULES, MAX_CLASS_BYTES } from "./classes.ts";
import type { HeapDescriptor } from "./descriptor.ts";
import { HeapUsageError } from "./errors.ts";
import { heapCheck, type HeapLeak, heapLeaks, heapStats, type HeapStats } from "./inspect.ts";
import { FIRST_CACHE_CLASS, GRANULE, GRANULE_SHIFT, HeapSlot, LARGE, LAST_CLASS } from "./layout.ts";
import type { Magazines } from "./magazines.ts";
import { freeObject, liveTag, retireObject, takeLarge, takeObject, usableBytes } from "./objects.ts";
import { reader_enter, reader_leave } from "./readers.ts";
import { giveUpSlot } from "./reaper.ts";
import { block, rest, type StallOptions } from "./stall.ts";
import { makeView, type ViewType } from "./view.ts";
import { Barrier, GracePeriod } from "./waits.ts";

const { reader_site: READER_SITE } = HeapSlot.offset;
// Why: what is imported is not a constant to V8, and these are for the fast paths.
const CLASSES: Uint8Array = CLASS_BY_GRANULES;
const MAX_BYTES: number = MAX_CLASS_BYTES;
const SHIFT: number = GRANULE_SHIFT;
const ROUND: number = GRANULE - 1;
/** So much is cleared by a loop; for more than that a call of fill() is faster. */
const LOOP_BYTES = 256;

/** What else read() is given: nothing. For an asynchronous section there is no such thing, so that it does not compile. */
type NotAsync<T> = [T] extends [never] ? [] : T extends PromiseLike<unknown> ? [never] : [];

export class Heap {
  /** To attach other threads. */
  readonly descriptor: HeapDescriptor;
  /** The memory that pointers are byte offsets into, and views of all of it. */
  readonly buffer: SharedArrayBuffer;
  readonly u8: Uint8Array<SharedArrayBuffer>;
  readonly i32: Int32Array<SharedArrayBuffer>;
  readonly u32: Uint32Array<SharedArrayBuffer>;
  readonly f64: Float64Array<SharedArrayBuffer>;
  /** This thread's slot, 0 .. cpus - 1. */
  readonly slot: number;
  private readonly at: Attachment;
  private readonly magazines: Magazines;
  private readonly stalls: StallOptions;
  /** Nesting of read sections. */
  private nesting = 0;

  /** @internal Use attachHeap(). */
  constructor(at: Attachment, stalls: StallOptions) {
    const { buffer, bytes } = at.descriptor;
    this.at = at;
    this.magazines = at.magazines;
    this.stalls = stalls;
    this.descriptor = at.descriptor;
    this.slot = at.slot;
    this.buffer = buffer;
    this.u8 = new Uint8Array(buffer, 0, bytes);
    this.i32 = new Int32Array(buffer, 0, bytes >> 2);
    this.u32 = new Uint32Array(buffer, 0, bytes >> 2);
    this.f64 = new Float64Array(buffer, 0, bytes >> 3);
  }

  /**
   * Memory for `bytes` bytes, from 1 up, whatever is in it. @returns its address, a multiple of 8.
   * @throws HeapUsageError  no such size
   * @throws HeapFullError   no memory
   */
  alloc(bytes: number): number {
    const c = classOf(bytes);
    const object = this.magazines.pop(c); // Class 0's is always empty.
    return object === 0 ? this.allocSlowly(bytes, c) : object;
  }
  /** Zeroed memory for `count` elements of `bytes` bytes. @throws as alloc() */
  calloc(count: number, bytes: number): number {
    checkSize("calloc", count);
    checkSize("calloc", bytes);
    const object = this.alloc(count * bytes);
    this.clear(object, count * bytes);
    return object;
  }
  /**
   * Makes what begins at `object` larger or smaller, moving it if need be. Address 0: the same as alloc().
   * @returns its address. @throws as alloc() and free(); `object` is then as it was
   */
  realloc(object: number, bytes: number): number {
    checkSize("realloc", bytes);
    if (object === 0) return this.alloc(bytes);
    const tag = liveTag(this.at, "realloc", object);
    const room = this.sizeOf(object);
    if (tag >= FIRST_CACHE_CLASS && tag <= LAST_CLASS && bytes > room) {
      throw new HeapUsageError(`realloc(): objects of a cache have one size, ${room} bytes, not ${bytes}`);
    }
    const wasteful = tag === LARGE ? bytes <= room >> 1 : tag < FIRST_CACHE_CLASS && classOf(bytes) !== tag;
    if (bytes <= room && !wasteful) return object;
    const moved = this.alloc(bytes);
    this.u8.copyWithin(moved, object, object + Math.min(room, bytes));
    this.free(object);
    return moved;
  }
  /** Gives memory back, from any thread. Address 0 is ignored. @throws HeapUsageError  nothing of that kind begins there */
  free(object: number): void {
    if (this.magazines.free(object)) return;
    if (object !== 0) freeObject(this.attachment(), object);
  }
  /** Frees memory when all who are reading now have left their sections. Does not wait. @throws as free(), HeapFullError */
  retire(object: number): void {
    if (object !== 0) retireObject(this.attachment(), object);
  }
  /** Bytes that may be used at `object`: at least those asked for. @throws HeapUsageError  nothing begins there */
  sizeOf(object: number): number {
    return usableBytes(this.attachment(), "sizeOf", object);
  }
  /** A view of `length` elements at `object`; default: of all its memory. @throws HeapUsageError */
  view<V extends ViewType>(object: number, type: V, length?: number): V["prototype"] {
    return makeView(this.buffer, object, usableBytes(this.attachment(), "view", object), type, length);
  }
  /** Makes or finds a cache of objects of one size. @throws HeapUsageError, HeapFullError */
  cache(options: CacheOptions): HeapCache {
    return openCache(this.attachment(), options);
  }

  /** Runs `section` as a read section: what it finds in shared structures stays until it returns. It must be synchronous. */
  read<T>(section: () => T, ..._none: NotAsync<T>): T {
    this.readLock();
    try {
      const result = section();
      if (result instanceof Promise) throw new HeapUsageError("read(): a section must not be asynchronous");
      return result;
    } finally {
      this.readUnlock();
    }
  }
  /** Begins a read section, which readUnlock() ends. Sections nest. */
  readLock(): void {
    if (this.nesting === 0) this.enter();
    this.nesting++;
  }
  readUnlock(): void {
    if (this.nesting === 0) throw new HeapUsageError("readUnlock() without readLock()");
    if (--this.nesting !== 0) return;
    const { calls, map } = this.at;
    if (reader_leave(calls.mem, map.slot(this.slot))) calls.run(this.slot, () => undefined);
  }

  /** Returns when all who were reading at the call have left. On the main thread it throws HeapStalledError in the end. */
  synchronize(): void {
    const { calls } = this.waiting("synchronize");
    block(this.at, new GracePeriod(calls, this.slot), this.stalls);
  }
  /** The same without blocking. */
  async synchronizeAsync(): Promise<void> {
    const { calls } = this.waiting("synchronizeAsync");
    await rest(this.at, new GracePeriod(calls, this.slot), this.stalls);
  }
  /** Returns when all that was retired before the call is free. On the main thread it throws HeapStalledError in the end. */
  barrier(): void {
    const { calls, classes } = this.waiting("barrier");
    block(this.at, new Barrier(calls, classes), this.stalls);
  }
  /** The same without blocking. */
  async barrierAsync(): Promise<void> {
    const { calls, classes } = this.waiting("barrierAsync");
    await rest(this.at, new Barrier(calls, classes), this.stalls);
  }

  /** How the memory is used, at some moment. */
  stats(): HeapStats {
    return heapStats(this.attachment());
  }
  /** Stops all calls for a moment and checks every structure. @returns what is wrong, in words; nothing if all is well. */
  check(): string[] {
    return heapCheck(this.attachment());
  }
  /** What is allocated, by who allocated it, most bytes first. @throws HeapUsageError  the heap was made without debug */
  leaks(): HeapLeak[] {
    return heapLeaks(this.attachment());
  }
  /** Leaves the heap; the slot becomes free. What this thread has allocated stays. @throws HeapUsageError  it is reading */
  detach(): void {
    if (this.nesting !== 0) throw new HeapUsageError("detach() in a read section");
    const { calls, classes, magazines } = this.attachment();
    magazines.close();
    giveUpSlot(calls, classes, this.slot);
    calls.close(this.slot);
  }

  /** @throws HeapUsageError  detached */
  private attachment(): Attachment {
    this.at.calls.checkOpen();
    return this.at;
  }
  private allocSlowly(bytes: number, c: number): number {
    checkSize("alloc", bytes);
    const at = this.attachment();
    const object = c === 0 ? takeLarge(at, bytes) : takeObject(at, c);
    at.tags[object >> GRANULE_SHIFT] = c === 0 ? LARGE : c;
    return object;
  }
  /** By granules: V8 fills shared bytes one at a time. */
  private clear(object: number, bytes: number): void {
    const start = object >> SHIFT;
    const end = (object + bytes + ROUND) >> SHIFT;
    if (bytes > LOOP_BYTES) this.f64.fill(0, start, end);
    else for (let i = start; i < end; i++) this.f64[i] = 0;
  }
  private enter(): void {
    const { calls, map, sites } = this.attachment();
    const slot = map.slot(this.slot);
    if (sites !== undefined) calls.mem.poke(slot, READER_SITE, sites.here());
    reader_enter(calls.mem, slot);
  }
  private waiting(what: string): Attachment {
    if (this.nesting !== 0) throw new HeapUsageError(`${what}() in a read section: it would wait for itself`);
    return this.attachment();
  }
}

/** Class of a request; 0: it needs a block of pages, or is no size at all. */
function classOf(bytes: number): number {
  if ((bytes | 0) !== bytes || bytes <= 0 || bytes > MAX_BYTES) return 0;
  return CLASSES[(bytes + ROUND) >> SHIFT];
}
function checkSize(what: string, bytes: number): void {
  if (Number.isSafeInteger(bytes) && bytes > 0) return;
  throw new HeapUsageError(`${what}(): a size is an integer from 1 up, not ${String(bytes)}`);
}
