/**
 * alloc_single_from_new_slab(): the first object of a new slab of a debugged cache. mm/slub.c; spec slub 3.4.
 *
 * Differs from other caches in what list_lock covers: the slab is counted under it, so that validation never sees one that
 * is linked and not counted. Without allow_spin the lock is tried before anything else; if that fails the slab has not been
 * counted yet, and is thrown away without (slub B2).
 *
 * Context: any without allow_spin, else Hardirq. Lock order: list_lock; pages outside it.
 */
import { has_bug } from "../../../cpu/bugs.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { oracle_move } from "../../../cpu/oracle.ts";
import { BUG_DEFERRED_SLAB_COUNT } from "../../../layout/bugs.ts";
import { Slab } from "../../../layout/slab.ts";
import { O_FREELIST, O_NONE, O_TRANSIT } from "../../../mem/oracle.ts";
import { NULL, type Ptr } from "../../../mem/struct.ts";
import { alloc_debug_processing, setup_object_debug } from "./debug_alloc.ts";
import { write_slab_word } from "./debug_slab.ts";
import { free_new_slab_nolock } from "./free_slab.ts";
import { build_slab_freelist, setup_objects } from "./new_slab.ts";
import {
  add_full,
  add_partial,
  BUSY,
  dec_slabs_node,
  inc_slabs_node,
  lock_node,
  lock_node_if,
  unlock_node,
} from "./partial.ts";
import { slab_obj_iter } from "./random_seq.ts";
import { get_node, index_to_obj, report_objects, slab_nid } from "./slab.ts";
import { slot_of } from "./slot.ts";
import { get_freepointer, make_word } from "./slab_word.ts";

const { objects: OBJECTS } = Slab.offset;

/**
 * @kernel  mm/slub.c
 * @param   orig_size  bytes asked for; 0: all of the object.
 * @returns NULL: list_lock was busy and may not be waited for, and the slab is gone; or the slab failed its checks
 *          although it is new, and is leaked.
 * @context Any without allow_spin, else Hardirq.
 */
export function alloc_single_from_new_slab(
  cpu: Cpu,
  s: Ptr<"kmem_cache">,
  slab: Ptr<"slab">,
  orig_size: number,
  allow_spin: boolean,
): Ptr<"object"> {
  const slot = slot_of(cpu, s);
  const objects = cpu.mem.read(slab, OBJECTS);
  const node = slab_nid(cpu, slab);
  const n = get_node(cpu, s, node);
  let flags = BUSY;
  if (!allow_spin) {
    flags = lock_node_if(cpu, n, false);
    if (flags === BUSY) {
      if (has_bug(cpu, BUG_DEFERRED_SLAB_COUNT)) dec_slabs_node(cpu, s, node, objects);
      free_new_slab_nolock(cpu, slab);
      return NULL;
    }
  }
  for (let i = 0; i < objects; i++) setup_object_debug(cpu, slot, index_to_obj(cpu, s, slab, i));
  setup_objects(cpu, s, slab, objects);
  report_objects(cpu, s, slab, O_NONE, O_FREELIST);
  // The object keeps its link until it has been checked.
  const object = build_slab_freelist(cpu, s, slab, slab_obj_iter(cpu, s, slab, allow_spin), 0, objects);
  const freelist = get_freepointer(cpu, s, object);
  write_slab_word(cpu, slab, make_word(cpu, s, slab, freelist, 1));
  if (!alloc_debug_processing(cpu, slot, slab, object, orig_size)) {
    if (!allow_spin) unlock_node(cpu, n, flags);
    return NULL;
  }
  oracle_move(cpu, object, O_FREELIST, O_TRANSIT);
  if (allow_spin) flags = lock_node(cpu, n);
  if (freelist === NULL) add_full(cpu, slot.flags, n, slab);
  else add_partial(cpu, n, slab, "head");
  inc_slabs_node(cpu, s, node, objects);
  unlock_node(cpu, n, flags);
  return object;
}
