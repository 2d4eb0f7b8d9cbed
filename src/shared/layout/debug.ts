/**
 * Debugging and accounting facilities (src/shared/linux/mm/debug): their bits in globals.hooks, and where their state is.
 * The state itself lies in pages that boot takes only for those that are on; here is one pointer each.
 */
import { NR_CPUS } from "../base/limits.ts";
import { aligned, array, atomic32, atomic_ptr, ptr, struct, u32 } from "../mem/struct.ts";
import { Spinlock } from "./types.ts";

/** globals.hooks: which facilities are on. Set before boot, constant from then on. */
export const HOOK_KMEMLEAK = 1;
export const HOOK_KMSAN = 2;
export const HOOK_ALLOC_TAG = 4;
export const HOOK_LOCKS_FREED = 8;
export const HOOK_DEBUGOBJECTS = 16;
export const HOOK_KCSAN = 32;
export const HOOK_KASAN = 64;
export const HOOK_KFENCE = 128;
export const HOOK_MEMCG = 256;
export const HOOK_INIT_ON_FREE = 512;

/** Not a facility: failslab may refuse objects. Set by arm_fault_injection() (lib/fault_inject.ts). */
export const HOOK_FAILSLAB = 0x40000000;

/** Their names, in the order of the table. */
export const HOOK_BITS = {
  kmemleak: HOOK_KMEMLEAK,
  kmsan: HOOK_KMSAN,
  "alloc-tag": HOOK_ALLOC_TAG,
  "locks-freed": HOOK_LOCKS_FREED,
  debugobjects: HOOK_DEBUGOBJECTS,
  kcsan: HOOK_KCSAN,
  kasan: HOOK_KASAN,
  kfence: HOOK_KFENCE,
  memcg: HOOK_MEMCG,
  "init-on-free": HOOK_INIT_ON_FREE,
} as const;
export type FacilityName = keyof typeof HOOK_BITS;

/** State of each facility; NULL while it is off. */
export const DebugGlobals = struct("debug_globals", {
  kmemleak: ptr("kmemleak_state"),
  kmsan: ptr("kmsan_state"),
  alloc_tag: ptr("alloc_tag_state"),
  debugobjects: ptr("debugobjects_state"),
  kcsan: ptr("kcsan_state"),
  kasan: ptr("kasan_state"),
  kfence: ptr("kfence_state"),
  memcg: ptr("memcg_state"),
});

/** kmemleak_object.min_count: how many references a block needs; or never mind. */
export const KMEMLEAK_WHITE = 1; // is a leak without any
export const KMEMLEAK_GREY = 0; // is no leak
export const KMEMLEAK_BLACK = -1; // is neither reported nor scanned
/** kmemleak_object.flags. */
export const OBJECT_NO_SCAN = 1; // holds no pointers

/** A block that kmemleak knows. */
export const KmemleakObject = struct("kmemleak_object", {
  next: ptr("kmemleak_object"), // in its bucket, or on the free list
  pointer: ptr("object"),
  size: u32,
  min_count: u32,
  flags: u32,
  jiffies: u32, // when it was created
});
export const KmemleakState = struct("kmemleak_state", {
  lock: aligned(64, Spinlock), // kmemleak_lock
  free: ptr("kmemleak_object"),
  nr_objects: u32,
  nr_unknown: u32, // frees and paintings of unknown blocks
  bucket_mask: u32,
  enabled: aligned(64, atomic32), // 0: it has run out of objects once
  buckets: aligned(64, array(ptr("kmemleak_object"), 0)),
});

/** Bytes of memory that one block of shadow covers: 2^KMSAN_BLOCK_SHIFT. */
export const KMSAN_BLOCK_SHIFT = 25;
/** One byte of shadow for 8 bytes of memory. */
export const KMSAN_SHADOW_SHIFT = 3;
export const KmsanState = struct("kmsan_state", { blocks: array(ptr("kmsan_shadow"), 64) });

/** What one cache has given and taken. Changed in any context, so atomic. */
export const AllocTag = struct("alloc_tag", {
  cache: atomic_ptr("kmem_cache"), // NULL: not in use
  calls: atomic32, // objects allocated and not freed
  bytes: atomic32,
});
export const NR_ALLOC_TAGS = 512;
export const AllocTagState = struct("alloc_tag_state", { tags: array(AllocTag, NR_ALLOC_TAGS) });

/** debug_obj.state. */
export const ODEBUG_STATE_INACTIVE = 1;
export const ODEBUG_STATE_ACTIVE = 2;

/** What debugobjects knows of one rcu_head, or of one object of kfree_rcu(). */
export const DebugObj = struct("debug_obj", {
  next: ptr("debug_obj"), // in its bucket, or in the pool
  object: ptr("object"),
  state: u32,
});
export const DebugBucket = struct("debug_bucket", { lock: Spinlock, list: ptr("debug_obj") }, { align: 64 });
/** A power of two. Addresses of one page share a bucket. */
export const ODEBUG_HASH_SIZE = 64;
export const DebugobjectsState = struct("debugobjects_state", {
  pool_lock: aligned(64, Spinlock),
  pool: ptr("debug_obj"),
  enabled: aligned(64, atomic32), // 0: it has run out of objects once
  buckets: array(DebugBucket, ODEBUG_HASH_SIZE),
});

/** The access that a CPU is just making, for others to see. */
export const KcsanCpu = struct("kcsan_cpu", { address: atomic_ptr("object") }, { align: 64 });
export const KcsanState = struct("kcsan_state", { cpus: array(KcsanCpu, NR_CPUS) });
