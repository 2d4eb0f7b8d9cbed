/**
 * check_object(): is the slot of an object as it was left? mm/slub.c; spec slub 1.5, 10.4.
 *
 *   what               where                                   expected              if
 *   Left Redzone       before the object                       0xbb free, 0xcc not   RED_ZONE
 *   Right Redzone      object_size to inuse                    the same              RED_ZONE
 *   kmalloc Redzone    the size asked for to object_size       0xcc                  it is tracked; allocated
 *   Alignment padding  object_size to inuse                    0x5a                  POISON without RED_ZONE
 *   Poison, End Poison the object                              0x6b, last byte 0xa5  POISON; free
 *   Object padding     behind the metadata                     0x5a                  POISON
 *   free pointer       at offset                               an object of the slab if it is no user's memory
 *
 * What is wrong is reported and put right. Context: any, NMI included; list_lock held, or nobody else has the slab.
 */
import type { Cpu } from "../../../cpu/cpu.ts";
import { Slab } from "../../../layout/slab.ts";
import { __OBJECT_POISON, SLAB_POISON, SLAB_RED_ZONE } from "../../../layout/slab_flags.ts";
import { NULL, type Ptr } from "../../../mem/struct.ts";
import { check_bytes_and_report, POISON_END, POISON_FREE, POISON_INUSE, SLUB_RED_ACTIVE } from "./debug_bytes.ts";
import { object_err } from "./debug_report.ts";
import { get_orig_size } from "./orig_size.ts";
import {
  check_valid_pointer,
  get_metadata_end,
  is_freeptr_outside,
  size_from_object,
  slub_debug_orig_size,
  type Slot,
} from "./slot.ts";
import { get_freepointer, set_freepointer } from "./slab_word.ts";

const { objects: OBJECTS } = Slab.offset;

/**
 * check_object() - check the slot of a free (SLUB_RED_INACTIVE) or an allocated (SLUB_RED_ACTIVE) object.
 *
 * @kernel  mm/slub.c
 * @param   check_link  false: leave the free pointer out.
 * @returns false: it was corrupted.
 */
export function check_object(
  cpu: Cpu,
  slot: Slot,
  slab: Ptr<"slab">,
  object: Ptr,
  value: number,
  check_link = true,
): boolean {
  const ok = check_object_bytes(cpu, slot, slab, object, value);
  const active = value === SLUB_RED_ACTIVE;
  // A link in memory that belongs to a user may be anything.
  if (!check_link || (active && !is_freeptr_outside(slot))) return ok;
  if (check_valid_pointer(cpu, slot, slab, cpu.mem.read(slab, OBJECTS), get_freepointer(cpu, slot.s, object)))
    return ok;
  object_err(cpu, slot, slab, object, "Freepointer corrupt");
  // The rest of the chain is lost. The count of free objects will not be right any more, which on_freelist() repairs.
  set_freepointer(cpu, slot.s, object, NULL);
  return false;
}

function check_object_bytes(cpu: Cpu, slot: Slot, slab: Ptr<"slab">, object: Ptr, value: number): boolean {
  const { flags, object_size, inuse, red_left_pad } = slot;
  const active = value === SLUB_RED_ACTIVE;
  const end = object + object_size;
  let ok = true;
  const check = (what: string, start: number, expected: number, bytes: number): void => {
    if (bytes > 0 && !check_bytes_and_report(cpu, slot, slab, object, what, start, expected, bytes, ok)) ok = false;
  };
  if (flags & SLAB_RED_ZONE) {
    check("Left Redzone", object - red_left_pad, value, red_left_pad);
    check("Right Redzone", end, value, inuse - object_size);
    if (active && slub_debug_orig_size(slot)) {
      const orig_size = get_orig_size(cpu, slot, object);
      // A size that cannot be is not checked: in the kernel it is unsigned, and then larger than any object.
      if (orig_size >= 0) check("kmalloc Redzone", object + orig_size, value, object_size - orig_size);
    }
  } else if (flags & SLAB_POISON) {
    check("Alignment padding", end, POISON_INUSE, inuse - object_size);
  }
  if (flags & SLAB_POISON) {
    if (!active && flags & __OBJECT_POISON) {
      check("Poison", object, POISON_FREE, object_size - 1);
      check("End Poison", end - 1, POISON_END, 1);
    }
    const metadata_end = get_metadata_end(slot);
    check("Object padding", object + metadata_end, POISON_INUSE, size_from_object(slot) - metadata_end);
  }
  return ok;
}
