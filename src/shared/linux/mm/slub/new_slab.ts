/**
 * New slabs, and slabs that go back to the page allocator. mm/slub.c; spec slub 1.9, 3.4.
 *
 *   new_slab                 pages become a slab that nobody else sees; no freelist yet, not counted
 *   alloc_from_new_slab      hand out objects, link the rest, publish on the partial list, count
 *   free_new_slab_nolock     throw it away unpublished: not counted, so nothing is taken back (slub B2)
 *   discard_slab, free_slab  an empty slab that is on no list: uncount, release, after a grace period if need be
 *
 * Context: as the alloc flags say for allocation; any but NMI for release. Lock order: list_lock inside, pages outside it.
 *
 * Differs: objects are linked in address order; there is no freelist randomisation, so no random number is drawn. gfp
 * only matters for __GFP_THISNODE: there is no reclaim to be asked for or kept away.
 */
import { __GFP_ZERO } from "../../../layout/gfp.ts";
import { CB } from "../../../layout/callbacks.ts";
import { PGTY_frozen, PGTY_slab } from "../../../layout/page.ts";
import { KmemCache, ObjectArray, Slab, STAT } from "../../../layout/slab.ts";
import { alloc_flags_allow_spinning, SLAB_TYPESAFE_BY_RCU } from "../../../layout/slab_flags.ts";
import { O_FREELIST, O_NONE, O_TRANSIT } from "../../../mem/oracle.ts";
import { container_of, element, embedded, NULL, type Ptr } from "../../../mem/struct.ts";
import { warn } from "../../../cpu/bug.ts";
import { bind_callback, invoke } from "../../../cpu/callback_table.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { oracle_move, oracle_slab } from "../../../cpu/oracle.ts";
import { call_rcu } from "../../rcu/tree.ts";
import { hooks_enabled } from "../debug/facilities.ts";
import { kasan_poison_slab } from "../debug/kasan.ts";
import { alloc_frozen_pages, free_frozen_pages } from "../page_alloc/page_alloc.ts";
import { alloc_frozen_pages_nolock, free_frozen_pages_nolock } from "../page_alloc/page_alloc_nolock.ts";
import { account_slab, free_slab_obj_exts } from "./obj_exts.ts";
import { add_partial, BUSY, dec_slabs_node, inc_slabs_node, lock_node_if, unlock_node } from "./partial.ts";
import { get_node, index_to_obj, oo_objects, oo_order, page_slab, slab_nid, slab_page } from "./slab.ts";
import { make_word, set_freepointer } from "./slab_word.ts";
import { stat } from "./stat.ts";

const {
  flags: SLAB_FLAGS,
  type: TYPE,
  slab_cache: SLAB_CACHE,
  counters: COUNTERS,
  objects: OBJECTS,
  order: ORDER,
  obj_exts: OBJ_EXTS,
  rcu_head: RCU_HEAD,
} = Slab.offset;
const { oo: OO, min: MIN, ctor: CTOR, size: SIZE, flags: FLAGS } = KmemCache.offset;
const { slots: SLOTS } = ObjectArray.offset;

type Cache = Ptr<"kmem_cache">;

/** Binds what a grace period calls. Once per thread. */
export function bind_new_slab(): void {
  bind_callback(CB.rcu_free_slab, rcu_free_slab);
}

/**
 * new_slab() - make a slab of the preferred order, or of the smallest possible one.
 *
 * @kernel  mm/slub.c, new_slab() and allocate_slab()
 * @param   node  preferred node; with __GFP_THISNODE in gfp the only one, unless spinning is not allowed.
 * @returns NULL: no memory, or a lock was busy and may not be waited for.
 * @context Any with SLAB_ALLOC_NOLOCK, else Hardirq.
 */
export function new_slab(cpu: Cpu, s: Cache, gfp: number, alloc_flags: number, node: number): Ptr<"slab"> {
  const mem = cpu.mem;
  if (gfp & __GFP_ZERO && mem.read(s, CTOR) !== 0) warn(cpu, `cache ${s} has a constructor, but is asked for zeroes`);
  const allow_spin = alloc_flags_allow_spinning(alloc_flags);
  let oo = mem.read(s, OO);
  let slab = alloc_slab_page(cpu, oo_order(oo), node, gfp, allow_spin);
  if (slab === NULL) {
    oo = mem.read(s, MIN);
    slab = alloc_slab_page(cpu, oo_order(oo), node, gfp, allow_spin);
    if (slab === NULL) return NULL;
    stat(cpu, s, STAT.ORDER_FALLBACK);
  }
  mem.init(slab, SLAB_FLAGS, 0);
  mem.init(slab, SLAB_CACHE, s);
  mem.init(slab, COUNTERS, 0);
  mem.init(slab, OBJECTS, oo_objects(oo));
  mem.init(slab, OBJ_EXTS, NULL);
  mem.init(slab, TYPE, PGTY_slab);
  if (hooks_enabled(cpu)) {
    kasan_poison_slab(cpu, slab);
    account_slab(cpu, s, slab, alloc_flags);
  }
  return slab;
}

function alloc_slab_page(cpu: Cpu, order: number, node: number, gfp: number, allow_spin: boolean): Ptr<"slab"> {
  return page_slab(
    allow_spin ? alloc_frozen_pages(cpu, order, node, gfp) : alloc_frozen_pages_nolock(cpu, order, node),
  );
}

/**
 * alloc_from_new_slab() - take the first objects of a new slab and publish the rest.
 *
 * @kernel  mm/slub.c
 * @param   p      receives the objects.
 * @param   count  how many are wanted.
 * @returns how many there were. 0: list_lock was busy and may not be waited for; the slab is gone.
 * @context Any without allow_spin, else Hardirq.
 */
export function alloc_from_new_slab(
  cpu: Cpu,
  s: Cache,
  slab: Ptr<"slab">,
  p: Ptr<"object_array">,
  count: number,
  allow_spin: boolean,
): number {
  const taken = Math.min(count, cpu.mem.read(slab, OBJECTS));
  if (!publish_new_slab(cpu, s, slab, taken, allow_spin)) return 0;
  for (let i = 0; i < taken; i++) {
    const object = index_to_obj(cpu, s, slab, i);
    cpu.mem.write(p, element(SLOTS, i), object);
    oracle_move(cpu, object, O_FREELIST, O_TRANSIT);
  }
  return taken;
}
/** The same for a single object. @returns NULL: as 0 there. */
export function alloc_one_from_new_slab(cpu: Cpu, s: Cache, slab: Ptr<"slab">, allow_spin: boolean): Ptr<"object"> {
  if (!publish_new_slab(cpu, s, slab, 1, allow_spin)) return NULL;
  const object = index_to_obj(cpu, s, slab, 0);
  oracle_move(cpu, object, O_FREELIST, O_TRANSIT);
  return object;
}

/** Sets a new slab up with its first `taken` objects in use, and makes the others allocatable by all. */
function publish_new_slab(cpu: Cpu, s: Cache, slab: Ptr<"slab">, taken: number, allow_spin: boolean): boolean {
  const mem = cpu.mem;
  const objects = mem.read(slab, OBJECTS);
  const node = slab_nid(cpu, slab);
  setup_objects(cpu, s, slab, objects);
  const freelist = build_slab_freelist(cpu, s, slab, taken, objects);
  mem.init(slab, COUNTERS, make_word(cpu, s, slab, freelist, taken)); // Private until list_lock is released.
  if (freelist === NULL) {
    report_objects(cpu, s, slab, O_NONE, O_FREELIST);
  } else {
    const n = get_node(cpu, s, node);
    const flags = lock_node_if(cpu, n, allow_spin);
    if (flags === BUSY) {
      free_new_slab_nolock(cpu, slab);
      return false;
    }
    report_objects(cpu, s, slab, O_NONE, O_FREELIST);
    add_partial(cpu, n, slab, "head");
    unlock_node(cpu, n, flags);
  }
  inc_slabs_node(cpu, s, node, objects);
  return true;
}

/** Runs the constructor, once in the life of each object's memory. */
function setup_objects(cpu: Cpu, s: Cache, slab: Ptr<"slab">, objects: number): void {
  const ctor = cpu.mem.read(s, CTOR);
  if (ctor === 0) return;
  for (let i = 0; i < objects; i++) invoke(cpu, ctor, index_to_obj(cpu, s, slab, i));
}

/** Links objects `from` .. `to` - 1 in order. @returns the first one, or NULL. @kernel mm/slub.c */
function build_slab_freelist(cpu: Cpu, s: Cache, slab: Ptr<"slab">, from: number, to: number): Ptr<"object"> {
  let next: Ptr<"object"> = NULL;
  for (let i = to - 1; i >= from; i--) {
    const object = index_to_obj(cpu, s, slab, i);
    set_freepointer(cpu, s, object, next);
    next = object;
  }
  return next;
}

function report_objects(cpu: Cpu, s: Cache, slab: Ptr<"slab">, from: number, to: number): void {
  const first = index_to_obj(cpu, s, slab, 0);
  oracle_slab(cpu, first, cpu.mem.read(s, SIZE), cpu.mem.read(slab, OBJECTS), from, to);
}

/** Throws a slab away that nobody has seen. @kernel mm/slub.c @context Any, NMI included. */
function free_new_slab_nolock(cpu: Cpu, slab: Ptr<"slab">): void {
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
  // Readers may still be looking at objects of such a cache, and at their type.
  if (cpu.mem.read(s, FLAGS) & SLAB_TYPESAFE_BY_RCU) call_rcu(cpu, embedded(slab, RCU_HEAD), CB.rcu_free_slab);
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
