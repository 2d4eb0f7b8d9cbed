/**
 * Slabs and caches that go while somebody still looks: readers of objects whose memory is released after a grace period
 * only (SLAB_TYPESAFE_BY_RCU), and caches that have several names. Spec slub 1.9, 5.8, 10.2.
 */
import { bug } from "../../shared/cpu/bug.ts";
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { GFP_KERNEL } from "../../shared/layout/gfp.ts";
import { KMEM_CACHE_ALIVE, KmemCache, Slab } from "../../shared/layout/slab.ts";
import { SLAB_NO_SHEAVES, SLAB_RECLAIM_ACCOUNT, SLAB_TYPESAFE_BY_RCU } from "../../shared/layout/slab_flags.ts";
import { kmem_cache_destroy } from "../../shared/linux/mm/kvfree_rcu/destroy.ts";
import { check_page_allocator } from "../../shared/linux/mm/page_alloc/check.ts";
import { kmem_cache_create } from "../../shared/linux/mm/slub/cache.ts";
import { slabs_of_cache } from "../../shared/linux/mm/slub/check.ts";
import { kmem_cache_alloc, kmem_cache_free } from "../../shared/linux/mm/slub/kmalloc.ts";
import { virt_to_slab } from "../../shared/linux/mm/slub/slab.ts";
import { rcu_barrier } from "../../shared/linux/rcu/tree_barrier.ts";
import { rcu_read_lock, rcu_read_unlock } from "../../shared/linux/rcu/update.ts";
import { NULL, type Ptr } from "../../shared/mem/struct.ts";
import { get, set, type Operation, type Scenario } from "../explore/scenario.ts";
import { cache, FIRST_THING, FIRST_WORD, loses, makeCache, makeThings, race, type ThingPtr } from "./kit.ts";
import { accounted } from "./kit_account.ts";
import { free, freeNolock, slabFree } from "./kit_frees.ts";

const { slab_cache: SLAB_CACHE } = Slab.offset;
const { refcount: REFCOUNT, alive: ALIVE, min_partial: MIN_PARTIAL } = KmemCache.offset;
/** Where readers find the thing; an alias. */
const ROOT = FIRST_WORD;
const ALIAS = FIRST_WORD + 1;

/** What it finds may be freed, and be another thing by now; but a thing it is. */
const reader: Operation = (cpu) => {
  rcu_read_lock(cpu);
  const thing = get(cpu, ROOT) as ThingPtr;
  for (let looks = thing === NULL ? 0 : 2; looks > 0; looks--) {
    const slab = virt_to_slab(cpu, thing);
    if (slab === NULL || cpu.mem.data_race_read(slab, SLAB_CACHE) !== cache(cpu)) {
      bug(cpu, "a reader looks at a thing whose memory is no thing any more");
    }
  }
  rcu_read_unlock(cpu);
};
const unlink: Operation = (cpu) => set(cpu, ROOT, NULL);
const gone = (cpu: Cpu): string | undefined => {
  const pages = slabs_of_cache(cpu, cache(cpu)).size;
  return pages === 0 ? check_page_allocator(cpu)[0] : `${pages} slabs are left`;
};
/** One thing in a slab of its own: its free releases the slab, or, if the cache keeps some, the end of the cache does. */
const typesafe = (what: string, summary: string, flags: number, kept: number, end: Operation): Scenario =>
  race({
    name: `typesafe-${what}`,
    summary: `a reader of a freed object against the release of its slab${summary}`,
    setup: (cpu) => {
      makeThings(cpu, makeCache(cpu, flags | SLAB_NO_SHEAVES, 1), 1);
      set(cpu, ROOT, get(cpu, FIRST_THING));
      cpu.mem.poke(cache(cpu), MIN_PARTIAL, kept);
    },
    cpus: [[reader], [unlink, slabFree(0), end]],
    check: gone,
  });
const destroy: Operation = (cpu) => void kmem_cache_destroy(cpu, cache(cpu));

/** With kmalloc caches things would be merged, too, but for this flag. */
const FLAGS = SLAB_RECLAIM_ACCOUNT;
const create_alias = (cpu: Cpu): Ptr<"kmem_cache"> => kmem_cache_create(cpu, "alias", 60, { flags: FLAGS });
/** Creates an alias, uses and destroys it. */
const alias_life: Operation = (cpu) => {
  const s = create_alias(cpu);
  if (s !== cache(cpu)) bug(cpu, "the new cache is no alias");
  const object = kmem_cache_alloc(cpu, s, GFP_KERNEL);
  if (object !== NULL) kmem_cache_free(cpu, s, object);
  if (kmem_cache_destroy(cpu, s) !== 0) bug(cpu, "objects of others were taken for what an alias has left");
};
const alive = (cpu: Cpu): string | undefined => {
  if (cpu.mem.peek(cache(cpu), ALIVE) !== KMEM_CACHE_ALIVE) return "the cache went with its alias";
  if (cpu.mem.peek(cache(cpu), REFCOUNT) !== 1) return `refcount is ${cpu.mem.peek(cache(cpu), REFCOUNT)}`;
  return accounted(cpu);
};
const merge = { globals: { slab_merge: 1 } };

export default [
  typesafe("reader", "", SLAB_TYPESAFE_BY_RCU, 0, rcu_barrier),
  typesafe("destroy", " and cache", SLAB_TYPESAFE_BY_RCU, 1, destroy),
  loses(typesafe("not", ", which does not wait", 0, 0, rcu_barrier)),
  race({
    ...merge,
    name: "merge-alias",
    summary: "an alias of a cache is created, used and destroyed while others free objects of the cache",
    setup: (cpu) => makeThings(cpu, makeCache(cpu, FLAGS), 8),
    cpus: [[alias_life], [free(0), free(1), free(2)]],
    nmi: (cpu) => {
      if (cpu.id === 0) freeNolock(3)(cpu);
    },
    check: alive,
  }),
  race({
    ...merge,
    name: "merge-two-destroys",
    summary: "a cache is destroyed by both of its names at once: the last one releases it",
    setup: (cpu) => {
      makeThings(cpu, makeCache(cpu, FLAGS), 2);
      set(cpu, ALIAS, create_alias(cpu));
    },
    cpus: [
      [free(0), destroy],
      [free(1), (cpu) => void kmem_cache_destroy(cpu, get(cpu, ALIAS) as Ptr<"kmem_cache">)],
    ],
    check: gone,
  }),
];
