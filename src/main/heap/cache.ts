/**
 * Caches of objects of one size. A cache with a name is one for all threads; each passes its own constructor, a function
 * of its own thread, and so an object is constructed where it is first handed out: once in the life of its memory. Its
 * users give objects back as the constructor left them.
 */
import { CB } from "../../shared/layout/callbacks.ts";
import { CACHE_NAME_BYTES, KmemCache } from "../../shared/layout/slab.ts";
import { kfree, kmem_cache_create } from "../../shared/linux/api.ts";
import { cache_name } from "../../shared/linux/mm/slub/cache_name.ts";
import { NULL, type Ptr } from "../../shared/mem/struct.ts";
import type { Attachment } from "./attachment.ts";
import { MAX_CLASS_BYTES } from "./classes.ts";
import { HeapFullError, HeapUsageError } from "./errors.ts";
import { FIRST_CACHE_CLASS, GRANULE_SHIFT, HeapClass, HeapGlobals, LAST_CLASS } from "./layout.ts";
import type { Magazines } from "./magazines.ts";
import { freeObject, liveTag, retireObject, takeObject } from "./objects.ts";
import { reclaim } from "./reclaim.ts";

const { cache: CACHE, constructed: CONSTRUCTED } = HeapClass.offset;
const { classes_end: CLASSES_END } = HeapGlobals.offset;
const { align: ALIGN } = KmemCache.offset;

export interface CacheOptions {
  /** Bytes of an object, 1 to 8192. */
  readonly size: number;
  /**
   * Prepares an object before its first use. Objects keep their state while they are free, and take 8 bytes more.
   */
  readonly ctor?: (object: number) => void;
  /**
   * Up to 24 ASCII characters: whoever asks for the name gets the same cache. Without one each call makes a new cache, whose
   * name nobody can ask for: "cache-" and a number.
   */
  readonly name?: string;
  /** Of an object's address: a power of two, 8 to 4096. Default 8. */
  readonly align?: number;
}

export class HeapCache {
  readonly name: string;
  readonly size: number;
  private readonly at: Attachment;
  private readonly magazines: Magazines;
  private readonly c: number;
  private readonly ctor: ((object: number) => void) | undefined;

  /** @internal Use heap.cache(). */
  constructor(at: Attachment, c: number, options: CacheOptions, name: string) {
    this.at = at;
    this.magazines = at.magazines;
    this.c = c;
    this.ctor = options.ctor;
    this.size = options.size;
    this.name = name;
  }
  /** @throws HeapFullError  there is no memory */
  alloc(): number {
    const { c, magazines } = this;
    if (this.ctor !== undefined) return this.allocConstructed(this.ctor);
    const object = magazines.pop(c);
    return object === 0 ? this.allocSlowly() : object;
  }
  /** @throws HeapUsageError  it is no object of this cache */
  free(object: number): void {
    const { magazines, c } = this;
    if (magazines.tag(object) === c && magazines.free(object)) return;
    this.check("free", object);
    if (object !== 0) freeObject(this.at, object);
  }
  /** Frees the object when all readers of now have left. @throws HeapUsageError  it is no object of this cache */
  retire(object: number): void {
    this.check("retire", object);
    if (object !== 0) retireObject(this.at, object);
  }

  private allocSlowly(): number {
    const { at, c } = this;
    const object = takeObject(at, c);
    at.tags[object >> GRANULE_SHIFT] = c;
    return object;
  }
  private allocConstructed(ctor: (object: number) => void): number {
    const { at, c } = this;
    let object = this.magazines.take(c);
    if (object === 0) object = takeObject(at, c);
    const fresh = at.tags[object >> GRANULE_SHIFT] === 0;
    at.tags[object >> GRANULE_SHIFT] = c;
    if (fresh) this.construct(ctor, object);
    return object;
  }
  private construct(ctor: (object: number) => void, object: number): void {
    const { at } = this;
    try {
      ctor(object);
    } catch (error) {
      at.tags[object >> GRANULE_SHIFT] = 0;
      at.calls.run(at.slot, (cpu) => kfree(cpu, object as Ptr<"object">));
      throw error;
    }
  }
  private check(what: string, object: number): void {
    this.at.calls.checkOpen();
    if (object === 0 || liveTag(this.at, what, object) === this.c) return;
    throw new HeapUsageError(`${what}(0x${object.toString(16)}): that object is not of the cache ${this.name}`);
  }
}

/** The cache that the options describe. @throws HeapUsageError, HeapFullError */
export function openCache(at: Attachment, options: CacheOptions): HeapCache {
  const problem = problemOf(options);
  if (problem !== undefined) throw new HeapUsageError(`cache(): ${problem}`);
  let cache = findOrMake(at, options);
  if (cache === undefined) {
    reclaim(at);
    cache = findOrMake(at, options);
  }
  if (cache === undefined) throw new HeapFullError("cache(): no memory for one more: free or retire some");
  return cache;
}
/** @returns undefined: there is no memory. */
function findOrMake(at: Attachment, options: CacheOptions): HeapCache | undefined {
  const { calls, map } = at;
  const lock = map.slot(map.registrySlot);
  calls.enter(lock);
  try {
    const end = calls.mem.read_once(map.globals, CLASSES_END);
    const name = options.name ?? `cache-${end - FIRST_CACHE_CLASS}`;
    let c = FIRST_CACHE_CLASS;
    while (c < end && (options.name === undefined || cache_name(calls, at.classes.get(c).cache) !== name)) c++;
    if (c !== end) checkSame(at, c, options, name);
    else if (!create(at, c, options, name)) return undefined;
    return new HeapCache(at, c, options, name);
  } finally {
    calls.leaveSlot(lock);
  }
}
function problemOf(options: CacheOptions): string | undefined {
  const { size = NaN, name, align = 8, ctor } = (options ?? {}) as Partial<CacheOptions>;
  if (!Number.isInteger(size) || size < 1 || size > MAX_CLASS_BYTES) {
    return `size must be 1 to ${MAX_CLASS_BYTES} bytes, not ${size}`;
  }
  if (!Number.isInteger(align) || align < 8 || align > 4096 || (align & (align - 1)) !== 0) {
    return `align must be a power of two, 8 to 4096, not ${align}`;
  }
  if (ctor !== undefined && typeof ctor !== "function") return "ctor must be a function";
  if (name !== undefined && (name === "" || name.length > CACHE_NAME_BYTES || /[^ -~]/.test(name))) {
    return `a name has 1 to ${CACHE_NAME_BYTES} ASCII characters, not ${JSON.stringify(name)}`;
  }
  if (name !== undefined && /^cache-\d+$/.test(name)) return `${name} is a name of caches without one: choose another`;
  return undefined;
}
/** The registry's slot is held. @returns false: there is no memory. */
function create(at: Attachment, c: number, { size, align = 8, ctor }: CacheOptions, name: string): boolean {
  const { calls, map } = at;
  if (c > LAST_CLASS) throw new HeapFullError(`cache(): there are ${c - FIRST_CACHE_CLASS} caches already`);
  const args = ctor === undefined ? { align } : { align, ctor: CB.heap_construct };
  const s = calls.run(at.slot, (cpu) => kmem_cache_create(cpu, name, size, args));
  if (s === NULL) return false;
  calls.mem.poke(map.classInfo(c), CACHE, s);
  calls.mem.poke(map.classInfo(c), CONSTRUCTED, ctor === undefined ? 0 : 1);
  calls.mem.write_once(map.globals, CLASSES_END, c + 1);
  return true;
}
function checkSame(at: Attachment, c: number, { size, align = 8, ctor }: CacheOptions, name: string): void {
  const { bytes, cache } = at.classes.get(c);
  const constructed = at.calls.mem.peek(at.map.classInfo(c), CONSTRUCTED) !== 0;
  if (bytes !== size) throw new HeapUsageError(`cache(): the objects of ${name} have ${bytes} bytes, not ${size}`);
  const aligned = at.calls.mem.peek(cache, ALIGN);
  if (align > aligned) {
    throw new HeapUsageError(`cache(): the objects of ${name} are at multiples of ${aligned}, not of ${align}`);
  }
  if (constructed === (ctor !== undefined)) return;
  const what = constructed ? "a constructor: pass one" : "no constructor";
  throw new HeapUsageError(`cache(): ${name} was made with ${what}`);
}
