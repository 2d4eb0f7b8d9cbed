/**
 * Prefilled sheaves: a user takes a sheaf with as many objects as it will need at most, then allocates from it where it
 * may not fail, and gives back what is left. mm/slub.c; spec slub 2.12.
 *
 *   kmem_cache_prefill_sheaf      a sheaf with at least `size` objects: the spare, one of the barn, or a new one
 *   kmem_cache_refill_sheaf       at least `size` objects once more, in this sheaf or a larger one
 *   kmem_cache_alloc_from_sheaf   takes one; never fails as long as there are some
 *   kmem_cache_return_sheaf       gives the sheaf back: as spare, to the barn, or to pieces
 *
 * A sheaf belongs to the user meanwhile: no lock, no flush finds it. Larger than the cache's capacity it is made for the
 * user alone, so debug caches, whose capacity is 0, serve this too. A sheaf whose refill was allowed emergency reserves
 * says so, and is taken apart on return: what lies in it is not for everybody (slub B12).
 *
 * Context: task; may sleep as gfp says. Lock order: the sheaf lock is waited for, and a barn's taken under it.
 */
import type { Cpu } from "../../../cpu/cpu.ts";
import { oracle_move } from "../../../cpu/oracle.ts";
import { __GFP_NOFAIL, __GFP_NOMEMALLOC, __GFP_NOWARN } from "../../../layout/gfp.ts";
import { KmemCache, NodeBarn, SheafPrefill, SlabSheaf, SlubPercpuSheaves } from "../../../layout/slab.ts";
import { STAT } from "../../../layout/slab_stat.ts";
import { SLAB_ALLOC_DEFAULT } from "../../../layout/slab_flags.ts";
import { O_PREFILLED, O_SHEAF, O_TRANSIT } from "../../../mem/oracle.ts";
import { element, embedded, NULL, type Ptr } from "../../../mem/struct.ts";
import { local_lock, local_unlock } from "../../sync/local_lock.ts";
import { alloc_elsewhere, hooks_enabled } from "../debug/facilities.ts";
import { gfp_pfmemalloc_allowed } from "../page_alloc/watermark.ts";
import { barn_get_full_or_empty_sheaf, barn_put_full_sheaf, ENOMEM, ERR_PTR, max_full_sheaves } from "./barn.ts";
import { alloc_path, slab_post_alloc_hook, slab_pre_alloc_hook } from "./hooks.ts";
import { assert_alive } from "./kmalloc.ts";
import { get_barn, this_cpu_sheaves } from "./pcs.ts";
import { __kmem_cache_alloc_bulk } from "./refill.ts";
import {
  __alloc_empty_sheaf,
  alloc_empty_sheaf,
  free_empty_sheaf,
  oracle_move_slots,
  refill_sheaf,
  sheaf_flush_unused,
  sheaf_slot,
} from "./sheaf.ts";
import { stat } from "./stat.ts";

const { sheaf_capacity: SHEAF_CAPACITY } = KmemCache.offset;
const { lock: LOCK, spare: SPARE } = SlubPercpuSheaves.offset;
const { prefill: PREFILL, size: SIZE, objects: OBJECTS } = SlabSheaf.offset;
const { capacity: CAPACITY, pfmemalloc: PFMEMALLOC } = SheafPrefill.offset;
const { nr_full: NR_FULL } = NodeBarn.offset;

export const EINVAL = 22;

type Cache = Ptr<"kmem_cache">;
type Sheaf = Ptr<"slab_sheaf">;

/**
 * kmem_cache_prefill_sheaf() - a sheaf with at least `size` objects.
 * @kernel  mm/slub.c
 * @returns NULL: too little memory, or size 0.
 * @context Task; may sleep if gfp says so.
 */
export function kmem_cache_prefill_sheaf(cpu: Cpu, s: Cache, gfp: number, size: number): Sheaf {
  const { mem } = cpu;
  slab_pre_alloc_hook(cpu, gfp);
  assert_alive(cpu, s);
  if (size === 0) return NULL;
  const capacity = mem.read(s, SHEAF_CAPACITY);
  if (size > capacity) return oversize_sheaf(cpu, s, gfp, size);
  let sheaf = take_sheaf(cpu, s);
  if (sheaf === NULL) sheaf = alloc_empty_sheaf(cpu, s, gfp, SLAB_ALLOC_DEFAULT);
  if (sheaf === NULL) return NULL;
  // These lie over the links of lists and of RCU, on none of which a private sheaf is.
  init_prefill(cpu, sheaf, capacity);
  // A spare may be full or not: what it holds may be enough.
  if (mem.read(sheaf, SIZE) < size && !__prefill_sheaf_pfmemalloc(cpu, s, sheaf, gfp)) {
    flush_and_free(cpu, s, sheaf);
    return NULL;
  }
  oracle_move_slots(cpu, sheaf_slot(sheaf, 0), mem.read(sheaf, SIZE), O_SHEAF, O_PREFILLED);
  return sheaf;
}

/** This CPU's spare, or a sheaf of the barn. @returns NULL: there is none. */
function take_sheaf(cpu: Cpu, s: Cache): Sheaf {
  const { mem } = cpu;
  const pcs = this_cpu_sheaves(cpu, s);
  local_lock(cpu, embedded(pcs, LOCK));
  let sheaf = mem.read(pcs, SPARE);
  if (sheaf !== NULL) {
    mem.write(pcs, SPARE, NULL);
    stat(cpu, s, STAT.SHEAF_PREFILL_FAST);
  } else {
    stat(cpu, s, STAT.SHEAF_PREFILL_SLOW);
    const barn = get_barn(cpu, s);
    if (barn !== NULL) sheaf = barn_get_full_or_empty_sheaf(cpu, barn);
    const filled = sheaf !== NULL && mem.read(sheaf, SIZE) > 0;
    stat(cpu, s, filled ? STAT.BARN_GET : STAT.BARN_GET_FAIL);
  }
  local_unlock(cpu, embedded(pcs, LOCK));
  return sheaf;
}

/** A sheaf that is larger than those of the cache: filled from slabs, and never put where others would find it. */
function oversize_sheaf(cpu: Cpu, s: Cache, gfp: number, size: number): Sheaf {
  const sheaf = __alloc_empty_sheaf(cpu, s, gfp, SLAB_ALLOC_DEFAULT, size);
  if (sheaf === NULL) return NULL;
  stat(cpu, s, STAT.SHEAF_PREFILL_OVERSIZE);
  init_prefill(cpu, sheaf, size);
  if (fill_oversize(cpu, s, sheaf, gfp)) return sheaf;
  free_empty_sheaf(cpu, s, sheaf);
  return NULL;
}
/** @returns false: too little memory; nothing is added. */
function fill_oversize(cpu: Cpu, s: Cache, sheaf: Sheaf, gfp: number): boolean {
  const { mem } = cpu;
  const size = mem.read(sheaf, SIZE);
  const capacity = mem.read(embedded(sheaf, PREFILL), CAPACITY);
  if (__kmem_cache_alloc_bulk(cpu, s, gfp, capacity - size, sheaf_slot(sheaf, size)) === 0) return false;
  oracle_move_slots(cpu, sheaf_slot(sheaf, size), capacity - size, O_TRANSIT, O_PREFILLED);
  mem.write(sheaf, SIZE, capacity);
  return true;
}
function init_prefill(cpu: Cpu, sheaf: Sheaf, capacity: number): void {
  cpu.mem.init(embedded(sheaf, PREFILL), CAPACITY, capacity);
  cpu.mem.init(embedded(sheaf, PREFILL), PFMEMALLOC, 0);
}
function flush_and_free(cpu: Cpu, s: Cache, sheaf: Sheaf): void {
  sheaf_flush_unused(cpu, s, sheaf);
  free_empty_sheaf(cpu, s, sheaf);
}

/**
 * __prefill_sheaf_pfmemalloc() - fill a private sheaf, with emergency reserves only if it must be, and then it says so.
 * @kernel  mm/slub.c
 * @returns false: too little memory. What was obtained is in the sheaf.
 * @context as kmem_cache_prefill_sheaf()
 */
function __prefill_sheaf_pfmemalloc(cpu: Cpu, s: Cache, sheaf: Sheaf, gfp: number): boolean {
  const reserves = gfp_pfmemalloc_allowed(cpu, gfp);
  if (refill_sheaf(cpu, s, sheaf, gfp | __GFP_NOMEMALLOC | (reserves ? __GFP_NOWARN : 0))) return true;
  if (!reserves) return false;
  cpu.mem.write(embedded(sheaf, PREFILL), PFMEMALLOC, 1);
  return refill_sheaf(cpu, s, sheaf, gfp);
}

/**
 * kmem_cache_refill_sheaf() - see to it that a sheaf has at least `size` objects again.
 *
 * Differs: returns the sheaf, which the kernel writes to where the caller keeps it.
 *
 * @kernel  mm/slub.c
 * @returns the sheaf to use from now on. -ENOMEM: the old one is still the caller's, perhaps with more objects; -EINVAL:
 *          there was none.
 * @context Task; may sleep if gfp says so.
 */
export function kmem_cache_refill_sheaf(cpu: Cpu, s: Cache, gfp: number, sheaf: Sheaf, size: number): Sheaf {
  const { mem } = cpu;
  slab_pre_alloc_hook(cpu, gfp);
  if (sheaf === NULL) return ERR_PTR(EINVAL);
  const had = mem.read(sheaf, SIZE);
  if (had >= size) return sheaf;
  const capacity = mem.read(embedded(sheaf, PREFILL), CAPACITY);
  if (capacity < size) {
    const larger = kmem_cache_prefill_sheaf(cpu, s, gfp, size);
    if (larger === NULL) return ERR_PTR(ENOMEM);
    kmem_cache_return_sheaf(cpu, s, gfp, sheaf);
    return larger;
  }
  if (capacity !== mem.read(s, SHEAF_CAPACITY)) {
    return fill_oversize(cpu, s, sheaf, gfp) ? sheaf : ERR_PTR(ENOMEM);
  }
  const filled = __prefill_sheaf_pfmemalloc(cpu, s, sheaf, gfp);
  oracle_move_slots(cpu, sheaf_slot(sheaf, had), mem.read(sheaf, SIZE) - had, O_SHEAF, O_PREFILLED);
  return filled ? sheaf : ERR_PTR(ENOMEM);
}

/**
 * kmem_cache_return_sheaf() - give a sheaf back, with what is left in it.
 * @kernel  mm/slub.c
 * @param   gfp  for a refill, without which it may not go to the barn.
 * @context Task; may sleep if gfp says so.
 */
export function kmem_cache_return_sheaf(cpu: Cpu, s: Cache, gfp: number, sheaf: Sheaf): void {
  const { mem } = cpu;
  oracle_move_slots(cpu, sheaf_slot(sheaf, 0), mem.read(sheaf, SIZE), O_PREFILLED, O_SHEAF);
  const prefill = embedded(sheaf, PREFILL);
  if (mem.read(prefill, CAPACITY) !== mem.read(s, SHEAF_CAPACITY) || mem.read(prefill, PFMEMALLOC) !== 0) {
    flush_and_free(cpu, s, sheaf);
    return;
  }
  const pcs = this_cpu_sheaves(cpu, s);
  local_lock(cpu, embedded(pcs, LOCK));
  const barn = get_barn(cpu, s);
  const fast = mem.read(pcs, SPARE) === NULL;
  if (fast) mem.write(pcs, SPARE, sheaf); // Partly filled, perhaps: everybody who looks at a spare allows for that.
  local_unlock(cpu, embedded(pcs, LOCK));
  stat(cpu, s, fast ? STAT.SHEAF_RETURN_FAST : STAT.SHEAF_RETURN_SLOW);
  if (fast) return;
  // Race: as in barn_replace_full_sheaf(), the limit is soft.
  const room = barn !== NULL && mem.data_race_read(barn, NR_FULL) < max_full_sheaves(cpu);
  // Why not from reserves, whatever gfp says: what is in the barn is for everybody (slub B12).
  if (!room || !refill_sheaf(cpu, s, sheaf, gfp | __GFP_NOMEMALLOC)) {
    flush_and_free(cpu, s, sheaf);
    return;
  }
  barn_put_full_sheaf(cpu, barn, sheaf);
  stat(cpu, s, STAT.BARN_PUT);
}

/**
 * kmem_cache_alloc_from_sheaf() - take an object out of a prefilled sheaf. Not a word from the cache: an empty sheaf has
 * none. A charge passes the limit rather than fail.
 *
 * @kernel  mm/slub.c
 * @param   gfp  __GFP_ZERO, __GFP_ACCOUNT; nothing else matters.
 * @returns NULL: the sheaf is empty.
 * @context Hardirq, for whoever owns the sheaf
 */
export function kmem_cache_alloc_from_sheaf(cpu: Cpu, s: Cache, gfp: number, sheaf: Sheaf): Ptr<"object"> {
  const { mem } = cpu;
  const size = mem.read(sheaf, SIZE);
  if (size === 0) return NULL;
  let object = hooks_enabled(cpu) ? alloc_elsewhere(cpu, alloc_path(SLAB_ALLOC_DEFAULT), s, gfp) : NULL;
  if (object === NULL) {
    object = mem.read(sheaf, element(OBJECTS, size - 1));
    mem.write(sheaf, SIZE, size - 1);
    oracle_move(cpu, object, O_PREFILLED, O_TRANSIT);
  }
  return slab_post_alloc_hook(cpu, s, gfp | __GFP_NOFAIL, SLAB_ALLOC_DEFAULT, object);
}

/** Objects in a prefilled sheaf. @kernel mm/slub.c @context Any, for whoever owns the sheaf */
export function kmem_cache_sheaf_size(cpu: Cpu, sheaf: Sheaf): number {
  return cpu.mem.read(sheaf, SIZE);
}
