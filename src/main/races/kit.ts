/**
 * What the races share: a cache of small objects with a head for kfree_rcu(), and the objects that programs and NMIs
 * free. An object's scenario word is its root: whoever takes the object clears the word, so each is freed once, by whoever
 * comes first, and what is left in the words is still in use.
 */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { GFP_ATOMIC } from "../../shared/layout/gfp.ts";
import { Globals } from "../../shared/layout/globals.ts";
import { KmemCache } from "../../shared/layout/slab.ts";
import { SLAB_NO_SHEAVES } from "../../shared/layout/slab_flags.ts";
import { KvfreeRcuHead, RcuHead } from "../../shared/layout/types.ts";
import { kmem_cache_create } from "../../shared/linux/mm/slub/cache.ts";
import { kmem_cache_alloc_for_nolock } from "../../shared/linux/mm/slub/kmalloc.ts";
import { oo_make } from "../../shared/linux/mm/slub/slab.ts";
import { rcu_read_lock, rcu_read_unlock } from "../../shared/linux/rcu/update.ts";
import { array, element, offsetof, overlay, struct, u32, type Ptr } from "../../shared/mem/struct.ts";
import { get, set, type Operation, type Scenario } from "../explore/scenario.ts";

/** What is freed: 64 bytes. */
const Thing = struct("thing", {
  value: u32,
  rcu: RcuHead,
  head: overlay("rcu", KvfreeRcuHead),
  rest: array(u32, 10),
});
export type ThingPtr = Ptr<"thing">;
export const { value: VALUE, rcu: RCU, head: HEAD } = Thing.offset;
/** Slots of a sheaf of things, globals.tiny being 1. */
export const CAPACITY = 4;

/** Scenario words. */
const CACHE = 0;
export const FIRST_THING = 1;
export const THINGS = 16;
/** Words from here on are for the race itself. */
export const FIRST_WORD = FIRST_THING + THINGS;
const { scenario: WORDS } = Globals.offset;
const { oo: OO, min: MIN, min_partial: MIN_PARTIAL } = KmemCache.offset;

/** A race that is lost, and is there to show it. */
export interface Loses {
  readonly scenario: Scenario;
  readonly result: "Sometimes";
}
export const loses = (scenario: Scenario): Loses => ({ scenario, result: "Sometimes" });

/** A race: a scenario of the smallest capacities, watched by the oracle. */
export function race(of: Scenario): Scenario {
  return { oracle: true, ...of, globals: { tiny: 1, ...of.globals } };
}
/** A race with a repair of ours, which is won, and without, where it is lost. @param behaviour  KB_*: undoes the repair. */
export function repair(repaired: Scenario, behaviour: number): readonly (Scenario | Loses)[] {
  const off = {
    ...repaired,
    name: `${repaired.name}-off`,
    summary: `${repaired.summary ?? ""}, as the kernel does it`,
    globals: { ...repaired.globals, kernel_behaviour: behaviour },
  };
  return [race(repaired), loses(race(off))];
}

/** Address of scenario word `i`, as a struct that a race keeps there. */
export function at<T extends string>(cpu: Cpu, i: number): Ptr<T> {
  return (cpu.globals + offsetof(element(WORDS, i))) as Ptr<T>;
}
export function cache(cpu: Cpu): Ptr<"kmem_cache"> {
  return get(cpu, CACHE) as Ptr<"kmem_cache">;
}
/** A cache of things, whose slabs hold so many objects in one page (default: as many as the kernel chooses). */
export function makeCache(cpu: Cpu, flags = 0, objects = 0): Ptr<"kmem_cache"> {
  const s = kmem_cache_create(cpu, "things", Thing.size, { flags });
  if (objects !== 0) {
    for (const geometry of [OO, MIN]) cpu.mem.poke(s, geometry, oo_make(0, objects));
    cpu.mem.poke(s, MIN_PARTIAL, 0);
  }
  return s;
}
/** Makes `count` things of the cache that the race is about. */
export function makeThings(cpu: Cpu, s: Ptr<"kmem_cache">, count: number): void {
  if (count > THINGS) throw new RangeError(`${count} things, but there is room for ${THINGS}`);
  set(cpu, CACHE, s);
  for (let i = 0; i < count; i++) put(cpu, i, alloc(cpu));
}
/** Makes so many things of a cache without sheaves, and then does more with them. */
export const withoutSheaves =
  (count: number, more: Operation = () => undefined): Operation =>
  (cpu) => {
    makeThings(cpu, makeCache(cpu, SLAB_NO_SHEAVES), count);
    more(cpu);
  };
/** A thing, which the nolock functions may free. @returns NULL: no memory. */
export function alloc(cpu: Cpu): ThingPtr {
  return kmem_cache_alloc_for_nolock(cpu, cache(cpu), GFP_ATOMIC) as Ptr as ThingPtr;
}
/** From now on it is thing number `i`, if it is one: an allocation may have failed. */
export function put(cpu: Cpu, i: number, thing: Ptr): void {
  set(cpu, FIRST_THING + i, thing);
}
/** Thing number `i`, which is the caller's from now on. @returns NULL: somebody else has taken it. */
export function take(cpu: Cpu, i: number): ThingPtr {
  return cpu.mem.xchg(cpu.globals, element(WORDS, FIRST_THING + i), 0) as ThingPtr;
}
/**
 * A reader that looks at thing 0 twice, so that others may come between. What it sees does not matter: the oracle knows
 * how long the thing is there.
 */
export const looksTwice: Operation = (cpu) => {
  rcu_read_lock(cpu);
  for (let looks = 0; looks < 2; looks++) get(cpu, FIRST_THING);
  rcu_read_unlock(cpu);
};
