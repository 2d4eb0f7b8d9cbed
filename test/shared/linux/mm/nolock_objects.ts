/**
 * Objects of a cache of the test's own, of any geometry, for the nolock functions: the kernel allows those of
 * kmalloc_nolock() only, which come from kmalloc caches.
 */
import type { Cpu } from "../../../../src/shared/cpu/cpu.ts";
import { GFP_KERNEL } from "../../../../src/shared/layout/gfp.ts";
import { kmem_cache_alloc_for_nolock } from "../../../../src/shared/linux/mm/slub/kmalloc.ts";
import type { Ptr } from "../../../../src/shared/mem/struct.ts";

/** kmem_cache_alloc() of an object that the nolock functions may get. */
export function alloc_for_nolock(cpu: Cpu, s: Ptr<"kmem_cache">, gfp = GFP_KERNEL): Ptr<"object"> {
  return kmem_cache_alloc_for_nolock(cpu, s, gfp);
}
