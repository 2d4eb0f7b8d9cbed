/** What must hold when a race is over, whoever won it. */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { check_deferred } from "../../shared/linux/mm/kvfree_rcu/check.ts";
import { check_page_allocator } from "../../shared/linux/mm/page_alloc/check.ts";
import { check_slab_cache } from "../../shared/linux/mm/slub/check_sheaves.ts";
import { sheaf_bytes } from "../../shared/linux/mm/slub/sheaf.ts";
import { kmalloc_slab } from "../../shared/linux/mm/slub/size_class.ts";
import type { Ptr } from "../../shared/mem/struct.ts";
import { get } from "../explore/scenario.ts";
import { cache, CAPACITY, FIRST_THING, HEAD, THINGS } from "./kit.ts";
import { check_whereabouts } from "./kit_whereabouts.ts";

/**
 * Each thing is in one place, and what waits has a work that will come for it. Sheaves are things of a cache of their
 * own, whose slabs must be whole, too.
 */
export function accounted(cpu: Cpu): string | undefined {
  const users: Ptr[] = [];
  for (let i = 0; i < THINGS; i++) {
    const thing = get(cpu, FIRST_THING + i);
    if (thing !== 0) users.push(thing as Ptr);
  }
  return [
    ...check_whereabouts(cpu, cache(cpu), users, HEAD),
    ...check_deferred(cpu).filter((problem) => /stranded|counts|held/.test(problem)),
    ...check_slab_cache(cpu, kmalloc_slab(cpu, sheaf_bytes(CAPACITY), 0)),
    ...check_page_allocator(cpu),
  ][0];
}
