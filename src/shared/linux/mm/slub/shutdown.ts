/**
 * __kmem_cache_shutdown(): the emptying of a cache that is to be destroyed. mm/slub.c; spec slub 5.8 step 6.
 *
 * Context: task, may sleep. Lock order: cpu_hotplug_lock, slab_mutex, flush_lock, then barn lock or list_lock.
 */
import type { Cpu } from "../../../cpu/cpu.ts";
import { KmemCacheNode } from "../../../layout/slab.ts";
import { NULL, type Ptr } from "../../../mem/struct.ts";
import { rcu_barrier } from "../../rcu/tree_barrier.ts";
import { lockdep_assert_cpus_held } from "../../sync/cpu_hotplug.ts";
import { flush_all_cpus_locked } from "./flush.ts";
import { assert_alive } from "./kmalloc.ts";
import { discard_slab } from "./free_slab.ts";
import { lock_node, node_nr_partial, remove_partial, unlock_node } from "./partial.ts";
import { cache_has_sheaves } from "./sheaf.ts";
import { partial_slabs, shrink_barns } from "./shrink.ts";
import { get_node } from "./slab.ts";
import { list_slab_objects } from "./validate.ts";
import { slab_word, word_inuse } from "./slab_word.ts";

const { nr_slabs: NR_SLABS } = KmemCacheNode.offset;

/**
 * __kmem_cache_shutdown() - empty a cache that is to be destroyed.
 *
 * @kernel  mm/slub.c
 * @returns 0; 1: objects are left, so the cache must stay.
 * @context Task, may sleep; cpus_read_lock() and slab_mutex held. All frees have been issued, deferred work is done.
 */
export function __kmem_cache_shutdown(cpu: Cpu, s: Ptr<"kmem_cache">): number {
  assert_alive(cpu, s);
  lockdep_assert_cpus_held(cpu);
  flush_all_cpus_locked(cpu, s);
  // The flush has submitted rcu_free sheaves. After it and not before it the barns: callbacks of sheaves that were
  // submitted earlier may have put some there until now.
  if (cache_has_sheaves(cpu, s)) rcu_barrier(cpu);
  shrink_barns(cpu, s);
  for (let node = 0; node < cpu.map.shape.nodes; node++) {
    const n = get_node(cpu, s, node);
    if (n === NULL) continue;
    free_partial(cpu, s, n);
    // A full slab is on no list: only nr_slabs tells.
    if (node_nr_partial(cpu, n) !== 0 || cpu.mem.read_once(n, NR_SLABS) !== 0) return 1;
  }
  return 0;
}

/** Releases the empty slabs of a node, reports the others. @kernel mm/slub.c */
function free_partial(cpu: Cpu, s: Ptr<"kmem_cache">, n: Ptr<"kmem_cache_node">): void {
  const empty: Ptr<"slab">[] = [];
  const flags = lock_node(cpu, n);
  for (const slab of partial_slabs(cpu, n)) {
    const inuse = word_inuse(slab_word(cpu, slab));
    if (inuse === 0) {
      remove_partial(cpu, n, slab);
      empty.push(slab);
    } else {
      list_slab_objects(cpu, s, slab);
    }
  }
  unlock_node(cpu, n, flags);
  for (const slab of empty) discard_slab(cpu, s, slab);
}
