/**
 * Boot of the slab allocator. mm/slub.c, mm/slab_common.c; spec slub 1.8.
 *
 *   1  kmem_cache_node, kmem_cache, percpu   what caches consist of; they stand in the globals, with static nodes for
 *                                            the first one and pages of their own for the per-CPU parts
 *   2  kmalloc caches                        without sheaves: their main is the bootstrap sheaf
 *   3  sheaves of kmalloc caches             which come from kmalloc caches; an alias must not get them twice (slub B20)
 *
 * The bootstrap sheaf has capacity 0: alloc finds it empty and free finds it full, so fast paths need no NULL test.
 *
 * Differs: Linux moves its first two caches from static memory into slabs; here they stay where they are. With
 * globals.tiny all kmalloc types share one set of caches, but for the one without extension vectors, which is there only
 * if there are vectors.
 */
import { assert, no_memory } from "../../../cpu/bug.ts";
import { has_bug } from "../../../cpu/bugs.ts";
import { bind_callback } from "../../../cpu/callback_table.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { BUG_DOUBLE_BOOTSTRAP } from "../../../layout/bugs.ts";
import { CB } from "../../../layout/callbacks.ts";
import { GFP_KERNEL, NUMA_NO_NODE } from "../../../layout/gfp.ts";
import { Globals } from "../../../layout/globals.ts";
import { Page, PGTY_percpu } from "../../../layout/page.ts";
import {
  KmemCache,
  KmemCacheNode,
  KmemCachePerNode,
  NR_BOOT_CACHES,
  NR_KMALLOC_BUCKETS,
  NR_KMALLOC_TYPES,
  SLAB_STATE_DOWN,
  SLAB_STATE_PARTIAL,
  SLAB_STATE_UP,
  SlabGlobals,
  SlubPercpuSheaves,
} from "../../../layout/slab.ts";
import { SLAB_ALLOC_DEFAULT, SLAB_HWCACHE_ALIGN, SLAB_NO_SHEAVES } from "../../../layout/slab_flags.ts";
import { ListHead } from "../../../layout/types.ts";
import { container_of, embedded, embedded_at, NULL, type Ptr } from "../../../mem/struct.ts";
import { INIT_LIST_HEAD } from "../../lib/list.ts";
import { LC } from "../../sync/lockdep.ts";
import { mutex_init } from "../../sync/mutex.ts";
import { spin_lock_init } from "../../sync/spinlock.ts";
import { alloc_frozen_pages } from "../page_alloc/page_alloc.ts";
import { get_order, node_has_memory, page_address } from "../page_alloc/zone.ts";
import { do_kmem_cache_create } from "./cache.ts";
import { alloc_node_barn, percpu_block_size } from "./cache_parts.ts";
import { slub_cpu_dead } from "./cpu_dead.ts";
import { flush_cpu_sheaves } from "./flush.ts";
import { calculate_sheaf_capacity } from "./geometry.ts";
import { create_kmalloc_caches } from "./kmalloc_caches.ts";
import { bind_free_slab } from "./free_slab.ts";
import { bind_obj_exts } from "./obj_exts.ts";
import { init_kmem_cache_node } from "./partial.ts";
import { per_cpu_sheaves } from "./pcs.ts";
import { freelists_are_random, init_cache_random_seq, init_slab_rnd_state } from "./random_seq.ts";
import { bind_rcu_debug } from "./rcu_debug.ts";
import { __alloc_empty_sheaf, cache_has_sheaves } from "./sheaf.ts";
import { kmalloc_cache } from "./size_class.ts";

const { slab: SLAB, tiny: TINY, kmalloc_partitions: KMALLOC_PARTITIONS } = Globals.offset;
const {
  slab_mutex: SLAB_MUTEX,
  flush_lock: FLUSH_LOCK,
  object_map_lock: OBJECT_MAP_LOCK,
  slab_caches: SLAB_CACHES,
  kmem_cache: KMEM_CACHE,
  kmem_cache_node: KMEM_CACHE_NODE,
  percpu: PERCPU,
  boot_caches: BOOT_CACHES,
  boot_nodes: BOOT_NODES,
  slab_state: SLAB_STATE,
} = SlabGlobals.offset;
const {
  per_node: PER_NODE,
  flags: FLAGS,
  size: SIZE,
  object_size: OBJECT_SIZE,
  sheaf_capacity: SHEAF_CAPACITY,
  refcount: REFCOUNT,
  list: LIST,
} = KmemCache.offset;
const { next: NEXT } = ListHead.offset;
const { node: NODE } = KmemCachePerNode.offset;
const { main: MAIN } = SlubPercpuSheaves.offset;
const { type: TYPE } = Page.offset;

type Cache = Ptr<"kmem_cache">;

/** Binds this layer's callback numbers. Once per thread. */
export function bind_slub(): void {
  bind_callback(CB.flush_cpu_sheaves, flush_cpu_sheaves);
  bind_callback(CB.slub_cpu_dead, slub_cpu_dead);
  bind_free_slab();
  bind_obj_exts();
  bind_rcu_debug();
}

/** kmem_cache_init() - bring the slab allocator up. @kernel mm/slub.c @context Task, at boot, alone. */
export function kmem_cache_init(cpu: Cpu): void {
  const mem = cpu.mem;
  const slab = embedded(cpu.globals, SLAB);
  assert(cpu, mem.read(slab, SLAB_STATE) === SLAB_STATE_DOWN, "kmem_cache_init() runs twice");
  mutex_init(cpu, embedded(slab, SLAB_MUTEX), LC.slab_mutex);
  mutex_init(cpu, embedded(slab, FLUSH_LOCK), LC.flush_lock);
  spin_lock_init(cpu, embedded(slab, OBJECT_MAP_LOCK), LC.object_map_lock);
  INIT_LIST_HEAD(cpu, embedded(slab, SLAB_CACHES));
  create_boot_caches(cpu, slab);
  create_kmalloc_caches(cpu, slab);
  if (freelists_are_random(cpu)) init_freelist_randomization(cpu, slab);
  bootstrap_kmalloc_sheaves(cpu);
  mem.write(slab, SLAB_STATE, SLAB_STATE_UP);
}

/** Those that were created before kmalloc() worked. Slabs that they have by now are in order. @kernel mm/slub.c */
function init_freelist_randomization(cpu: Cpu, slab: Ptr<"slab_globals">): void {
  init_slab_rnd_state(cpu);
  const head = embedded(slab, SLAB_CACHES);
  for (let entry = cpu.mem.read(head, NEXT); entry !== head; entry = cpu.mem.read(entry, NEXT)) {
    if (!init_cache_random_seq(cpu, container_of(entry, LIST))) no_memory(cpu, "the order of a cache's objects");
  }
}

/** The caches that all caches need, in the order in which they need each other. @kernel mm/slub.c, create_boot_cache() */
function create_boot_caches(cpu: Cpu, slab: Ptr<"slab_globals">): void {
  const mem = cpu.mem;
  const block_size = percpu_block_size(cpu);
  const page = alloc_frozen_pages(cpu, get_order(NR_BOOT_CACHES * block_size), NUMA_NO_NODE);
  if (page === NULL) no_memory(cpu, "the first per-CPU blocks");
  mem.init(page, TYPE, PGTY_percpu);
  const blocks = page_address(cpu, page);
  mem.fill(blocks, NR_BOOT_CACHES * block_size, 0);

  const create = (index: number, name: string, object_size: number): Cache => {
    const s = embedded_at(slab, BOOT_CACHES, index, KmemCache.size);
    if (index === 0) install_boot_nodes(cpu, slab, s);
    const request = { object_size, flags: SLAB_HWCACHE_ALIGN | SLAB_NO_SHEAVES };
    if (!do_kmem_cache_create(cpu, s, name, request, (blocks + index * block_size) as Ptr)) {
      no_memory(cpu, `the cache ${name}`);
    }
    mem.init(s, REFCOUNT, -1); // Never merged.
    return s;
  };
  mem.write(slab, KMEM_CACHE_NODE, create(0, "kmem_cache_node", KmemCacheNode.size));
  mem.write(slab, SLAB_STATE, SLAB_STATE_PARTIAL);
  mem.write(slab, KMEM_CACHE, create(1, "kmem_cache", KmemCache.size));
  mem.write(slab, PERCPU, create(2, "percpu", block_size));
}
/** The cache of node structures cannot allocate its own. @kernel mm/slub.c, early_kmem_cache_node_alloc() */
function install_boot_nodes(cpu: Cpu, slab: Ptr<"slab_globals">, s: Cache): void {
  for (let node = 0; node < cpu.map.shape.nodes; node++) {
    if (!node_has_memory(cpu, node)) continue;
    const n = embedded_at(slab, BOOT_NODES, node, KmemCacheNode.size);
    init_kmem_cache_node(cpu, n);
    cpu.mem.init(embedded_at(s, PER_NODE, node, KmemCachePerNode.size), NODE, n);
  }
}

/** @kernel mm/slub.c */
function bootstrap_kmalloc_sheaves(cpu: Cpu): void {
  const partitions = cpu.mem.peek(cpu.globals, KMALLOC_PARTITIONS);
  for (let type = 0; type < NR_KMALLOC_TYPES + partitions; type++) {
    for (let bucket = 1; bucket < NR_KMALLOC_BUCKETS; bucket++) {
      const s = kmalloc_cache(cpu, type, bucket);
      if (!cache_has_sheaves(cpu, s) || has_bug(cpu, BUG_DOUBLE_BOOTSTRAP)) bootstrap_cache_sheaves(cpu, s);
    }
  }
}
/**
 * Gives a kmalloc cache its sheaves. The capacity comes last: from then on frees fill main, which must not be the shared
 * sheaf any more, and look for a barn.
 */
function bootstrap_cache_sheaves(cpu: Cpu, s: Cache): void {
  const mem = cpu.mem;
  const request = { object_size: mem.read(s, OBJECT_SIZE), flags: mem.read(s, FLAGS) };
  const capacity = calculate_sheaf_capacity(request, mem.read(s, SIZE), mem.peek(cpu.globals, TINY) !== 0);
  if (capacity === 0) return; // Debug caches.
  for (let node = 0; node < cpu.map.shape.nodes; node++) {
    if (!alloc_node_barn(cpu, s, node)) no_memory(cpu, "a barn");
  }
  for (let id = 0; id < cpu.map.shape.cpus; id++) {
    const main = __alloc_empty_sheaf(cpu, s, GFP_KERNEL, SLAB_ALLOC_DEFAULT, capacity);
    if (main === NULL) no_memory(cpu, "a sheaf");
    mem.write(per_cpu_sheaves(cpu, s, id), MAIN, main);
  }
  mem.write(s, SHEAF_CAPACITY, capacity);
}
