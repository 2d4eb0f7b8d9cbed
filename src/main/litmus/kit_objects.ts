/**
 * Objects of kfree_rcu(): things of one cache. A thing bears a tag from its allocation on, and is poisoned when it is
 * freed, so whoever looks at the tag sees whether it is still there.
 */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { GFP_ATOMIC } from "../../shared/layout/gfp.ts";
import { SLAB_NO_SHEAVES } from "../../shared/layout/slab_flags.ts";
import { KvfreeRcuHead, RcuHead } from "../../shared/layout/types.ts";
import { kfree_rcu, kfree_rcu_mightsleep } from "../../shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { kmem_cache_create } from "../../shared/linux/mm/slub/cache.ts";
import { kmem_cache_alloc_for_nolock } from "../../shared/linux/mm/slub/kmalloc.ts";
import { rcu_read_lock, rcu_read_unlock } from "../../shared/linux/rcu/update.ts";
import { array, NULL, overlay, struct, u32, type Ptr } from "../../shared/mem/struct.ts";
import { get, result, set, type Operation, type Scenario } from "../explore/scenario.ts";

/** 64 bytes. */
const Thing = struct("litmus_thing", {
  tag: u32,
  rcu: RcuHead,
  head: overlay("rcu", KvfreeRcuHead),
  rest: array(u32, 10),
});
export const { head: HEAD } = Thing.offset;
const { tag: TAG } = Thing.offset;
type ThingPtr = Ptr<"litmus_thing">;
/** Slots of a sheaf of things, globals.tiny being 1. */
export const CAPACITY = 4;

/** Variables: the cache, what readers find, the things. Those between are the test's own. */
const CACHE = 0;
const ROOT = 1;
const FOUND = 2;
const FIRST_THING = 16;
const LIVE = 1;

/** With small sheaves and pages, and poison. */
export const OBJECTS = { tiny: 1, poison_free: 1 } satisfies Scenario["globals"];

export const cache = (cpu: Cpu): Ptr<"kmem_cache"> => get(cpu, CACHE) as Ptr<"kmem_cache">;
export const thing = (cpu: Cpu, i: number): ThingPtr => get(cpu, FIRST_THING + i) as ThingPtr;

/** A cache, and so many things of it; then more. */
export const withThings =
  (count: number, flags: number, more: Operation = () => undefined): Operation =>
  (cpu) => {
    const s = kmem_cache_create(cpu, "litmus", Thing.size, { flags });
    set(cpu, CACHE, s);
    for (let i = 0; i < count; i++) {
      const object = kmem_cache_alloc_for_nolock(cpu, s, GFP_ATOMIC);
      publish(cpu, object);
      set(cpu, FIRST_THING + i, object);
    }
    more(cpu);
  };
/** Tags an object, and lets readers find it. */
export function publish(cpu: Cpu, object: Ptr): void {
  cpu.mem.write(object as ThingPtr, TAG, LIVE);
  set(cpu, ROOT, object);
}
/** What readers find from now on. @returns what they have found. */
export function unpublish(cpu: Cpu): ThingPtr {
  const object = get(cpu, ROOT) as ThingPtr;
  set(cpu, ROOT, NULL);
  return object;
}
/** One look: has the object not been freed yet? */
export const isThere = (cpu: Cpu, object: Ptr): boolean => cpu.mem.data_race_read(object as ThingPtr, TAG) === LIVE;

/** RL; deref p -> q; looks at q, if there is one; RU. r0 = 1: q was freed meanwhile. */
export const reader: Operation = (cpu) => read(cpu, () => undefined);
/** The same for CPU 1, and CPU 0 may wait until it has found q. */
export const signallingReader: Operation = (cpu) => read(cpu, () => set(cpu, FOUND, 1));
export function awaitReader(cpu: Cpu): void {
  while (get(cpu, FOUND) === 0) cpu.mem.relax();
}
function read(cpu: Cpu, found: () => void): void {
  rcu_read_lock(cpu);
  const object = get(cpu, ROOT) as Ptr;
  found();
  for (let looks = object === NULL ? 0 : 2; looks > 0; looks--) if (!isThere(cpu, object)) result(cpu, 0, 1);
  rcu_read_unlock(cpu);
}

/** Where kfree_rcu() of a thing leaves it, and how it is made to do so. */
export interface Way {
  readonly name: string;
  readonly flags: number;
  readonly free: (cpu: Cpu, object: ThingPtr) => void;
}
export const SHEAF: Way = { name: "sheaf", flags: 0, free: (cpu, object) => kfree_rcu(cpu, object, HEAD) };
/** Without cached pages (globals.rcu_min_cached_objs is 0) it takes the form that may allocate one. */
export const BNODE: Way = { name: "bnode", flags: SLAB_NO_SHEAVES, free: kfree_rcu_mightsleep };
export const LIST: Way = { ...SHEAF, name: "list", flags: SLAB_NO_SHEAVES };
export const WAYS: readonly Way[] = [SHEAF, BNODE, LIST];

/** E6 and E7: frees a thing, waits, and looks. r0 = 1: it is still there. */
export const freeThenWait = ({ flags, free }: Way, wait: Operation): Omit<Scenario, "name"> => ({
  globals: OBJECTS,
  setup: withThings(1, flags),
  cpus: [
    [
      (cpu) => {
        const object = thing(cpu, 0);
        free(cpu, object);
        wait(cpu);
        result(cpu, 0, isThere(cpu, object) ? 1 : 0);
      },
    ],
    [],
  ],
});
