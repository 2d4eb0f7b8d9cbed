/**
 * kmem_cache, slab, kmem_cache_node, sheaf, per-CPU sheaves, barn. mm/slab.h, mm/slub.c; spec slub 1-2.
 *
 * Differs: u8, u16 and bool fields take a 32-bit word. (freelist, inuse) of a slab is one word, see Slab.counters.
 */
import { MAX_CONTEXTS, MAX_NUMNODES } from "../base/limits.ts";
import {
  aligned,
  array,
  atomic32,
  atomic_long,
  atomic_ptr,
  callback,
  overlay,
  ptr,
  struct,
  u32,
  ulong,
} from "../mem/struct.ts";
import { ListHead, LlistNode, LocalTrylock, Mutex, RcuHead, Spinlock } from "./types.ts";
import { WorkStruct } from "./workqueue.ts";

/** Bits of slab.flags. */
export const SL_locked = 1; // slab_lock()
export const SL_partial = 2; // on its node's partial list
export const SL_pfmemalloc = 4; // memory from emergency reserves

/** slab.counters: (index of the first free object + 1) << 16 | inuse. Index + 1 == 0: freelist NULL. */
export const SLAB_FREELIST_SHIFT = 16;
export const SLAB_INUSE_MASK = 0x7fff;
export const SLAB_FROZEN = 0x8000;
/** Objects that a slab can hold. */
export const MAX_OBJS_PER_PAGE = 32767;
/** Bounds of kmem_cache.min_partial. */
export const MIN_PARTIAL = 5;
export const MAX_PARTIAL = 10;

/** The link in a free object, at kmem_cache.offset: 8 bytes, both words are written. */
export const FreePointer = struct("free_pointer", { next: ptr("object") });

/** Overlays struct page of the slab's first page, field by field. */
export const Slab = struct(
  "slab",
  {
    flags: atomic32,
    type: u32, // PGTY_slab
    slab_cache: ptr("kmem_cache"),
    slab_list: ListHead,
    llnode: overlay("slab_list", LlistNode),
    rcu_head: overlay("slab_list", RcuHead),
    counters: atomic32,
    objects: u32,
    order: u32,
    node: u32,
    obj_exts: atomic_ptr("slabobj_ext"),
    compound_head: ptr("page"),
  },
  { align: 64 },
);

/** struct kmem_cache_node. */
export const KmemCacheNode = struct(
  "kmem_cache_node",
  {
    list_lock: Spinlock,
    nr_partial: ulong,
    partial: ListHead,
    nr_slabs: atomic_long,
    total_objects: atomic_long,
    full: ListHead,
  },
  { align: 64 },
);

/** struct node_barn: full and empty sheaves of a node. */
export const NodeBarn = struct(
  "node_barn",
  {
    lock: Spinlock,
    sheaves_full: ListHead,
    sheaves_empty: ListHead,
    nr_full: u32,
    nr_empty: u32,
  },
  { align: 64 },
);
export const MAX_FULL_SHEAVES = 10;
export const MAX_EMPTY_SHEAVES = 10;
/** The same with globals.tiny. */
export const TINY_MAX_FULL_SHEAVES = 2;
export const TINY_MAX_EMPTY_SHEAVES = 1;

/** Slots for object pointers: what `void **p` points to in the bulk functions. */
export const ObjectArray = struct("object_array", { slots: array(ptr("object"), 0) });

/** struct slab_sheaf: 32-byte header, then `sheaf_capacity` object pointers. */
export const SlabSheaf = struct("slab_sheaf", {
  rcu_head: RcuHead, // while passed to call_rcu
  barn_list: overlay("rcu_head", ListHead), // while in a barn
  llnode: overlay("rcu_head", LlistNode), // while on deferred_percpu_work.rcu_sheaves
  capacity: overlay("rcu_head", u32), // while handed out by the prefill API
  cache: ptr("kmem_cache"),
  size: u32,
  node: u32,
  objects: array(ptr("object"), 0),
});

/** struct slub_percpu_sheaves, one per cache and CPU. */
export const SlubPercpuSheaves = struct(
  "slub_percpu_sheaves",
  {
    lock: LocalTrylock,
    main: ptr("slab_sheaf"),
    spare: ptr("slab_sheaf"),
    rcu_free: ptr("slab_sheaf"),
    /** Work items of flush_all_cpus_locked() and flush_rcu_sheaves_on_cache() for this CPU. */
    flush_work: WorkStruct,
    cache: ptr("kmem_cache"),
  },
  { align: 64 },
);

/** Counters of a cache, one set per CPU; index = position. Kernel names; spec slub 3.8. */
export const STAT_NAMES = [
  "ALLOC_FASTPATH",
  "ALLOC_SLOWPATH",
  "ALLOC_NODE_MISMATCH",
  "ALLOC_SLAB",
  "ORDER_FALLBACK",
  "FREE_FASTPATH",
  "FREE_SLOWPATH",
  "FREE_ADD_PARTIAL",
  "FREE_REMOVE_PARTIAL",
  "FREE_SLAB",
  "CMPXCHG_DOUBLE_FAIL",
  "FREE_RCU_SHEAF",
  "FREE_RCU_SHEAF_FAIL",
  "SHEAF_ALLOC",
  "SHEAF_FREE",
  "SHEAF_REFILL",
  "SHEAF_FLUSH",
  "BARN_GET",
  "BARN_GET_FAIL",
  "BARN_PUT",
  "BARN_PUT_FAIL",
  "SHEAF_PREFILL_FAST",
  "SHEAF_PREFILL_SLOW",
  "SHEAF_PREFILL_OVERSIZE",
  "SHEAF_RETURN_FAST",
  "SHEAF_RETURN_SLOW",
] as const;
/** Position of a counter by its name. */
export const STAT = Object.fromEntries(STAT_NAMES.map((name, i) => [name, i])) as {
  readonly [N in (typeof STAT_NAMES)[number]]: number;
};
export const KmemCacheStats = struct("kmem_cache_stats", { counts: array(u32, 32) }, { align: 64 });

/** kmem_cache.per_node[]. */
export const KmemCachePerNode = struct("kmem_cache_per_node", {
  barn: ptr("node_barn"),
  node: ptr("kmem_cache_node"),
});

export const KmemCache = struct(
  "kmem_cache",
  {
    cpu_sheaves: ptr("slub_percpu_sheaves"), // CPU i's instance lies i * sizeof further
    cpu_stats: ptr("kmem_cache_stats"), // likewise
    flags: u32, // SLAB_*
    min_partial: u32,
    size: u32,
    object_size: u32,
    offset: u32,
    sheaf_capacity: u32, // 0: no sheaves
    oo: u32, // order << 16 | objects
    min: u32,
    allocflags: u32,
    refcount: u32,
    ctor: callback,
    inuse: u32,
    align: u32,
    red_left_pad: u32,
    random: u32,
    remote_node_defrag_ratio: u32,
    name: array(u32, 6), // CACHE_NAME_BYTES of ASCII, zero-padded
    alive: u32, // KMEM_CACHE_ALIVE while usable; poisoned on release
    list: ListHead, // slab_caches
    per_node: array(KmemCachePerNode, MAX_NUMNODES),
  },
  { align: 64 },
);
export const CACHE_NAME_BYTES = 24;
export const OO_SHIFT = 16;
export const OO_MASK = 0xffff;
export const KMEM_CACHE_ALIVE = 0x600dcace;
export const KMEM_CACHE_DEAD = 0x0badcace;

export const KMALLOC_SHIFT_HIGH = 13;
export const NR_KMALLOC_BUCKETS = KMALLOC_SHIFT_HIGH + 1;
export const NR_KMALLOC_TYPES = 5; // normal, reclaim, cgroup, dma, no-objext (others alias them)

/** kmem_cache, kmem_cache_node, and the cache of per-CPU blocks. */
export const NR_BOOT_CACHES = 3;

/** slab_globals.slab_state: what works. */
export const SLAB_STATE_DOWN = 0;
export const SLAB_STATE_PARTIAL = 1; // kmem_cache_node
export const SLAB_STATE_UP = 2; // everything

export const SlabGlobals = struct("slab_globals", {
  slab_mutex: Mutex,
  flush_lock: Mutex,
  cpu_hotplug_lock: Mutex,
  slab_caches: ListHead,
  kmem_cache: ptr("kmem_cache"), // the cache of struct kmem_cache
  kmem_cache_node: ptr("kmem_cache"),
  percpu: ptr("kmem_cache"), // the cache of per-CPU blocks: sheaves and counters of one cache on all CPUs
  kmalloc_caches: array(ptr("kmem_cache"), NR_KMALLOC_BUCKETS * NR_KMALLOC_TYPES),
  bootstrap_sheaf: SlabSheaf, // zero capacity, shared, never written
  slab_state: u32, // SLAB_STATE_*
  nr_caches: atomic32,
  boot_caches: array(KmemCache, NR_BOOT_CACHES),
  boot_nodes: array(KmemCacheNode, MAX_NUMNODES), // of the kmem_cache_node cache itself
});
/** slub.c's own per-CPU words. */
export const SlubCpu = struct("slub_cpu", {
  prandom: aligned(64, u32),
  /** Heads of partial_context.slabs, lists on the kernel stack: one per refill on top of another. */
  pc_slabs: array(ListHead, MAX_CONTEXTS + 1),
  // Paths taken by the nolock functions, for the report.
  kmalloc_nolock_ok: u32,
  kmalloc_nolock_failed: u32,
  kfree_nolock_sheaf: u32,
  kfree_nolock_deferred: u32,
  /** Counters of caches that are gone, added up by the CPU that released them. */
  retired: array(u32, 32),
});
