/**
 * slab_out_of_memory(): what is printed when there is no memory for a slab. mm/slub.c; spec slub 3.2.
 *
 * Context: any. No step.
 *
 * Differs: the kernel also says how many objects of each node are free, which it counts under list_lock.
 */
import { HZ } from "../../../base/limits.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { printk } from "../../../cpu/printk.ts";
import { __GFP_NOWARN, NUMA_NO_NODE } from "../../../layout/gfp.ts";
import { Globals } from "../../../layout/globals.ts";
import { KERN_WARNING } from "../../../layout/printk.ts";
import { KmemCache, KmemCacheNode, KmemCachePerNode } from "../../../layout/slab.ts";
import { embedded_at, NULL, type Ptr } from "../../../mem/struct.ts";
import { get_order, numa_node_id } from "../page_alloc/zone.ts";
import { cache_name } from "./cache_name.ts";
import { oo_order } from "./slab.ts";

const { jiffies: JIFFIES, slab_oom_since: SINCE, slab_oom_reports: REPORTS } = Globals.offset;
const { per_node: PER_NODE, size: SIZE, object_size: OBJECT_SIZE, oo: OO, min: MIN } = KmemCache.offset;
const { node: NODE } = KmemCachePerNode.offset;
const { nr_slabs: NR_SLABS, total_objects: TOTAL_OBJECTS } = KmemCacheNode.offset;

// include/linux/ratelimit_types.h: so many reports in so many jiffies.
const DEFAULT_RATELIMIT_BURST = 10;
const DEFAULT_RATELIMIT_INTERVAL = 5 * HZ;

/** @kernel mm/slub.c @param node  that was asked for; NUMA_NO_NODE: any. @context Any. No step. */
export function slab_out_of_memory(cpu: Cpu, s: Ptr<"kmem_cache">, gfp: number, node: number): void {
  const { mem } = cpu;
  if (gfp & __GFP_NOWARN || mem.rebuilding || !ratelimit(cpu)) return;
  const [oo, min, object_size] = [mem.peek(s, OO), mem.peek(s, MIN), mem.peek(s, OBJECT_SIZE)];
  const wanted = node === NUMA_NO_NODE ? "any node" : `node ${node}`;
  const lines = [
    `SLUB: no memory for a slab of ${cache_name(cpu, s)} on CPU ${cpu.id} (node ${numa_node_id(cpu)})`,
    `  from ${wanted}, gfp=0x${gfp.toString(16)}, object size ${object_size}, buffer size ${mem.peek(s, SIZE)}`,
    `  default order ${oo_order(oo)}, min order ${oo_order(min)}`,
  ];
  if (oo_order(min) > get_order(object_size)) lines.push("  debugging takes a higher order: the letter O forbids that");
  for (let id = 0; id < cpu.map.shape.nodes; id++) {
    const n = mem.peek(embedded_at(s, PER_NODE, id, KmemCachePerNode.size), NODE);
    if (n === NULL) continue;
    lines.push(`  node ${id}: slabs ${mem.peek(n, NR_SLABS)}, objects ${mem.peek(n, TOTAL_OBJECTS)}`);
  }
  printk(cpu, KERN_WARNING, lines.join("\n"));
}

/** May there be one more report now? Race: of two CPUs that begin an interval both may. @kernel lib/ratelimit.c */
function ratelimit(cpu: Cpu): boolean {
  const { mem, globals } = cpu;
  const now = mem.peek(globals, JIFFIES);
  const reports = mem.peek(globals, REPORTS);
  const fresh = reports === 0 || ((now - mem.peek(globals, SINCE)) | 0) >= DEFAULT_RATELIMIT_INTERVAL;
  if (!fresh && reports >= DEFAULT_RATELIMIT_BURST) return false;
  if (fresh) mem.poke(globals, SINCE, now);
  mem.poke(globals, REPORTS, fresh ? 1 : reports + 1);
  return true;
}
