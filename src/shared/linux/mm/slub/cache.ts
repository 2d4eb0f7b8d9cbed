/**
 * Life of a cache: kmem_cache_create(), what kmem_cache_destroy() (kvfree_rcu) needs of it, and the parts that a cache
 * consists of. mm/slab_common.c, mm/slub.c; spec slub 1.1, 5.8.
 *
 *   part                               memory from
 *   struct kmem_cache                  the cache kmem_cache
 *   sheaves and counters of all CPUs   the cache percpu, one block; a multiple of a cache line for each CPU
 *   struct kmem_cache_node, per node   the cache kmem_cache_node
 *   barn, per node; main sheaf, per    kmalloc
 *     CPU: only with sheaves
 *
 * Context: task, may sleep. Lock order: cpu_hotplug_lock, slab_mutex, flush_lock.
 *
 * Differs: every create makes a new cache, none are merged. The cache percpu stands in for the per-CPU allocator.
 */
import { bug, warn } from "../../../cpu/bug.ts";
import { might_sleep } from "../../../cpu/context.ts";
import { this_cpu_ptr, type Cpu } from "../../../cpu/cpu.ts";
import { EV_CACHE_CREATE, trace } from "../../../cpu/trace.ts";
import { GFP_KERNEL } from "../../../layout/gfp.ts";
import { Globals } from "../../../layout/globals.ts";
import { PerCpu } from "../../../layout/percpu.ts";
import {
  KMEM_CACHE_ALIVE,
  KMEM_CACHE_DEAD,
  KmemCache,
  KmemCachePerNode,
  KmemCacheStats,
  NodeBarn,
  SlabGlobals,
  SlubCpu,
  SlubPercpuSheaves,
  STAT_NAMES,
} from "../../../layout/slab.ts";
import { SLAB_ALLOC_DEFAULT, SLAB_KMALLOC, SLAB_PANIC } from "../../../layout/slab_flags.ts";
import { element, embedded, embedded_at, NULL, type CallbackId, type Ptr } from "../../../mem/struct.ts";
import { list_add } from "../../lib/list.ts";
import { local_lock_init } from "../../sync/local_lock.ts";
import { LC } from "../../sync/lockdep.ts";
import { mutex_lock, mutex_unlock } from "../../sync/mutex.ts";
import { node_has_memory } from "../page_alloc/zone.ts";
import { barn_init } from "./barn.ts";
import { cache_name, set_cache_name } from "./cache_name.ts";
import { pcs_destroy } from "./flush.ts";
import { init_cache_geometry, type CacheRequest } from "./geometry.ts";
import {
  assert_alive,
  kfree,
  kmalloc_node,
  kmem_cache_alloc_node,
  kmem_cache_free,
  kmem_cache_zalloc,
} from "./kmalloc.ts";
import { init_kmem_cache_node } from "./partial.ts";
import { per_cpu_sheaves } from "./pcs.ts";
import { alloc_empty_sheaf, cache_has_sheaves } from "./sheaf.ts";
import { get_node } from "./slab.ts";
import { stat_sum } from "./stat.ts";

const { slab: SLAB } = Globals.offset;
const { slub: SLUB } = PerCpu.offset;
const { retired: RETIRED } = SlubCpu.offset;
const {
  slab_mutex: SLAB_MUTEX,
  slab_caches: SLAB_CACHES,
  kmem_cache: KMEM_CACHE,
  kmem_cache_node: KMEM_CACHE_NODE,
  percpu: PERCPU,
  bootstrap_sheaf: BOOTSTRAP_SHEAF,
  nr_caches: NR_CACHES,
} = SlabGlobals.offset;
const {
  cpu_sheaves: CPU_SHEAVES,
  cpu_stats: CPU_STATS,
  sheaf_capacity: SHEAF_CAPACITY,
  refcount: REFCOUNT,
  ctor: CTOR,
  remote_node_defrag_ratio: REMOTE_NODE_DEFRAG_RATIO,
  alive: ALIVE,
  list: LIST,
  per_node: PER_NODE,
} = KmemCache.offset;
const { barn: BARN, node: NODE } = KmemCachePerNode.offset;
const { lock: PCS_LOCK, main: MAIN, cache: PCS_CACHE } = SlubPercpuSheaves.offset;
const { nr_full: NR_FULL, nr_empty: NR_EMPTY } = NodeBarn.offset;

/** Largest object. @kernel include/linux/slab.h, KMALLOC_MAX_SIZE */
const KMALLOC_MAX_SIZE = 1 << 22;

type Cache = Ptr<"kmem_cache">;

/** struct kmem_cache_args, and the flags. */
export interface KmemCacheArgs {
  /** SLAB_* */
  readonly flags?: number;
  /** Bytes; a power of two. */
  readonly align?: number;
  /** At least so many slots in a sheaf. */
  readonly sheaf_capacity?: number;
  /** Called as (cpu, object), once for each object of a new slab. */
  readonly ctor?: CallbackId;
  /** Where the free pointer lies: only with SLAB_TYPESAFE_BY_RCU or a constructor. */
  readonly freeptr_offset?: number;
}

function slab_globals(cpu: Cpu): Ptr<"slab_globals"> {
  return embedded(cpu.globals, SLAB);
}
function per_node(s: Cache, node: number): Ptr<"kmem_cache_per_node"> {
  return embedded_at(s, PER_NODE, node, KmemCachePerNode.size);
}

/**
 * kmem_cache_create() - make a cache.
 *
 * @kernel  mm/slab_common.c
 * @param   name         up to 24 characters are kept.
 * @param   object_size  bytes.
 * @returns NULL: no memory; a bug instead with SLAB_PANIC.
 * @context Task, may sleep. Takes slab_mutex.
 */
export function kmem_cache_create(cpu: Cpu, name: string, object_size: number, args: KmemCacheArgs = {}): Cache {
  might_sleep(cpu, "kmem_cache_create");
  if (object_size <= 0 || object_size > KMALLOC_MAX_SIZE) bug(cpu, `kmem_cache_create(${name}): size ${object_size}`);
  const flags = args.flags ?? 0;
  const { align, sheaf_capacity, freeptr_offset } = args;
  const request: CacheRequest = {
    object_size,
    flags,
    align: align ?? 0,
    ctor: args.ctor !== undefined,
    freeptr_offset,
    sheaf_capacity,
  };
  const slab_mutex = embedded(slab_globals(cpu), SLAB_MUTEX);
  mutex_lock(cpu, slab_mutex);
  const s = create_cache(cpu, name, request, args.ctor);
  mutex_unlock(cpu, slab_mutex);
  if (s === NULL && flags & SLAB_PANIC) bug(cpu, `kmem_cache_create(${name}): no memory`);
  return s;
}

/** A cache, on the list of caches. @returns NULL: no memory. @context Task, slab_mutex held or at boot. */
export function create_cache(cpu: Cpu, name: string, request: CacheRequest, ctor?: CallbackId): Cache {
  const mem = cpu.mem;
  const s = kmem_cache_zalloc(cpu, mem.read(slab_globals(cpu), KMEM_CACHE), GFP_KERNEL) as Ptr as Cache;
  if (s === NULL) return NULL;
  if (ctor !== undefined) mem.init(s, CTOR, ctor);
  if (do_kmem_cache_create(cpu, s, name, request, NULL)) return s;
  __kmem_cache_release(cpu, s);
  kmem_cache_free(cpu, mem.read(slab_globals(cpu), KMEM_CACHE), s);
  return NULL;
}

/**
 * do_kmem_cache_create() - fill in a zeroed kmem_cache and put it on the list of caches.
 *
 * @kernel  mm/slub.c
 * @param   percpu_block  memory for its per-CPU parts, zeroed; NULL: from the cache percpu.
 * @returns false: no memory, or no slab is large enough; the caller releases what there is.
 * @context Task, slab_mutex held or at boot.
 */
export function do_kmem_cache_create(
  cpu: Cpu,
  s: Cache,
  name: string,
  request: CacheRequest,
  percpu_block: Ptr,
): boolean {
  const mem = cpu.mem;
  set_cache_name(mem, s, name);
  if (!init_cache_geometry(cpu, s, request)) return false;
  // Why: the sheaves of kmalloc caches are kmalloc objects themselves; bootstrap_kmalloc_sheaves() comes later.
  if (request.flags & SLAB_KMALLOC) mem.init(s, SHEAF_CAPACITY, 0);
  mem.init(s, REMOTE_NODE_DEFRAG_RATIO, 1000);
  mem.init(s, REFCOUNT, 1);
  if (!init_kmem_cache_nodes(cpu, s) || !alloc_kmem_cache_cpus(cpu, s, percpu_block) || !init_percpu_sheaves(cpu, s)) {
    return false;
  }
  mem.init(s, ALIVE, KMEM_CACHE_ALIVE);
  const slab = slab_globals(cpu);
  list_add(cpu, embedded(s, LIST), embedded(slab, SLAB_CACHES));
  mem.fetch_add(slab, NR_CACHES, 1);
  trace(cpu, EV_CACHE_CREATE, s, 0);
  return true;
}

/** Node structures that are not there yet, and barns if the cache has sheaves. @kernel mm/slub.c */
function init_kmem_cache_nodes(cpu: Cpu, s: Cache): boolean {
  const mem = cpu.mem;
  for (let node = 0; node < cpu.map.shape.nodes; node++) {
    if (node_has_memory(cpu, node) && get_node(cpu, s, node) === NULL) {
      const cache = mem.read(slab_globals(cpu), KMEM_CACHE_NODE);
      const n = kmem_cache_alloc_node(cpu, cache, GFP_KERNEL, node) as Ptr as Ptr<"kmem_cache_node">;
      if (n === NULL) return false;
      init_kmem_cache_node(cpu, n);
      mem.init(per_node(s, node), NODE, n);
    }
    if (cache_has_sheaves(cpu, s) && !alloc_node_barn(cpu, s, node)) return false;
  }
  return true;
}
/** A barn for a node, which need not have memory of its own: its CPUs have sheaves all the same. @returns false: no memory. */
export function alloc_node_barn(cpu: Cpu, s: Cache, node: number): boolean {
  const barn = kmalloc_node(cpu, NodeBarn.size, GFP_KERNEL, node) as Ptr as Ptr<"node_barn">;
  if (barn === NULL) return false;
  barn_init(cpu, barn);
  cpu.mem.init(per_node(s, node), BARN, barn);
  return true;
}

/** Bytes of the per-CPU parts of a cache, all CPUs together. */
export function percpu_block_size(cpu: Cpu): number {
  return cpu.map.shape.cpus * (SlubPercpuSheaves.size + KmemCacheStats.size);
}
/** @kernel mm/slub.c; alloc_percpu() of sheaves and counters. */
function alloc_kmem_cache_cpus(cpu: Cpu, s: Cache, percpu_block: Ptr): boolean {
  const cache = cpu.mem.read(slab_globals(cpu), PERCPU);
  const block = percpu_block === NULL ? kmem_cache_zalloc(cpu, cache, GFP_KERNEL) : percpu_block;
  if (block === NULL) return false;
  cpu.mem.init(s, CPU_SHEAVES, block as Ptr<"slub_percpu_sheaves">);
  cpu.mem.init(s, CPU_STATS, (block + cpu.map.shape.cpus * SlubPercpuSheaves.size) as Ptr<"kmem_cache_stats">);
  return true;
}
/** Every CPU gets its lock and its main sheaf. @kernel mm/slub.c */
function init_percpu_sheaves(cpu: Cpu, s: Cache): boolean {
  for (let id = 0; id < cpu.map.shape.cpus; id++) {
    const pcs = per_cpu_sheaves(cpu, s, id);
    local_lock_init(cpu, embedded(pcs, PCS_LOCK), LC.pcs);
    cpu.mem.init(pcs, PCS_CACHE, s);
    const main = cache_has_sheaves(cpu, s)
      ? alloc_empty_sheaf(cpu, s, GFP_KERNEL, SLAB_ALLOC_DEFAULT)
      : embedded(slab_globals(cpu), BOOTSTRAP_SHEAF);
    if (main === NULL) return false;
    cpu.mem.init(pcs, MAIN, main);
  }
  return true;
}

/**
 * slab_kmem_cache_release() - free a cache that has no slabs left. Touching it afterwards is noticed.
 * @kernel  mm/slab_common.c
 * @context Task. __kmem_cache_shutdown() has returned 0, and the cache is off the list.
 */
export function slab_kmem_cache_release(cpu: Cpu, s: Cache): void {
  assert_alive(cpu, s);
  cpu.mem.write(s, ALIVE, KMEM_CACHE_DEAD);
  __kmem_cache_release(cpu, s);
  cpu.mem.fetch_add(slab_globals(cpu), NR_CACHES, -1);
  kmem_cache_free(cpu, cpu.mem.read(slab_globals(cpu), KMEM_CACHE), s);
}
/** Frees what a cache consists of, as far as it is there. @kernel mm/slub.c */
function __kmem_cache_release(cpu: Cpu, s: Cache): void {
  const mem = cpu.mem;
  const block = mem.read(s, CPU_SHEAVES);
  if (block !== NULL) {
    pcs_destroy(cpu, s);
    for (let item = 0; item < STAT_NAMES.length; item++) {
      mem.count(this_cpu_ptr(cpu, SLUB), element(RETIRED, item), stat_sum(cpu, s, item));
    }
    kmem_cache_free(cpu, mem.read(slab_globals(cpu), PERCPU), block);
  }
  for (let node = 0; node < cpu.map.shape.nodes; node++) free_kmem_cache_node(cpu, s, per_node(s, node));
}
/** @kernel mm/slub.c, free_kmem_cache_nodes() */
function free_kmem_cache_node(cpu: Cpu, s: Cache, slot: Ptr<"kmem_cache_per_node">): void {
  const mem = cpu.mem;
  const barn = mem.read(slot, BARN);
  if (barn !== NULL) {
    const full = mem.read(barn, NR_FULL);
    const empty = mem.read(barn, NR_EMPTY);
    if (full + empty > 0)
      warn(cpu, `barn of released cache ${cache_name(cpu, s)}: ${full} full, ${empty} empty sheaves`);
    mem.write(slot, BARN, NULL);
    kfree(cpu, barn);
  }
  const n = mem.read(slot, NODE);
  if (n !== NULL) {
    mem.write(slot, NODE, NULL);
    kmem_cache_free(cpu, mem.read(slab_globals(cpu), KMEM_CACHE_NODE), n);
  }
}

export { bind_slub, kmem_cache_init } from "./init.ts";
