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

/** struct track: who allocated an object, or freed it. Two of them lie behind the free pointer with SLAB_STORE_USER. */
export const Track = struct("track", {
  addr: ulong, // symbol of the caller (lib/stackdepot.ts); 0: nobody yet
  handle: u32, // call stack
  cpu: u32,
  pid: u32,
  when: ulong, // jiffies
});
export const TRACK_ALLOC = 0;
export const TRACK_FREE = 1;
/** Behind the tracks of an object of a kmalloc cache: the size that was asked for. */
export const OrigSize = struct("orig_size", { size: ulong });

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

/** What a sheaf of the prefill API says about itself. In Linux an anonymous struct in struct slab_sheaf. */
export const SheafPrefill = struct("sheaf_prefill", {
  capacity: u32,
  pfmemalloc: u32, // 1: objects in it may come from emergency reserves
});

/** struct slab_sheaf: 32-byte header, then `sheaf_capacity` object pointers. */
export const SlabSheaf = struct("slab_sheaf", {
  rcu_head: RcuHead, // while passed to call_rcu
  barn_list: overlay("rcu_head", ListHead), // while in a barn
  llnode: overlay("rcu_head", LlistNode), // while on deferred_percpu_work.rcu_sheaves
  prefill: overlay("rcu_head", SheafPrefill), // while handed out by the prefill API
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

/** kmem_cache.per_node[]. */
export const KmemCachePerNode = struct("kmem_cache_per_node", {
  barn: ptr("node_barn"),
  node: ptr("kmem_cache_node"),
});

/** kmem_cache.random_seq: numbers of objects, as many as the cache's largest slabs have. */
export const RandomSeq = struct("random_seq", { order: array(u32, 0) });

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
    random: u32, // with which links in free objects are encoded; 0: they are not
    random_seq: ptr("random_seq"), // order of the objects of new slabs; NULL: that of their addresses
    remote_node_defrag_ratio: u32,
    useroffset: u32, // usercopy region; nobody checks it here
    usersize: u32,
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
/** normal, reclaim, cgroup, dma, no-objext. Partitions come behind them. */
export const NR_KMALLOC_TYPES = 5;
/** KMALLOC_PARTITION_CACHES_NR: copies of KMALLOC_NORMAL that a machine may have (globals.kmalloc_partitions). */
export const MAX_PARTITIONS = 15;

/** kmem_cache, kmem_cache_node, and the cache of per-CPU blocks. */
export const NR_BOOT_CACHES = 3;

/** slab_globals.slab_state: what works. */
export const SLAB_STATE_DOWN = 0;
export const SLAB_STATE_PARTIAL = 1; // kmem_cache_node
export const SLAB_STATE_UP = 2; // everything

/** KMALLOC_NORMAL, RECLAIM, CGROUP and DMA: types that a set of buckets may cover. */
export const NR_BUCKET_TYPES = 4;
/** kmem_buckets: caches by type and size. NULL: not covered. */
export const KmemBuckets = struct("kmem_buckets", {
  caches: array(ptr("kmem_cache"), NR_BUCKET_TYPES * NR_KMALLOC_BUCKETS),
});

/** A name under which a cache is known besides its own. */
export const SavedAlias = struct("saved_alias", { s: ptr("kmem_cache"), name: array(u32, 6) });
/** Names that are remembered. */
export const MAX_ALIASES = 64;

export const SlabGlobals = struct("slab_globals", {
  slab_mutex: Mutex,
  flush_lock: Mutex,
  slab_caches: ListHead,
  kmem_cache: ptr("kmem_cache"), // the cache of struct kmem_cache
  kmem_cache_node: ptr("kmem_cache"),
  percpu: ptr("kmem_cache"), // the cache of per-CPU blocks: sheaves and counters of one cache on all CPUs
  kmalloc_caches: array(ptr("kmem_cache"), NR_KMALLOC_BUCKETS * (NR_KMALLOC_TYPES + MAX_PARTITIONS)),
  bootstrap_sheaf: SlabSheaf, // zero capacity, shared, never written
  slab_state: u32, // SLAB_STATE_*
  nr_caches: atomic32,
  object_map_lock: Spinlock,
  object_map: array(u32, (MAX_OBJS_PER_PAGE + 1) / 32), // one bit per object of a slab: it is free
  boot_caches: array(KmemCache, NR_BOOT_CACHES),
  boot_nodes: array(KmemCacheNode, MAX_NUMNODES), // of the kmem_cache_node cache itself
  aliases: array(SavedAlias, MAX_ALIASES), // under slab_mutex
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
  // Reports of slub debugging: printed, and counted only because a test expects them.
  slab_reports: u32,
  slab_errors: u32,
  /** Counters of caches that are gone, added up by the CPU that released them. */
  retired: array(u32, 32),
});
