/**
 * kmem_cache_shrink(): giving back what a cache holds and nobody uses. mm/slub.c; spec slub 2.14.
 *
 * A slab on a partial list with no object in use can be taken under list_lock: only its users free into it, and it has
 * none; only holders of list_lock take from it. It is released after the unlock, since that takes zone->lock.
 *
 * Context: task, may sleep. Lock order: cpu_hotplug_lock, flush_lock, then barn lock or list_lock.
 */
import { might_sleep } from "../../../cpu/context.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { KmemCacheNode, Slab } from "../../../layout/slab.ts";
import { container_of, embedded, NULL, type Ptr } from "../../../mem/struct.ts";
import { list_move, list_next } from "../../lib/list.ts";
import { kasan_cache_shrink } from "../debug/kasan.ts";
import { barn_shrink } from "./barn.ts";
import { flush_all } from "./flush.ts";
import { assert_alive } from "./kmalloc.ts";
import { free_slab } from "./free_slab.ts";
import { dec_slabs_node, lock_node, remove_partial, unlock_node } from "./partial.ts";
import { get_node_barn } from "./pcs.ts";
import { get_node, slab_nid } from "./slab.ts";
import { slab_word, word_inuse } from "./slab_word.ts";

const { partial: PARTIAL, nr_slabs: NR_SLABS } = KmemCacheNode.offset;
const { slab_list: SLAB_LIST, objects: OBJECTS } = Slab.offset;
/** Slabs with at most so many free objects are sorted, so that the fullest are filled up first. */
const SHRINK_PROMOTE_MAX = 32;

type Cache = Ptr<"kmem_cache">;
type Node = Ptr<"kmem_cache_node">;
type SlabPtr = Ptr<"slab">;

/**
 * kmem_cache_shrink() - give back what the cache holds and nobody uses: sheaves, barns, empty slabs.
 * Does not wait for objects that wait for a grace period.
 *
 * @kernel  mm/slab_common.c
 * @returns 1 if slabs remain, else 0.
 * @context Task, may sleep.
 */
export function kmem_cache_shrink(cpu: Cpu, s: Cache): number {
  might_sleep(cpu, "kmem_cache_shrink");
  assert_alive(cpu, s);
  kasan_cache_shrink(cpu, s);
  flush_all(cpu, s);
  return __kmem_cache_do_shrink(cpu, s);
}

/**
 * The part of it that is left when the sheaves have been flushed.
 * @kernel  mm/slub.c
 * @context Task
 */
export function __kmem_cache_do_shrink(cpu: Cpu, s: Cache): number {
  let remain = 0;
  shrink_barns(cpu, s);
  for (let node = 0; node < cpu.map.shape.nodes; node++) {
    const n = get_node(cpu, s, node);
    if (n === NULL) continue;
    const flags = lock_node(cpu, n);
    const empty = sort_partial(cpu, n);
    for (const slab of empty) {
      remove_partial(cpu, n, slab);
      dec_slabs_node(cpu, s, slab_nid(cpu, slab), cpu.mem.read(slab, OBJECTS));
    }
    unlock_node(cpu, n, flags);
    for (const slab of empty) free_slab(cpu, s, slab);
    if (cpu.mem.read_once(n, NR_SLABS) !== 0) remain = 1;
  }
  return remain;
}

/**
 * Empties the barns of all nodes. Why before any node's slabs are looked at: a barn may hold objects of other nodes, that
 * of a node without memory holds no others.
 * @context Task
 */
export function shrink_barns(cpu: Cpu, s: Cache): void {
  for (let node = 0; node < cpu.map.shape.nodes; node++) {
    const barn = get_node_barn(cpu, s, node);
    if (barn !== NULL) barn_shrink(cpu, s, barn);
  }
}

/** Moves the fullest slabs of the list to its head. list_lock held. @returns the slabs without objects in use. */
function sort_partial(cpu: Cpu, n: Node): SlabPtr[] {
  const empty: SlabPtr[] = [];
  const promote: SlabPtr[][] = Array.from({ length: SHRINK_PROMOTE_MAX + 1 }, () => []);
  for (const slab of partial_slabs(cpu, n)) {
    // Sampled once: lock-free frees go on, so the slab may have more free objects than that.
    const inuse = word_inuse(slab_word(cpu, slab));
    if (inuse === 0) empty.push(slab);
    else promote[cpu.mem.read(slab, OBJECTS) - inuse]?.push(slab);
  }
  for (let free = SHRINK_PROMOTE_MAX; free > 0; free--) {
    for (const slab of promote[free] ?? []) list_move(cpu, embedded(slab, SLAB_LIST), embedded(n, PARTIAL));
  }
  return empty;
}
/** The slabs on a partial list. list_lock held. */
export function partial_slabs(cpu: Cpu, n: Node): SlabPtr[] {
  const slabs: SlabPtr[] = [];
  const head = embedded(n, PARTIAL);
  for (let entry = list_next(cpu, head); entry !== head; entry = list_next(cpu, entry)) {
    slabs.push(container_of(entry, SLAB_LIST));
  }
  return slabs;
}
