/** What the caches of a machine hold just now, for a view of it while it runs: slabs, sheaves, barns. Peeks only. */
import { KmemCache, KmemCachePerNode, NodeBarn, SlabSheaf, SlubPercpuSheaves } from "../../shared/layout/slab.ts";
import { KmemCacheStats, STAT } from "../../shared/layout/slab_stat.ts";
import { element, embedded_at, NULL, type Ptr } from "../../shared/mem/struct.ts";
import { type Cache, cachesOf, isAddress, readCache, type Seen } from "../slab/seen.ts";
import { lineOf, type SlabinfoLine } from "../slab/slabinfo.ts";

const {
  cpu_sheaves: CPU_SHEAVES,
  cpu_stats: CPU_STATS,
  sheaf_capacity: SHEAF_CAPACITY,
  per_node: PER_NODE,
} = KmemCache.offset;
const { main: MAIN, spare: SPARE, rcu_free: RCU_FREE } = SlubPercpuSheaves.offset;
const { size: SIZE } = SlabSheaf.offset;
const { barn: BARN } = KmemCachePerNode.offset;
const { nr_full: NR_FULL, nr_empty: NR_EMPTY } = NodeBarn.offset;
const { counts: COUNTS } = KmemCacheStats.offset;

export interface CacheView extends SlabinfoLine {
  readonly cache: Cache;
  /** Objects in the sheaves of all CPUs, and how many would fit: main and spare; those that wait for a grace period. */
  readonly cached: number;
  readonly capacity: number;
  readonly rcuFree: number;
  /** Sheaves in barns. */
  readonly full: number;
  readonly empty: number;
  /** Allocations so far. */
  readonly allocations: number;
}

export function cacheViews(seen: Seen): readonly CacheView[] {
  return cachesOf(seen)
    .map((s) => readCache(seen, s, (cache) => viewOf(seen, cache)))
    .filter((view) => view !== undefined);
}

function viewOf(seen: Seen, s: Cache): CacheView {
  const { mem, map } = seen;
  const capacity = mem.peek(s, SHEAF_CAPACITY);
  const view = { cached: 0, capacity: 0, rcuFree: 0, full: 0, empty: 0, allocations: 0 };
  const objectsIn = (sheaf: Ptr<"slab_sheaf">): number =>
    isAddress(seen, sheaf) ? Math.min(Math.max(mem.peek(sheaf, SIZE), 0), capacity) : 0;
  for (let id = 0; id < map.shape.cpus; id++) {
    view.allocations += counted(seen, s, id, STAT.ALLOC_FASTPATH) + counted(seen, s, id, STAT.ALLOC_SLOWPATH);
    const pcs = (mem.peek(s, CPU_SHEAVES) + id * SlubPercpuSheaves.size) as Ptr<"slub_percpu_sheaves">;
    if (capacity === 0 || !isAddress(seen, pcs)) continue;
    for (const field of [MAIN, SPARE]) {
      const sheaf = mem.peek(pcs, field);
      if (sheaf === NULL) continue;
      view.cached += objectsIn(sheaf);
      view.capacity += capacity;
    }
    view.rcuFree += objectsIn(mem.peek(pcs, RCU_FREE));
  }
  for (let node = 0; node < map.shape.nodes; node++) {
    const barn = mem.peek(embedded_at(s, PER_NODE, node, KmemCachePerNode.size), BARN);
    if (barn === NULL || !isAddress(seen, barn)) continue;
    view.full += mem.peek(barn, NR_FULL);
    view.empty += mem.peek(barn, NR_EMPTY);
  }
  return { cache: s, ...lineOf(seen, s), ...view };
}
function counted(seen: Seen, s: Cache, id: number, item: number): number {
  const stats = (seen.mem.peek(s, CPU_STATS) + id * KmemCacheStats.size) as Ptr<"kmem_cache_stats">;
  return isAddress(seen, stats) ? seen.mem.peek(stats, element(COUNTS, item)) >>> 0 : 0;
}
