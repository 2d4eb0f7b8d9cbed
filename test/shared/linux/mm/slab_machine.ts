/**
 * A machine with pages and slabs only: caches are put together by hand and have no sheaves; the oracle watches.
 */
import type { Cpu } from "../../../../src/shared/cpu/cpu.ts";
import { FIRST_FREE_CALLBACK } from "../../../../src/shared/layout/callbacks.ts";
import type { MachineShape } from "../../../../src/shared/layout/map.ts";
import {
  KMEM_CACHE_ALIVE,
  KmemCache,
  KmemCacheNode,
  KmemCachePerNode,
  Slab,
} from "../../../../src/shared/layout/slab.ts";
import { KmemCacheStats } from "../../../../src/shared/layout/slab_stat.ts";
import { ListHead } from "../../../../src/shared/layout/types.ts";
import { SLAB_NO_SHEAVES } from "../../../../src/shared/layout/slab_flags.ts";
import { alloc_frozen_pages } from "../../../../src/shared/linux/mm/page_alloc/page_alloc.ts";
import { get_order, page_address } from "../../../../src/shared/linux/mm/page_alloc/zone.ts";
import { type CacheRequest, init_cache_geometry } from "../../../../src/shared/linux/mm/slub/geometry.ts";
import { bind_free_slab } from "../../../../src/shared/linux/mm/slub/free_slab.ts";
import { init_kmem_cache_node } from "../../../../src/shared/linux/mm/slub/partial.ts";
import { get_node } from "../../../../src/shared/linux/mm/slub/slab.ts";
import { container_of, embedded, embedded_at, type CallbackId, type Ptr } from "../../../../src/shared/mem/struct.ts";
import { PageMachine } from "./page_machine.ts";

const C = KmemCache.offset;
export const CB_CTOR = (FIRST_FREE_CALLBACK + 2) as CallbackId;

export class SlabMachine extends PageMachine {
  constructor(shape: Partial<MachineShape> = {}) {
    super(shape);
    bind_free_slab();
  }
  cache(
    request: Partial<CacheRequest> = {},
    words: Partial<Record<"oo" | "min_partial", number>> = {},
  ): Ptr<"kmem_cache"> {
    return makeCache(this.cpus[0], request, words);
  }
}

/** A cache without sheaves in pages of its own. */
export function makeCache(
  cpu: Cpu,
  request: Partial<CacheRequest> = {},
  words: Partial<Record<"oo" | "min_partial", number>> = {},
): Ptr<"kmem_cache"> {
  const { mem } = cpu;
  const take = (bytes: number): Ptr => page_address(cpu, alloc_frozen_pages(cpu, get_order(bytes), 0));
  const s = take(KmemCache.size) as Ptr<"kmem_cache">;
  const { cpus, nodes } = cpu.map.shape;
  const full: CacheRequest = {
    object_size: 1024,
    ...request,
    flags: (request.flags ?? 0) | SLAB_NO_SHEAVES,
  };
  if (!init_cache_geometry(cpu, s, full)) throw new RangeError("no such cache");
  mem.poke(s, C.cpu_stats, take(cpus * KmemCacheStats.size) as Ptr<"kmem_cache_stats">);
  mem.poke(s, C.remote_node_defrag_ratio, 1000);
  if (request.ctor === true) mem.poke(s, C.ctor, CB_CTOR);
  for (let node = 0; node < nodes; node++) {
    const n = take(KmemCacheNode.size) as Ptr<"kmem_cache_node">;
    init_kmem_cache_node(cpu, n);
    mem.poke(embedded_at(s, C.per_node, node, KmemCachePerNode.size), KmemCachePerNode.offset.node, n);
  }
  for (const [word, value] of Object.entries(words)) mem.poke(s, C[word as keyof typeof words], value);
  mem.poke(s, C.alive, KMEM_CACHE_ALIVE);
  return s;
}
/** Memory for an array of objects. */
export function objectArray(cpu: Cpu): Ptr<"object_array"> {
  return page_address(cpu, alloc_frozen_pages(cpu, 0, 0)) as Ptr<"object_array">;
}
/** The slabs on a list, from its head on. */
export function slabsOn(cpu: Cpu, head: Ptr<"list_head">): Ptr<"slab">[] {
  const slabs: Ptr<"slab">[] = [];
  for (let at = cpu.mem.peek(head, ListHead.offset.next); at !== head; at = cpu.mem.peek(at, ListHead.offset.next)) {
    slabs.push(container_of(at, Slab.offset.slab_list));
  }
  return slabs;
}
/** The slabs on the partial list of node 0. */
export function partialSlabs(cpu: Cpu, s: Ptr<"kmem_cache">): Ptr<"slab">[] {
  return slabsOn(cpu, embedded(get_node(cpu, s, 0), KmemCacheNode.offset.partial));
}
