/**
 * What lies where in a slot of a debugged cache. mm/slub.c; spec slub 1.5.
 *
 *   left red zone (red_left_pad) | object (object_size) | right red zone up to `inuse` | free pointer, if outside
 *   | alloc track, free track | original size | rest up to the next slot's left red zone
 *
 * Context: any, for whoever has the slab. Debug code reads a cache's fields once and passes them on in a Slot.
 */
import type { Cpu } from "../../../cpu/cpu.ts";
import { KmemCache, OrigSize, Track } from "../../../layout/slab.ts";
import { SLAB_KMALLOC, SLAB_RED_ZONE, SLAB_STORE_USER } from "../../../layout/slab_flags.ts";
import { NULL, type Ptr } from "../../../mem/struct.ts";
import type { Memory } from "../../../mem/memory.ts";
import { slab_address } from "./slab.ts";

const {
  flags: FLAGS,
  size: SIZE,
  object_size: OBJECT_SIZE,
  inuse: INUSE,
  offset: OFFSET,
  red_left_pad: RED_LEFT_PAD,
} = KmemCache.offset;
const POINTER = 8;

/** Fields of a cache, under their names. */
export interface Slot {
  readonly s: Ptr<"kmem_cache">;
  readonly flags: number;
  readonly size: number;
  readonly object_size: number;
  readonly inuse: number;
  readonly offset: number;
  readonly red_left_pad: number;
}

/** @context Any; the cache is alive. */
export function slot_of(cpu: Cpu, s: Ptr<"kmem_cache">): Slot {
  const { mem } = cpu;
  return {
    s,
    flags: mem.read(s, FLAGS),
    size: mem.read(s, SIZE),
    object_size: mem.read(s, OBJECT_SIZE),
    inuse: mem.read(s, INUSE),
    offset: mem.read(s, OFFSET),
    red_left_pad: mem.read(s, RED_LEFT_PAD),
  };
}
/** The same without steps, for whoever looks from outside. */
export function peek_slot(mem: Memory, s: Ptr<"kmem_cache">): Slot {
  return {
    s,
    flags: mem.peek(s, FLAGS),
    size: mem.peek(s, SIZE),
    object_size: mem.peek(s, OBJECT_SIZE),
    inuse: mem.peek(s, INUSE),
    offset: mem.peek(s, OFFSET),
    red_left_pad: mem.peek(s, RED_LEFT_PAD),
  };
}

/** Is the free pointer behind the object rather than in it? @kernel mm/slub.c */
export function is_freeptr_outside({ offset, inuse }: Slot): boolean {
  return offset >= inuse;
}
/** Where metadata begins, from the start of the object. @kernel mm/slub.c */
function get_info_end(slot: Slot): number {
  return is_freeptr_outside(slot) ? slot.inuse + POINTER : slot.inuse;
}
/** Does the cache remember how much was asked for? @kernel mm/slub.c */
export function slub_debug_orig_size({ flags }: Slot): boolean {
  return (flags & (SLAB_STORE_USER | SLAB_KMALLOC)) === (SLAB_STORE_USER | SLAB_KMALLOC);
}
/** Where metadata ends. */
export function get_metadata_end(slot: Slot): number {
  const tracks = slot.flags & SLAB_STORE_USER ? 2 * Track.size : 0;
  return get_info_end(slot) + tracks + (slub_debug_orig_size(slot) ? OrigSize.size : 0);
}
/** Bytes from the start of an object to the next slot. @kernel mm/slub.c */
export function size_from_object({ flags, size, red_left_pad }: Slot): number {
  return flags & SLAB_RED_ZONE ? size - red_left_pad : size;
}

/** TRACK_ALLOC or TRACK_FREE of an object of a cache with SLAB_STORE_USER. @kernel mm/slub.c */
export function get_track(slot: Slot, object: Ptr, alloc: number): Ptr<"track"> {
  return (object + get_info_end(slot) + alloc * Track.size) as Ptr<"track">;
}
/** Where the size that was asked for is kept; only with slub_debug_orig_size(). */
export function orig_size_of(slot: Slot, object: Ptr): Ptr<"orig_size"> {
  return (object + get_info_end(slot) + 2 * Track.size) as Ptr<"orig_size">;
}

/** Is this NULL, or the start of an object of a slab at `base` with so many? */
export function is_valid_pointer(slot: Slot, base: number, objects: number, object: Ptr): boolean {
  if (object === NULL) return true;
  const from_base = object - slot.red_left_pad - base;
  return from_base >= 0 && from_base < objects * slot.size && from_base % slot.size === 0;
}
/** @kernel mm/slub.c @context Any */
export function check_valid_pointer(cpu: Cpu, slot: Slot, slab: Ptr<"slab">, objects: number, object: Ptr): boolean {
  return is_valid_pointer(slot, slab_address(cpu, slab), objects, object);
}
