/**
 * SLAB_* flags of a cache, and the flags of one allocation or one free inside slub. include/linux/slab.h, mm/slab.h.
 */

// kmem_cache.flags. The values are ours.
export const SLAB_CONSISTENCY_CHECKS = 0x1; // debug: check objects and slabs at each alloc and free
export const SLAB_RED_ZONE = 0x2; // debug: guard bytes around each object
export const SLAB_POISON = 0x4; // debug: fill free objects with a pattern
export const SLAB_STORE_USER = 0x8; // debug: remember who allocated and who freed
export const SLAB_TRACE = 0x10; // debug: trace each alloc and free
export const SLAB_KMALLOC = 0x20; // a kmalloc bucket
export const SLAB_HWCACHE_ALIGN = 0x40;
export const SLAB_RECLAIM_ACCOUNT = 0x100;
export const SLAB_PANIC = 0x200;
export const SLAB_TYPESAFE_BY_RCU = 0x400; // pages go back only after a grace period
export const SLAB_NOLEAKTRACE = 0x800;
export const SLAB_ACCOUNT = 0x1000;
export const SLAB_NO_SHEAVES = 0x4000; // bootstrap caches
export const SLAB_SKIP_KFENCE = 0x8000; // no object comes from the kfence pool
export const SLAB_NO_OBJ_EXT = 0x10000; // slabs without extension vectors
export const SLAB_NO_USER_FLAGS = 0x20000; // slab_debug= does not apply
export const SLAB_FAILSLAB = 0x200000; // its allocations may fail for no reason (slub/failslab.ts)
export const SLAB_NO_MERGE = 0x40000; // neither has aliases nor becomes one
export const SLAB_CACHE_DMA = 0x80000; // memory that any device can reach
export const SLAB_CACHE_DMA32 = 0x100000;
export const __OBJECT_POISON = 0x40000000; // SLAB_POISON, and the object body may be overwritten
export const __CMPXCHG_DOUBLE = 0x20000000; // (freelist, counters) is updated by one compare-and-exchange

export const SLAB_DEBUG_FLAGS = SLAB_RED_ZONE | SLAB_POISON | SLAB_STORE_USER | SLAB_TRACE | SLAB_CONSISTENCY_CHECKS;
/** What slab_debug without letters turns on. */
export const DEBUG_DEFAULT_FLAGS = SLAB_CONSISTENCY_CHECKS | SLAB_RED_ZONE | SLAB_POISON | SLAB_STORE_USER;
/** Flags that make the slots of a cache larger. */
export const DEBUG_METADATA_FLAGS = SLAB_RED_ZONE | SLAB_POISON | SLAB_STORE_USER;
/** In globals.slab_debug, never in a cache: no such metadata where a slab would need a larger block of pages. */
export const SLAB_DEBUG_NO_HIGHER_ORDER = 0x8000000;
/** Caches with any of these never get __CMPXCHG_DOUBLE. */
export const SLAB_NO_CMPXCHG = SLAB_CONSISTENCY_CHECKS | SLAB_STORE_USER | SLAB_TRACE;

/** A cache with any of these is never merged with another. @kernel mm/slab_common.c */
export const SLAB_NEVER_MERGE =
  SLAB_RED_ZONE |
  SLAB_POISON |
  SLAB_STORE_USER |
  SLAB_TRACE |
  SLAB_TYPESAFE_BY_RCU |
  SLAB_NOLEAKTRACE |
  SLAB_FAILSLAB |
  SLAB_NO_MERGE;
/** Caches that are merged have the same of these. @kernel mm/slab_common.c */
export const SLAB_MERGE_SAME = SLAB_RECLAIM_ACCOUNT | SLAB_CACHE_DMA | SLAB_CACHE_DMA32 | SLAB_ACCOUNT;

// Flags of one allocation.
export const SLAB_ALLOC_DEFAULT = 0;
export const SLAB_ALLOC_NOLOCK = 1; // may only try locks
export const SLAB_ALLOC_NEW_SLAB = 2; // an extension vector for a slab that nobody else sees yet
export const SLAB_ALLOC_NO_RECURSE = 4; // allocate no sheaves on behalf of this allocation
export const SLAB_ALLOC_NO_OBJ_EXT = 8; // from a bucket whose slabs have no extension vectors

// Flags of one free.
export const SLAB_FREE_DEFAULT = 0;
export const SLAB_FREE_NOLOCK = 1; // may only try locks
export const SLAB_FREE_KEEP_ROOM = 2; // may not fill an rcu_free sheaf (nolock_rfc.ts). Not the kernel's

/** May this allocation wait for a spinlock? */
export function alloc_flags_allow_spinning(alloc_flags: number): boolean {
  return (alloc_flags & SLAB_ALLOC_NOLOCK) === 0;
}
/** May this free wait for a spinlock? */
export function free_flags_allow_spinning(free_flags: number): boolean {
  return (free_flags & SLAB_FREE_NOLOCK) === 0;
}
/** Flags of an allocation that a free makes for itself. */
export function to_alloc_flags(free_flags: number): number {
  return free_flags & SLAB_FREE_NOLOCK ? SLAB_ALLOC_NOLOCK : SLAB_ALLOC_DEFAULT;
}
