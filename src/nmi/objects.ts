/**
 * Stamped objects: what torture allocates. The stamp is new with each allocation and stands at several places of the
 * payload, so whoever holds the object, or reads it under RCU, notices when its memory has become somebody else's: the
 * oracle of rcu I-RCU-8. The head comes first, and is the allocator's: kfree_rcu() writes there while readers look on. In
 * an object with a small head (struct kvfree_rcu_head, 8 bytes) what lies behind it is the user's already, and is stamped.
 *
 * Everything here may be called anywhere, NMI included.
 */
import type { Cpu } from "../shared/cpu/cpu.ts";
import { object_bug } from "../shared/cpu/oracle.ts";
import { random_below } from "../shared/cpu/random.ts";
import { Globals } from "../shared/layout/globals.ts";
import { PerCpu } from "../shared/layout/percpu.ts";
import { TO_SIZE_MASK, TO_SMALL_HEAD, TortureCpu, TortureGlobals, TortureObject } from "../shared/layout/torture.ts";
import { KvfreeRcuHead, RcuHead } from "../shared/layout/types.ts";
import {
  kasan_check_range,
  kcsan_begin_scoped_access,
  kcsan_end_scoped_access,
  kmsan_check_memory,
  kmsan_unpoison_memory,
} from "../shared/linux/api.ts";
import type { KvfreeRcuField } from "../shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { embedded, type Ptr } from "../shared/mem/struct.ts";

const { torture: TORTURE } = PerCpu.offset;
const { torture: TORTURE_GLOBALS } = Globals.offset;
const { stamps: STAMPS } = TortureCpu.offset;
const { head_bytes: HEAD_BYTES } = TortureGlobals.offset;
const { stamp: STAMP, info: INFO, rcu: RCU, kvfree_rcu: KVFREE_RCU } = TortureObject.offset;

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
  const torture = embedded(cpu.home, TORTURE);
  const number = mem.peek(torture, STAMPS) + 1;
  mem.poke(torture, STAMPS, number);
  const stamp = Math.imul(number * 32 + cpu.home_id, 0x9e3779b1) | 1; // Different for each (number, CPU); never 0.
  const small_head = has_small_head(cpu, number);
  mem.init(object, STAMP, stamp);
  mem.init(object, INFO, size | flags | (small_head ? TO_SMALL_HEAD : 0));
  if (small_head) mem.store_word(behind_head(object), stamp);
  mem.store_word(middle(object, size), stamp);
  mem.store_word(last(object, size), stamp);
  kmsan_unpoison_memory(cpu, object, size);
  return stamp;
}

/** Which head is the object to have that gets this stamp? */
function has_small_head(cpu: Cpu, number: number): boolean {
  const bytes = cpu.mem.peek(embedded(cpu.globals, TORTURE_GLOBALS), HEAD_BYTES);
  return bytes === 0 ? (number & 1) !== 0 : bytes === KvfreeRcuHead.size;
}
/** The head to give to kfree_rcu() and kfree_rcu_nolock(). */
export function head_of(cpu: Cpu, object: Ptr<"torture_object">): KvfreeRcuField<"torture_object"> {
  return (object_flags(cpu, object) & TO_SMALL_HEAD) !== 0 ? KVFREE_RCU : RCU;
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
  const outer = kcsan_begin_scoped_access(cpu, object);
  kasan_check_range(cpu, object, MIN_OBJECT, holder);
  const info = mem.read(object, INFO);
  const size = info & TO_SIZE_MASK;
  const found = mem.read(object, STAMP);
  if (found !== stamp) lost(cpu, object, holder, STAMP, found, stamp);
  if (size < MIN_OBJECT || size > MAX_OBJECT)
    object_bug(cpu, object, `${holder}: object ${hex(object)} has size ${size}: overwritten`);
  check_word(cpu, object, middle(object, size), stamp, holder);
  check_word(cpu, object, last(object, size), stamp, holder);
  if ((info & TO_SMALL_HEAD) !== 0) check_word(cpu, object, behind_head(object), stamp, holder);
  kmsan_check_memory(cpu, object, size);
  kcsan_end_scoped_access(cpu, outer);
}
function check_word(cpu: Cpu, object: Ptr, place: number, stamp: number, holder: string): void {
  const word = cpu.mem.load_word(place);
  if (word !== stamp) lost(cpu, object, holder, place - object, word, stamp);
}
/** TO_NOLOCK if the object came from kmalloc_nolock(); TO_SMALL_HEAD if it has such a head. */
export function object_flags(cpu: Cpu, object: Ptr<"torture_object">): number {
  return cpu.mem.read(object, INFO) & ~TO_SIZE_MASK;
}

/** Behind the named fields in any case; the allocator's free pointer lies there once the object is free. */
function middle(object: number, size: number): number {
  return object + Math.max(TortureObject.size, (size >> 1) & ~3);
}
/** The second word of a struct rcu_head. */
function behind_head(object: number): number {
  return object + RcuHead.size - KvfreeRcuHead.size;
}
function last(object: number, size: number): number {
  return object + ((size - 4) & ~3);
}

function lost(cpu: Cpu, object: Ptr, holder: string, offset: number, found: number, expected: number): never {
  const what = `${holder}: object ${hex(object)} changed under its holder: the word at +${offset} is ${hex(found)}, not ${hex(expected)}`;
  object_bug(cpu, object, what);
}
const hex = (word: number): string => `0x${(word >>> 0).toString(16)}`;
