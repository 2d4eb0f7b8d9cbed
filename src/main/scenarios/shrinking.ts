/** kmem_cache_shrink() of the kmalloc caches that everybody is using. */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { random_below } from "../../shared/cpu/random.ts";
import { Globals } from "../../shared/layout/globals.ts";
import { PerCpu } from "../../shared/layout/percpu.ts";
import { NR_KMALLOC_BUCKETS, SlabGlobals } from "../../shared/layout/slab.ts";
import { TortureCpu } from "../../shared/layout/torture.ts";
import { kmem_cache_shrink } from "../../shared/linux/api.ts";
import { element, embedded, NULL } from "../../shared/mem/struct.ts";

const { slab: SLAB } = Globals.offset;
const { torture: TORTURE } = PerCpu.offset;
const { kmalloc_caches: KMALLOC_CACHES } = SlabGlobals.offset;
const { shrinks: SHRINKS } = TortureCpu.offset;

/** @context Task, may sleep */
export function shrink_kmalloc_cache(cpu: Cpu): void {
  const bucket = element(KMALLOC_CACHES, random_below(cpu, NR_KMALLOC_BUCKETS));
  const s = cpu.mem.read(embedded(cpu.globals, SLAB), bucket); // Written at boot, then constant.
  if (s === NULL) return;
  kmem_cache_shrink(cpu, s);
  cpu.mem.count(embedded(cpu.home, TORTURE), SHRINKS, 1);
}
