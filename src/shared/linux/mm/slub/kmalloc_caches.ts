/**
 * The kmalloc caches: which types have caches of their own, and how they are called. mm/slab_common.c; spec slub 1.8.
 *
 *   type                  name                    its own caches
 *   KMALLOC_NORMAL        kmalloc-64              always
 *   KMALLOC_RECLAIM       kmalloc-rcl-64          unless globals.tiny
 *   KMALLOC_CGROUP        kmalloc-cg-64           unless globals.tiny
 *   KMALLOC_DMA           dma-kmalloc-64          with globals.zone_dma
 *   KMALLOC_NO_OBJ_EXT    kmalloc-no-objext-64    if there are extension vectors, which are allocated from it
 *   KMALLOC_PARTITION_..  kmalloc-part-01-64      globals.kmalloc_partitions of them
 *
 * An entry that has none is an alias: it holds the cache of KMALLOC_NORMAL. Not so partitions: theirs are NULL.
 *
 * Context: task, at boot, alone.
 */
import { no_memory } from "../../../cpu/bug.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { HOOK_MEMCG } from "../../../layout/debug.ts";
import { Globals, KB_OBJ_EXT_RECURSION } from "../../../layout/globals.ts";
import { NR_KMALLOC_BUCKETS, SlabGlobals } from "../../../layout/slab.ts";
import {
  SLAB_ACCOUNT,
  SLAB_CACHE_DMA,
  SLAB_KMALLOC,
  SLAB_NO_MERGE,
  SLAB_NO_OBJ_EXT,
  SLAB_RECLAIM_ACCOUNT,
} from "../../../layout/slab_flags.ts";
import { element, NULL, type Ptr } from "../../../mem/struct.ts";
import { create_cache } from "./cache.ts";
import {
  KMALLOC_CGROUP,
  KMALLOC_DMA,
  KMALLOC_NO_OBJ_EXT,
  KMALLOC_NORMAL,
  KMALLOC_PARTITION_START,
  KMALLOC_RECLAIM,
  KMALLOC_SIZES,
  kmalloc_cache,
} from "./size_class.ts";

const { tiny: TINY, hooks: HOOKS, kernel_behaviour: KERNEL_BEHAVIOUR } = Globals.offset;
const { zone_dma: ZONE_DMA, kmalloc_partitions: KMALLOC_PARTITIONS } = Globals.offset;
const { kmalloc_caches: KMALLOC_CACHES } = SlabGlobals.offset;

interface Type {
  readonly type: number;
  readonly prefix: string;
  readonly flags: number;
  /** False: an alias. */
  readonly own: boolean;
}

/** "64", "1k": how a size reads in the name of a cache. */
export function size_name(size: number): string {
  return size >= 1024 ? `${size / 1024}k` : `${size}`;
}

/** The types, KMALLOC_NORMAL first. */
function types_of(cpu: Cpu): readonly Type[] {
  const word = (field: typeof TINY): number => cpu.mem.peek(cpu.globals, field);
  const memcg = (word(HOOKS) & HOOK_MEMCG) !== 0;
  const vectors_apart = memcg && (word(KERNEL_BEHAVIOUR) & KB_OBJ_EXT_RECURSION) === 0;
  const roomy = word(TINY) === 0;
  const partitions = Array.from({ length: word(KMALLOC_PARTITIONS) }, (_, i) => ({
    type: KMALLOC_PARTITION_START + i,
    prefix: `kmalloc-part-${String(i + 1).padStart(2, "0")}`,
    flags: SLAB_NO_MERGE,
    own: true,
  }));
  return [
    // With memory cgroups users that are accounted for would come into caches of those who are not.
    { type: KMALLOC_NORMAL, prefix: "kmalloc", flags: memcg ? SLAB_NO_MERGE : 0, own: true },
    { type: KMALLOC_RECLAIM, prefix: "kmalloc-rcl", flags: SLAB_RECLAIM_ACCOUNT, own: roomy },
    { type: KMALLOC_CGROUP, prefix: "kmalloc-cg", flags: SLAB_ACCOUNT, own: roomy },
    { type: KMALLOC_NO_OBJ_EXT, prefix: "kmalloc-no-objext", flags: SLAB_NO_OBJ_EXT, own: vectors_apart },
    { type: KMALLOC_DMA, prefix: "dma-kmalloc", flags: SLAB_CACHE_DMA, own: word(ZONE_DMA) !== 0 },
    ...partitions,
  ];
}

/** @kernel mm/slab_common.c */
export function create_kmalloc_caches(cpu: Cpu, slab: Ptr<"slab_globals">): void {
  const types = types_of(cpu);
  for (let bucket = 1; bucket < NR_KMALLOC_BUCKETS; bucket++) {
    const object_size = KMALLOC_SIZES[bucket];
    for (const { type, prefix, flags, own } of types) {
      const name = `${prefix}-${size_name(object_size)}`;
      const s = own
        ? create_cache(cpu, name, { object_size, flags: flags | SLAB_KMALLOC })
        : kmalloc_cache(cpu, KMALLOC_NORMAL, bucket);
      if (s === NULL) no_memory(cpu, `the cache ${name}`);
      cpu.mem.write(slab, element(KMALLOC_CACHES, type * NR_KMALLOC_BUCKETS + bucket), s);
    }
  }
}
