/**
 * init_on_free: freed memory is cleared, so that nobody ever sees what was in it: objects here, whole pages by
 * free_pages_prepare(), blocks of vmalloc() by vfree(). mm/slub.c, mm/page_alloc.c; spec slub 3.7, 4.3, B23.
 *
 * Differs: in the kernel kfree_nolock() does not clear; KB_INIT_ON_FREE restores that. An object that is never cleared
 * because a facility refuses its free stays out of use.
 */
import type { Cpu } from "../../../cpu/cpu.ts";
import { HOOK_INIT_ON_FREE } from "../../../layout/debug.ts";
import { Globals, KB_INIT_ON_FREE } from "../../../layout/globals.ts";
import { KmemCache } from "../../../layout/slab.ts";
import { SLAB_POISON, SLAB_TYPESAFE_BY_RCU } from "../../../layout/slab_flags.ts";
import type { Ptr } from "../../../mem/struct.ts";
import { type Facility, PATH } from "./facility.ts";

const { hooks: HOOKS, kernel_behaviour: KERNEL_BEHAVIOUR } = Globals.offset;
const { flags: FLAGS, object_size: OBJECT_SIZE, offset: OFFSET, ctor: CTOR } = KmemCache.offset;

/** Fills a free object's body, where it is not cleared. include/linux/poison.h */
export const POISON_FREE = 0x6b;

/** Is freed memory to be cleared? @kernel include/linux/mm.h @context Any */
export function want_init_on_free(cpu: Cpu): boolean {
  return (cpu.mem.peek(cpu.globals, HOOKS) & HOOK_INIT_ON_FREE) !== 0;
}

/**
 * Fills the first `bytes` bytes of a freed object but for the free pointer, which may be a link already. Not with a
 * constructor, whose work it would undo, not where readers may still look at freed objects, and not where slub debugging
 * fills them with a pattern of its own.
 * @context Any, for whoever has the object
 */
export function wipe_freed_object(cpu: Cpu, s: Ptr<"kmem_cache">, object: Ptr, byte: number, bytes: number): void {
  const { mem } = cpu;
  if (mem.read(s, FLAGS) & (SLAB_TYPESAFE_BY_RCU | SLAB_POISON) || mem.read(s, CTOR) !== 0) return;
  const object_size = Math.min(mem.read(s, OBJECT_SIZE), bytes);
  const offset = mem.read(s, OFFSET);
  const before = Math.min(offset, object_size);
  if (before > 0) mem.fill(object, before, byte);
  const after = object_size - offset - 8;
  if (after > 0) mem.fill(object + offset + 8, after, byte);
}

function init_on_free(cpu: Cpu, s: Ptr<"kmem_cache">, object: Ptr, bytes: number, _gfp: number, path: number): boolean {
  const as_kernel = path === PATH.kfree_nolock && cpu.mem.peek(cpu.globals, KERNEL_BEHAVIOUR) & KB_INIT_ON_FREE;
  if (!as_kernel) wipe_freed_object(cpu, s, object, 0, bytes);
  return true;
}

export const INIT_ON_FREE: Facility = {
  name: "init-on-free",
  summary: "freed memory is cleared",
  locks: "none",
  spins: "never",
  hooks: [{ step: "init_on_free", paths: ["kfree", "kfree_nolock", "after_gp"], run: init_on_free }],
  skipped: {
    kmalloc: { why: "nothing to do: all free memory is clear but for the links, which slub wipes" },
    kmalloc_nolock: { why: "nothing to do: all free memory is clear but for the links, which slub wipes" },
    kfree_rcu: { why: "readers may use the object until its grace period is over", tolerated: "cleared after that" },
    kfree_rcu_nolock: {
      why: "readers may use the object until its grace period is over",
      tolerated: "cleared after that",
    },
  },
};
