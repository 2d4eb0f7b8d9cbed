/**
 * Magazines: per class, objects that a thread has at hand. Fast paths of allocation and free touch nothing else, and
 * nobody but the slot's thread touches its magazines (its reaper does when it is dead). So they need no atomics, and no
 * thread that works for an idle slot has to know whether its own thread is just allocating. docs/adr/0011.
 *
 * A thread may die between any two stores here: at worst one object is lost with it.
 */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { kmem_cache_alloc } from "../../shared/linux/api.ts";
import { kmem_cache_alloc_bulk } from "../../shared/linux/mm/slub/bulk_alloc.ts";
import { kmem_cache_free_bulk } from "../../shared/linux/mm/slub/bulk_free.ts";
import type { Memory } from "../../shared/mem/memory.ts";
import { element, NULL, offsetof, type Ptr } from "../../shared/mem/struct.ts";
import { GFP_HEAP } from "./callbacks.ts";
import { FREED, GRANULE, GRANULE_SHIFT, Magazine } from "./layout.ts";

const { count: COUNT, objects: OBJECTS } = Magazine.offset;
/** In words: from one magazine to the next, from one object to the next, and from the count to the first object. */
const MAGAZINE_SHIFT = 6;
const OBJECT_WORDS = 2;
const FIRST_OBJECT = offsetof(OBJECTS) >> 2;
// Why: what is imported is not a constant to V8, and these are for the fast paths.
const SHIFT: number = GRANULE_SHIFT;
const UNALIGNED: number = GRANULE - 1;
const FREE: number = FREED;

export class Magazines {
  /** Index of the first one, class 0's. */
  private base: number;
  private readonly words: Int32Array;
  private readonly tags: Uint8Array;
  private limits: Uint8Array;
  /** Index of the slot's pending word: not 0 if there is work for its CPU. */
  private readonly pending: number;

  constructor(words: Int32Array, tags: Uint8Array, limits: Uint8Array, first: Ptr<"heap_magazine">, pending: number) {
    this.words = words;
    this.tags = tags;
    this.limits = limits;
    this.base = first >> 2;
    this.pending = pending >> 2;
  }
  /** They are somebody else's now. @param none  magazines that stay empty: whoever looks finds nothing, and no room. */
  close(none: Ptr<"heap_magazine">): void {
    this.base = none >> 2;
    this.limits = new Uint8Array(this.limits.length);
  }

  /** An object of class `c`, its tag as it was; 0: there is none at hand, or there is work to be done first. */
  pop(c: number): number {
    const { words } = this;
    const at = this.base + (c << MAGAZINE_SHIFT);
    const count = words[at];
    if (count === 0 || words[this.pending] !== 0) return 0;
    const object = words[at + FIRST_OBJECT - OBJECT_WORDS + count * OBJECT_WORDS];
    words[at] = count - 1;
    return object;
  }
  /** Takes an object of class `c`. @returns false: there is no room, or there is work to be done first. */
  push(c: number, object: number): boolean {
    const { words } = this;
    const at = this.base + (c << MAGAZINE_SHIFT);
    const count = words[at];
    if (count >= this.limits[c] || words[this.pending] !== 0) return false;
    words[at + FIRST_OBJECT + count * OBJECT_WORDS] = object;
    this.tags[object >> SHIFT] = FREE;
    words[at] = count + 1;
    return true;
  }
  /** Tag of what begins at an address, whatever that is; 0 for what is no address of the heap. */
  tag(address: number): number {
    if ((address | 0) !== address || (address & UNALIGNED) !== 0 || address < 0) return 0;
    const i = address >> SHIFT;
    return i < this.tags.length ? this.tags[i] : 0;
  }
}

/** Fills an empty magazine with up to `count` objects. @context Task on the slot's CPU @returns how many it holds. */
export function refill_magazine(cpu: Cpu, magazine: Ptr<"heap_magazine">, s: Ptr<"kmem_cache">, count: number): number {
  const { mem } = cpu;
  let got = count;
  if (!kmem_cache_alloc_bulk(cpu, s, GFP_HEAP, count, objects_of(magazine))) {
    const object = kmem_cache_alloc(cpu, s, GFP_HEAP);
    got = object === NULL ? 0 : 1;
    mem.write(magazine, element(OBJECTS, 0), object);
  }
  mem.write(magazine, COUNT, got);
  return got;
}
/** Gives the `count` objects back that have been in the magazine longest. @context Task on the slot's CPU */
export function flush_magazine(cpu: Cpu, magazine: Ptr<"heap_magazine">, s: Ptr<"kmem_cache">, count: number): void {
  const { mem } = cpu;
  const left = mem.read(magazine, COUNT) - count;
  kmem_cache_free_bulk(cpu, s, count, objects_of(magazine));
  for (let i = 0; i < left; i++)
    mem.write(magazine, element(OBJECTS, i), mem.read(magazine, element(OBJECTS, count + i)));
  mem.write(magazine, COUNT, left);
}
export function magazine_count(mem: Memory, magazine: Ptr<"heap_magazine">): number {
  return mem.peek(magazine, COUNT);
}
/** The objects in a magazine, oldest first. */
export function magazine_objects(mem: Memory, magazine: Ptr<"heap_magazine">): Ptr<"object">[] {
  return Array.from({ length: magazine_count(mem, magazine) }, (_, i) => mem.peek(magazine, element(OBJECTS, i)));
}
/** As what bulk functions take. */
function objects_of(magazine: Ptr<"heap_magazine">): Ptr<"object_array"> {
  return (magazine + offsetof(OBJECTS)) as Ptr<"object_array">;
}
