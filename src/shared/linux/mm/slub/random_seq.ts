/**
 * The order in which the objects of a new slab are handed out: that of their addresses, or with
 * CONFIG_SLAB_FREELIST_RANDOM a random one. mm/slub.c, mm/slab_common.c; spec slub 1.9.
 *
 * A cache has one random permutation of the objects of its largest slabs, made when the cache is; each slab begins it
 * at a random position. A walk is at a position in that permutation, or in the order of addresses if there is none.
 *
 * The permutation, and what else a walk reads, never changes while the slab can be seen: reading it is no step.
 */
import { has_bug } from "../../../cpu/bugs.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { this_cpu_ptr } from "../../../cpu/cpu.ts";
import { cpu_random } from "../../../cpu/random.ts";
import { BUG_RANDOM_IN_NMI } from "../../../layout/bugs.ts";
import { GFP_KERNEL } from "../../../layout/gfp.ts";
import { Globals } from "../../../layout/globals.ts";
import { PerCpu } from "../../../layout/percpu.ts";
import { KmemCache, RandomSeq, Slab, SlubCpu } from "../../../layout/slab.ts";
import { element, embedded, NULL, type Ptr } from "../../../mem/struct.ts";
import { get_random_u32_below, prandom_u32_below } from "../../lib/random.ts";
import { kfree, kmalloc } from "./kmalloc.ts";
import { index_to_obj, oo_objects } from "./slab.ts";

const { shuffle: SHUFFLE } = Globals.offset;
const { slub: SLUB } = PerCpu.offset;
const { prandom: PRANDOM } = SlubCpu.offset;
const { oo: OO, random_seq: RANDOM_SEQ } = KmemCache.offset;
const { objects: OBJECTS } = Slab.offset;
const { order: ORDER } = RandomSeq.offset;

type Cache = Ptr<"kmem_cache">;

/** Are new slabs handed out in random order? @context Any */
export function freelists_are_random(cpu: Cpu): boolean {
  return cpu.mem.peek(cpu.globals, SHUFFLE) !== 0;
}

/** Seeds the numbers that NMIs may draw. @kernel mm/slub.c, slab_rnd_state @context Task, at boot, alone */
export function init_slab_rnd_state(cpu: Cpu): void {
  for (let id = 0; id < cpu.map.shape.cpus; id++) {
    cpu.mem.init(embedded(cpu.map.section(id), SLUB), PRANDOM, cpu_random(cpu) | 1); // Never 0: it would stay 0.
  }
}

/**
 * init_cache_random_seq() - draw the permutation of a cache.
 * @kernel  mm/slub.c; cache_random_seq_create() and freelist_randomize() in mm/slab_common.c
 * @returns false: no memory.
 * @context Task, may sleep; nobody allocates from the cache yet, or at boot.
 */
export function init_cache_random_seq(cpu: Cpu, s: Cache): boolean {
  const { mem } = cpu;
  const count = oo_objects(mem.read(s, OO));
  if (!freelists_are_random(cpu) || count < 2 || mem.peek(s, RANDOM_SEQ) !== NULL) return true;
  const seq = kmalloc(cpu, count * 4, GFP_KERNEL) as Ptr as Ptr<"random_seq">;
  if (seq === NULL) return false;
  for (let i = 0; i < count; i++) mem.init(seq, element(ORDER, i), i);
  for (let i = count - 1; i > 0; i--) {
    const j = get_random_u32_below(cpu, i + 1);
    const other = mem.peek(seq, element(ORDER, j));
    mem.init(seq, element(ORDER, j), mem.peek(seq, element(ORDER, i)));
    mem.init(seq, element(ORDER, i), other);
  }
  mem.init(s, RANDOM_SEQ, seq);
  return true;
}
/** @kernel mm/slab_common.c @context Task; the cache has no slabs any more. */
export function cache_random_seq_destroy(cpu: Cpu, s: Cache): void {
  const seq = cpu.mem.read(s, RANDOM_SEQ);
  if (seq === NULL) return;
  cpu.mem.write(s, RANDOM_SEQ, NULL);
  kfree(cpu, seq);
}

/**
 * slab_obj_iter() - where to begin with a new slab.
 * Why two generators: the good one takes a lock, which an NMI may find taken (slub B6).
 * @kernel  mm/slub.c, init_slab_obj_iter()
 * @returns the position of the first object.
 * @context Any without allow_spin, else Hardirq.
 */
export function slab_obj_iter(cpu: Cpu, s: Cache, slab: Ptr<"slab">, allow_spin: boolean): number {
  const { mem } = cpu;
  const seq = mem.peek(s, RANDOM_SEQ);
  const objects = mem.peek(slab, OBJECTS);
  if (seq === NULL || objects < 2) return 0;
  const count = oo_objects(mem.peek(s, OO));
  const start =
    allow_spin || has_bug(cpu, BUG_RANDOM_IN_NMI)
      ? get_random_u32_below(cpu, count)
      : prandom_u32_below(cpu, this_cpu_ptr(cpu, SLUB), PRANDOM, count);
  return within_slab(cpu, seq, start, count, objects);
}
/** The position of the next object. @kernel mm/slub.c @context Any */
export function next_slab_obj(cpu: Cpu, s: Cache, slab: Ptr<"slab">, position: number): number {
  const { mem } = cpu;
  const seq = mem.peek(s, RANDOM_SEQ);
  const objects = mem.peek(slab, OBJECTS);
  if (seq === NULL || objects < 2) return position + 1;
  const count = oo_objects(mem.peek(s, OO));
  return within_slab(cpu, seq, position + 1, count, objects);
}
/** The object at a position. @context Any */
export function slab_obj_at(cpu: Cpu, s: Cache, slab: Ptr<"slab">, position: number): Ptr<"object"> {
  const seq = cpu.mem.peek(s, RANDOM_SEQ);
  const random = seq !== NULL && cpu.mem.peek(slab, OBJECTS) > 1;
  return index_to_obj(cpu, s, slab, random ? cpu.mem.peek(seq, element(ORDER, position)) : position);
}
/** The first position from `position` on whose object a slab of `objects` has: it may be a small one (ORDER_FALLBACK). */
function within_slab(cpu: Cpu, seq: Ptr<"random_seq">, position: number, count: number, objects: number): number {
  let at = position % count;
  while (cpu.mem.peek(seq, element(ORDER, at)) >= objects) at = (at + 1) % count;
  return at;
}
