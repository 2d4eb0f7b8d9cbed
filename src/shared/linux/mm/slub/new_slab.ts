/**
 * New slabs. How they end: free_slab.ts. mm/slub.c; spec slub 1.9, 3.4.
 *
 *   new_slab             pages become a slab that nobody else sees; no freelist yet, not counted
 *   alloc_from_new_slab  hand out objects, link the rest, publish on the partial list, count
 *
 * Context: as the alloc flags say. Lock order: list_lock inside, pages outside it.
 *
 * Differs: there is no reclaim. What matters of gfp is the node, reserves, whether kswapd is woken, and who may not fail.
 */
import {
  __GFP_NOFAIL,
  __GFP_NOMEMALLOC,
  __GFP_NORETRY,
  __GFP_NOWARN,
  __GFP_RECLAIM,
  __GFP_ZERO,
  gfpflags_allow_blocking,
} from "../../../layout/gfp.ts";
import { PGTY_slab } from "../../../layout/page.ts";
import { KmemCache, ObjectArray, SL_pfmemalloc, Slab } from "../../../layout/slab.ts";
import { STAT } from "../../../layout/slab_stat.ts";
import { alloc_flags_allow_spinning } from "../../../layout/slab_flags.ts";
import { O_FREELIST, O_NONE, O_TRANSIT } from "../../../mem/oracle.ts";
import { element, NULL, type Ptr } from "../../../mem/struct.ts";
import { warn } from "../../../cpu/bug.ts";
import { invoke } from "../../../cpu/callback_table.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { oracle_move } from "../../../cpu/oracle.ts";
import { hooks_enabled } from "../debug/facilities.ts";
import { kasan_poison_slab } from "../debug/kasan.ts";
import { alloc_frozen_pages } from "../page_alloc/page_alloc.ts";
import { alloc_frozen_pages_nolock } from "../page_alloc/page_alloc_nolock.ts";
import { setup_slab_debug } from "./debug_alloc.ts";
import { kmem_cache_debug } from "./debug_flags.ts";
import { free_new_slab_nolock } from "./free_slab.ts";
import { account_slab } from "./obj_exts.ts";
import { add_partial, BUSY, inc_slabs_node, lock_node_if, unlock_node } from "./partial.ts";
import { next_slab_obj, slab_obj_at, slab_obj_iter } from "./random_seq.ts";
import { get_node, index_to_obj, oo_objects, oo_order, page_slab, report_objects, slab_nid } from "./slab.ts";
import { make_word, set_freepointer } from "./slab_word.ts";
import { slot_of } from "./slot.ts";
import { stat } from "./stat.ts";

const {
  flags: SLAB_FLAGS,
  type: TYPE,
  slab_cache: SLAB_CACHE,
  counters: COUNTERS,
  objects: OBJECTS,
  obj_exts: OBJ_EXTS,
} = Slab.offset;
const { oo: OO, min: MIN, ctor: CTOR } = KmemCache.offset;
const { slots: SLOTS } = ObjectArray.offset;

type Cache = Ptr<"kmem_cache">;

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
  let slab = alloc_slab_page(cpu, oo_order(oo), node, first_attempt(cpu, s, oo, gfp), allow_spin);
  if (slab === NULL) {
    oo = mem.read(s, MIN);
    slab = alloc_slab_page(cpu, oo_order(oo), node, gfp, allow_spin);
    if (slab === NULL) return NULL;
    stat(cpu, s, STAT.ORDER_FALLBACK);
  }
  mem.init(slab, SLAB_FLAGS, mem.peek(slab, SLAB_FLAGS) & SL_pfmemalloc); // What the page allocator says.
  mem.init(slab, SLAB_CACHE, s);
  mem.init(slab, COUNTERS, 0);
  mem.init(slab, OBJECTS, oo_objects(oo));
  mem.init(slab, OBJ_EXTS, NULL);
  mem.init(slab, TYPE, PGTY_slab);
  if (kmem_cache_debug(cpu, s)) setup_slab_debug(cpu, slot_of(cpu, s), slab);
  if (hooks_enabled(cpu)) {
    kasan_poison_slab(cpu, slab);
    account_slab(cpu, s, slab, alloc_flags);
  }
  return slab;
}

/** A smaller slab will do, so the preferred one is not worth the last memory. @kernel mm/slub.c, allocate_slab() */
function first_attempt(cpu: Cpu, s: Cache, oo: number, gfp: number): number {
  const once = (gfp | __GFP_NOWARN | __GFP_NORETRY) & ~__GFP_NOFAIL;
  const larger = oo_order(oo) > oo_order(cpu.mem.peek(s, MIN));
  return larger && gfpflags_allow_blocking(gfp) ? (once | __GFP_NOMEMALLOC) & ~__GFP_RECLAIM : once;
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
  let position = slab_obj_iter(cpu, s, slab, allow_spin);
  if (!publish_new_slab(cpu, s, slab, position, taken, allow_spin)) return 0;
  for (let i = 0; i < taken; i++) {
    const object = slab_obj_at(cpu, s, slab, position);
    cpu.mem.write(p, element(SLOTS, i), object);
    oracle_move(cpu, object, O_FREELIST, O_TRANSIT);
    position = next_slab_obj(cpu, s, slab, position);
  }
  return taken;
}
/** The same for a single object. @returns NULL: as 0 there. */
export function alloc_one_from_new_slab(cpu: Cpu, s: Cache, slab: Ptr<"slab">, allow_spin: boolean): Ptr<"object"> {
  const position = slab_obj_iter(cpu, s, slab, allow_spin);
  if (!publish_new_slab(cpu, s, slab, position, 1, allow_spin)) return NULL;
  const object = slab_obj_at(cpu, s, slab, position);
  oracle_move(cpu, object, O_FREELIST, O_TRANSIT);
  return object;
}

/** Sets a new slab up with `taken` objects from `position` on in use, and makes the others allocatable by all. */
function publish_new_slab(
  cpu: Cpu,
  s: Cache,
  slab: Ptr<"slab">,
  position: number,
  taken: number,
  allow_spin: boolean,
): boolean {
  const mem = cpu.mem;
  const objects = mem.read(slab, OBJECTS);
  const node = slab_nid(cpu, slab);
  setup_objects(cpu, s, slab, objects);
  const freelist = build_slab_freelist(cpu, s, slab, position, taken, objects);
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
export function setup_objects(cpu: Cpu, s: Cache, slab: Ptr<"slab">, objects: number): void {
  const ctor = cpu.mem.read(s, CTOR);
  if (ctor === 0) return;
  for (let i = 0; i < objects; i++) invoke(cpu, ctor, index_to_obj(cpu, s, slab, i));
}

/** Links all objects but the first `taken` of the walk from `first` on, in its order. @returns the first of them, or NULL. @kernel mm/slub.c */
export function build_slab_freelist(
  cpu: Cpu,
  s: Cache,
  slab: Ptr<"slab">,
  first: number,
  taken: number,
  objects: number,
): Ptr<"object"> {
  if (taken === objects) return NULL;
  let position = first;
  for (let i = 0; i < taken; i++) position = next_slab_obj(cpu, s, slab, position);
  const head = slab_obj_at(cpu, s, slab, position);
  let object = head;
  for (let left = objects - taken - 1; left > 0; left--) {
    position = next_slab_obj(cpu, s, slab, position);
    const next = slab_obj_at(cpu, s, slab, position);
    set_freepointer(cpu, s, object, next);
    object = next;
  }
  set_freepointer(cpu, s, object, NULL);
  return head;
}
