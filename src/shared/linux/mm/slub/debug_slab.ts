/**
 * Checks of a slab as a whole: its word, its freelist, its tail. mm/slub.c; spec slub 1.2, 10.4.
 *
 * What is wrong is reported and, where that can be done, put right.
 * Context: any, NMI included; list_lock held, or nobody else has the slab.
 */
import { PAGE_SIZE } from "../../../base/limits.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { PGTY_slab } from "../../../layout/page.ts";
import { FreePointer, KmemCache, Slab, SLAB_FROZEN } from "../../../layout/slab.ts";
import { SLAB_POISON } from "../../../layout/slab_flags.ts";
import { NULL, type Ptr } from "../../../mem/struct.ts";
import { find_fault, POISON_INUSE, restore_bytes, SLUB_RED_INACTIVE } from "./debug_bytes.ts";
import { check_object } from "./debug_object.ts";
import { object_err, slab_err, slab_fix } from "./debug_report.ts";
import { add_full, remove_partial, slab_test_node_partial } from "./partial.ts";
import { get_node, index_to_obj, oo_objects, oo_order, slab_address, slab_nid } from "./slab.ts";
import { check_valid_pointer, type Slot } from "./slot.ts";
import { freelist_ptr, make_word, set_freepointer, slab_word, word_freelist, word_inuse } from "./slab_word.ts";

const { next: NEXT } = FreePointer.offset;
const { oo: OO, min: MIN } = KmemCache.offset;
const { type: TYPE, counters: COUNTERS, objects: OBJECTS, order: ORDER } = Slab.offset;

/** Bytes that are shown of a slab's tail. */
const MOST_PADDING = 64;

type SlabPtr = Ptr<"slab">;

/** Writes the word of a slab that only holders of list_lock change. */
export function write_slab_word(cpu: Cpu, slab: SlabPtr, word: number): void {
  cpu.mem.write_once(slab, COUNTERS, word);
}
/** Is this a slab at all? @kernel mm/slub.c, validate_slab_ptr() */
export function is_slab(cpu: Cpu, slab: SlabPtr): boolean {
  return cpu.mem.read(slab, TYPE) === PGTY_slab;
}
/**
 * Objects of a slab of this order. Differs: the kernel divides its pages by the size of a slot. That is the same, but for
 * tests, which may want slabs of fewer objects.
 */
function max_objects(cpu: Cpu, { s }: Slot, slab: SlabPtr): number {
  const oo = cpu.mem.read(s, OO);
  return oo_objects(oo_order(oo) === cpu.mem.read(slab, ORDER) ? oo : cpu.mem.read(s, MIN));
}

/**
 * check_slab() - is what the slab says about itself possible?
 * @kernel  mm/slub.c
 * @returns false: nothing can be done with it.
 */
export function check_slab(cpu: Cpu, slot: Slot, slab: SlabPtr): boolean {
  if (!is_slab(cpu, slab)) {
    slab_err(cpu, slot, slab, "Not a valid slab page");
    return false;
  }
  const max = max_objects(cpu, slot, slab);
  const objects = cpu.mem.read(slab, OBJECTS);
  if (objects > max) {
    slab_err(cpu, slot, slab, `objects ${objects} > max ${max}`);
    return false;
  }
  const word = slab_word(cpu, slab);
  if (word_inuse(word) > objects) {
    slab_err(cpu, slot, slab, `inuse ${word_inuse(word)} > max ${objects}`);
    return false;
  }
  if (word & SLAB_FROZEN) {
    slab_err(cpu, slot, slab, "Slab disabled since SLUB metadata consistency check failed");
    return false;
  }
  slab_pad_check(cpu, slot, slab);
  return true;
}

/** Is what is left at the end of the slab untouched? @kernel mm/slub.c */
function slab_pad_check(cpu: Cpu, slot: Slot, slab: SlabPtr): void {
  if ((slot.flags & SLAB_POISON) === 0) return;
  const start = slab_address(cpu, slab);
  const length = PAGE_SIZE << cpu.mem.read(slab, ORDER);
  const bytes = length % slot.size;
  if (bytes === 0) return;
  const pad = start + length - bytes;
  const fault = find_fault(cpu, pad, POISON_INUSE, bytes);
  if (fault === undefined) return;
  const range = `0x${fault.first.toString(16)}-0x${fault.last.toString(16)} @offset=${fault.first - start}`;
  slab_err(cpu, slot, slab, `Padding overwritten. ${range}`, {
    label: "Padding  ",
    start: fault.first,
    bytes: Math.min(MOST_PADDING, start + length - fault.first),
  });
  restore_bytes(cpu, slot, "slab padding", POISON_INUSE, fault);
}

/**
 * on_freelist() - look for an object on the slab's freelist, and repair what does not add up on the way.
 *
 * @kernel  mm/slub.c
 * @param   search  NULL: walk all of it.
 * @returns whether it is there; for NULL, whether the freelist can be used.
 */
export function on_freelist(cpu: Cpu, slot: Slot, slab: SlabPtr, search: Ptr): boolean {
  const { s } = slot;
  const objects = cpu.mem.read(slab, OBJECTS);
  let before: Ptr = NULL;
  let free = 0;
  for (let fp: Ptr = word_freelist(cpu, s, slab, slab_word(cpu, slab)); fp !== NULL;) {
    if (fp === search) return true;
    if (!check_valid_pointer(cpu, slot, slab, objects, fp)) {
      if (before === NULL) {
        slab_err(cpu, slot, slab, "Freepointer corrupt");
        clear_freelist(cpu, slot, slab);
        return false;
      }
      object_err(cpu, slot, slab, before, "Freechain corrupt");
      set_freepointer(cpu, s, before, NULL);
      break;
    }
    if (++free > objects) {
      slab_err(cpu, slot, slab, "Freelist cycle detected");
      clear_freelist(cpu, slot, slab);
      return false;
    }
    before = fp;
    fp = next_free(cpu, slot, fp);
  }
  adjust_counts(cpu, slot, slab, free);
  return search === NULL;
}

/** get_freepointer() in one step. */
function next_free(cpu: Cpu, { s, offset }: Slot, object: Ptr): Ptr<"object"> {
  const link = (object + offset) as Ptr<"free_pointer">;
  return freelist_ptr(cpu, s, link, cpu.mem.read(link, NEXT));
}
/** The slab has `free` free objects: does it know that? */
function adjust_counts(cpu: Cpu, slot: Slot, slab: SlabPtr, free: number): void {
  const max = max_objects(cpu, slot, slab);
  const objects = cpu.mem.read(slab, OBJECTS);
  if (objects !== max) {
    slab_err(cpu, slot, slab, `Wrong number of objects. Found ${objects} but should be ${max}`);
    cpu.mem.write(slab, OBJECTS, max);
    slab_fix(cpu, slot, "Number of objects adjusted");
  }
  const word = slab_word(cpu, slab);
  if (word_inuse(word) === max - free) return;
  slab_err(cpu, slot, slab, `Wrong object count. Counter is ${word_inuse(word)} but counted were ${max - free}`);
  const freelist = word_freelist(cpu, slot.s, slab, word);
  write_slab_word(cpu, slab, make_word(cpu, slot.s, slab, freelist, max - free));
  slab_fix(cpu, slot, "Object count adjusted");
}

/**
 * A freelist that cannot be followed is given up: all objects count as used.
 * Differs: the kernel leaves such a slab on the partial list, where the next allocation finds no object in it.
 */
function clear_freelist(cpu: Cpu, slot: Slot, slab: SlabPtr): void {
  write_slab_word(cpu, slab, cpu.mem.read(slab, OBJECTS));
  slab_fix(cpu, slot, "Freelist cleared");
  if (!slab_test_node_partial(cpu, slab)) return;
  const n = get_node(cpu, slot.s, slab_nid(cpu, slab));
  remove_partial(cpu, n, slab);
  add_full(cpu, slot.flags, n, slab);
}
/** An empty slab is about to go: are its tail and its objects untouched? @kernel mm/slub.c, in free_slab() */
export function check_free_slab(cpu: Cpu, slot: Slot, slab: SlabPtr): void {
  slab_pad_check(cpu, slot, slab);
  const objects = cpu.mem.read(slab, OBJECTS);
  for (let i = 0; i < objects; i++) {
    check_object(cpu, slot, slab, index_to_obj(cpu, slot.s, slab, i), SLUB_RED_INACTIVE);
  }
}
/** The slab is taken out of service: it has no free objects, and gets none. @kernel mm/slub.c, in alloc_debug_processing() */
export function mark_broken(cpu: Cpu, slot: Slot, slab: SlabPtr): void {
  slab_fix(cpu, slot, "Marking all objects used");
  write_slab_word(cpu, slab, cpu.mem.read(slab, OBJECTS) | SLAB_FROZEN);
}
