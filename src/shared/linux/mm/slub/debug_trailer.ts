/**
 * The lines of a report about an object: its tracks, its slab, its bytes. mm/slub.c; spec slub 10.4.
 * Context: any. Peeks only: no step.
 *
 * Differs: the kernel shows up to a page of an object, and all of the rest.
 */
import type { Cpu } from "../../../cpu/cpu.ts";
import { PGTY_slab } from "../../../layout/page.ts";
import {
  FreePointer,
  SL_locked,
  SL_partial,
  SL_pfmemalloc,
  Slab,
  SLAB_FREELIST_SHIFT,
  SLAB_FROZEN,
  SLAB_INUSE_MASK,
} from "../../../layout/slab.ts";
import { SLAB_RED_ZONE } from "../../../layout/slab_flags.ts";
import type { Ptr } from "../../../mem/struct.ts";
import { slab_address } from "./slab.ts";
import { freelist_ptr } from "./slab_word.ts";
import { get_metadata_end, is_valid_pointer, size_from_object, type Slot } from "./slot.ts";
import { print_tracking } from "./track.ts";

const { flags: FLAGS, type: TYPE, counters: COUNTERS, objects: OBJECTS, node: NODE } = Slab.offset;
const { next: NEXT } = FreePointer.offset;
/** Bytes in a line of a dump, and before an object that has no red zone. */
const ROW = 16;
/** Bytes that are shown of an object, and of what lies around it. */
const MOST_OF_OBJECT = 256;
const MOST_AROUND = 64;

const hex = (value: number): string => `0x${(value >>> 0).toString(16)}`;

/** The lines of `bytes` bytes from `start` on. @kernel mm/slub.c */
export function print_section({ mem }: Cpu, label: string, start: number, bytes: number): string[] {
  const byte_at = (at: number): number => (mem.peek((at & ~3) as Ptr<"free_pointer">, NEXT) >>> (8 * (at & 3))) & 0xff;
  const lines: string[] = [];
  for (let row = start; row < start + bytes; row += ROW) {
    const values = Array.from({ length: Math.min(ROW, start + bytes - row) }, (_, i) => byte_at(row + i));
    const digits = values.map((value) => value.toString(16).padStart(2, "0")).join(" ");
    const text = values.map((value) => (value >= 0x20 && value < 0x7f ? String.fromCharCode(value) : ".")).join("");
    lines.push(`${label} ${row.toString(16).padStart(8, "0")}: ${digits.padEnd(3 * ROW - 1)}  ${text}`);
  }
  return lines;
}

/** The first free object of a slab, as its word says; 0: none. */
function freelist_of({ mem }: Cpu, { size, red_left_pad }: Slot, slab: Ptr<"slab">, base: number): number {
  const number = mem.peek(slab, COUNTERS) >>> SLAB_FREELIST_SHIFT;
  return number === 0 ? 0 : base + (number - 1) * size + red_left_pad;
}
/** @kernel mm/slub.c */
export function print_slab_info(cpu: Cpu, slot: Slot, slab: Ptr<"slab">): string {
  const { mem } = cpu;
  const word = mem.peek(slab, COUNTERS);
  const flags = mem.peek(slab, FLAGS);
  const words = [
    ...(mem.peek(slab, TYPE) === PGTY_slab ? ["slab"] : []),
    ...(flags & SL_locked ? ["locked"] : []),
    ...(flags & SL_partial ? ["partial"] : []),
    ...(flags & SL_pfmemalloc ? ["pfmemalloc"] : []),
    ...(word & SLAB_FROZEN ? ["frozen"] : []),
    `node=${mem.peek(slab, NODE)}`,
  ];
  const fp = freelist_of(cpu, slot, slab, slab_address(cpu, slab));
  const objects = mem.peek(slab, OBJECTS);
  const used = word & SLAB_INUSE_MASK;
  return `Slab ${hex(slab)} objects=${objects} used=${used} fp=${hex(fp)} flags=${words.join("|")}`;
}
/** Is this an object of the slab, so that its slot can be shown? */
export function is_our_object(cpu: Cpu, slot: Slot, slab: Ptr<"slab">, object: Ptr): boolean {
  return object !== 0 && is_valid_pointer(slot, slab_address(cpu, slab), cpu.mem.peek(slab, OBJECTS), object);
}
/** @kernel mm/slub.c */
export function print_trailer(cpu: Cpu, slot: Slot, slab: Ptr<"slab">, object: Ptr): string[] {
  const { flags, object_size, inuse, red_left_pad, offset } = slot;
  const base = slab_address(cpu, slab);
  const link = (object + offset) as Ptr<"free_pointer">;
  const fp = freelist_ptr(cpu, slot.s, link, cpu.mem.peek(link, NEXT));
  const lines = [
    ...print_tracking(cpu, slot, object),
    print_slab_info(cpu, slot, slab),
    `Object ${hex(object)} @offset=${object - base} fp=${hex(fp)}`,
    "",
  ];
  const section = (label: string, start: number, bytes: number, most = MOST_AROUND): number =>
    lines.push(...print_section(cpu, label, start, Math.min(bytes, most)));
  const before = Math.min(red_left_pad, MOST_AROUND); // What is next to the object.
  if (flags & SLAB_RED_ZONE) section("Redzone  ", object - before, before);
  else if (object > base + ROW) section("Bytes b4 ", object - ROW, ROW);
  section("Object   ", object, object_size, MOST_OF_OBJECT);
  if (flags & SLAB_RED_ZONE) section("Redzone  ", object + object_size, inuse - object_size);
  const end = get_metadata_end(slot);
  section("Padding  ", object + end, size_from_object(slot) - end);
  return lines;
}
