/**
 * Objects of the workloads (src/main/workloads): small models of the kernel's users of kfree_rcu(). All but the maple
 * tree's nodes carry the short head, struct kvfree_rcu_head. Fields have their kernel names; WorkloadTag is ours.
 */
import { aligned, array, atomic32, atomic_ptr, overlay, ptr, struct, u32, ulong } from "../mem/struct.ts";
import { KvfreeRcuHead, ListHead, ListHeadRcu, Mutex, RcuHead, Spinlock } from "./types.ts";

/** In every object that readers may find: by it they notice when its memory has become somebody else's. */
export const WorkloadTag = struct("workload_tag", {
  /** Drawn anew for each object, and repeated in its last word. */
  stamp: u32,
  /** Size of the object. */
  bytes: u32,
});

/** struct list_lru_one: what a memory cgroup has on the list. */
export const ListLruOne = struct("list_lru_one", {
  rcu: KvfreeRcuHead,
  tag: WorkloadTag,
  /** Index of the memory cgroup. */
  memcg: u32,
  nr_items: atomic32,
});
/** struct list_lru_memcg: a table of lists by memory cgroup. Another one replaces it when it is too small. */
export const ListLruMemcg = struct("list_lru_memcg", {
  rcu: KvfreeRcuHead,
  tag: WorkloadTag,
  nr: u32,
  lru: array(atomic_ptr("list_lru_one"), 0),
});
export const ListLru = struct("list_lru", {
  memcg_lrus: atomic_ptr("list_lru_memcg"),
  /** list_lrus_mutex: one at a time replaces the table, or a list in it. */
  mutex: Mutex,
});

/**
 * struct obj_cgroup: whom to charge for an object; lives for as long as anybody holds a reference. It has a name of its
 * own, as the accounting hooks have a struct obj_cgroup, too (debug_memcg.ts).
 */
export const WorkloadObjcg = struct("workload_objcg", {
  /** Differs: the kernel's is a percpu_ref. */
  refcnt: atomic32,
  memcg: u32,
  nr_charged_bytes: atomic32,
  /** While its memory cgroup uses it; after that nobody looks at `list` any more, and `rcu` may lie over it. */
  list: ListHead,
  rcu: overlay("list", KvfreeRcuHead),
  tag: WorkloadTag,
});
export const NR_MEMCGS = 8;
export const NR_OBJCG_STASH = 16;
export const ObjcgGlobals = struct("objcg_globals", {
  /** objcg_lock: protects the list. */
  lock: Spinlock,
  list: ListHead,
  /** mem_cgroup.objcg of each memory cgroup: holds a reference. */
  objcg: aligned(64, array(atomic_ptr("workload_objcg"), NR_MEMCGS)),
  /** References with something charged, for anybody to take over. */
  stash: aligned(64, array(atomic_ptr("workload_objcg"), NR_OBJCG_STASH)),
});

/** Differs: the kernel's units have as many bits as a long. */
export const SHRINKER_UNIT_BITS = 32;
/** struct shrinker_info_unit: of 32 shrinkers, those that may have something to free. Outlives the arrays it is in. */
export const ShrinkerInfoUnit = struct("shrinker_info_unit", {
  map: atomic32,
  tag: WorkloadTag,
  nr_deferred: array(atomic32, SHRINKER_UNIT_BITS),
});
/** struct shrinker_info: a memory cgroup's array of units. A larger one replaces it when there are more shrinkers. */
export const ShrinkerInfo = struct("shrinker_info", {
  rcu: KvfreeRcuHead,
  tag: WorkloadTag,
  map_nr_max: u32,
  unit: array(atomic_ptr("shrinker_info_unit"), 0),
});
export const ShrinkerMemcg = struct("shrinker_memcg", {
  shrinker_info: atomic_ptr("shrinker_info"),
  /** shrinker_mutex. */
  mutex: Mutex,
});

/** Pages of a vmap_block. Differs: one word of bits; the kernel's block has 256 and more. */
export const VMAP_BBMAP_BITS = 32;
/** struct vmap_block: pages that are given out from the first to the last, and used again only when all are free. */
export const VmapBlock = struct("vmap_block", {
  lock: Spinlock,
  /** Pages that have not been given out yet; looked at without the lock. */
  free: atomic32,
  /** Pages that have been given out and given back; looked at without the lock. */
  dirty: atomic32,
  used_map: u32,
  /** In the queue of `cpu` as long as there are free pages. */
  free_list: ListHeadRcu,
  rcu_head: KvfreeRcuHead,
  tag: WorkloadTag,
  cpu: u32,
  /** Its place in vmap_blocks. */
  index: u32,
});
/** struct vmap_block_queue: blocks of a CPU that have free pages. */
export const VmapBlockQueue = struct("vmap_block_queue", { lock: Spinlock, free: ListHeadRcu });
export const NR_VMAP_BLOCKS = 64;
export const NR_VMAP_STASH = 64;
export const VmapGlobals = struct("vmap_globals", {
  /** Block of each address. Differs: an array instead of an xarray. */
  vmap_blocks: array(atomic_ptr("vmap_block"), NR_VMAP_BLOCKS),
  /** Addresses that are in use, for anybody to give back. */
  stash: aligned(64, array(atomic32, NR_VMAP_STASH)),
});

/** Entries of a maple_node of type maple_range_64. */
export const MAPLE_RANGE64_SLOTS = 16;
/**
 * struct maple_node, as a maple_range_64: slot[i] is for the indices up to pivot[i] that are above pivot[i - 1]. An entry
 * is another node, NULL, or a value: an odd number. The head lies over pivots, so whoever has read pivots without the
 * lock looks then whether the node is still alive.
 */
export const MapleNode = struct("maple_node", {
  /** The node itself: it is dead. */
  parent: atomic_ptr("maple_node"),
  pivot: array(ulong, MAPLE_RANGE64_SLOTS - 1),
  /** Both words: a node goes by kfree_rcu(), or together with what is below it by call_rcu(). */
  rcu: overlay("pivot", RcuHead),
  slot: array(atomic_ptr("maple_node"), MAPLE_RANGE64_SLOTS),
});
export const MapleTree = struct("maple_tree", {
  ma_lock: Spinlock,
  ma_root: atomic_ptr("maple_node"),
  /** maple_node_cache. */
  node_cache: ptr("kmem_cache"),
});

/** An object of a SLAB_TYPESAFE_BY_RCU cache: who has found it under RCU has an object of this type, if not the same. */
export const TypesafeObject = struct("typesafe_object", {
  /** Written by the constructor, and never again. */
  magic: u32,
  /** 0: it is free. The constructor's work, too, and left so by the last put. */
  refcnt: atomic32,
  /** Its place in the table; constant while there is a reference. */
  key: atomic32,
  /** New with each key; repeated in `again`. */
  stamp: u32,
  rest: array(u32, 8),
  again: u32,
});
/** Few, so that at times all are free, and their slab can go. */
export const NR_TYPESAFE = 4;
export const TypesafeTable = struct("typesafe_table", {
  cache: ptr("kmem_cache"),
  /** By key. Each holds a reference. */
  slots: aligned(64, array(atomic_ptr("typesafe_object"), NR_TYPESAFE)),
});

export const NR_PREFILL_STASH = 16;
export const PrefillGlobals = struct("prefill_globals", {
  cache: ptr("kmem_cache"),
  /** Objects of the cache that any CPU may free. */
  stash: aligned(64, array(atomic_ptr("torture_object"), NR_PREFILL_STASH)),
  /** Objects of the cache that NMIs free. */
  stash_nolock: aligned(64, array(atomic_ptr("torture_object"), NR_PREFILL_STASH)),
});
export const PrefillCpu = struct("prefill_cpu", {
  /** What the task that began here holds; NULL: none. */
  sheaf: ptr("slab_sheaf"),
  /** So many objects it must give. */
  promised: u32,
});
/** What the task that began here grows and shrinks by krealloc(). */
export const GrowingCpu = struct("growing_cpu", {
  object: ptr("object"),
  bytes: u32,
  /** What each of its bytes is. */
  fill: u32,
});

export const WorkloadCpu = struct(
  "workload_cpu",
  { vmap_block_queue: VmapBlockQueue, prefill: PrefillCpu, growing: GrowingCpu },
  { align: 64 },
);
export const WorkloadGlobals = struct(
  "workload_globals",
  {
    list_lru: ListLru,
    shrinker: aligned(64, ShrinkerMemcg),
    maple_tree: aligned(64, MapleTree),
    objcg: aligned(64, ObjcgGlobals),
    vmap: aligned(64, VmapGlobals),
    typesafe: aligned(64, TypesafeTable),
    prefill: aligned(64, PrefillGlobals),
    /** kmalloc() caches of the workloads' own. */
    buckets: ptr("kmem_buckets"),
  },
  { align: 64 },
);
