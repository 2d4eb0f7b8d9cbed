/** What the tests of kfree_rcu_cpu share: objects that find no sheaf, a look at a CPU's krc, memory that runs out. */
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { GFP_KERNEL, NUMA_NO_NODE } from "../../../../../src/shared/layout/gfp.ts";
import { Globals } from "../../../../../src/shared/layout/globals.ts";
import { KfreeRcuCpu, KvfreeGlobals, KvfreeRcuBulkData } from "../../../../../src/shared/layout/kvfree_rcu.ts";
import { PerCpu } from "../../../../../src/shared/layout/percpu.ts";
import { SLAB_NO_SHEAVES } from "../../../../../src/shared/layout/slab_flags.ts";
import { TimerList } from "../../../../../src/shared/layout/timer.ts";
import { DelayedWork, WORK_STRUCT_PENDING, WorkStruct } from "../../../../../src/shared/layout/workqueue.ts";
import { bnodes_of } from "../../../../../src/shared/linux/mm/kvfree_rcu/check_krc.ts";
import { kfree_rcu_monitor } from "../../../../../src/shared/linux/mm/kvfree_rcu/krc_batch.ts";
import { alloc_frozen_pages, free_frozen_pages } from "../../../../../src/shared/linux/mm/page_alloc/page_alloc.ts";
import { kmem_cache_create } from "../../../../../src/shared/linux/mm/slub/cache.ts";
import { kmem_cache_alloc } from "../../../../../src/shared/linux/mm/slub/kmalloc.ts";
import { element, embedded, NULL, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { TestMachine, Thing, type ThingPtr } from "./machine.ts";

const K = KfreeRcuCpu.offset;
const B = KvfreeRcuBulkData.offset;

/** A machine with a cache without sheaves: all its objects go through krc. */
export function krcMachine(
  cpus = 1,
  words: ConstructorParameters<typeof TestMachine>[1] = {},
): { m: TestMachine; cpu: Cpu; alloc: () => ThingPtr } {
  const m = new TestMachine({ cpus }, words);
  const [cpu] = m.cpus;
  const s = kmem_cache_create(cpu, "things", Thing.size, { flags: SLAB_NO_SHEAVES });
  return { m, cpu, alloc: () => kmem_cache_alloc(cpu, s, GFP_KERNEL) as Ptr as ThingPtr };
}
export const krcOf = (cpu: Cpu): Ptr<"kfree_rcu_cpu"> => embedded(cpu.section, PerCpu.offset.krc);

/** Records of the bnodes of a list, newest bnode first. */
export function records(cpu: Cpu, list: Ptr<"list_head">): readonly (readonly Ptr[])[] {
  return [...bnodes_of(cpu, list)].map((bnode) =>
    Array.from({ length: cpu.mem.peek(bnode, B.nr_records) }, (_, i) => cpu.mem.peek(bnode, element(B.records, i))),
  );
}
/** From now on so many records fill a bnode. */
export function setBulkMaxEntr(cpu: Cpu, n: number): void {
  cpu.mem.poke(embedded(cpu.globals, Globals.offset.kvfree), KvfreeGlobals.offset.bulk_max_entr, n);
}

type DelayedField = "monitor_work" | "page_cache_work";
const workOf = (cpu: Cpu, field: DelayedField): Ptr<"work_struct"> =>
  embedded(embedded(krcOf(cpu), K[field]), DelayedWork.offset.work);
/** Is that work of the CPU's krc queued, or its timer armed? */
export const isPending = (cpu: Cpu, field: DelayedField): boolean =>
  (cpu.mem.peek(workOf(cpu, field), WorkStruct.offset.data) & WORK_STRUCT_PENDING) !== 0;
/** Ticks until its timer expires. */
export const comesIn = (cpu: Cpu, field: DelayedField): number =>
  cpu.mem.peek(embedded(embedded(krcOf(cpu), K[field]), DelayedWork.offset.timer), TimerList.offset.expires) -
  cpu.mem.peek(cpu.globals, Globals.offset.jiffies);
/** The monitor of a CPU's krc, as a shrinker calls it. */
export const monitor = (cpu: Cpu, of = cpu): void => kfree_rcu_monitor(cpu, workOf(of, "monitor_work"));

/** Takes all free pages. @returns gives them back. */
export function takeAllPages(cpu: Cpu): () => void {
  const pages: Ptr<"page">[] = [];
  for (;;) {
    const page = alloc_frozen_pages(cpu, 0, NUMA_NO_NODE);
    if (page === NULL) break;
    pages.push(page);
  }
  return () => {
    for (const page of pages.splice(0)) free_frozen_pages(cpu, page, 0);
  };
}
