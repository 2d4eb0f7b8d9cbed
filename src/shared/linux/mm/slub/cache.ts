/**
 * Life of a cache: kmem_cache_create(), and the release that ends kmem_cache_destroy() (kvfree_rcu; shutdown.ts comes
 * before it). mm/slab_common.c, mm/slub.c; spec slub 1.1, 5.8.
 *
 * Context: task, may sleep. Lock order: cpu_hotplug_lock, slab_mutex, flush_lock.
 *
 * Differs: every create makes a new cache, none are merged.
 */
import { bug } from "../../../cpu/bug.ts";
import { might_sleep } from "../../../cpu/context.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { EV_CACHE_CREATE, trace } from "../../../cpu/trace.ts";
import { GFP_KERNEL } from "../../../layout/gfp.ts";
import { Globals } from "../../../layout/globals.ts";
import { KMEM_CACHE_ALIVE, KMEM_CACHE_DEAD, KmemCache, SlabGlobals } from "../../../layout/slab.ts";
import { SLAB_KMALLOC, SLAB_PANIC } from "../../../layout/slab_flags.ts";
import { embedded, NULL, type CallbackId, type Ptr } from "../../../mem/struct.ts";
import { list_add } from "../../lib/list.ts";
import { mutex_lock, mutex_unlock } from "../../sync/mutex.ts";
import { kfence_shutdown_cache } from "../debug/kfence.ts";
import {
  __kmem_cache_release,
  alloc_kmem_cache_cpus,
  init_kmem_cache_nodes,
  init_percpu_sheaves,
} from "./cache_parts.ts";
import { set_cache_name } from "./cache_name.ts";
import { init_cache_geometry, type CacheRequest } from "./geometry.ts";
import { assert_alive, kmem_cache_free, kmem_cache_zalloc } from "./kmalloc.ts";

const { slab: SLAB } = Globals.offset;
const {
  slab_mutex: SLAB_MUTEX,
  slab_caches: SLAB_CACHES,
  kmem_cache: KMEM_CACHE,
  nr_caches: NR_CACHES,
} = SlabGlobals.offset;
const {
  sheaf_capacity: SHEAF_CAPACITY,
  refcount: REFCOUNT,
  ctor: CTOR,
  remote_node_defrag_ratio: REMOTE_NODE_DEFRAG_RATIO,
  alive: ALIVE,
  list: LIST,
} = KmemCache.offset;

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

/**
 * slab_kmem_cache_release() - free a cache that has no slabs left. Touching it afterwards is noticed.
 * @kernel  mm/slab_common.c
 * @context Task. __kmem_cache_shutdown() has returned 0, and the cache is off the list.
 */
export function slab_kmem_cache_release(cpu: Cpu, s: Cache): void {
  assert_alive(cpu, s);
  kfence_shutdown_cache(cpu, s);
  cpu.mem.write(s, ALIVE, KMEM_CACHE_DEAD);
  __kmem_cache_release(cpu, s);
  cpu.mem.fetch_add(slab_globals(cpu), NR_CACHES, -1);
  kmem_cache_free(cpu, cpu.mem.read(slab_globals(cpu), KMEM_CACHE), s);
}
