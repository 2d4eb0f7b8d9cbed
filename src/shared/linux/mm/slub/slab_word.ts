/**
 * (freelist, inuse) of a slab, changed as one. mm/slub.c; spec slub 1.4.
 *
 *   bits 31-16  number of the first free object + 1; 0: the freelist is empty
 *   bit  15     frozen: out of service after a failed check
 *   bits 14-0   inuse: objects that are not on the freelist, wherever they are (users, sheaves, deferred lists)
 *
 *   operation                  by                            needs
 *   push a chain               __slab_free()                 nothing; list_lock for full to partial, or to empty
 *   take everything            get_freelist_nofreeze()       the slab is isolated
 *   put back on an empty list  __slab_try_return_freelist()  list_lock
 *   pop one                    get_from_partial_node()       list_lock, the slab on the list of its node
 *
 * A pop reads the second object's link before its cmpxchg. No ABA: only pops and take-alls remove the head, and the lock
 * and isolation keep them apart; pushes change the word.
 *
 * Differs: the kernel compares two 64-bit words at once. `objects` never changes and numbers fit 16 bits, so here it is
 * one 32-bit word, and a freelist pointer is an index.
 */
import { FreePointer, KmemCache, Slab, SL_locked, SLAB_FREELIST_SHIFT, SLAB_INUSE_MASK } from "../../../layout/slab.ts";
import { STAT } from "../../../layout/slab_stat.ts";
import { __CMPXCHG_DOUBLE } from "../../../layout/slab_flags.ts";
import { POINT } from "../../../layout/points.ts";
import { NULL, type Ptr } from "../../../mem/struct.ts";
import { assert, bug } from "../../../cpu/bug.ts";
import { irqs_disabled, local_irq_restore, local_irq_save } from "../../../cpu/context.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { point } from "../../../cpu/trace.ts";
import { bit_spin_lock, bit_spin_unlock } from "../../sync/bit_spinlock.ts";
import { index_to_obj, obj_to_index } from "./slab.ts";
import { stat } from "./stat.ts";

const { flags: SLAB_FLAGS, counters: COUNTERS, objects: OBJECTS } = Slab.offset;
const { flags: CACHE_FLAGS, offset: OFFSET, random: RANDOM } = KmemCache.offset;
const { next: NEXT } = FreePointer.offset;
/** bit_spin_lock() takes the number of the bit. */
const SL_LOCKED_BIT = 31 - Math.clz32(SL_locked);

/** The slab word now. */
export function slab_word(cpu: Cpu, slab: Ptr<"slab">): number {
  return cpu.mem.read_once(slab, COUNTERS);
}
export function word_inuse(word: number): number {
  return word & SLAB_INUSE_MASK;
}
/** Is the freelist empty? */
export function word_full(word: number): boolean {
  return word >>> SLAB_FREELIST_SHIFT === 0;
}
/** First free object of a slab whose word is `word`; NULL: none. */
export function word_freelist(cpu: Cpu, s: Ptr<"kmem_cache">, slab: Ptr<"slab">, word: number): Ptr<"object"> {
  const number = word >>> SLAB_FREELIST_SHIFT;
  return number === 0 ? NULL : index_to_obj(cpu, s, slab, number - 1);
}
/** The word of a slab with this freelist and so many objects in use. */
export function make_word(cpu: Cpu, s: Ptr<"kmem_cache">, slab: Ptr<"slab">, freelist: Ptr, inuse: number): number {
  if (freelist === NULL) return inuse;
  return ((obj_to_index(cpu, s, slab, freelist) + 1) << SLAB_FREELIST_SHIFT) | inuse;
}

/** The link in a free object. @kernel mm/slub.c @context Any */
export function get_freepointer(cpu: Cpu, s: Ptr<"kmem_cache">, object: Ptr): Ptr<"object"> {
  const slot = (object + cpu.mem.read(s, OFFSET)) as Ptr<"free_pointer">;
  return freelist_ptr(cpu, s, slot, cpu.mem.read(slot, NEXT));
}
/** Links a free object to the next one; a bug if that is itself, as in a naive double free. @kernel mm/slub.c @context Any */
export function set_freepointer(cpu: Cpu, s: Ptr<"kmem_cache">, object: Ptr, next: Ptr): void {
  if (object === next) bug(cpu, `object ${object} is freed twice: it is first on its freelist already`);
  const slot = (object + cpu.mem.read(s, OFFSET)) as Ptr<"free_pointer">;
  cpu.mem.write(slot, NEXT, freelist_ptr(cpu, s, slot, next));
}

/**
 * freelist_ptr() - a link, encoded or decoded, which is the same: with CONFIG_SLAB_FREELIST_HARDENED a link is stored
 * XOR the cache's secret and XOR the address of where it is stored, bytes swapped. Who writes an address there without
 * knowing the secret (use after free) makes a link to nowhere, and who reads it learns no address.
 *
 * Why peek: the secret never changes once the cache can be seen.
 *
 * @kernel mm/slub.c, freelist_ptr_encode() and freelist_ptr_decode()
 * @context Any
 */
export function freelist_ptr(cpu: Cpu, s: Ptr<"kmem_cache">, slot: Ptr, link: Ptr): Ptr<"object"> {
  const random = cpu.mem.peek(s, RANDOM);
  return (random === 0 ? link : link ^ random ^ swab(slot)) as Ptr<"object">;
}
/** The bytes of a word in the other order. */
function swab(n: number): number {
  return (n << 24) | ((n & 0xff00) << 8) | ((n >>> 8) & 0xff00) | (n >>> 24);
}
/**
 * The object behind a link that has been taken off a freelist. @returns it.
 *
 * Differs: the kernel stores what a broken link decodes to, and dies when it is followed. Here a freelist is a number,
 * which cannot stand for it. Without hardening nothing is checked, as there: a forged link works.
 *
 * @context Any
 */
export function checked_link(cpu: Cpu, s: Ptr<"kmem_cache">, slab: Ptr<"slab">, link: Ptr<"object">): Ptr<"object"> {
  const { mem } = cpu;
  if (link === NULL || mem.peek(s, RANDOM) === 0) return link;
  const index = obj_to_index(cpu, s, slab, link);
  if (index < 0 || index >= mem.read(slab, OBJECTS) || index_to_obj(cpu, s, slab, index) !== link) {
    bug(
      cpu,
      `a free object of slab ${slab} is linked to 0x${(link >>> 0).toString(16)}, which is no object of it: written after its free`,
    );
  }
  return link;
}

/**
 * __slab_update_freelist() - replace the slab word, if it still is `old_word`.
 *
 * @kernel  mm/slub.c
 * @returns false: it was not; the caller reads it again.
 * @context Any, IRQs off. Without __CMPXCHG_DOUBLE it takes slab_lock, so never NMI then.
 */
export function __slab_update_freelist(
  cpu: Cpu,
  s: Ptr<"kmem_cache">,
  slab: Ptr<"slab">,
  old_word: number,
  new_word: number,
): boolean {
  assert(cpu, cpu.rt || irqs_disabled(cpu), "__slab_update_freelist() with IRQs on");
  return update_freelist(cpu, s, slab, old_word, new_word);
}

/**
 * slab_update_freelist() - the same with IRQs on or off.
 *
 * @kernel  mm/slub.c
 * @context Any. Without __CMPXCHG_DOUBLE it takes slab_lock, so never NMI then.
 */
export function slab_update_freelist(
  cpu: Cpu,
  s: Ptr<"kmem_cache">,
  slab: Ptr<"slab">,
  old_word: number,
  new_word: number,
): boolean {
  if (cpu.mem.read(s, CACHE_FLAGS) & __CMPXCHG_DOUBLE) return update_freelist(cpu, s, slab, old_word, new_word);
  const flags = local_irq_save(cpu); // Why: an IRQ that frees into this slab would spin on our slab_lock.
  const updated = update_freelist(cpu, s, slab, old_word, new_word);
  local_irq_restore(cpu, flags);
  return updated;
}

function update_freelist(
  cpu: Cpu,
  s: Ptr<"kmem_cache">,
  slab: Ptr<"slab">,
  old_word: number,
  new_word: number,
): boolean {
  point(cpu, POINT.slab_read_before_cmpxchg);
  const updated =
    cpu.mem.read(s, CACHE_FLAGS) & __CMPXCHG_DOUBLE
      ? cpu.mem.cmpxchg(slab, COUNTERS, old_word, new_word) === old_word
      : __update_freelist_slow(cpu, slab, old_word, new_word);
  if (updated) return true;
  // Differs: no cpu_relax(). The caller waits for nobody: what made this attempt fail is there already.
  stat(cpu, s, STAT.CMPXCHG_DOUBLE_FAIL);
  return false;
}

/** Compare and store under slab_lock, for machines that cannot compare two words at once. IRQs off. */
function __update_freelist_slow(cpu: Cpu, slab: Ptr<"slab">, old_word: number, new_word: number): boolean {
  slab_lock(cpu, slab);
  const updated = cpu.mem.read_once(slab, COUNTERS) === old_word;
  if (updated) cpu.mem.write_once(slab, COUNTERS, new_word);
  slab_unlock(cpu, slab);
  return updated;
}
/** @kernel mm/slub.c @context Any but NMI, IRQs off */
export function slab_lock(cpu: Cpu, slab: Ptr<"slab">): void {
  bit_spin_lock(cpu, slab, SLAB_FLAGS, SL_LOCKED_BIT);
}
export function slab_unlock(cpu: Cpu, slab: Ptr<"slab">): void {
  bit_spin_unlock(cpu, slab, SLAB_FLAGS, SL_LOCKED_BIT);
}
