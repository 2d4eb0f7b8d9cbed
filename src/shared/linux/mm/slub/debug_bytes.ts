/**
 * Bytes of known value around and in objects of debugged caches: writing them, and looking whether they are still there.
 * mm/slub.c; spec slub 10.4.
 *
 *   0x6b, last 0xa5  body of a free object (SLAB_POISON)
 *   0x5a             memory that nobody has used yet, padding
 *   0xbb / 0xcc      red zone of a free / an allocated object (SLAB_RED_ZONE)
 *
 * Context: any, NMI included; list_lock held, or nobody else has the slab.
 */
import type { Cpu } from "../../../cpu/cpu.ts";
import { __OBJECT_POISON, SLAB_RED_ZONE } from "../../../layout/slab_flags.ts";
import type { Ptr } from "../../../mem/struct.ts";
import { object_report, slab_add_kunit_errors, slab_fix, slab_note } from "./debug_report.ts";
import { get_orig_size } from "./orig_size.ts";
import { slab_address } from "./slab.ts";
import { slub_debug_orig_size, type Slot } from "./slot.ts";

// include/linux/poison.h
export const POISON_INUSE = 0x5a;
export const POISON_FREE = 0x6b;
export const POISON_END = 0xa5;
export const SLUB_RED_INACTIVE = 0xbb;
export const SLUB_RED_ACTIVE = 0xcc;

const hex = (value: number): string => `0x${value.toString(16)}`;

/** Bytes that are not what they should be: the first and the last of them, and the first one's value. */
export interface Fault {
  readonly first: number;
  readonly last: number;
  readonly value: number;
}
/** Looks for bytes other than `value`. @returns undefined: there are none. */
export function find_fault(cpu: Cpu, start: number, value: number, bytes: number): Fault | undefined {
  const { mem } = cpu;
  const first = mem.scan(start, bytes, value);
  if (first === 0) return undefined;
  let last = start + bytes - 1;
  while (last > first && mem.load_byte(last) === value) last--;
  return { first, last, value: mem.load_byte(first) };
}

/** Puts bytes right. @kernel mm/slub.c */
export function restore_bytes(cpu: Cpu, slot: Slot, what: string, value: number, { first, last }: Fault): void {
  slab_fix(cpu, slot, `Restoring ${what} ${hex(first)}-${hex(last)}=${hex(value)}`);
  cpu.mem.fill(first, last + 1 - first, value);
}

/**
 * check_bytes_and_report() - are these bytes of an object's slot still what they were set to? If not they are restored.
 *
 * @kernel  mm/slub.c
 * @param   report  false: the object has been reported, a line will do.
 */
export function check_bytes_and_report(
  cpu: Cpu,
  slot: Slot,
  slab: Ptr<"slab">,
  object: Ptr,
  what: string,
  start: number,
  value: number,
  bytes: number,
  report: boolean,
): boolean {
  const fault = find_fault(cpu, start, value, bytes);
  if (fault === undefined) return true;
  if (!slab_add_kunit_errors(cpu)) {
    const { first, last, value: found } = fault;
    const line =
      `[${what} overwritten] ${hex(first)}-${hex(last)} @offset=${first - slab_address(cpu, slab)}. ` +
      `First byte ${hex(found)} instead of ${hex(value)}`;
    if (report) object_report(cpu, slot, slab, object, "Object corrupt", [line]);
    else slab_note(cpu, line);
  }
  restore_bytes(cpu, slot, what, value, fault);
  return false;
}

/**
 * init_object() - make an object's slot look free (SLUB_RED_INACTIVE) or allocated (SLUB_RED_ACTIVE).
 * What kmalloc() was not asked for is red zone while the object is allocated.
 * @kernel  mm/slub.c
 */
export function init_object(cpu: Cpu, slot: Slot, object: Ptr, value: number): void {
  const { flags, object_size, inuse, red_left_pad } = slot;
  const { mem } = cpu;
  let poison_size = object_size;
  if (flags & SLAB_RED_ZONE) {
    mem.fill(object - red_left_pad, red_left_pad, value);
    if (value === SLUB_RED_ACTIVE && slub_debug_orig_size(slot)) poison_size = get_orig_size(cpu, slot, object);
  }
  if (flags & __OBJECT_POISON) {
    if (poison_size > 1) mem.fill(object, poison_size - 1, POISON_FREE);
    mem.fill(object + poison_size - 1, 1, POISON_END);
  }
  if (flags & SLAB_RED_ZONE) mem.fill(object + poison_size, inuse - poison_size, value);
}
