/**
 * kmalloc size classes: which cache serves which size. include/linux/slab.h, mm/slab.h, mm/slab_common.c; spec slub 1.8.
 *
 * Buckets are powers of two from 8 to 8192, and 96 (bucket 1) and 192 (bucket 2). Each type of allocation has a set of
 * its own. Aliased entries of the table hold the same cache.
 *
 * Differs: all memory is ZONE_DMA. Who wants a partition names it (kmalloc_token): there is no caller's address to tell.
 */
import { PAGE_SIZE } from "../../../base/limits.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { __GFP_ACCOUNT, __GFP_DMA, __GFP_RECLAIMABLE } from "../../../layout/gfp.ts";
import { Globals } from "../../../layout/globals.ts";
import { KMALLOC_SHIFT_HIGH, NR_KMALLOC_BUCKETS, NR_KMALLOC_TYPES, SlabGlobals } from "../../../layout/slab.ts";
import { SLAB_ALLOC_DEFAULT, SLAB_ALLOC_NO_OBJ_EXT } from "../../../layout/slab_flags.ts";
import { MAX_PAGE_ORDER } from "../../../layout/page.ts";
import { element, embedded, type Ptr } from "../../../mem/struct.ts";
import { get_order } from "../page_alloc/zone.ts";

const { slab: SLAB, seed: SEED, kmalloc_partitions: KMALLOC_PARTITIONS } = Globals.offset;
const { kmalloc_caches: KMALLOC_CACHES } = SlabGlobals.offset;

/** Largest size that a cache serves; above, pages are allocated directly. */
export const KMALLOC_MAX_CACHE_SIZE = 1 << KMALLOC_SHIFT_HIGH;
/** What an allocation of 0 bytes returns: no object, and not NULL. */
export const ZERO_SIZE_PTR = 16 as Ptr<"object">;

export const KMALLOC_NORMAL = 0;
export const KMALLOC_RECLAIM = 1;
export const KMALLOC_CGROUP = 2;
export const KMALLOC_DMA = 3;
export const KMALLOC_NO_OBJ_EXT = 4;
/** First of the copies of KMALLOC_NORMAL. */
export const KMALLOC_PARTITION_START = NR_KMALLOC_TYPES;

/** Object size of each bucket; bucket 0 does not exist. */
export const KMALLOC_SIZES: readonly number[] = [0, 96, 192, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192];
/** Bucket of each size up to 192, by (size - 1) / 8. */
const KMALLOC_SIZE_INDEX = new Uint8Array(new SharedArrayBuffer(24)); // Shared: small ones that are not are moved by V8.
KMALLOC_SIZE_INDEX.set([3, 4, 5, 5, 6, 6, 6, 6, 1, 1, 1, 1, 7, 7, 7, 7, 2, 2, 2, 2, 2, 2, 2, 2]);

/** Is this no object at all: NULL, or what kmalloc(0) returned? */
export function ZERO_OR_NULL_PTR(p: Ptr): boolean {
  return p <= ZERO_SIZE_PTR;
}
/** Bucket for a size of 1 to KMALLOC_MAX_CACHE_SIZE. @kernel mm/slab.h */
export function kmalloc_size_index(size: number): number {
  return size <= 192 ? KMALLOC_SIZE_INDEX[(size - 1) >> 3] : 32 - Math.clz32(size - 1);
}
/** Bytes that kmalloc() would give for this size: ask for so many, and all of them are yours. @kernel mm/slab_common.c */
export function kmalloc_size_roundup(size: number): number {
  if (size === 0) return 0;
  if (size <= KMALLOC_MAX_CACHE_SIZE) return KMALLOC_SIZES[kmalloc_size_index(size)];
  const order = get_order(size);
  return order <= MAX_PAGE_ORDER ? PAGE_SIZE << order : size;
}
/** Set of caches for an allocation with these flags. @kernel include/linux/slab.h */
export function kmalloc_type(gfp: number): number {
  if ((gfp & (__GFP_DMA | __GFP_RECLAIMABLE | __GFP_ACCOUNT)) === 0) return KMALLOC_NORMAL;
  if (gfp & __GFP_DMA) return KMALLOC_DMA;
  return gfp & __GFP_RECLAIMABLE ? KMALLOC_RECLAIM : KMALLOC_CGROUP;
}
/**
 * Type for an allocation that says whose it is: one of the partitions, or KMALLOC_NORMAL, always the same for a token on
 * this machine. Tokens of another machine fall elsewhere.
 * @kernel include/linux/slab.h, kmalloc_type()
 */
export function kmalloc_token_type(cpu: Cpu, gfp: number, token: number): number {
  const type = kmalloc_type(gfp);
  const partitions = cpu.mem.peek(cpu.globals, KMALLOC_PARTITIONS);
  if (type !== KMALLOC_NORMAL || partitions === 0) return type;
  const hash = Math.imul(token ^ cpu.mem.peek(cpu.globals, SEED), 0x9e3779b1) >>> 16;
  const partition = hash % (partitions + 1);
  return partition === 0 ? KMALLOC_NORMAL : KMALLOC_PARTITION_START + partition - 1;
}
/** Cache for a size of 1 to KMALLOC_MAX_CACHE_SIZE. @kernel mm/slab.h @context Any */
export function kmalloc_slab(cpu: Cpu, size: number, gfp: number, alloc_flags = SLAB_ALLOC_DEFAULT): Ptr<"kmem_cache"> {
  const type = alloc_flags & SLAB_ALLOC_NO_OBJ_EXT ? KMALLOC_NO_OBJ_EXT : kmalloc_type(gfp);
  return kmalloc_cache(cpu, type, kmalloc_size_index(size));
}
/** An entry of the table. @returns NULL: no such bucket. */
export function kmalloc_cache(cpu: Cpu, type: number, bucket: number): Ptr<"kmem_cache"> {
  return cpu.mem.read(embedded(cpu.globals, SLAB), element(KMALLOC_CACHES, type * NR_KMALLOC_BUCKETS + bucket));
}
