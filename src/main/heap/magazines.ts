/**
 * Magazines: per class, objects that a thread has at hand. Fast paths of allocation and free touch nothing else, and
 * nobody but the slot's thread touches its magazines (its reaper does when it is dead). So they need no atomics, and no
 * thread that works for an idle slot has to know whether its own thread is just allocating. docs/adr/0011.
 *
 * A thread may die between any two stores here: at worst one object is lost with it.
 */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { kmem_cache_alloc, kmem_cache_free } from "../../shared/linux/api.ts";
import type { Memory } from "../../shared/mem/memory.ts";
import { element, NULL, type Ptr } from "../../shared/mem/struct.ts";
import { GFP_HEAP } from "./callbacks.ts";
import { Magazine } from "./layout.ts";

const { count: COUNT, objects: OBJECTS } = Magazine.offset;

/** What a thread does with its magazines. */
export interface Magazines {
  /** An object of class `c`, from now on its user's; 0: there is none at hand, or there is work to be done first. */
  pop: (c: number) => number;
  /** The same, its tag as it was. */
  take: (c: number) => number;
  /** Takes an object back. @returns false: it is none, or there is no room, or there is work to be done first. */
  free: (object: number) => boolean;
  /** Tag of what begins at an address, whatever that is; 0 for what is no address of the heap. */
  readonly tag: (address: number) => number;
  /** They are somebody else's now: whoever looks finds nothing, and no room. */
  readonly close: () => void;
}

/**
 * Functions that are made anew for each attachment, and no methods: a thread has one heap as a rule, and then all that they
 * close over is constant to V8, the arrays' addresses and lengths, too. A pair takes half the time that way. In a thread of
 * several heaps V8 loads each name from its scope; that is why there are numbers here (layout.ts): a magazine has 256
 * words, its count is the first one, and objects take two each from the third on; an object's tag lies at its address / 8.
 *
 * @param limits   how many objects there may be at hand, by tag: 0 for what is no live object of a known class.
 * @param base     index of the first magazine, class 0's, which stays empty.
 * @param pending  index of the slot's pending word: not 0 if there is work for its CPU.
 */
export function openMagazines(
  words: Int32Array,
  tags: Uint8Array,
  limits: Uint8Array,
  base: number,
  pending: number,
): Magazines {
  const magazines: Magazines = {
    pop: (c) => {
      const at = base + (c << 8);
      const count = words[at];
      if (count === 0 || words[pending] !== 0) return 0;
      words[at] = count - 1;
      const object = words[(at + count * 2) | 0];
      tags[object >> 3] = c;
      return object;
    },
    take: (c) => {
      const at = base + (c << 8);
      const count = words[at];
      if (count === 0 || words[pending] !== 0) return 0;
      words[at] = count - 1;
      return words[(at + count * 2) | 0];
    },
    free: (object) => {
      if ((object | 0) !== object || (object & 7) !== 0 || object < 0) return false;
      const i = object >> 3;
      if (i >= tags.length) return false;
      const c = tags[i];
      const limit = limits[c];
      if (limit === 0) return false;
      const at = base + (c << 8);
      const count = words[at];
      if (count >= limit || words[pending] !== 0) return false;
      words[(at + count * 2 + 2) | 0] = object;
      tags[i] = 0x80;
      words[at] = count + 1;
      return true;
    },
    tag: (address) => {
      if ((address | 0) !== address || (address & 7) !== 0 || address < 0) return 0;
      const i = address >> 3;
      return i < tags.length ? tags[i] : 0;
    },
    close: () => {
      magazines.pop = magazines.take = () => 0;
      magazines.free = () => false;
    },
  };
  return magazines;
}

/**
 * Fills an empty magazine with up to `count` objects. Why not in bulk: that takes up to twice as long.
 * @context Task on the slot's CPU @returns how many it holds.
 */
export function refill_magazine(cpu: Cpu, magazine: Ptr<"heap_magazine">, s: Ptr<"kmem_cache">, count: number): number {
  const { mem } = cpu;
  let got = 0;
  for (; got < count; got++) {
    const object = kmem_cache_alloc(cpu, s, GFP_HEAP);
    if (object === NULL) break;
    mem.write(magazine, element(OBJECTS, got), object);
  }
  mem.write(magazine, COUNT, got);
  return got;
}
/** Gives the `count` objects back that have been in the magazine longest. @context Task on the slot's CPU */
export function flush_magazine(cpu: Cpu, magazine: Ptr<"heap_magazine">, s: Ptr<"kmem_cache">, count: number): void {
  const { mem } = cpu;
  const left = mem.read(magazine, COUNT) - count;
  for (let i = 0; i < count; i++) kmem_cache_free(cpu, s, mem.read(magazine, element(OBJECTS, i)));
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
