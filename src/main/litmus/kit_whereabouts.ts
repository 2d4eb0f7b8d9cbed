/** Is every thing of kit_objects.ts in one place, and what waits, counted and waited for? */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { check_deferred } from "../../shared/linux/mm/kvfree_rcu/check.ts";
import { check_slab_cache } from "../../shared/linux/mm/slub/check_sheaves.ts";
import { sheaf_bytes } from "../../shared/linux/mm/slub/sheaf.ts";
import { kmalloc_slab } from "../../shared/linux/mm/slub/size_class.ts";
import type { Ptr } from "../../shared/mem/struct.ts";
import { check_whereabouts } from "../races/kit_whereabouts.ts";
import { cache, CAPACITY, HEAD } from "./kit_objects.ts";

/** @param users  things that have not been freed. @returns what is wrong, in words. @context Machine at rest */
export function unaccounted(cpu: Cpu, users: readonly Ptr[]): string[] {
  return [
    ...check_whereabouts(cpu, cache(cpu), users, HEAD),
    ...check_deferred(cpu).filter((problem) => /stranded|counts|held/.test(problem)),
    ...check_slab_cache(cpu, kmalloc_slab(cpu, sheaf_bytes(CAPACITY), 0)),
  ];
}
