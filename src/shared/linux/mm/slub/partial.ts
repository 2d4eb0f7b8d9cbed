/**
 * struct kmem_cache_node: the slabs of a cache on one node. Only those with free objects are on its list.
 * mm/slub.c; spec slub 1.2, 1.3.
 *
 *   slab      freelist   SL_partial  linked in
 *   partial   not NULL   1           n->partial (also an all-free slab, as long as there are few)
 *   full      NULL       0           nothing
 *   isolated  any        0           a private list; owned by one refiller
 *
 * list_lock, always irqsave, makes {the freelist becomes NULL or ceases to be, SL_partial, list membership, nr_partial}
 * one change for everybody who changes membership. Between the update that makes a freelist NULL and remove_partial() a
 * slab looks full while it is linked: whoever reacts to a NULL freelist holds list_lock at its own update.
 *
 * Context: any; trylock where the caller may not spin. Lock order: below the sheaf lock, never with a barn's.
 *
 * Debugged caches do everything under list_lock, and count their slabs there. With SLAB_STORE_USER full slabs are linked
 * in n->full.
 */
import { KmemCacheNode, SL_partial, Slab } from "../../../layout/slab.ts";
import { SLAB_STORE_USER } from "../../../layout/slab_flags.ts";
import { embedded, type Ptr } from "../../../mem/struct.ts";
import { bug } from "../../../cpu/bug.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { INIT_LIST_HEAD, list_add, list_add_tail, list_del } from "../../lib/list.ts";
import { LC } from "../../sync/lockdep.ts";
import {
  spin_lock_init,
  spin_lock_irqsave,
  spin_trylock_irqsave,
  spin_unlock_irqrestore,
} from "../../sync/spinlock.ts";
import { slab_lockdep_assert_held } from "./assert_held.ts";
import { get_node } from "./slab.ts";

const {
  list_lock: LIST_LOCK,
  nr_partial: NR_PARTIAL,
  partial: PARTIAL,
  nr_slabs: NR_SLABS,
  total_objects: TOTAL_OBJECTS,
  full: FULL,
} = KmemCacheNode.offset;
const { flags: FLAGS, slab_list: SLAB_LIST } = Slab.offset;

type Cache = Ptr<"kmem_cache">;
type Node = Ptr<"kmem_cache_node">;

/** What lock_node_if() returns when the lock could not be had. */
export const BUSY = -1;

/** Writes an empty kmem_cache_node. @kernel mm/slub.c @context Any: nobody else can reach it yet. */
export function init_kmem_cache_node(cpu: Cpu, n: Node): void {
  spin_lock_init(cpu, embedded(n, LIST_LOCK), LC.list_lock);
  cpu.mem.init(n, NR_PARTIAL, 0);
  INIT_LIST_HEAD(cpu, embedded(n, PARTIAL));
  cpu.mem.init(n, NR_SLABS, 0);
  cpu.mem.init(n, TOTAL_OBJECTS, 0);
  INIT_LIST_HEAD(cpu, embedded(n, FULL));
}

/** Takes list_lock. @returns the IRQ flags to give back. @context Any but NMI */
export function lock_node(cpu: Cpu, n: Node): number {
  return spin_lock_irqsave(cpu, embedded(n, LIST_LOCK));
}
/** Takes list_lock, or only tries to. @returns the IRQ flags to give back, or BUSY. @context Any */
export function lock_node_if(cpu: Cpu, n: Node, allow_spin: boolean): number {
  return allow_spin ? lock_node(cpu, n) : spin_trylock_irqsave(cpu, embedded(n, LIST_LOCK));
}
export function unlock_node(cpu: Cpu, n: Node, flags: number): void {
  spin_unlock_irqrestore(cpu, embedded(n, LIST_LOCK), flags);
}

/** Slabs on the partial list. Exact under list_lock; elsewhere a hint. */
export function node_nr_partial(cpu: Cpu, n: Node): number {
  // Race: read without the lock it only decides where to look first, or whether to keep an empty slab.
  return cpu.mem.data_race_read(n, NR_PARTIAL);
}
function change_nr_partial(cpu: Cpu, n: Node, by: number): void {
  cpu.mem.write(n, NR_PARTIAL, cpu.mem.read(n, NR_PARTIAL) + by);
}
/** Is the slab on its node's partial list? Exact under list_lock. @kernel mm/slub.c */
export function slab_test_node_partial(cpu: Cpu, slab: Ptr<"slab">): boolean {
  return (cpu.mem.read_once(slab, FLAGS) & SL_partial) !== 0;
}
/** Counts a slab as partial. @kernel mm/slub.c @context list_lock held */
export function set_node_partial_state(cpu: Cpu, n: Node, slab: Ptr<"slab">): void {
  const flags = cpu.mem.fetch_or(slab, FLAGS, SL_partial); // Atomic: SL_locked shares the word.
  if (flags & SL_partial) bug(cpu, `slab ${slab} is put on the partial list twice`);
  change_nr_partial(cpu, n, 1);
}
/** Counts a slab as partial no longer. @kernel mm/slub.c @context list_lock held */
export function clear_node_partial_state(cpu: Cpu, n: Node, slab: Ptr<"slab">): void {
  cpu.mem.fetch_and(slab, FLAGS, ~SL_partial);
  change_nr_partial(cpu, n, -1);
}
/** Puts a slab on the partial list, where allocation looks first or last. @kernel mm/slub.c @context list_lock held */
export function add_partial(cpu: Cpu, n: Node, slab: Ptr<"slab">, where: "head" | "tail"): void {
  slab_lockdep_assert_held(cpu, embedded(n, LIST_LOCK));
  const entry = embedded(slab, SLAB_LIST);
  if (where === "tail") list_add_tail(cpu, entry, embedded(n, PARTIAL));
  else list_add(cpu, entry, embedded(n, PARTIAL));
  set_node_partial_state(cpu, n, slab);
}
/** Takes a slab off the partial list. @kernel mm/slub.c @context list_lock held */
export function remove_partial(cpu: Cpu, n: Node, slab: Ptr<"slab">): void {
  slab_lockdep_assert_held(cpu, embedded(n, LIST_LOCK));
  list_del(cpu, embedded(slab, SLAB_LIST));
  clear_node_partial_state(cpu, n, slab);
}
/** Debugged caches with SLAB_STORE_USER know their full slabs too. @kernel mm/slub.c @context list_lock held */
export function add_full(cpu: Cpu, cache_flags: number, n: Node, slab: Ptr<"slab">): void {
  if ((cache_flags & SLAB_STORE_USER) === 0) return;
  slab_lockdep_assert_held(cpu, embedded(n, LIST_LOCK));
  list_add(cpu, embedded(slab, SLAB_LIST), embedded(n, FULL));
}
/** Takes a slab off the list of full slabs. @kernel mm/slub.c @context list_lock held */
export function remove_full(cpu: Cpu, cache_flags: number, n: Node, slab: Ptr<"slab">): void {
  if ((cache_flags & SLAB_STORE_USER) === 0) return;
  slab_lockdep_assert_held(cpu, embedded(n, LIST_LOCK));
  list_del(cpu, embedded(slab, SLAB_LIST));
}

/**
 * Counts a new slab. Not under list_lock: the slab can be seen before, so a fast free may discard it first, and nr_slabs
 * is one too small for a moment. Exact at rest.
 * @kernel mm/slub.c
 * @context Any
 */
export function inc_slabs_node(cpu: Cpu, s: Cache, node: number, objects: number): void {
  const n = get_node(cpu, s, node);
  cpu.mem.fetch_add(n, NR_SLABS, 1);
  cpu.mem.fetch_add(n, TOTAL_OBJECTS, objects);
}
/** Counts a slab that goes away. @kernel mm/slub.c @context Any */
export function dec_slabs_node(cpu: Cpu, s: Cache, node: number, objects: number): void {
  const n = get_node(cpu, s, node);
  cpu.mem.fetch_add(n, NR_SLABS, -1);
  cpu.mem.fetch_add(n, TOTAL_OBJECTS, -objects);
}
