/**
 * Size classes: what a request is served from, and how many objects of it a thread keeps at hand. Classes 1 to 13 are
 * kmalloc's caches; users' caches follow, in a table that all threads share. Each thread learns of one when it first meets it.
 */
import { KmemCache } from "../../shared/layout/slab.ts";
import {
  KMALLOC_MAX_CACHE_SIZE,
  KMALLOC_NORMAL,
  KMALLOC_SIZES,
  kmalloc_cache,
  kmalloc_size_index,
} from "../../shared/linux/mm/slub/size_class.ts";
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { NULL, type Ptr } from "../../shared/mem/struct.ts";
import {
  FIRST_CACHE_CLASS,
  GRANULE,
  GRANULE_SHIFT,
  HeapClass,
  HeapGlobals,
  type HeapMap,
  MAGAZINE_SLOTS,
  TAGS,
} from "./layout.ts";

const { cache: CACHE } = HeapClass.offset;
const { classes_end: CLASSES_END } = HeapGlobals.offset;
const { object_size: OBJECT_SIZE } = KmemCache.offset;

/** Larger requests get blocks of pages. */
export const MAX_CLASS_BYTES = KMALLOC_MAX_CACHE_SIZE;
/** Class of a request, by its number of granules; 0 for none. */
export const CLASS_BY_GRANULES = Uint8Array.from({ length: (MAX_CLASS_BYTES >> GRANULE_SHIFT) + 1 }, (_, granules) =>
  granules === 0 ? 0 : kmalloc_size_index(granules * GRANULE),
);

/** A magazine holds so many bytes at most. */
const MAGAZINE_BYTES = 16_384;

export interface SizeClass {
  readonly cache: Ptr<"kmem_cache">;
  /** Bytes of an object. */
  readonly bytes: number;
}

export class Classes {
  /** Objects that a magazine may hold, by tag; 0: of a class that is not known yet, or always none. */
  readonly limits = new Uint8Array(TAGS);
  private readonly known: (SizeClass | undefined)[] = [];
  private readonly cpu: Cpu;
  private readonly map: HeapMap;
  private readonly debug: boolean;

  /** @param cpu  any: only constants are read. @param debug  nothing is kept at hand. */
  constructor(cpu: Cpu, map: HeapMap, debug: boolean) {
    this.cpu = cpu;
    this.map = map;
    this.debug = debug;
    for (let c = 1; c < KMALLOC_SIZES.length; c++) this.get(c);
  }
  /** Class `c`, which exists: an object has it. */
  get(c: number): SizeClass {
    return (this.known[c] ??= this.learn(c));
  }
  /** Numbers of all classes there are. */
  *all(): Generator<number> {
    for (let c = 1; c < KMALLOC_SIZES.length; c++) yield c;
    const end = this.cpu.mem.read_once(this.map.globals, CLASSES_END);
    for (let c = FIRST_CACHE_CLASS; c < end; c++) yield c;
  }
  private learn(c: number): SizeClass {
    const { mem } = this.cpu;
    const cache =
      c < FIRST_CACHE_CLASS ? kmalloc_cache(this.cpu, KMALLOC_NORMAL, c) : mem.peek(this.map.classInfo(c), CACHE);
    if (cache === NULL) throw new RangeError(`the heap has no class ${c}`);
    const bytes = mem.peek(cache, OBJECT_SIZE);
    if (!this.debug) this.limits[c] = Math.min(MAGAZINE_SLOTS, Math.floor(MAGAZINE_BYTES / bytes));
    return { cache, bytes };
  }
}
