/**
 * How a cache lays out its objects and slabs: sizes, offsets, orders, sheaf capacity. Pure functions of the request,
 * the number of CPUs and the tiny switch, and one that writes the result to a kmem_cache. mm/slub.c; spec slub 1.5-1.7.
 *
 * A slot when everything is on, in this order: left red zone (red_left_pad) | object (object_size) | right red zone up
 * to `inuse` | free pointer, if outside | alloc track, free track | original size | tail red zone | rest up to `size`.
 */
import { CACHE_LINE, PAGE_SIZE } from "../../../base/limits.ts";
import { Globals } from "../../../layout/globals.ts";
import { MAX_PAGE_ORDER } from "../../../layout/page.ts";
import { KmemCache, MAX_OBJS_PER_PAGE, MAX_PARTIAL, MIN_PARTIAL, SlabSheaf } from "../../../layout/slab.ts";
import {
  __CMPXCHG_DOUBLE,
  __OBJECT_POISON,
  SLAB_DEBUG_FLAGS,
  SLAB_HWCACHE_ALIGN,
  SLAB_KMALLOC,
  SLAB_NO_CMPXCHG,
  SLAB_NO_SHEAVES,
  SLAB_NOLEAKTRACE,
  SLAB_POISON,
  SLAB_RED_ZONE,
  SLAB_STORE_USER,
  SLAB_TYPESAFE_BY_RCU,
} from "../../../layout/slab_flags.ts";
import type { Ptr } from "../../../mem/struct.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { get_order } from "../page_alloc/zone.ts";
import { without_higher_order } from "./debug_flags.ts";
import { KMALLOC_SIZES, kmalloc_size_index } from "./size_class.ts";
import { oo_make } from "./slab.ts";

const POINTER = 8;
const ARCH_SLAB_MINALIGN = 8;
/** sizeof(struct track): address, stack handle, CPU, pid, time. There are two: allocated, freed. */
const TRACK_BYTES = 32;
const SLUB_MAX_ORDER = 3;

/** What is asked of a cache; struct kmem_cache_args with the rest of kmem_cache_create()'s arguments. */
export interface CacheRequest {
  readonly object_size: number;
  /** SLAB_* */
  readonly flags: number;
  /** Requested alignment, bytes. */
  readonly align?: number;
  readonly ctor?: boolean;
  /** Where the user wants the free pointer: only with a constructor or SLAB_TYPESAFE_BY_RCU. */
  readonly freeptr_offset?: number | undefined;
  /** At least so many slots in a sheaf. */
  readonly sheaf_capacity?: number | undefined;
  /** Usercopy region. */
  readonly useroffset?: number;
  readonly usersize?: number;
}
/** What follows from it: fields of struct kmem_cache under their names. */
export interface CacheGeometry {
  readonly flags: number;
  readonly object_size: number;
  readonly size: number;
  readonly inuse: number;
  readonly offset: number;
  readonly align: number;
  readonly red_left_pad: number;
  readonly oo: number;
  readonly min: number;
  readonly min_partial: number;
  readonly sheaf_capacity: number;
}

const round_up = (n: number, to: number): number => Math.ceil(n / to) * to;
/** Number of the highest bit, from 1; 0 for 0. */
const fls = (n: number): number => 32 - Math.clz32(n);
const order_objects = (order: number, size: number): number => Math.floor((PAGE_SIZE << order) / size);

/** @kernel mm/slab_common.c, calculate_alignment(); for kmalloc caches also create_boot_cache() */
export function calculate_alignment(flags: number, align: number, object_size: number): number {
  let wanted = Math.max(align, ARCH_SLAB_MINALIGN);
  if (flags & SLAB_HWCACHE_ALIGN) {
    let line = CACHE_LINE;
    while (object_size <= line / 2) line /= 2;
    wanted = Math.max(wanted, line);
  }
  // Why: a power of two from kmalloc() is aligned to itself, 96 to 32, 192 to 64.
  if (flags & SLAB_KMALLOC) wanted = Math.max(wanted, object_size & -object_size);
  return round_up(wanted, POINTER);
}

/** @kernel mm/slub.c @returns undefined: no block is large enough. */
export function calculate_order(size: number, nr_cpus: number): number | undefined {
  const max_objects = Math.max(order_objects(SLUB_MAX_ORDER, size), 1);
  const min_objects = Math.min(4 * (fls(nr_cpus) + 1), max_objects);
  const min_order = get_order(min_objects * size);
  if (order_objects(min_order, size) > MAX_OBJS_PER_PAGE) return get_order(size * MAX_OBJS_PER_PAGE) - 1;
  for (let fraction = 16; fraction > 1; fraction /= 2) {
    for (let order = min_order; order <= SLUB_MAX_ORDER; order++) {
      const bytes = PAGE_SIZE << order;
      if (bytes % size <= Math.floor(bytes / fraction)) return order;
    }
  }
  const order = get_order(size);
  return order <= MAX_PAGE_ORDER ? order : undefined;
}

/**
 * @kernel mm/slub.c
 * @param  size  distance of two objects.
 * @param  tiny  2 to 4 slots, so that sheaves are replaced all the time.
 * @returns 0: this cache has no sheaves.
 */
export function calculate_sheaf_capacity(request: CacheRequest, size: number, tiny: boolean): number {
  if (request.flags & (SLAB_DEBUG_FLAGS | SLAB_NO_SHEAVES | SLAB_NOLEAKTRACE)) return 0;
  const asked = request.sheaf_capacity ?? 0;
  if (tiny) return Math.max(size >= 1024 ? 2 : size >= 256 ? 3 : 4, asked);
  const base = size >= 4096 ? 4 : size >= 1024 ? 12 : size >= 256 ? 26 : 60;
  // Why: what the bucket has room for costs nothing.
  const bytes = KMALLOC_SIZES[kmalloc_size_index(SlabSheaf.size + base * POINTER)];
  return Math.max(Math.floor((bytes - SlabSheaf.size) / POINTER), asked);
}

/** @kernel mm/slub.c @returns undefined: the object is too large for any slab. */
export function calculate_sizes(request: CacheRequest, nr_cpus: number, tiny: boolean): CacheGeometry | undefined {
  const { object_size, ctor = false, freeptr_offset } = request;
  const { flags: requested } = request;
  const align = calculate_alignment(requested, request.align ?? 0, object_size);
  const track_orig_size = (requested & SLAB_STORE_USER) !== 0 && (requested & SLAB_KMALLOC) !== 0;
  let flags = requested & ~(__OBJECT_POISON | __CMPXCHG_DOUBLE);
  // Not where it would destroy what a constructor, or a reader of freed memory, relies on.
  if (flags & SLAB_POISON && !(flags & SLAB_TYPESAFE_BY_RCU) && !ctor) flags |= __OBJECT_POISON;
  if (!(flags & SLAB_NO_CMPXCHG)) flags |= __CMPXCHG_DOUBLE;

  let size = round_up(object_size, POINTER);
  if (flags & SLAB_RED_ZONE && size === object_size) size += POINTER;
  const inuse = size;

  const keeps_content = (flags & SLAB_TYPESAFE_BY_RCU) !== 0 || ctor;
  let offset: number;
  if (
    (keeps_content && freeptr_offset === undefined) ||
    flags & SLAB_POISON ||
    (flags & SLAB_RED_ZONE && (object_size < POINTER || track_orig_size))
  ) {
    offset = size;
    size += POINTER;
  } else if (keeps_content && freeptr_offset !== undefined) {
    offset = freeptr_offset;
  } else {
    // Why: in the middle an overrun of the neighbour is less likely to hit it.
    offset = Math.floor(object_size / 2 / POINTER) * POINTER;
  }

  if (flags & SLAB_STORE_USER) size += 2 * TRACK_BYTES + (track_orig_size ? POINTER : 0);
  let red_left_pad = 0;
  if (flags & SLAB_RED_ZONE) {
    red_left_pad = round_up(POINTER, align);
    size += POINTER + red_left_pad;
  }
  size = round_up(size, align);

  const order = calculate_order(size, nr_cpus);
  if (order === undefined) return undefined;
  const min_order = get_order(size);
  return {
    flags,
    object_size,
    size,
    inuse,
    offset,
    align,
    red_left_pad,
    oo: oo_make(order, order_objects(order, size)),
    min: oo_make(min_order, order_objects(min_order, size)),
    min_partial: Math.min(MAX_PARTIAL, Math.max(MIN_PARTIAL, (fls(size) - 1) >> 1)),
    sheaf_capacity: calculate_sheaf_capacity(request, size, tiny),
  };
}

const { nr_cpus: NR_CPUS, tiny: TINY, nocmpxchg: NOCMPXCHG } = Globals.offset;
const {
  flags: FLAGS,
  object_size: OBJECT_SIZE,
  size: SIZE,
  inuse: INUSE,
  offset: OFFSET,
  align: ALIGN,
  red_left_pad: RED_LEFT_PAD,
  oo: OO,
  min: MIN,
  min_partial: MIN_PARTIAL_FIELD,
  sheaf_capacity: SHEAF_CAPACITY,
} = KmemCache.offset;

/** Writes the geometry of a new cache to it. @returns false: there is none. @context Any; the cache is not yet visible. */
export function init_cache_geometry(cpu: Cpu, s: Ptr<"kmem_cache">, request: CacheRequest): boolean {
  const mem = cpu.mem;
  const calculate = (flags: number): CacheGeometry | undefined =>
    calculate_sizes({ ...request, flags }, mem.peek(cpu.globals, NR_CPUS), mem.peek(cpu.globals, TINY) !== 0);
  let g = calculate(request.flags);
  if (g === undefined) return false;
  const flags = without_higher_order(cpu, request.flags, request.object_size, g.size);
  if (flags !== request.flags) g = calculate(flags);
  if (g === undefined) return false;
  mem.init(s, FLAGS, mem.peek(cpu.globals, NOCMPXCHG) === 0 ? g.flags : g.flags & ~__CMPXCHG_DOUBLE);
  mem.init(s, OBJECT_SIZE, g.object_size);
  mem.init(s, SIZE, g.size);
  mem.init(s, INUSE, g.inuse);
  mem.init(s, OFFSET, g.offset);
  mem.init(s, ALIGN, g.align);
  mem.init(s, RED_LEFT_PAD, g.red_left_pad);
  mem.init(s, OO, g.oo);
  mem.init(s, MIN, g.min);
  mem.init(s, MIN_PARTIAL_FIELD, g.min_partial);
  mem.init(s, SHEAF_CAPACITY, g.sheaf_capacity);
  return true;
}
