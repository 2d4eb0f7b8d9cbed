/**
 * What a cache consists of beside its struct kmem_cache. mm/slub.c; spec slub 1.1, 1.3, 2.1.
 *
 *   part                               memory from
 *   sheaves and counters of all CPUs   the cache percpu, one block; whole cache lines for each CPU
 *   struct kmem_cache_node, per node   the cache kmem_cache_node; nodes with memory only
 *   barn, per node                     kmalloc; only with sheaves, then for every node
 *   main sheaf, per CPU                kmalloc; without sheaves the one that all such caches share
 *
 * Context: task, may sleep; slab_mutex held, or nobody else can reach the cache.
 *
 * Differs: the cache percpu stands in for the per-CPU allocator.
 */
import { warn } from "../../../cpu/bug.ts";
import { this_cpu_ptr, type Cpu } from "../../../cpu/cpu.ts";
import { GFP_KERNEL } from "../../../layout/gfp.ts";
import { Globals } from "../../../layout/globals.ts";
import { PerCpu } from "../../../layout/percpu.ts";
import {
  KmemCache,
  KmemCachePerNode,
  NodeBarn,
  SlabGlobals,
  SlubCpu,
  SlubPercpuSheaves,
} from "../../../layout/slab.ts";
import { KmemCacheStats, STAT_NAMES } from "../../../layout/slab_stat.ts";
import { SLAB_ALLOC_DEFAULT } from "../../../layout/slab_flags.ts";
import { element, embedded, embedded_at, NULL, type Ptr } from "../../../mem/struct.ts";
import { local_lock_init } from "../../sync/local_lock.ts";
import { LC } from "../../sync/lockdep.ts";
import { node_has_memory } from "../page_alloc/zone.ts";
import { barn_init } from "./barn.ts";
import { cache_name } from "./cache_name.ts";
import { pcs_destroy } from "./flush.ts";
import { kfree, kmalloc_node, kmem_cache_alloc_node, kmem_cache_free, kmem_cache_zalloc } from "./kmalloc.ts";
import { init_kmem_cache_node } from "./partial.ts";
import { per_cpu_sheaves } from "./pcs.ts";
import { cache_random_seq_destroy } from "./random_seq.ts";
import { alloc_empty_sheaf, cache_has_sheaves } from "./sheaf.ts";
import { get_node } from "./slab.ts";
import { stat_sum } from "./stat.ts";

const { slab: SLAB } = Globals.offset;
const { slub: SLUB } = PerCpu.offset;
const { retired: RETIRED } = SlubCpu.offset;
const { kmem_cache_node: KMEM_CACHE_NODE, percpu: PERCPU, bootstrap_sheaf: BOOTSTRAP_SHEAF } = SlabGlobals.offset;
const { cpu_sheaves: CPU_SHEAVES, cpu_stats: CPU_STATS, per_node: PER_NODE } = KmemCache.offset;
const { barn: BARN, node: NODE } = KmemCachePerNode.offset;
const { lock: PCS_LOCK, main: MAIN, cache: PCS_CACHE } = SlubPercpuSheaves.offset;
const { nr_full: NR_FULL, nr_empty: NR_EMPTY } = NodeBarn.offset;

type Cache = Ptr<"kmem_cache">;

function slab_globals(cpu: Cpu): Ptr<"slab_globals"> {
  return embedded(cpu.globals, SLAB);
}
function per_node(s: Cache, node: number): Ptr<"kmem_cache_per_node"> {
  return embedded_at(s, PER_NODE, node, KmemCachePerNode.size);
}

/** Node structures that are not there yet, and barns if the cache has sheaves. @kernel mm/slub.c */
export function init_kmem_cache_nodes(cpu: Cpu, s: Cache): boolean {
  const mem = cpu.mem;
  for (let node = 0; node < cpu.map.shape.nodes; node++) {
    if (node_has_memory(cpu, node) && get_node(cpu, s, node) === NULL) {
      const cache = mem.read(slab_globals(cpu), KMEM_CACHE_NODE);
      const n = kmem_cache_alloc_node(cpu, cache, GFP_KERNEL, node) as Ptr as Ptr<"kmem_cache_node">;
      if (n === NULL) return false;
      init_kmem_cache_node(cpu, n);
      mem.init(per_node(s, node), NODE, n);
    }
    if (cache_has_sheaves(cpu, s) && !alloc_node_barn(cpu, s, node)) return false;
  }
  return true;
}
/** A barn for a node, which need not have memory of its own: its CPUs have sheaves all the same. @returns false: no memory. */
export function alloc_node_barn(cpu: Cpu, s: Cache, node: number): boolean {
  const barn = kmalloc_node(cpu, NodeBarn.size, GFP_KERNEL, node) as Ptr as Ptr<"node_barn">;
  if (barn === NULL) return false;
  barn_init(cpu, barn);
  cpu.mem.init(per_node(s, node), BARN, barn);
  return true;
}

/** Bytes of the per-CPU parts of a cache, all CPUs together. */
export function percpu_block_size(cpu: Cpu): number {
  return cpu.map.shape.cpus * (SlubPercpuSheaves.size + KmemCacheStats.size);
}
/** @kernel mm/slub.c; alloc_percpu() of sheaves and counters. */
export function alloc_kmem_cache_cpus(cpu: Cpu, s: Cache, percpu_block: Ptr): boolean {
  const cache = cpu.mem.read(slab_globals(cpu), PERCPU);
  const block = percpu_block === NULL ? kmem_cache_zalloc(cpu, cache, GFP_KERNEL) : percpu_block;
  if (block === NULL) return false;
  cpu.mem.init(s, CPU_SHEAVES, block as Ptr<"slub_percpu_sheaves">);
  cpu.mem.init(s, CPU_STATS, (block + cpu.map.shape.cpus * SlubPercpuSheaves.size) as Ptr<"kmem_cache_stats">);
  return true;
}
/** Every CPU gets its lock and its main sheaf. @kernel mm/slub.c */
export function init_percpu_sheaves(cpu: Cpu, s: Cache): boolean {
  for (let id = 0; id < cpu.map.shape.cpus; id++) {
    const pcs = per_cpu_sheaves(cpu, s, id);
    local_lock_init(cpu, embedded(pcs, PCS_LOCK), LC.pcs);
    cpu.mem.init(pcs, PCS_CACHE, s);
    const main = cache_has_sheaves(cpu, s)
      ? alloc_empty_sheaf(cpu, s, GFP_KERNEL, SLAB_ALLOC_DEFAULT)
      : embedded(slab_globals(cpu), BOOTSTRAP_SHEAF);
    if (main === NULL) return false;
    cpu.mem.init(pcs, MAIN, main);
  }
  return true;
}

/** Frees what a cache consists of, as far as it is there. @kernel mm/slub.c */
export function __kmem_cache_release(cpu: Cpu, s: Cache): void {
  const mem = cpu.mem;
  cache_random_seq_destroy(cpu, s);
  const block = mem.read(s, CPU_SHEAVES);
  if (block !== NULL) {
    pcs_destroy(cpu, s);
    for (let item = 0; item < STAT_NAMES.length; item++) {
      mem.count(this_cpu_ptr(cpu, SLUB), element(RETIRED, item), stat_sum(cpu, s, item));
    }
    kmem_cache_free(cpu, mem.read(slab_globals(cpu), PERCPU), block);
  }
  for (let node = 0; node < cpu.map.shape.nodes; node++) free_kmem_cache_node(cpu, s, per_node(s, node));
}
/** @kernel mm/slub.c, free_kmem_cache_nodes() */
function free_kmem_cache_node(cpu: Cpu, s: Cache, slot: Ptr<"kmem_cache_per_node">): void {
  const mem = cpu.mem;
  const barn = mem.read(slot, BARN);
  if (barn !== NULL) {
    const full = mem.read(barn, NR_FULL);
    const empty = mem.read(barn, NR_EMPTY);
    if (full + empty > 0)
      warn(cpu, `barn of released cache ${cache_name(cpu, s)}: ${full} full, ${empty} empty sheaves`);
    mem.write(slot, BARN, NULL);
    kfree(cpu, barn);
  }
  const n = mem.read(slot, NODE);
  if (n !== NULL) {
    mem.write(slot, NODE, NULL);
    kmem_cache_free(cpu, mem.read(slab_globals(cpu), KMEM_CACHE_NODE), n);
  }
}
