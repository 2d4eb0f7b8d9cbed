/**
 * Life of a cache: kmem_cache_create(), and the release that ends kmem_cache_destroy() (kvfree_rcu; shutdown.ts comes
 * before it). mm/slab_common.c, mm/slub.c; spec slub 1.1, 5.8.
 *
 * Context: task, may sleep. Lock order: cpu_hotplug_lock, slab_mutex, flush_lock.
 */
import { bug, no_memory, warn } from "../../../cpu/bug.ts";
import { might_sleep } from "../../../cpu/context.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { cpu_random } from "../../../cpu/random.ts";
import { EV_CACHE_CREATE, trace } from "../../../cpu/trace.ts";
import { __GFP_COMP, __GFP_DMA, __GFP_DMA32, __GFP_RECLAIMABLE, GFP_KERNEL } from "../../../layout/gfp.ts";
import { Globals } from "../../../layout/globals.ts";
import { KMEM_CACHE_ALIVE, KMEM_CACHE_DEAD, KmemCache, SLAB_STATE_UP, SlabGlobals } from "../../../layout/slab.ts";
import {
  SLAB_CACHE_DMA,
  SLAB_CACHE_DMA32,
  SLAB_KMALLOC,
  SLAB_NO_MERGE,
  SLAB_PANIC,
  SLAB_RECLAIM_ACCOUNT,
  SLAB_STORE_USER,
  SLAB_TYPESAFE_BY_RCU,
} from "../../../layout/slab_flags.ts";
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
import { enable_slub_debug, kmem_cache_flags } from "./debug_flags.ts";
import { init_cache_geometry, type CacheRequest } from "./geometry.ts";
import { assert_alive, kmem_cache_free, kmem_cache_zalloc } from "./kmalloc.ts";
import { __kmem_cache_alias } from "./merge.ts";
import { init_cache_random_seq } from "./random_seq.ts";
import { oo_order } from "./slab.ts";
import { stack_depot_init } from "./track.ts";

const { slab: SLAB, hardened: HARDENED } = Globals.offset;
const {
  slab_mutex: SLAB_MUTEX,
  slab_caches: SLAB_CACHES,
  kmem_cache: KMEM_CACHE,
  nr_caches: NR_CACHES,
  slab_state: SLAB_STATE,
} = SlabGlobals.offset;
const {
  sheaf_capacity: SHEAF_CAPACITY,
  refcount: REFCOUNT,
  random: RANDOM,
  allocflags: ALLOCFLAGS,
  oo: OO,
  useroffset: USEROFFSET,
  usersize: USERSIZE,
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
  /** Part of an object that may be copied to and from user space. */
  readonly useroffset?: number;
  readonly usersize?: number;
}

function slab_globals(cpu: Cpu): Ptr<"slab_globals"> {
  return embedded(cpu.globals, SLAB);
}
function slab_is_up(cpu: Cpu): boolean {
  return cpu.mem.peek(slab_globals(cpu), SLAB_STATE) === SLAB_STATE_UP;
}

/**
 * kmem_cache_create() - make a cache, or an alias of one.
 *
 * @kernel  mm/slab_common.c
 * @param   name         up to 24 characters are kept.
 * @param   object_size  bytes.
 * @returns NULL: no memory, or a free pointer where none can be; a bug instead with SLAB_PANIC.
 * @context Task, may sleep. Takes slab_mutex.
 */
export function kmem_cache_create(cpu: Cpu, name: string, object_size: number, args: KmemCacheArgs = {}): Cache {
  might_sleep(cpu, "kmem_cache_create");
  if (object_size <= 0 || object_size > KMALLOC_MAX_SIZE) bug(cpu, `kmem_cache_create(${name}): size ${object_size}`);
  const { align = 0, sheaf_capacity = 0, freeptr_offset, ctor } = args;
  // A capacity of one's own is no good to others.
  const flags = (args.flags ?? 0) | (sheaf_capacity === 0 ? 0 : SLAB_NO_MERGE);
  const request: CacheRequest = {
    object_size,
    flags,
    align,
    ctor: ctor !== undefined,
    freeptr_offset,
    sheaf_capacity,
    ...usercopy_region(cpu, name, object_size, args),
  };
  let s: Cache = NULL;
  if (freeptr_offset === undefined || freeptr_offset_is_sane(object_size, freeptr_offset, request)) {
    const slab_mutex = embedded(slab_globals(cpu), SLAB_MUTEX);
    mutex_lock(cpu, slab_mutex);
    s = __kmem_cache_alias(cpu, name, request);
    if (s === NULL) s = create_cache(cpu, name, request, ctor);
    mutex_unlock(cpu, slab_mutex);
  }
  if (s === NULL && flags & SLAB_PANIC) no_memory(cpu, `the cache ${name}`);
  return s;
}
/** The region as asked for; one that is no part of the object is reported, and there is none then. */
function usercopy_region(
  cpu: Cpu,
  name: string,
  object_size: number,
  { useroffset = 0, usersize = 0 }: KmemCacheArgs,
): Pick<CacheRequest, "useroffset" | "usersize"> {
  const sane = usersize === 0 ? useroffset === 0 : usersize <= object_size && useroffset <= object_size - usersize;
  if (sane) return { useroffset, usersize };
  warn(
    cpu,
    `kmem_cache_create(${name}): ${usersize} bytes from ${useroffset} on are not in an object of ${object_size}`,
  );
  return {};
}
/** A free pointer in the object must not lie on what a reader, or the constructor, relies on: so somebody chose it. */
function freeptr_offset_is_sane(object_size: number, offset: number, { flags, ctor = false }: CacheRequest): boolean {
  return (ctor || (flags & SLAB_TYPESAFE_BY_RCU) !== 0) && offset % 8 === 0 && offset + 8 <= object_size;
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
  asked: CacheRequest,
  percpu_block: Ptr,
): boolean {
  const mem = cpu.mem;
  const request = { ...asked, flags: kmem_cache_flags(cpu, asked.flags, name) };
  enable_slub_debug(cpu, request.flags);
  if (request.flags & SLAB_STORE_USER) stack_depot_init(cpu);
  set_cache_name(mem, s, name);
  if (!init_cache_geometry(cpu, s, request)) return false;
  // Why: the sheaves of kmalloc caches are kmalloc objects themselves; bootstrap_kmalloc_sheaves() comes later.
  if (request.flags & SLAB_KMALLOC) mem.init(s, SHEAF_CAPACITY, 0);
  if (mem.peek(cpu.globals, HARDENED) !== 0) mem.init(s, RANDOM, cpu_random(cpu) | 1); // 0: links are not encoded.
  mem.init(s, REMOTE_NODE_DEFRAG_RATIO, 1000);
  mem.init(s, ALLOCFLAGS, allocflags(request.flags, mem.peek(s, OO)));
  mem.init(s, USEROFFSET, request.useroffset ?? 0);
  mem.init(s, USERSIZE, request.usersize ?? 0);
  mem.init(s, REFCOUNT, 1);
  // Earlier there is no kmalloc(): init_freelist_randomization().
  if (slab_is_up(cpu) && !init_cache_random_seq(cpu, s)) return false;
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

/** gfp bits of every slab of the cache. @kernel mm/slub.c, in calculate_sizes() */
function allocflags(flags: number, oo: number): number {
  return (
    (oo_order(oo) === 0 ? 0 : __GFP_COMP) |
    (flags & SLAB_CACHE_DMA ? __GFP_DMA : 0) |
    (flags & SLAB_CACHE_DMA32 ? __GFP_DMA32 : 0) |
    (flags & SLAB_RECLAIM_ACCOUNT ? __GFP_RECLAIMABLE : 0)
  );
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
