/**
 * Allocation and free of single objects in ordinary contexts. mm/slub.c; spec slub 3.1, 3.7, 4.1.
 *
 *   function                               task   IRQs off   softirq   hardirq   NMI
 *   kmalloc, kmem_cache_alloc, blocking    yes    no         no        no        no
 *   the same, gfp does not block           yes    yes        yes       yes       no
 *   kfree, kmem_cache_free                 yes    yes        yes       yes       no
 *
 * Allocation tries the sheaf, then the slabs; so does free. What may run in NMI is in nolock.ts.
 *
 * Differs: no mempolicy. A free to the wrong cache is always noticed (the kernel needs a debug flag or hardening): it
 * warns and leaks.
 */
import { bug } from "../../../cpu/bug.ts";
import { describe_context, in_nmi } from "../../../cpu/context.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { oracle_allow_nolock } from "../../../cpu/oracle.ts";
import { __GFP_ZERO, NUMA_NO_NODE } from "../../../layout/gfp.ts";
import { KMEM_CACHE_ALIVE, KmemCache, Slab } from "../../../layout/slab.ts";
import { STAT } from "../../../layout/slab_stat.ts";
import {
  alloc_flags_allow_spinning,
  SLAB_ALLOC_DEFAULT,
  SLAB_ALLOC_NOLOCK,
  SLAB_CONSISTENCY_CHECKS,
  SLAB_POISON,
  SLAB_RED_ZONE,
  SLAB_STORE_USER,
  SLAB_TYPESAFE_BY_RCU,
} from "../../../layout/slab_flags.ts";
import { NULL, type Ptr } from "../../../mem/struct.ts";
import { alloc_elsewhere, hooks_enabled } from "../debug/facilities.ts";
import { is_kfence_address, kfence_ksize } from "../debug/kfence_pool.ts";
import { virt_to_head_page } from "../page_alloc/zone.ts";
import { kmem_cache_debug_flags } from "./debug_flags.ts";
import { should_failslab } from "./failslab.ts";
import { __slab_free } from "./free.ts";
import {
  alloc_path,
  maybe_wipe_obj_freeptr,
  slab_free_hook,
  slab_post_alloc_hook,
  slab_pre_alloc_hook,
} from "./hooks.ts";
import { __kmalloc_large_node, free_large_kmalloc, large_kmalloc_size } from "./large_kmalloc.ts";
import { __kmalloc_nolock } from "./nolock.ts";
import { skip_orig_size_check } from "./orig_size.ts";
import { alloc_from_pcs, can_free_to_pcs, free_to_pcs } from "./pcs.ts";
import {
  kmalloc_cache,
  KMALLOC_MAX_CACHE_SIZE,
  kmalloc_size_index,
  kmalloc_slab,
  kmalloc_type,
  ZERO_OR_NULL_PTR,
  ZERO_SIZE_PTR,
} from "./size_class.ts";
import { page_slab, virt_to_slab } from "./slab.ts";
import { ___slab_alloc } from "./slab_alloc.ts";
import { stat } from "./stat.ts";
import { warn_free_bad_obj } from "./wrong_cache.ts";

const { alive: ALIVE, flags: FLAGS, size: SIZE, object_size: OBJECT_SIZE, inuse: INUSE } = KmemCache.offset;
const { slab_cache: SLAB_CACHE } = Slab.offset;

type Cache = Ptr<"kmem_cache">;
type Obj = Ptr<"object">;

/** A cache that was destroyed must not be touched: its memory may be another cache by now. @context Any */
export function assert_alive(cpu: Cpu, s: Cache): void {
  if (cpu.checked && cpu.mem.read(s, ALIVE) !== KMEM_CACHE_ALIVE)
    bug(cpu, `${s} is no kmem_cache: destroyed, or never created`);
}

/**
 * slab_alloc_node() - allocate one object, with checks, and with debugging or accounting facilities. They may have it from
 * elsewhere.
 * @kernel  mm/slub.c
 * @param   node        preferred node; NUMA_NO_NODE: this CPU's.
 * @param   hook_flags  alloc_flags that the facilities get to see.
 * @param   orig_size   what kmalloc() was asked for, for debugged caches; 0: all of the object.
 * @returns NULL: no memory.
 * @context Hardirq, or Task if gfp may block.
 */
function slab_alloc_node(
  cpu: Cpu,
  s: Cache,
  gfp: number,
  node: number,
  alloc_flags: number,
  hook_flags = alloc_flags,
  orig_size = 0,
): Obj {
  slab_pre_alloc_hook(cpu, gfp);
  assert_alive(cpu, s);
  const hooks = cpu.checked && hooks_enabled(cpu);
  let object: Obj = NULL;
  if (hooks) {
    if (should_failslab(cpu, s, gfp)) return NULL;
    object = alloc_elsewhere(cpu, alloc_path(hook_flags), s, gfp);
    if (object !== NULL) return slab_post_alloc_hook(cpu, s, gfp, hook_flags, object);
  }
  object = alloc_from_pcs(cpu, s, gfp, alloc_flags, node);
  if (object === NULL) object = ___slab_alloc(cpu, s, gfp, node, alloc_flags, orig_size);
  if (object === NULL) return NULL;
  if (hooks) maybe_wipe_obj_freeptr(cpu, s, object);
  return slab_post_alloc_hook(cpu, s, gfp, hook_flags, object);
}
/**
 * The same where nothing has to be looked at on the way, for the calls that users make. Why not for all: while a machine
 * boots few caches have sheaves. What V8 sees then must not count here, or it inlines ___slab_alloc() and all below it.
 */
function slab_alloc(cpu: Cpu, s: Cache, gfp: number, orig_size: number): Obj {
  if (cpu.checked || gfp & __GFP_ZERO) {
    return slab_alloc_node(cpu, s, gfp, NUMA_NO_NODE, SLAB_ALLOC_DEFAULT, SLAB_ALLOC_DEFAULT, orig_size);
  }
  const object = alloc_from_pcs(cpu, s, gfp, SLAB_ALLOC_DEFAULT, NUMA_NO_NODE);
  return object === NULL ? ___slab_alloc(cpu, s, gfp, NUMA_NO_NODE, SLAB_ALLOC_DEFAULT, orig_size) : object;
}

/** @kernel mm/slub.c @returns NULL: no memory. @context Hardirq, or Task if gfp may block. */
export function kmem_cache_alloc(cpu: Cpu, s: Cache, gfp: number): Obj {
  return slab_alloc(cpu, s, gfp, 0);
}
/** @kernel mm/slub.c @returns NULL: no memory. @context Hardirq, or Task if gfp may block. */
export function kmem_cache_alloc_node(cpu: Cpu, s: Cache, gfp: number, node: number): Obj {
  return slab_alloc_node(cpu, s, gfp, node, SLAB_ALLOC_DEFAULT);
}
/**
 * kmem_cache_alloc() of an object that may be freed by the nolock functions: facilities take it for one of
 * kmalloc_nolock(), so those whose free hooks a nolock free leaves out do not get to know it.
 *
 * Differs: not in the kernel, where the nolock functions are for objects of kmalloc_nolock() only. Those lie in kmalloc
 * caches; this is for tests that need a cache of their own.
 */
export function kmem_cache_alloc_for_nolock(cpu: Cpu, s: Cache, gfp: number): Obj {
  const object = slab_alloc_node(cpu, s, gfp, NUMA_NO_NODE, SLAB_ALLOC_DEFAULT, SLAB_ALLOC_NOLOCK);
  if (object !== NULL) oracle_allow_nolock(cpu, object);
  return object;
}
/** kmem_cache_alloc() of zeroed memory. */
export function kmem_cache_zalloc(cpu: Cpu, s: Cache, gfp: number): Obj {
  return slab_alloc_node(cpu, s, gfp | __GFP_ZERO, NUMA_NO_NODE, SLAB_ALLOC_DEFAULT);
}

/** @kernel mm/slub.c @returns NULL: no memory; ZERO_SIZE_PTR for size 0. @context Hardirq, or Task if gfp may block. */
export function kmalloc(cpu: Cpu, size: number, gfp: number): Obj {
  if (size === 0 || size > KMALLOC_MAX_CACHE_SIZE)
    return kmalloc_flags(cpu, size, gfp, SLAB_ALLOC_DEFAULT, NUMA_NO_NODE);
  return slab_alloc(cpu, kmalloc_cache(cpu, kmalloc_type(gfp), kmalloc_size_index(size)), gfp, size);
}
/** kmalloc() of zeroed memory. */
export function kzalloc(cpu: Cpu, size: number, gfp: number): Obj {
  return kmalloc_flags(cpu, size, gfp | __GFP_ZERO, SLAB_ALLOC_DEFAULT, NUMA_NO_NODE);
}
/** kmalloc() of `size` bytes where the cache is known. @kernel mm/slub.c, __kmalloc_cache_noprof() @context as kmalloc() */
export function __kmalloc_cache(cpu: Cpu, s: Cache, gfp: number, size: number): Obj {
  return slab_alloc(cpu, s, gfp, size);
}
/** kmalloc(), from `node` if possible. */
export function kmalloc_node(cpu: Cpu, size: number, gfp: number, node: number): Obj {
  return kmalloc_flags(cpu, size, gfp, SLAB_ALLOC_DEFAULT, node);
}
/**
 * kmalloc_flags() - kmalloc() on behalf of the allocator itself.
 * @kernel  mm/slub.c
 * @context Any with SLAB_ALLOC_NOLOCK; else Hardirq, or Task if gfp may block.
 */
export function kmalloc_flags(cpu: Cpu, size: number, gfp: number, alloc_flags: number, node: number): Obj {
  if (!alloc_flags_allow_spinning(alloc_flags)) return __kmalloc_nolock(cpu, size, gfp, alloc_flags, node);
  if (size > KMALLOC_MAX_CACHE_SIZE) {
    slab_pre_alloc_hook(cpu, gfp);
    return __kmalloc_large_node(cpu, size, gfp, node);
  }
  if (size === 0) return ZERO_SIZE_PTR;
  return slab_alloc_node(cpu, kmalloc_slab(cpu, size, gfp, alloc_flags), gfp, node, alloc_flags, alloc_flags, size);
}

/**
 * slab_free() - free one object: into this CPU's sheaf, or to its slab.
 * @kernel  mm/slub.c
 * @context Hardirq.
 */
function slab_free(cpu: Cpu, s: Cache, slab: Ptr<"slab">, object: Ptr): void {
  if (cpu.checked && !free_hook_of_live_cache(cpu, s, object)) return;
  if (can_free_to_pcs(cpu, slab) && free_to_pcs(cpu, s, object, true)) return;
  if (!cpu.checked && kmem_cache_debug_flags(cpu, s, SLAB_CONSISTENCY_CHECKS) && leaks_foreign(cpu, s, object)) return;
  __slab_free(cpu, s, slab, object, object, 1);
  stat(cpu, s, STAT.FREE_SLOWPATH, 1);
}
/** Is it no object of the cache? Then it leaks. A cache with such checks has no sheaves: it is asked for here, and not before. */
function leaks_foreign(cpu: Cpu, s: Cache, object: Ptr): boolean {
  const slab = virt_to_slab(cpu, object);
  if (slab !== NULL && cpu.mem.read(slab, SLAB_CACHE) === s) return false;
  warn_free_bad_obj(cpu, s, slab, object);
  return true;
}
function free_hook_of_live_cache(cpu: Cpu, s: Cache, object: Ptr): boolean {
  assert_alive(cpu, s);
  return slab_free_hook(cpu, s, object, false);
}
/** Frees what kmalloc() or kmem_cache_alloc() returned; NULL and ZERO_SIZE_PTR are ignored. @kernel mm/slub.c @context Hardirq */
export function kfree(cpu: Cpu, object: Ptr): void {
  if (ZERO_OR_NULL_PTR(object)) return;
  if (cpu.checked && in_nmi(cpu)) bad_context(cpu, "kfree() in NMI: only kfree_nolock() may");
  const slab = virt_to_slab(cpu, object);
  if (slab === NULL) free_large_kmalloc(cpu, object);
  else slab_free(cpu, cpu.mem.read(slab, SLAB_CACHE), slab, object);
}
/**
 * Frees an object of cache `s`. One of another cache is reported and leaks; a CPU without checks believes its caller, as a
 * kernel without hardening does, unless the cache has consistency checks.
 * @kernel mm/slub.c @context Hardirq
 */
export function kmem_cache_free(cpu: Cpu, s: Cache, object: Ptr): void {
  if (cpu.checked) checked_free(cpu, s, object);
  else slab_free(cpu, s, page_slab(virt_to_head_page(cpu, object)), object);
}
function checked_free(cpu: Cpu, s: Cache, object: Ptr): void {
  if (in_nmi(cpu)) bad_context(cpu, "kmem_cache_free() in NMI");
  const slab = virt_to_slab(cpu, object);
  if (slab === NULL || cpu.mem.read(slab, SLAB_CACHE) !== s) warn_free_bad_obj(cpu, s, slab, object);
  else slab_free(cpu, s, slab, object);
}
function bad_context(cpu: Cpu, what: string): never {
  return bug(cpu, `${what} (${describe_context(cpu)})`);
}

/** Bytes that the user of an object may use. @kernel mm/slab_common.c @context Any, while it stays allocated. */
export function ksize(cpu: Cpu, object: Ptr): number {
  if (ZERO_OR_NULL_PTR(object)) return 0;
  const slab = virt_to_slab(cpu, object);
  if (slab === NULL) return large_kmalloc_size(cpu, object);
  if (is_kfence_address(cpu, object)) return kfence_ksize(cpu, object);
  const s = cpu.mem.read(slab, SLAB_CACHE);
  const flags = cpu.mem.read(s, FLAGS);
  skip_orig_size_check(cpu, s, object); // Who asks may use all of it.
  if (flags & (SLAB_RED_ZONE | SLAB_POISON)) return cpu.mem.read(s, OBJECT_SIZE);
  // What lies behind `inuse` is the free pointer, which RCU readers' protection needs, or tracking data.
  if (flags & (SLAB_TYPESAFE_BY_RCU | SLAB_STORE_USER)) return cpu.mem.read(s, INUSE);
  return cpu.mem.read(s, SIZE);
}
