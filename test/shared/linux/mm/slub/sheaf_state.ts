/** What the sheaves of a cache hold, how to bring them there, and what an action counts. */
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { GFP_KERNEL } from "../../../../../src/shared/layout/gfp.ts";
import {
  KmemCache,
  KmemCachePerNode,
  NodeBarn,
  SlabSheaf,
  SlubPercpuSheaves,
} from "../../../../../src/shared/layout/slab.ts";
import { alloc_frozen_pages } from "../../../../../src/shared/linux/mm/page_alloc/page_alloc.ts";
import {
  barn_put_empty_sheaf,
  barn_put_full_sheaf,
  barn_shrink,
} from "../../../../../src/shared/linux/mm/slub/barn.ts";
import { check_slab_cache } from "../../../../../src/shared/linux/mm/slub/check_sheaves.ts";
import { sheaf_flush_main } from "../../../../../src/shared/linux/mm/slub/flush.ts";
import { get_barn, this_cpu_sheaves } from "../../../../../src/shared/linux/mm/slub/pcs.ts";
import { refill_objects } from "../../../../../src/shared/linux/mm/slub/refill.ts";
import {
  alloc_empty_sheaf,
  free_empty_sheaf,
  oracle_move_slots,
  sheaf_flush_unused,
  sheaf_slot,
} from "../../../../../src/shared/linux/mm/slub/sheaf.ts";
import { stat_report } from "../../../../../src/shared/linux/mm/slub/stat.ts";
import { O_SHEAF, O_TRANSIT } from "../../../../../src/shared/mem/oracle.ts";
import { embedded_at, NULL, type Ptr } from "../../../../../src/shared/mem/struct.ts";

const { main: MAIN, spare: SPARE } = SlubPercpuSheaves.offset;
const { size: SIZE } = SlabSheaf.offset;
const { nr_full: NR_FULL, nr_empty: NR_EMPTY } = NodeBarn.offset;
const { barn: BARN } = KmemCachePerNode.offset;

type Cache = Ptr<"kmem_cache">;
type Sheaf = Ptr<"slab_sheaf">;

/** Objects in main and spare (undefined: no spare) of a CPU, sheaves in its barn. */
export interface SheafState {
  readonly main: number;
  readonly spare?: number | undefined;
  readonly full: number;
  readonly empty: number;
}

export function sheafState(cpu: Cpu, s: Cache): SheafState {
  const { mem } = cpu;
  const pcs = this_cpu_sheaves(cpu, s);
  const spare = mem.peek(pcs, SPARE);
  const barn = get_barn(cpu, s);
  return {
    main: mem.peek(mem.peek(pcs, MAIN), SIZE),
    spare: spare === NULL ? undefined : mem.peek(spare, SIZE),
    full: mem.peek(barn, NR_FULL),
    empty: mem.peek(barn, NR_EMPTY),
  };
}

/** Makes the sheaves of a CPU hold just that. Full sheaves in the barn hold `capacity` objects. */
export function setSheafState(cpu: Cpu, s: Cache, state: SheafState): void {
  const { mem } = cpu;
  const pcs = this_cpu_sheaves(cpu, s);
  const spare = mem.peek(pcs, SPARE);
  mem.poke(pcs, SPARE, NULL);
  if (spare !== NULL) {
    sheaf_flush_unused(cpu, s, spare);
    free_empty_sheaf(cpu, s, spare);
  }
  sheaf_flush_main(cpu, s);
  const barn = get_barn(cpu, s);
  barn_shrink(cpu, s, barn);
  fill(cpu, s, mem.peek(pcs, MAIN), state.main);
  if (state.spare !== undefined) mem.poke(pcs, SPARE, makeSheaf(cpu, s, state.spare));
  const capacity = mem.peek(s, KmemCache.offset.sheaf_capacity);
  for (let i = 0; i < state.full; i++) barn_put_full_sheaf(cpu, barn, makeSheaf(cpu, s, capacity));
  for (let i = 0; i < state.empty; i++) barn_put_empty_sheaf(cpu, barn, makeSheaf(cpu, s, 0));
}
/** A sheaf of one's own with `size` objects. */
export function makeSheaf(cpu: Cpu, s: Cache, size: number): Sheaf {
  const sheaf = alloc_empty_sheaf(cpu, s, GFP_KERNEL, 0);
  if (sheaf === NULL) throw new Error("no memory for a sheaf");
  fill(cpu, s, sheaf, size);
  return sheaf;
}
function fill(cpu: Cpu, s: Cache, sheaf: Sheaf, size: number): void {
  if (size === 0) return;
  if (refill_objects(cpu, s, sheaf_slot(sheaf, 0), GFP_KERNEL, size, size) !== size) throw new Error("no objects");
  oracle_move_slots(cpu, sheaf_slot(sheaf, 0), size, O_TRANSIT, O_SHEAF);
  cpu.mem.poke(sheaf, SIZE, size);
}

/** What `action` adds to the counters of a cache; counters that it leaves alone are not there. */
export function counted(cpu: Cpu, s: Cache, action: () => void): Record<string, number> {
  const before = stat_report(cpu, s);
  action();
  const changes = Object.entries(stat_report(cpu, s)).map(([name, n]) => [name, n - (before[name] ?? 0)] as const);
  return Object.fromEntries(changes.filter(([, n]) => n !== 0));
}

/** Takes all free pages. */
export function exhaustPages(cpu: Cpu): void {
  while (alloc_frozen_pages(cpu, 0, -1) !== NULL);
}
/** Runs `action` while the node has no barn for the cache. */
export function withoutBarn(cpu: Cpu, s: Cache, action: () => void): void {
  const slot = embedded_at(s, KmemCache.offset.per_node, 0, KmemCachePerNode.size);
  const barn = cpu.mem.peek(slot, BARN);
  cpu.mem.poke(slot, BARN, NULL);
  action();
  cpu.mem.poke(slot, BARN, barn);
}
/** What is wrong with any of the caches. */
export function problems(cpu: Cpu, ...caches: Cache[]): string[] {
  return caches.flatMap((s) => check_slab_cache(cpu, s));
}
