/**
 * What happens to an object on its way to a user and back: checks, clearing, poison, debugging and accounting facilities
 * (../debug), and the oracle. mm/slub.c; spec slub 2.15, 3.1, 3.7.
 *
 *   move                                          reported by
 *   NONE -> FREELIST                              alloc_from_new_slab(), just before the slab can be seen
 *   FREELIST -> TRANSIT                           whoever pops it: partial list, new slab, refill
 *   TRANSIT -> SHEAF                              whoever stores it in a sheaf
 *   SHEAF, TRANSIT -> PREFILLED, and back         a sheaf is handed out, used or returned (prefill.ts)
 *   SHEAF, TRANSIT -> USER                        slab_post_alloc_hook()
 *   USER -> TRANSIT                               slab_free_hook(), kfree_nolock_hook()
 *   RCU_SHEAF, KRC, USER -> TRANSIT               slab_free_hook(after_rcu_delay)
 *   USER, RCU_SHEAF, KRC, TRANSIT -> KEPT         a facility whose hook refuses the free; it frees the object later
 *   KEPT -> TRANSIT                               slab_free_hook_delayed()
 *   NONE -> TRANSIT, KEPT -> NONE                 KFENCE, whose objects are on no freelist
 *   TRANSIT, DEFERRED, SHEAF, KEPT -> FREELIST    __slab_free(), before the cmpxchg that makes it visible, and once; for
 *                                                 a chain of several objects, whoever builds the chain
 *   FREELIST -> NONE                              __free_slab()
 *
 * What a refill gives back (the rest of a freelist that it took) has never left O_FREELIST.
 */
import { __GFP_ZERO, gfpflags_allow_blocking } from "../../../layout/gfp.ts";
import { Globals } from "../../../layout/globals.ts";
import { KmemCache } from "../../../layout/slab.ts";
import { alloc_flags_allow_spinning } from "../../../layout/slab_flags.ts";
import { O_KEPT, O_KRC, O_RCU_SHEAF, O_SHEAF, O_TRANSIT, O_USER } from "../../../mem/oracle.ts";
import { NULL, type Ptr } from "../../../mem/struct.ts";
import { bug } from "../../../cpu/bug.ts";
import { describe_context, in_nmi, might_sleep } from "../../../cpu/context.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { oracle_move } from "../../../cpu/oracle.ts";
import { EV_ALLOC, EV_FREE, trace } from "../../../cpu/trace.ts";
import { FREE, FREE_END, hooks_enabled, POST_ALLOC, run_hooks } from "../debug/facilities.ts";
import { PATH } from "../debug/facility.ts";
import { POISON_FREE, want_init_on_free, wipe_freed_object } from "../debug/init_on_free.ts";
import { user_size } from "./orig_size.ts";

const { object_size: OBJECT_SIZE, offset: OFFSET, inuse: INUSE } = KmemCache.offset;
const { poison_free: POISON_FREE_ON } = Globals.offset;

/**
 * slab_pre_alloc_hook() - may this allocation be made here?
 * @kernel  mm/slub.c
 * @context Task if gfp allows blocking; else any but NMI. Not called by the nolock functions.
 */
export function slab_pre_alloc_hook(cpu: Cpu, gfp: number): void {
  if (!cpu.checked) return;
  if (in_nmi(cpu)) bug(cpu, `allocates in NMI other than by kmalloc_nolock() (${describe_context(cpu)})`);
  if (gfpflags_allow_blocking(gfp)) might_sleep(cpu, "allocation that may block");
}

/**
 * slab_post_alloc_hook() - an object is about to be its user's.
 *
 * @kernel  mm/slub.c
 * @returns it, or NULL: a facility refuses the allocation, and has given the object back.
 * @context Any with SLAB_ALLOC_NOLOCK; else as the allocation.
 */
export function slab_post_alloc_hook(
  cpu: Cpu,
  s: Ptr<"kmem_cache">,
  gfp: number,
  alloc_flags: number,
  object: Ptr<"object">,
): Ptr<"object"> {
  if (gfp & __GFP_ZERO) cpu.mem.fill(object, user_size(cpu, s, object, cpu.mem.read(s, OBJECT_SIZE)), 0);
  if (!cpu.checked) return object;
  oracle_move(cpu, object, O_SHEAF | O_TRANSIT, O_USER);
  trace(cpu, EV_ALLOC, object, s);
  if (!hooks_enabled(cpu)) return object;
  const bytes = cpu.mem.peek(s, OBJECT_SIZE);
  return run_hooks(cpu, POST_ALLOC, alloc_path(alloc_flags), s, object, bytes, gfp) ? object : NULL;
}
/** The path that an allocation is to the facilities. @context Any */
export function alloc_path(alloc_flags: number): number {
  return alloc_flags_allow_spinning(alloc_flags) ? PATH.kmalloc : PATH.kmalloc_nolock;
}

/**
 * slab_free_hook() - an object has come back from its user, or from its grace period.
 * @kernel  mm/slub.c
 * @returns false: a facility has taken the object, and it must not be freed.
 * @context Any but NMI
 */
export function slab_free_hook(cpu: Cpu, s: Ptr<"kmem_cache">, object: Ptr, after_rcu_delay: boolean): boolean {
  if (after_rcu_delay) return free_hooks(cpu, s, object, O_RCU_SHEAF | O_KRC | O_USER, PATH.after_gp);
  return free_hooks(cpu, s, object, O_USER, PATH.kfree);
}
/** The hooks of an object whose free had to wait for a grace period (rcu_debug.ts). @kernel mm/slub.c @context Softirq */
export function slab_free_hook_delayed(cpu: Cpu, s: Ptr<"kmem_cache">, object: Ptr): boolean {
  return free_hooks(cpu, s, object, O_KEPT, PATH.after_gp);
}
/** The hooks that kfree_nolock() runs. @kernel mm/slub.c @returns false: a facility has taken it. @context Any */
export function kfree_nolock_hook(cpu: Cpu, s: Ptr<"kmem_cache">, object: Ptr): boolean {
  return free_hooks(cpu, s, object, O_USER, PATH.kfree_nolock);
}
/** Why facilities first: one that finds a bad free says more about it than the oracle would. */
function free_hooks(cpu: Cpu, s: Ptr<"kmem_cache">, object: Ptr, from: number, path: number): boolean {
  if (!cpu.checked) return true;
  const hooks = hooks_enabled(cpu);
  if (hooks && !run_hooks(cpu, FREE, path, s, object, cpu.mem.peek(s, OBJECT_SIZE))) return false;
  oracle_move(cpu, object, from, O_TRANSIT);
  trace(cpu, EV_FREE, object, s);
  poison_freed_object(cpu, s, object);
  if (!hooks) return true;
  return run_hooks(cpu, FREE_END, path, s, object, user_size(cpu, s, object, cpu.mem.peek(s, OBJECT_SIZE)));
}

/** Marks freed memory, so that whoever still uses it is found out; not where it is to be cleared. @context Any */
function poison_freed_object(cpu: Cpu, s: Ptr<"kmem_cache">, object: Ptr): void {
  if (cpu.mem.peek(cpu.globals, POISON_FREE_ON) === 0 || want_init_on_free(cpu)) return;
  wipe_freed_object(cpu, s, object, POISON_FREE, user_size(cpu, s, object, cpu.mem.peek(s, OBJECT_SIZE)));
}

/** Is the free pointer behind the object rather than in it? @kernel mm/slub.c */
export function freeptr_outside_object(cpu: Cpu, s: Ptr<"kmem_cache">): boolean {
  return cpu.mem.read(s, OFFSET) >= cpu.mem.read(s, INUSE);
}

/**
 * maybe_wipe_obj_freeptr() - with init_on_free a user expects cleared memory, so the link goes too.
 * @kernel  mm/slub.c
 * @context Any
 */
export function maybe_wipe_obj_freeptr(cpu: Cpu, s: Ptr<"kmem_cache">, object: Ptr): void {
  if (object === NULL || !want_init_on_free(cpu) || freeptr_outside_object(cpu, s)) return;
  cpu.mem.fill(object + cpu.mem.read(s, OFFSET), 8, 0);
}
