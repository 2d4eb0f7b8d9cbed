/**
 * A machine without memory, a CPU without room in its sheaves, a barn with one that has room, a slab that a sheaf is
 * refilled from.
 */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { GFP_KERNEL, NUMA_NO_NODE } from "../../shared/layout/gfp.ts";
import { SLAB_ALLOC_DEFAULT } from "../../shared/layout/slab_flags.ts";
import { alloc_frozen_pages } from "../../shared/linux/mm/page_alloc/page_alloc.ts";
import { barn_put_empty_sheaf } from "../../shared/linux/mm/slub/barn.ts";
import { kmalloc, kmem_cache_free } from "../../shared/linux/mm/slub/kmalloc.ts";
import { get_barn } from "../../shared/linux/mm/slub/pcs.ts";
import { alloc_empty_sheaf, sheaf_bytes } from "../../shared/linux/mm/slub/sheaf.ts";
import { NULL } from "../../shared/mem/struct.ts";
import type { Operation } from "../explore/scenario.ts";
import { cache, CAPACITY, makeCache, makeThings, take } from "./kit.ts";
import { allocate, insideSheafLock } from "./kit_frees.ts";

/** No page is free. */
export function exhaustPages(cpu: Cpu): void {
  while (alloc_frozen_pages(cpu, 0, NUMA_NO_NODE) !== NULL);
}
/** No page is free, nor an object that a sheaf of things could be made of. */
export function exhaustMemory(cpu: Cpu): void {
  exhaustPages(cpu);
  while (kmalloc(cpu, sheaf_bytes(CAPACITY), 0) !== NULL);
}
/** Main and spare are full, and things from 2 * CAPACITY on in use: to give another one back takes a new sheaf. */
export function fillSheaves(cpu: Cpu): void {
  makeThings(cpu, makeCache(cpu), 3 * CAPACITY); // What a sheaf was filled with is all in use.
  for (let i = 0; i < 2 * CAPACITY; i++) kmem_cache_free(cpu, cache(cpu), take(cpu, i));
}
/** An empty sheaf for the barn of this CPU, if there is memory for one. */
export function putEmptySheaf(cpu: Cpu): void {
  const s = cache(cpu);
  const sheaf = alloc_empty_sheaf(cpu, s, GFP_KERNEL, SLAB_ALLOC_DEFAULT);
  if (sheaf !== NULL) barn_put_empty_sheaf(cpu, get_barn(cpu, s), sheaf);
}

/** A slab with one sheaf of things in use, and free ones: as many for a refill, and two that this gives back. */
export function oneSlab(cpu: Cpu): void {
  makeThings(cpu, makeCache(cpu, 0, 2 * CAPACITY + 2), CAPACITY);
}
/** A slab with one sheaf of things in use, and too few free ones for a refill. */
export function scarceSlab(cpu: Cpu): void {
  makeThings(cpu, makeCache(cpu, 0, 2 * CAPACITY - 1), CAPACITY);
}
/** The next allocation: refills the sheaf from the slab. */
export const refill = allocate(CAPACITY);
/** An allocation that cannot have a sheaf. */
export const allocFromSlab =
  (i: number): Operation =>
  (cpu) =>
    insideSheafLock(cpu, allocate(i));
