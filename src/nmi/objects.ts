/**
 * Stamped objects: what torture allocates. The stamp is new with each allocation and stands at several places of the
 * payload, so whoever holds the object, or reads it under RCU, notices when its memory has become somebody else's: the
 * oracle of rcu I-RCU-8. The first 16 bytes are left to the allocator: kfree_rcu() writes there while readers look on.
 *
 * Everything here may be called anywhere, NMI included.
 */
import { bug } from "../shared/cpu/bug.ts";
import type { Cpu } from "../shared/cpu/cpu.ts";
import { describe_biography, describe_object } from "../shared/cpu/oracle_report.ts";
import { random_below } from "../shared/cpu/random.ts";
import { PerCpu } from "../shared/layout/percpu.ts";
import { TO_SIZE_MASK, TortureCpu, TortureObject } from "../shared/layout/torture.ts";
import { embedded, type Ptr } from "../shared/mem/struct.ts";

const { torture: TORTURE } = PerCpu.offset;
const { stamps: STAMPS } = TortureCpu.offset;
const { stamp: STAMP, info: INFO } = TortureObject.offset;

/** Smallest object that can be stamped. */
export const MIN_OBJECT = TortureObject.size + 8;
/** Largest object that can be stamped: the largest kmalloc bucket. */
export const MAX_OBJECT = 8192;

/** A size from MIN_OBJECT on: each power of two equally likely, so every kmalloc bucket is used. */
export function random_size(cpu: Cpu): number {
  return MIN_OBJECT + random_below(cpu, 1 << random_below(cpu, 12));
}

/** Stamps a new object of `size` bytes. @param flags  TO_NOLOCK or 0. @returns the stamp. */
export function stamp_object(cpu: Cpu, object: Ptr<"torture_object">, size: number, flags: number): number {
  const { mem } = cpu;
  const torture = embedded(cpu.section, TORTURE);
  const number = mem.peek(torture, STAMPS) + 1;
  mem.poke(torture, STAMPS, number);
  const stamp = Math.imul(number * 32 + cpu.id, 0x9e3779b1) | 1; // Different for each (number, CPU); never 0.
  mem.init(object, STAMP, stamp);
  mem.init(object, INFO, size | flags);
  mem.store_word(middle(object, size), stamp);
  mem.store_word(last(object, size), stamp);
  return stamp;
}

/** Checks that an object is whole. @returns its stamp. */
export function check_object(cpu: Cpu, object: Ptr<"torture_object">, holder: string): number {
  const stamp = cpu.mem.read(object, STAMP);
  check_stamp(cpu, object, stamp, holder);
  return stamp;
}
/** Checks that an object still is the one that had this stamp. */
export function check_stamp(cpu: Cpu, object: Ptr<"torture_object">, stamp: number, holder: string): void {
  const { mem } = cpu;
  const size = mem.read(object, INFO) & TO_SIZE_MASK;
  const found = mem.read(object, STAMP);
  if (found !== stamp) lost(cpu, object, holder, STAMP, found, stamp);
  if (size < MIN_OBJECT || size > MAX_OBJECT)
    fail(cpu, object, `${holder}: object ${hex(object)} has size ${size}: overwritten`);
  for (const place of [middle(object, size), last(object, size)]) {
    const word = mem.load_word(place);
    if (word !== stamp) lost(cpu, object, holder, place - object, word, stamp);
  }
}
/** TO_NOLOCK if the object came from kmalloc_nolock(), else 0. */
export function object_flags(cpu: Cpu, object: Ptr<"torture_object">): number {
  return cpu.mem.read(object, INFO) & ~TO_SIZE_MASK;
}

/** Behind the named fields in any case; the allocator's free pointer lies there once the object is free. */
function middle(object: number, size: number): number {
  return object + Math.max(TortureObject.size, (size >> 1) & ~3);
}
function last(object: number, size: number): number {
  return object + ((size - 4) & ~3);
}

function lost(cpu: Cpu, object: Ptr, holder: string, offset: number, found: number, expected: number): never {
  const what = `${holder}: object ${hex(object)} changed under its holder: the word at +${offset} is ${hex(found)}, not ${hex(expected)}`;
  fail(cpu, object, what);
}
/** Stops the machine with all that is known about the object. */
function fail(cpu: Cpu, object: Ptr, what: string): never {
  const where = describe_object(cpu.mem, cpu.map, object);
  bug(cpu, [what, where, ...describe_biography(cpu.oracle.biography(object))].join("\n  "));
}
const hex = (word: number): string => `0x${(word >>> 0).toString(16)}`;
