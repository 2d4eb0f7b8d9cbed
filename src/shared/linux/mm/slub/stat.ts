/**
 * Statistics of a cache: one set of counters per CPU, summed when read. mm/slub.c (CONFIG_SLUB_STATS); spec slub 3.8.
 *
 * A count is no step and protected by nothing: one may be lost to an NMI that counts the same.
 */
import { KmemCache } from "../../../layout/slab.ts";
import { KmemCacheStats, STAT, STAT_NAMES } from "../../../layout/slab_stat.ts";
import { element, NULL, type Ptr } from "../../../mem/struct.ts";
import type { Cpu } from "../../../cpu/cpu.ts";

export { STAT };

const { cpu_stats: CPU_STATS } = KmemCache.offset;
const { counts: COUNTS } = KmemCacheStats.offset;

function stats_of(cpu: Cpu, s: Ptr<"kmem_cache">, id: number): Ptr<"kmem_cache_stats"> {
  return (cpu.mem.peek(s, CPU_STATS) + id * KmemCacheStats.size) as Ptr<"kmem_cache_stats">;
}
/** Adds `n` to counter `item` (STAT.X) of this CPU. @kernel mm/slub.c @context Any */
export function stat(cpu: Cpu, s: Ptr<"kmem_cache">, item: number, n = 1): void {
  if (!cpu.checked) return; // As without CONFIG_SLUB_STATS.
  if (cpu.mem.peek(s, CPU_STATS) === NULL) return; // A boot cache, before there is memory to count in.
  cpu.mem.count(stats_of(cpu, s, cpu.id), element(COUNTS, item), n);
}
/** Counter `item` summed over all CPUs. @context Any. Exact when no CPU counts. */
export function stat_sum(cpu: Cpu, s: Ptr<"kmem_cache">, item: number): number {
  if (cpu.mem.peek(s, CPU_STATS) === NULL) return 0;
  let sum = 0;
  for (let id = 0; id < cpu.map.shape.cpus; id++) sum += cpu.mem.peek(stats_of(cpu, s, id), element(COUNTS, item));
  return sum;
}
/** All counters that are not 0, by name: for reports and tests. */
export function stat_report(cpu: Cpu, s: Ptr<"kmem_cache">): Record<string, number> {
  const sums = STAT_NAMES.map((name, item) => [name, stat_sum(cpu, s, item)] as const);
  return Object.fromEntries(sums.filter(([, sum]) => sum !== 0));
}
