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
import { assert, bug } from "../../../cpu/bug.ts";
import { bind_callback } from "../../../cpu/callback_table.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { CB } from "../../../layout/callbacks.ts";
import { GFP_KERNEL, NUMA_NO_NODE } from "../../../layout/gfp.ts";
import { HOOK_MEMCG } from "../../../layout/debug.ts";
import { Globals, KB_OBJ_EXT_RECURSION } from "../../../layout/globals.ts";
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
import {
  SLAB_ACCOUNT,
  SLAB_ALLOC_DEFAULT,
  SLAB_HWCACHE_ALIGN,
  SLAB_KMALLOC,
  SLAB_NO_OBJ_EXT,
  SLAB_NO_SHEAVES,
  SLAB_RECLAIM_ACCOUNT,
} from "../../../layout/slab_flags.ts";
import { element, embedded, embedded_at, NULL, type Ptr } from "../../../mem/struct.ts";
import { INIT_LIST_HEAD } from "../../lib/list.ts";
import { LC } from "../../sync/lockdep.ts";
import { mutex_init } from "../../sync/mutex.ts";
import { alloc_frozen_pages } from "../page_alloc/page_alloc.ts";
import { get_order, page_address } from "../page_alloc/zone.ts";
import { create_cache, do_kmem_cache_create } from "./cache.ts";
import { alloc_node_barn, percpu_block_size } from "./cache_parts.ts";
import { flush_cpu_sheaves } from "./flush.ts";
import { calculate_sheaf_capacity } from "./geometry.ts";
import { bind_new_slab } from "./new_slab.ts";
import { bind_obj_exts } from "./obj_exts.ts";
import { init_kmem_cache_node } from "./partial.ts";
import { per_cpu_sheaves } from "./pcs.ts";
import { bind_rcu_debug } from "./rcu_debug.ts";
import { __alloc_empty_sheaf, cache_has_sheaves } from "./sheaf.ts";
import {
  KMALLOC_CGROUP,
  KMALLOC_DMA,
  KMALLOC_NO_OBJ_EXT,
  KMALLOC_NORMAL,
  KMALLOC_RECLAIM,
  KMALLOC_SIZES,
  kmalloc_cache,
} from "./size_class.ts";

const { slab: SLAB, tiny: TINY } = Globals.offset;
const {
  slab_mutex: SLAB_MUTEX,
  flush_lock: FLUSH_LOCK,
  slab_caches: SLAB_CACHES,
  kmem_cache: KMEM_CACHE,
  kmem_cache_node: KMEM_CACHE_NODE,
  percpu: PERCPU,
  kmalloc_caches: KMALLOC_CACHES,
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
} = KmemCache.offset;
const { node: NODE } = KmemCachePerNode.offset;
const { main: MAIN } = SlubPercpuSheaves.offset;
const { type: TYPE } = Page.offset;

type Cache = Ptr<"kmem_cache">;

/** Binds this layer's callback numbers. Once per thread. */
export function bind_slub(): void {
  bind_callback(CB.flush_cpu_sheaves, flush_cpu_sheaves);
  bind_new_slab();
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
  INIT_LIST_HEAD(cpu, embedded(slab, SLAB_CACHES));
  create_boot_caches(cpu, slab);
  create_kmalloc_caches(cpu, slab);
  bootstrap_kmalloc_sheaves(cpu);
  mem.write(slab, SLAB_STATE, SLAB_STATE_UP);
}

/** The caches that all caches need, in the order in which they need each other. @kernel mm/slub.c, create_boot_cache() */
function create_boot_caches(cpu: Cpu, slab: Ptr<"slab_globals">): void {
  const mem = cpu.mem;
  const block_size = percpu_block_size(cpu);
  const page = alloc_frozen_pages(cpu, get_order(NR_BOOT_CACHES * block_size), NUMA_NO_NODE);
  assert(cpu, page !== NULL, "no memory for the first per-CPU blocks");
  mem.init(page, TYPE, PGTY_percpu);
  const blocks = page_address(cpu, page);
  mem.fill(blocks, NR_BOOT_CACHES * block_size, 0);

  const create = (index: number, name: string, object_size: number): Cache => {
    const s = embedded_at(slab, BOOT_CACHES, index, KmemCache.size);
    if (index === 0) install_boot_nodes(cpu, slab, s);
    const request = { object_size, flags: SLAB_HWCACHE_ALIGN | SLAB_NO_SHEAVES };
    if (!do_kmem_cache_create(cpu, s, name, request, (blocks + index * block_size) as Ptr)) {
      bug(cpu, `no memory for the cache ${name}`);
    }
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
    const n = embedded_at(slab, BOOT_NODES, node, KmemCacheNode.size);
    init_kmem_cache_node(cpu, n);
    cpu.mem.init(embedded_at(s, PER_NODE, node, KmemCachePerNode.size), NODE, n);
  }
}

/** "64", "1k": how a size reads in the name of a cache. */
function size_name(size: number): string {
  return size >= 1024 ? `${size / 1024}k` : `${size}`;
}
/** Do extension vectors exist, and lie in buckets of their own? */
function has_obj_exts(cpu: Cpu): boolean {
  const { hooks, kernel_behaviour } = Globals.offset;
  return (
    (cpu.mem.peek(cpu.globals, hooks) & HOOK_MEMCG) !== 0 &&
    (cpu.mem.peek(cpu.globals, kernel_behaviour) & KB_OBJ_EXT_RECURSION) === 0
  );
}
/** @kernel mm/slab_common.c */
function create_kmalloc_caches(cpu: Cpu, slab: Ptr<"slab_globals">): void {
  const sets = [
    { type: KMALLOC_NORMAL, prefix: "kmalloc", flags: SLAB_KMALLOC },
    { type: KMALLOC_RECLAIM, prefix: "kmalloc-rcl", flags: SLAB_KMALLOC | SLAB_RECLAIM_ACCOUNT },
    { type: KMALLOC_CGROUP, prefix: "kmalloc-cg", flags: SLAB_KMALLOC | SLAB_ACCOUNT },
    { type: KMALLOC_NO_OBJ_EXT, prefix: "kmalloc-no-objext", flags: SLAB_KMALLOC | SLAB_NO_OBJ_EXT },
  ];
  const tiny = cpu.mem.peek(cpu.globals, TINY) !== 0;
  for (let bucket = 1; bucket < NR_KMALLOC_BUCKETS; bucket++) {
    const object_size = KMALLOC_SIZES[bucket];
    for (const { type, prefix, flags } of sets) {
      if (type === KMALLOC_NO_OBJ_EXT ? !has_obj_exts(cpu) : type !== KMALLOC_NORMAL && tiny) {
        set_kmalloc_cache(cpu, slab, type, bucket, kmalloc_cache(cpu, KMALLOC_NORMAL, bucket));
        continue;
      }
      const s = create_cache(cpu, `${prefix}-${size_name(object_size)}`, { object_size, flags });
      assert(cpu, s !== NULL, `no memory for the cache ${prefix}-${object_size}`);
      set_kmalloc_cache(cpu, slab, type, bucket, s);
    }
    set_kmalloc_cache(cpu, slab, KMALLOC_DMA, bucket, kmalloc_cache(cpu, KMALLOC_NORMAL, bucket));
  }
}
function set_kmalloc_cache(cpu: Cpu, slab: Ptr<"slab_globals">, type: number, bucket: number, s: Cache): void {
  cpu.mem.write(slab, element(KMALLOC_CACHES, type * NR_KMALLOC_BUCKETS + bucket), s);
}

/** @kernel mm/slub.c */
function bootstrap_kmalloc_sheaves(cpu: Cpu): void {
  for (let type = 0; type < NR_KMALLOC_TYPES; type++) {
    for (let bucket = 1; bucket < NR_KMALLOC_BUCKETS; bucket++) {
      const s = kmalloc_cache(cpu, type, bucket);
      if (!cache_has_sheaves(cpu, s)) bootstrap_cache_sheaves(cpu, s);
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
    assert(cpu, alloc_node_barn(cpu, s, node), "no memory for a barn");
  }
  for (let id = 0; id < cpu.map.shape.cpus; id++) {
    const main = __alloc_empty_sheaf(cpu, s, GFP_KERNEL, SLAB_ALLOC_DEFAULT, capacity);
    assert(cpu, main !== NULL, "no memory for a sheaf");
    mem.write(per_cpu_sheaves(cpu, s, id), MAIN, main);
  }
  mem.write(s, SHEAF_CAPACITY, capacity);
}
