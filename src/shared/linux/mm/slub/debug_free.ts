/**
 * Free to debugged caches: under list_lock, each object is looked at before it goes back to its freelist. mm/slub.c; spec
 * slub 3.6.
 *
 * What fails a check is not freed: it is leaked on purpose, since whatever is done to it might make things worse.
 *
 * Context: any but NMI. Lock order: list_lock; zone->lock after it is dropped.
 */
import type { Cpu } from "../../../cpu/cpu.ts";
import { oracle_move } from "../../../cpu/oracle.ts";
import { KmemCache, Slab, TRACK_FREE } from "../../../layout/slab.ts";
import { STAT } from "../../../layout/slab_stat.ts";
import { SLAB_CONSISTENCY_CHECKS, SLAB_STORE_USER } from "../../../layout/slab_flags.ts";
import { O_FREELIST, O_KEPT } from "../../../mem/oracle.ts";
import { NULL, type Ptr } from "../../../mem/struct.ts";
import { trace_object } from "./debug_alloc.ts";
import { init_object, SLUB_RED_ACTIVE, SLUB_RED_INACTIVE } from "./debug_bytes.ts";
import { check_object } from "./debug_object.ts";
import { object_err, slab_err, slab_fix } from "./debug_report.ts";
import { check_slab, is_slab, on_freelist, write_slab_word } from "./debug_slab.ts";
import { free_slab } from "./free_slab.ts";
import {
  add_partial,
  dec_slabs_node,
  lock_node,
  node_nr_partial,
  remove_full,
  remove_partial,
  slab_test_node_partial,
  unlock_node,
} from "./partial.ts";
import { get_node, slab_nid } from "./slab.ts";
import { check_valid_pointer, slot_of, type Slot } from "./slot.ts";
import { get_freepointer, make_word, set_freepointer, slab_word, word_freelist, word_inuse } from "./slab_word.ts";
import { stat } from "./stat.ts";
import { set_track_prepare, set_track_update } from "./track.ts";

const { min_partial: MIN_PARTIAL } = KmemCache.offset;
const { slab_cache: SLAB_CACHE, objects: OBJECTS } = Slab.offset;

type SlabPtr = Ptr<"slab">;

/** Objects linked from `head` to `tail`; `cnt` is how many there should be. */
interface Chain {
  readonly head: Ptr;
  readonly tail: Ptr;
  readonly cnt: number;
}

/** Is this an allocated object of this slab and cache? @kernel mm/slub.c */
function free_consistency_checks(cpu: Cpu, slot: Slot, slab: SlabPtr, object: Ptr): boolean {
  const name = `0x${object.toString(16)}`;
  if (object === NULL || !check_valid_pointer(cpu, slot, slab, cpu.mem.read(slab, OBJECTS), object)) {
    slab_err(cpu, slot, slab, `Invalid object pointer ${name}`);
    return false;
  }
  if (on_freelist(cpu, slot, slab, object)) {
    object_err(cpu, slot, slab, object, "Object already free");
    return false;
  }
  if (!check_object(cpu, slot, slab, object, SLUB_RED_ACTIVE)) return false;
  const s = cpu.mem.read(slab, SLAB_CACHE);
  if (s === slot.s) return true;
  if (!is_slab(cpu, slab)) slab_err(cpu, slot, slab, `Attempt to free object(${name}) outside of slab`);
  else if (s === NULL) slab_err(cpu, { ...slot, s: NULL }, slab, `No slab cache for object ${name}`);
  else object_err(cpu, slot, slab, object, "page slab pointer corrupt.");
  return false;
}

/**
 * free_debug_processing() - check the objects of a chain one by one, and make them look free.
 *
 * @kernel  mm/slub.c
 * @returns how many may be freed, as many as there were; 0: something was wrong, and none may.
 * @context Any, list_lock held.
 */
function free_debug_processing(cpu: Cpu, slot: Slot, slab: SlabPtr, chain: Chain, handle: number): number {
  const { head, tail, cnt } = chain;
  const checks = (slot.flags & SLAB_CONSISTENCY_CHECKS) !== 0;
  const refuse = (object: Ptr): number => {
    slab_fix(cpu, slot, `Object at 0x${object.toString(16)} not freed`);
    return 0;
  };
  if (checks && !check_slab(cpu, slot, slab)) return refuse(head);
  const inuse = word_inuse(slab_word(cpu, slab));
  if (inuse < cnt) {
    slab_err(cpu, slot, slab, `Slab has ${inuse} allocated objects but ${cnt} are to be freed`);
    return refuse(head);
  }
  let object = head;
  for (let found = 1; found <= cnt; found++) {
    if (checks && !free_consistency_checks(cpu, slot, slab, object)) return refuse(object);
    if (slot.flags & SLAB_STORE_USER) set_track_update(cpu, slot, object, TRACK_FREE, handle);
    trace_object(cpu, slot, slab, object, false);
    // The link stays: with SLAB_POISON it lies outside of the object.
    init_object(cpu, slot, object, SLUB_RED_INACTIVE);
    if (object === tail) {
      if (found !== cnt) slab_err(cpu, slot, slab, `Bulk free expected ${cnt} objects but found ${found}`);
      return found;
    }
    object = get_freepointer(cpu, slot.s, object);
  }
  slab_err(cpu, slot, slab, `Bulk free expected ${cnt} objects but found ${cnt + 1}`);
  return refuse(object);
}

/**
 * free_to_partial_list() - __slab_free() of debugged caches. The oracle has been told that the objects are free.
 *
 * @kernel  mm/slub.c
 * @context Hardirq, never NMI: spins on list_lock.
 */
export function free_to_partial_list(
  cpu: Cpu,
  s: Ptr<"kmem_cache">,
  slab: SlabPtr,
  head: Ptr,
  tail: Ptr,
  bulk_cnt: number,
): void {
  const slot = slot_of(cpu, s);
  const n = get_node(cpu, s, slab_nid(cpu, slab));
  const handle = slot.flags & SLAB_STORE_USER ? set_track_prepare(cpu) : 0;
  const flags = lock_node(cpu, n);
  const cnt = free_debug_processing(cpu, slot, slab, { head, tail, cnt: bulk_cnt }, handle);
  if (cnt === 0) {
    unlock_node(cpu, n, flags);
    if (bulk_cnt === 1) oracle_move(cpu, head, O_FREELIST, O_KEPT);
    return;
  }
  const word = slab_word(cpu, slab);
  const inuse = word_inuse(word) - cnt;
  set_freepointer(cpu, s, tail, word_freelist(cpu, s, slab, word));
  write_slab_word(cpu, slab, make_word(cpu, s, slab, head, inuse));
  const discard = inuse === 0 && node_nr_partial(cpu, n) >= cpu.mem.read(s, MIN_PARTIAL);
  if (slab_test_node_partial(cpu, slab)) {
    if (discard) {
      remove_partial(cpu, n, slab);
      stat(cpu, s, STAT.FREE_REMOVE_PARTIAL);
    }
  } else {
    remove_full(cpu, slot.flags, n, slab);
    if (!discard) {
      add_partial(cpu, n, slab, "tail");
      stat(cpu, s, STAT.FREE_ADD_PARTIAL);
    }
  }
  if (discard) dec_slabs_node(cpu, s, slab_nid(cpu, slab), cpu.mem.read(slab, OBJECTS));
  unlock_node(cpu, n, flags);
  if (!discard) return;
  stat(cpu, s, STAT.FREE_SLAB);
  free_slab(cpu, s, slab);
}
