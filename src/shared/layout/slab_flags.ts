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
export const __OBJECT_POISON = 0x40000000; // SLAB_POISON, and the object body may be overwritten
export const __CMPXCHG_DOUBLE = 0x20000000; // (freelist, counters) is updated by one compare-and-exchange

export const SLAB_DEBUG_FLAGS = SLAB_RED_ZONE | SLAB_POISON | SLAB_STORE_USER | SLAB_TRACE | SLAB_CONSISTENCY_CHECKS;
/** Caches with any of these never get __CMPXCHG_DOUBLE. */
export const SLAB_NO_CMPXCHG = SLAB_CONSISTENCY_CHECKS | SLAB_STORE_USER | SLAB_TRACE;

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
