/**
 * Slabs that go back to the page allocator. mm/slub.c; spec slub 1.9, 3.4.
 *
 *   free_new_slab_nolock     one that nobody has seen: not counted yet, so nothing is taken back (slub B2)
 *   discard_slab, free_slab  an empty one that is on no list: uncount, release, after a grace period if need be
 *
 * Context: any but NMI, except for free_new_slab_nolock(). Pages are outside list_lock.
 */
import { CB } from "../../../layout/callbacks.ts";
import { PGTY_frozen } from "../../../layout/page.ts";
import { KmemCache, Slab } from "../../../layout/slab.ts";
import { SLAB_CONSISTENCY_CHECKS, SLAB_TYPESAFE_BY_RCU } from "../../../layout/slab_flags.ts";
import { O_FREELIST, O_NONE } from "../../../mem/oracle.ts";
import { container_of, embedded, NULL, type Ptr } from "../../../mem/struct.ts";
import { bind_callback } from "../../../cpu/callback_table.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { call_rcu } from "../../rcu/tree.ts";
import { hooks_enabled } from "../debug/facilities.ts";
import { free_frozen_pages } from "../page_alloc/page_alloc.ts";
import { free_frozen_pages_nolock } from "../page_alloc/page_alloc_nolock.ts";
import { check_free_slab } from "./debug_slab.ts";
import { free_slab_obj_exts } from "./obj_exts.ts";
import { dec_slabs_node } from "./partial.ts";
import { report_objects, slab_nid, slab_page } from "./slab.ts";
import { slot_of } from "./slot.ts";

const { type: TYPE, slab_cache: SLAB_CACHE, objects: OBJECTS, order: ORDER, rcu_head: RCU_HEAD } = Slab.offset;
const { flags: FLAGS } = KmemCache.offset;

type Cache = Ptr<"kmem_cache">;

/** Binds what a grace period calls. Once per thread. */
export function bind_free_slab(): void {
  bind_callback(CB.rcu_free_slab, rcu_free_slab);
}

/** Throws a slab away that nobody has seen. @kernel mm/slub.c @context Any, NMI included. */
export function free_new_slab_nolock(cpu: Cpu, slab: Ptr<"slab">): void {
  const order = unmake_slab(cpu, slab, false);
  free_frozen_pages_nolock(cpu, slab_page(slab), order);
}

/** The pages cease to be a slab. @returns their order. */
function unmake_slab(cpu: Cpu, slab: Ptr<"slab">, allow_spin: boolean): number {
  if (hooks_enabled(cpu)) free_slab_obj_exts(cpu, slab, allow_spin);
  cpu.mem.write(slab, TYPE, PGTY_frozen);
  cpu.mem.write(slab, SLAB_CACHE, NULL);
  return cpu.mem.read(slab, ORDER);
}

/** Releases a slab that is empty and on no list. @kernel mm/slub.c @context Any but NMI. Takes zone->lock. */
export function discard_slab(cpu: Cpu, s: Cache, slab: Ptr<"slab">): void {
  dec_slabs_node(cpu, s, slab_nid(cpu, slab), cpu.mem.read(slab, OBJECTS));
  free_slab(cpu, s, slab);
}

/** The same for a slab that is no longer counted. @kernel mm/slub.c @context Any but NMI. Takes zone->lock. */
export function free_slab(cpu: Cpu, s: Cache, slab: Ptr<"slab">): void {
  const flags = cpu.mem.read(s, FLAGS);
  if (flags & SLAB_CONSISTENCY_CHECKS) check_free_slab(cpu, slot_of(cpu, s), slab);
  // Readers may still be looking at objects of such a cache, and at their type.
  if (flags & SLAB_TYPESAFE_BY_RCU) call_rcu(cpu, embedded(slab, RCU_HEAD), CB.rcu_free_slab);
  else __free_slab(cpu, s, slab);
}

/** The grace period of a SLAB_TYPESAFE_BY_RCU slab is over. @kernel mm/slub.c @context Softirq: RCU callback */
function rcu_free_slab(cpu: Cpu, head: Ptr<"rcu_head">): void {
  const slab = container_of(head, RCU_HEAD);
  __free_slab(cpu, cpu.mem.read(slab, SLAB_CACHE), slab);
}

/** @kernel mm/slub.c */
function __free_slab(cpu: Cpu, s: Cache, slab: Ptr<"slab">): void {
  report_objects(cpu, s, slab, O_FREELIST, O_NONE);
  const order = unmake_slab(cpu, slab, true);
  free_frozen_pages(cpu, slab_page(slab), order);
}
