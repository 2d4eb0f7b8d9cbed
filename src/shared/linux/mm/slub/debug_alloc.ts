/**
 * Allocation from debugged caches: one object at a time, under list_lock, looked at before it is given away. mm/slub.c;
 * spec slub 3.3, 3.4.
 *
 * No lock but list_lock is involved, so kmalloc_nolock() can have objects of debugged caches by a trylock. A slab that
 * fails its checks is out of service from then on: all its objects count as used, and it is on no list.
 *
 * Context: any with SLAB_ALLOC_NOLOCK, else Hardirq. Reports stop the machine, or are counted (debug_report.ts).
 */
import { PAGE_SIZE } from "../../../base/limits.ts";
import { assert } from "../../../cpu/bug.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { oracle_move } from "../../../cpu/oracle.ts";
import { printk } from "../../../cpu/printk.ts";
import { stack_trace_save } from "../../../cpu/stacktrace.ts";
import { KERN_INFO } from "../../../layout/printk.ts";
import { KmemCacheNode, Slab, TRACK_ALLOC } from "../../../layout/slab.ts";
import {
  __OBJECT_POISON,
  SLAB_CONSISTENCY_CHECKS,
  SLAB_POISON,
  SLAB_RED_ZONE,
  SLAB_STORE_USER,
  SLAB_TRACE,
} from "../../../layout/slab_flags.ts";
import { O_FREELIST, O_TRANSIT } from "../../../mem/oracle.ts";
import { embedded, NULL, type Ptr } from "../../../mem/struct.ts";
import { slab_lockdep_assert_held } from "./assert_held.ts";
import { cache_name } from "./cache_name.ts";
import { init_object, POISON_INUSE, SLUB_RED_ACTIVE, SLUB_RED_INACTIVE } from "./debug_bytes.ts";
import { kmem_cache_debug_flags } from "./debug_flags.ts";
import { check_object } from "./debug_object.ts";
import { object_err, slab_err } from "./debug_report.ts";
import { check_slab, is_slab, mark_broken, write_slab_word } from "./debug_slab.ts";
import { print_section, print_slab_info } from "./debug_trailer.ts";
import { set_orig_size } from "./orig_size.ts";
import { add_full, remove_partial } from "./partial.ts";
import { slab_address } from "./slab.ts";
import { check_valid_pointer, slot_of, type Slot } from "./slot.ts";
import { checked_link, get_freepointer, make_word, slab_word, word_freelist, word_inuse } from "./slab_word.ts";
import { init_tracking, set_track } from "./track.ts";

const { list_lock: LIST_LOCK } = KmemCacheNode.offset;
const { objects: OBJECTS, order: ORDER } = Slab.offset;

/** Bytes that are shown of a freed object. */
const MOST_TRACED = 64;

type SlabPtr = Ptr<"slab">;
type Obj = Ptr<"object">;

/** A new slab's memory is unused. @kernel mm/slub.c @context Any; nobody else sees the slab. */
export function setup_slab_debug(cpu: Cpu, slot: Slot, slab: SlabPtr): void {
  if (slot.flags & SLAB_POISON) {
    cpu.mem.fill(slab_address(cpu, slab), PAGE_SIZE << cpu.mem.read(slab, ORDER), POISON_INUSE);
  }
}
/** A new object is free and nobody's. @kernel mm/slub.c @context Any; nobody else sees the slab. */
export function setup_object_debug(cpu: Cpu, slot: Slot, object: Ptr): void {
  if ((slot.flags & (SLAB_STORE_USER | SLAB_RED_ZONE | __OBJECT_POISON)) === 0) return;
  init_object(cpu, slot, object, SLUB_RED_INACTIVE);
  init_tracking(cpu, slot, object);
}

/** SLAB_TRACE: each allocation and each free is printed. @kernel mm/slub.c, trace() @context Any. No step. */
export function trace_object(cpu: Cpu, slot: Slot, slab: SlabPtr, object: Ptr, alloc: boolean): void {
  if ((slot.flags & SLAB_TRACE) === 0 || cpu.mem.rebuilding) return;
  const what = `TRACE ${cache_name(cpu, slot.s)} ${alloc ? "alloc" : "free"} 0x${object.toString(16)}`;
  const lines = [`${what} ${print_slab_info(cpu, slot, slab)}`];
  if (!alloc) lines.push(...print_section(cpu, "Object   ", object, Math.min(slot.object_size, MOST_TRACED)));
  printk(cpu, KERN_INFO, [...lines, ...stack_trace_save().map((frame) => ` ${frame}`)].join("\n"));
}

/** @kernel mm/slub.c */
function alloc_consistency_checks(cpu: Cpu, slot: Slot, slab: SlabPtr, object: Ptr): boolean {
  if (!check_slab(cpu, slot, slab)) return false;
  if (object === NULL || !check_valid_pointer(cpu, slot, slab, cpu.mem.read(slab, OBJECTS), object)) {
    object_err(cpu, slot, slab, object, "Freelist Pointer check fails");
    return false;
  }
  return check_object(cpu, slot, slab, object, SLUB_RED_INACTIVE);
}

/**
 * alloc_debug_processing() - the object is about to leave its slab: check it, and make it look allocated.
 *
 * @kernel  mm/slub.c
 * @param   orig_size  bytes asked for; 0: all of the object.
 * @returns false: something was wrong. The slab is out of service; the caller takes it off its list.
 * @context Any, list_lock held, or nobody else sees the slab.
 */
export function alloc_debug_processing(cpu: Cpu, slot: Slot, slab: SlabPtr, object: Ptr, orig_size: number): boolean {
  if (slot.flags & SLAB_CONSISTENCY_CHECKS && !alloc_consistency_checks(cpu, slot, slab, object)) {
    if (is_slab(cpu, slab)) mark_broken(cpu, slot, slab);
    return false;
  }
  trace_object(cpu, slot, slab, object, true);
  set_orig_size(cpu, slot, object, orig_size);
  init_object(cpu, slot, object, SLUB_RED_ACTIVE);
  return true;
}

/**
 * alloc_single_from_partial() - take the first free object of a slab on the partial list.
 *
 * @kernel  mm/slub.c
 * @returns NULL: the slab failed its checks, and is off the list.
 * @context Any, list_lock held.
 */
export function alloc_single_from_partial(
  cpu: Cpu,
  slot: Slot,
  n: Ptr<"kmem_cache_node">,
  slab: SlabPtr,
  orig_size: number,
): Obj {
  const { s, flags } = slot;
  slab_lockdep_assert_held(cpu, embedded(n, LIST_LOCK));
  if (flags & SLAB_CONSISTENCY_CHECKS && !is_slab(cpu, slab)) {
    slab_err(cpu, slot, slab, "Not a valid slab page");
    return NULL;
  }
  const word = slab_word(cpu, slab);
  const object = word_freelist(cpu, s, slab, word);
  const inuse = word_inuse(word) + 1;
  // With consistency checks it is reported.
  assert(cpu, object !== NULL || (flags & SLAB_CONSISTENCY_CHECKS) !== 0, `slab ${slab} is partial, but full`);
  const valid = object !== NULL && check_valid_pointer(cpu, slot, slab, cpu.mem.read(slab, OBJECTS), object);
  const next = valid ? get_freepointer(cpu, s, object) : NULL;
  if (!alloc_debug_processing(cpu, slot, slab, object, orig_size)) {
    if (is_slab(cpu, slab)) remove_partial(cpu, n, slab);
    return NULL;
  }
  write_slab_word(cpu, slab, make_word(cpu, s, slab, checked_link(cpu, s, slab, next), inuse));
  oracle_move(cpu, object, O_FREELIST, O_TRANSIT);
  if (inuse === cpu.mem.read(slab, OBJECTS)) {
    remove_partial(cpu, n, slab);
    add_full(cpu, flags, n, slab);
  }
  return object;
}

/** The object has an owner now, which SLAB_STORE_USER notes. @kernel mm/slub.c, end of ___slab_alloc() @returns it @context Any */
export function note_alloc(cpu: Cpu, s: Ptr<"kmem_cache">, object: Obj): Obj {
  if (kmem_cache_debug_flags(cpu, s, SLAB_STORE_USER)) set_track(cpu, slot_of(cpu, s), object, TRACK_ALLOC);
  return object;
}
