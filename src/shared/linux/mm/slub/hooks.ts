/**
 * What happens to an object on its way to a user and back: checks, clearing, poison, and the oracle. mm/slub.c; spec
 * slub 2.15, 3.1, 3.7.
 *
 *   move                                          reported by
 *   NONE -> FREELIST                              alloc_from_new_slab(), just before the slab can be seen
 *   FREELIST -> TRANSIT                           whoever pops it: partial list, new slab, refill
 *   TRANSIT -> SHEAF                              whoever stores it in a sheaf
 *   SHEAF, TRANSIT -> USER                        slab_post_alloc_hook()
 *   USER -> TRANSIT                               slab_free_hook(); kfree_nolock() for itself
 *   RCU_SHEAF, KRC, USER -> TRANSIT               slab_free_hook(after_rcu_delay)
 *   TRANSIT, DEFERRED, SHEAF -> FREELIST          __slab_free(), before the cmpxchg that makes it visible, and once; for
 *                                                 a chain of several objects, whoever builds the chain
 *   FREELIST -> NONE                              __free_slab()
 *
 * What a refill gives back (the rest of a freelist that it took) has never left O_FREELIST.
 *
 * Differs: KASAN, KMSAN, kmemleak, kfence, memcg and alloc tags do not exist here, so no hook refuses an object.
 */
import { __GFP_ZERO, gfpflags_allow_blocking } from "../../../layout/gfp.ts";
import { Globals } from "../../../layout/globals.ts";
import { KmemCache } from "../../../layout/slab.ts";
import { SLAB_TYPESAFE_BY_RCU } from "../../../layout/slab_flags.ts";
import { O_KRC, O_RCU_SHEAF, O_SHEAF, O_TRANSIT, O_USER } from "../../../mem/oracle.ts";
import { NULL, type Ptr } from "../../../mem/struct.ts";
import { bug } from "../../../cpu/bug.ts";
import { describe_context, in_nmi, might_sleep } from "../../../cpu/context.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { oracle_move } from "../../../cpu/oracle.ts";
import { EV_ALLOC, EV_FREE, trace } from "../../../cpu/trace.ts";

const { flags: FLAGS, object_size: OBJECT_SIZE, offset: OFFSET, inuse: INUSE, ctor: CTOR } = KmemCache.offset;
const { poison_free: POISON_FREE_ON, init_on_free: INIT_ON_FREE } = Globals.offset;

/** Fills a free object's body. include/linux/poison.h */
export const POISON_FREE = 0x6b;

/**
 * slab_pre_alloc_hook() - may this allocation be made here?
 * @kernel  mm/slub.c
 * @context Task if gfp allows blocking; else any but NMI. Not called by the nolock functions.
 */
export function slab_pre_alloc_hook(cpu: Cpu, gfp: number): void {
  if (in_nmi(cpu)) bug(cpu, `allocates in NMI other than by kmalloc_nolock() (${describe_context(cpu)})`);
  if (gfpflags_allow_blocking(gfp)) might_sleep(cpu, "allocation that may block");
}

/**
 * slab_post_alloc_hook() - an object is about to be its user's.
 * @kernel  mm/slub.c
 * @context Any
 */
export function slab_post_alloc_hook(cpu: Cpu, s: Ptr<"kmem_cache">, gfp: number, object: Ptr): void {
  if (gfp & __GFP_ZERO) cpu.mem.fill(object, cpu.mem.read(s, OBJECT_SIZE), 0);
  oracle_move(cpu, object, O_SHEAF | O_TRANSIT, O_USER);
  trace(cpu, EV_ALLOC, object, s);
}

/**
 * slab_free_hook() - an object has come back from its user, or from its grace period.
 * @kernel  mm/slub.c
 * @returns false: somebody else has taken the object and it must not be freed. Does not happen here.
 * @context Any but NMI
 */
export function slab_free_hook(cpu: Cpu, s: Ptr<"kmem_cache">, object: Ptr, after_rcu_delay: boolean): boolean {
  oracle_move(cpu, object, after_rcu_delay ? O_RCU_SHEAF | O_KRC | O_USER : O_USER, O_TRANSIT);
  trace(cpu, EV_FREE, object, s);
  wipe_freed_object(cpu, s, object);
  return true;
}

/**
 * Clears a freed object (init_on_free) or fills it with POISON_FREE, if the machine is configured so. Not with a
 * constructor, whose work it would undo, and not where readers may still look at freed objects.
 *
 * @context Any
 */
export function wipe_freed_object(cpu: Cpu, s: Ptr<"kmem_cache">, object: Ptr): void {
  const clear = cpu.mem.peek(cpu.globals, INIT_ON_FREE) !== 0;
  if (!clear && cpu.mem.peek(cpu.globals, POISON_FREE_ON) === 0) return;
  if (cpu.mem.read(s, FLAGS) & SLAB_TYPESAFE_BY_RCU || cpu.mem.read(s, CTOR) !== 0) return;
  fill_outside_freeptr(cpu, s, object, clear ? 0 : POISON_FREE);
}

/** Fills the object's bytes but those of the free pointer, which may be a link already. */
function fill_outside_freeptr(cpu: Cpu, s: Ptr<"kmem_cache">, object: Ptr, byte: number): void {
  const object_size = cpu.mem.read(s, OBJECT_SIZE);
  const offset = cpu.mem.read(s, OFFSET);
  const before = Math.min(offset, object_size);
  if (before > 0) cpu.mem.fill(object, before, byte);
  const after = object_size - offset - 8;
  if (after > 0) cpu.mem.fill(object + offset + 8, after, byte);
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
  if (object === NULL || cpu.mem.peek(cpu.globals, INIT_ON_FREE) === 0 || freeptr_outside_object(cpu, s)) return;
  cpu.mem.fill(object + cpu.mem.read(s, OFFSET), 8, 0);
}
