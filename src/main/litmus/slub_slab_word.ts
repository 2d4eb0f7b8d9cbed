/**
 * The slab word (spec slub 1.4): two CPUs push an object each, a third takes the whole freelist, by the lock-free update
 * of (freelist, inuse) as one word. No object is lost, none is twice on a list, and inuse counts.
 */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { GFP_KERNEL } from "../../shared/layout/gfp.ts";
import { Slab } from "../../shared/layout/slab.ts";
import { SLAB_NO_SHEAVES } from "../../shared/layout/slab_flags.ts";
import { kmem_cache_create } from "../../shared/linux/mm/slub/cache.ts";
import { kmem_cache_alloc } from "../../shared/linux/mm/slub/kmalloc.ts";
import { virt_to_slab } from "../../shared/linux/mm/slub/slab.ts";
import {
  get_freepointer,
  make_word,
  set_freepointer,
  slab_update_freelist,
  slab_word,
  word_freelist,
  word_inuse,
} from "../../shared/linux/mm/slub/slab_word.ts";
import { NULL, type Ptr } from "../../shared/mem/struct.ts";
import { get, result, resultOf, set, type Operation, type Scenario } from "../explore/scenario.ts";
import type { Litmus } from "./litmus.ts";

const { counters: COUNTERS, objects: OBJECTS } = Slab.offset;
/** Variables: the cache, its only slab, the objects that CPU 0 and CPU 1 push. */
const CACHE = 0;
const SLAB = 1;
const OBJECT = 2;
const cache = (cpu: Cpu): Ptr<"kmem_cache"> => get(cpu, CACHE) as Ptr<"kmem_cache">;
const slab = (cpu: Cpu): Ptr<"slab"> => get(cpu, SLAB) as Ptr<"slab">;

type Update = typeof slab_update_freelist;
const updateBlindly: Update = (cpu, _s, slab, _old, word) => {
  cpu.mem.write_once(slab, COUNTERS, word);
  return true;
};

const program = (update: Update): Omit<Scenario, "name"> => {
  const push: Operation = (cpu) => {
    const object = get(cpu, OBJECT + cpu.id) as Ptr;
    for (;;) {
      const old = slab_word(cpu, slab(cpu));
      set_freepointer(cpu, cache(cpu), object, word_freelist(cpu, cache(cpu), slab(cpu), old));
      const word = make_word(cpu, cache(cpu), slab(cpu), object, word_inuse(old) - 1);
      if (update(cpu, cache(cpu), slab(cpu), old, word)) return;
    }
  };
  const takeAll: Operation = (cpu) => {
    for (;;) {
      const old = slab_word(cpu, slab(cpu));
      const word = make_word(cpu, cache(cpu), slab(cpu), NULL, cpu.mem.read(slab(cpu), OBJECTS));
      if (!update(cpu, cache(cpu), slab(cpu), old, word)) continue;
      result(cpu, 0, word_freelist(cpu, cache(cpu), slab(cpu), old));
      return;
    }
  };
  return {
    setup: (cpu) => {
      const s = kmem_cache_create(cpu, "litmus", 1024, { flags: SLAB_NO_SHEAVES });
      set(cpu, CACHE, s);
      for (const i of [0, 1]) set(cpu, OBJECT + i, kmem_cache_alloc(cpu, s, GFP_KERNEL));
      set(cpu, SLAB, virt_to_slab(cpu, get(cpu, OBJECT) as Ptr));
    },
    cpus: [[push], [push], [takeAll]],
  };
};

/** The objects of a freelist. A broken one may be a circle. */
function chain(cpu: Cpu, first: Ptr<"object">): Ptr<"object">[] {
  const objects: Ptr<"object">[] = [];
  for (let object = first; object !== NULL && objects.length < 64; object = get_freepointer(cpu, cache(cpu), object))
    objects.push(object);
  return objects;
}
/** Is each object of the slab in one place, and is inuse the number of those that are not on the freelist? */
function whole(cpu: Cpu): boolean {
  const word = slab_word(cpu, slab(cpu));
  const free = chain(cpu, word_freelist(cpu, cache(cpu), slab(cpu), word));
  const taken = chain(cpu, resultOf(cpu, 0) as Ptr<"object">);
  const total = cpu.mem.read(slab(cpu), OBJECTS);
  return (
    new Set([...free, ...taken]).size === total &&
    free.length === total - word_inuse(word) &&
    free.length + taken.length === total
  );
}

const litmus: Litmus = {
  title: "two CPUs push onto a freelist, a third takes all of it: (freelist, inuse) changes as one word",
  outcome: "an object lost or twice on a list, or a wrong count",
  verdict: "F",
  observed: (cpu) => !whole(cpu),
  bound: 2,
  scenario: { name: "slab-word", ...program(slab_update_freelist) },
  vacuity: { name: "slab-word+no-op", ...program(updateBlindly) },
};
export default litmus;
