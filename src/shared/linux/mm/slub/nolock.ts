/**
 * kmalloc_nolock() and kfree_nolock(): in any context, NMI included, on top of any lock. mm/slub.c; spec slub 4.2-4.5.
 *
 *   lock                interrupted code of this CPU may hold it; so
 *   sheaf lock          tried
 *   barn, list_lock     tried
 *   slab_lock           avoided: such caches are refused
 *   zone->lock          tried, in the nolock page allocator
 *   call_rcu, krc lock  never touched
 *
 * Allocation may fail at any time: NULL is a normal answer. Free always works: what finds no sheaf is left to this
 * CPU's irq_work (defer_free). A lock-free push to the slab is no way out: a push that makes the slab partial or empty
 * must hold list_lock before it happens, which is decided anew at each attempt.
 *
 * Every call takes a bounded number of steps, holds no lock on return and waits for nobody. What it allocates may be
 * freed by kfree() and kfree_rcu() too; kmalloc() objects must not be freed by kfree_nolock().
 */
import { warn } from "../../../cpu/bug.ts";
import { invoke } from "../../../cpu/callback_table.ts";
import { this_cpu_ptr, type Cpu } from "../../../cpu/cpu.ts";
import { oracle_allow_nolock, oracle_check_nolock, oracle_issued } from "../../../cpu/oracle.ts";
import { CB } from "../../../layout/callbacks.ts";
import { __GFP_ACCOUNT, __GFP_NOMEMALLOC, __GFP_NOWARN, __GFP_ZERO } from "../../../layout/gfp.ts";
import { PerCpu } from "../../../layout/percpu.ts";
import { KmemCache, Slab, SlubCpu } from "../../../layout/slab.ts";
import { __CMPXCHG_DOUBLE, SLAB_ALLOC_NOLOCK, SLAB_DEBUG_FLAGS } from "../../../layout/slab_flags.ts";
import { NULL, type Ptr } from "../../../mem/struct.ts";
import { can_spin_trylock } from "../page_alloc/page_alloc_nolock.ts";
import { kfree_nolock_hook, maybe_wipe_obj_freeptr, slab_post_alloc_hook } from "./hooks.ts";
import { assert_alive } from "./kmalloc.ts";
import { alloc_from_pcs, can_free_to_pcs, free_to_pcs } from "./pcs.ts";
import { KMALLOC_MAX_CACHE_SIZE, kmalloc_slab, ZERO_OR_NULL_PTR, ZERO_SIZE_PTR } from "./size_class.ts";
import { virt_to_slab } from "./slab.ts";
import { ___slab_alloc } from "./slab_alloc.ts";

const { slub: SLUB } = PerCpu.offset;
const {
  kmalloc_nolock_ok: N_OK,
  kmalloc_nolock_failed: N_FAILED,
  kfree_nolock_sheaf: N_SHEAF,
  kfree_nolock_deferred: N_DEFERRED,
} = SlubCpu.offset;
const { flags: FLAGS, object_size: OBJECT_SIZE } = KmemCache.offset;
const { slab_cache: SLAB_CACHE } = Slab.offset;
const ALLOWED_GFP = __GFP_ACCOUNT | __GFP_ZERO | __GFP_NOWARN | __GFP_NOMEMALLOC;

/**
 * kmalloc_nolock() - allocate up to 8192 bytes without waiting for anything.
 *
 * @kernel  mm/slub.c
 * @param   gfp   nothing but __GFP_ACCOUNT, __GFP_ZERO, __GFP_NOWARN, __GFP_NOMEMALLOC.
 * @param   node  preferred node; NUMA_NO_NODE: this CPU's.
 * @returns NULL: no memory that can be had here and now; ZERO_SIZE_PTR for size 0.
 * @context Any, NMI included. Tries locks.
 */
export function kmalloc_nolock(cpu: Cpu, size: number, gfp: number, node: number): Ptr<"object"> {
  const object = __kmalloc_nolock(cpu, size, gfp, SLAB_ALLOC_NOLOCK, node);
  cpu.mem.count(this_cpu_ptr(cpu, SLUB), object === NULL ? N_FAILED : N_OK, 1);
  return object;
}

/** kmalloc_nolock() with the flags of an allocation inside the allocator. @kernel mm/slub.c @context Any */
export function __kmalloc_nolock(
  cpu: Cpu,
  size: number,
  gfp_flags: number,
  alloc_flags: number,
  node: number,
): Ptr<"object"> {
  const mem = cpu.mem;
  if (gfp_flags & ~ALLOWED_GFP) warn(cpu, `kmalloc_nolock() with gfp flags ${gfp_flags.toString(16)}`);
  const gfp = gfp_flags | __GFP_NOWARN | __GFP_NOMEMALLOC;
  if (size === 0) return ZERO_SIZE_PTR;
  if (!can_spin_trylock(cpu)) return NULL;
  let bytes = size;
  for (let rounds = 2; rounds > 0; rounds--) {
    if (bytes > KMALLOC_MAX_CACHE_SIZE) return NULL;
    const s = kmalloc_slab(cpu, bytes, gfp, alloc_flags);
    assert_alive(cpu, s);
    // Updates of its slabs would need slab_lock. Debug caches work under list_lock alone, which can be tried.
    if ((mem.read(s, FLAGS) & (__CMPXCHG_DOUBLE | SLAB_DEBUG_FLAGS)) === 0) return NULL;
    let object = alloc_from_pcs(cpu, s, gfp, alloc_flags, node);
    if (object === NULL) object = ___slab_alloc(cpu, s, gfp, node, alloc_flags, size);
    if (object !== NULL) {
      maybe_wipe_obj_freeptr(cpu, s, object);
      object = slab_post_alloc_hook(cpu, s, gfp, alloc_flags, object);
      if (object !== NULL) oracle_allow_nolock(cpu, object);
      return object;
    }
    // The next bucket, once: its locks are others, hardly held by the interrupted code as well.
    bytes = mem.read(s, OBJECT_SIZE) + 1;
  }
  return NULL;
}

/**
 * kfree_nolock() - free an object of kmalloc_nolock() without waiting for anything.
 *
 * @kernel  mm/slub.c
 * @context Any, NMI included. Tries locks. A large kmalloc is reported and leaks.
 * @pairs   deferred_percpu_work_fn(): frees what found no sheaf here.
 */
export function kfree_nolock(cpu: Cpu, object: Ptr): void {
  const mem = cpu.mem;
  if (ZERO_OR_NULL_PTR(object)) return;
  const slab = virt_to_slab(cpu, object);
  if (slab === NULL) {
    warn(cpu, `kfree_nolock(${object}): no slab object`);
    return;
  }
  const s = mem.read(slab, SLAB_CACHE);
  assert_alive(cpu, s);
  oracle_check_nolock(cpu, object, "kfree_nolock");
  if (!kfree_nolock_hook(cpu, s, object)) return;
  const counters = this_cpu_ptr(cpu, SLUB);
  if (can_free_to_pcs(cpu, slab) && free_to_pcs(cpu, s, object, false)) {
    mem.count(counters, N_SHEAF, 1);
    return;
  }
  mem.count(counters, N_DEFERRED, 1);
  invoke(cpu, CB.defer_free, object);
  oracle_issued(cpu, object);
}
