/**
 * What a machine has done, read from its memory: the counters of all CPUs added up. Reading takes no step and no lock; of
 * a running machine it is a number of slightly different moments.
 */
import { CONTEXT_NAMES, CpuCounters } from "../../shared/layout/cpu.ts";
import { FaultInject } from "../../shared/layout/fault_inject.ts";
import { Globals } from "../../shared/layout/globals.ts";
import { KvfreeCounters } from "../../shared/layout/kvfree_rcu.ts";
import type { MachineMap } from "../../shared/layout/map.ts";
import { NolockRfcCounters } from "../../shared/layout/nolock_rfc.ts";
import { PerCpu } from "../../shared/layout/percpu.ts";
import { POINT_NAMES } from "../../shared/layout/points.ts";
import { RcuData, RcuState } from "../../shared/layout/rcu.ts";
import { KmemCache, SlabGlobals, SlubCpu } from "../../shared/layout/slab.ts";
import { KmemCacheStats, STAT_NAMES } from "../../shared/layout/slab_stat.ts";
import { RCU_TORTURE_PIPE_LEN, TortureCpu } from "../../shared/layout/torture.ts";
import { ListHead } from "../../shared/layout/types.ts";
import type { BareMemory } from "../../shared/mem/bare_memory.ts";
import type { SharedOracle } from "../../shared/mem/shared_oracle.ts";
import {
  type ArrayField,
  container_of,
  element,
  embedded,
  type Access,
  NULL,
  type Field,
  type Inner,
  type Ptr,
} from "../../shared/mem/struct.ts";
import type { Control } from "../../workers/control.ts";

const {
  counters: COUNTERS,
  kvfree: KVFREE,
  nolock_rfc_counters: NOLOCK_RFC_COUNTERS,
  slub: SLUB,
  rcu_data: RCU_DATA,
  torture: TORTURE,
  fault_inject: FAULT_INJECT,
} = PerCpu.offset;
const { rcu_state: RCU_STATE, slab: SLAB } = Globals.offset;
const { slab_caches: SLAB_CACHES } = SlabGlobals.offset;
const { next: NEXT } = ListHead.offset;
const { list: LIST, cpu_stats: CPU_STATS } = KmemCache.offset;
const { counts: COUNTS } = KmemCacheStats.offset;
const { retired: RETIRED } = SlubCpu.offset;

/** How often interrupts came to each named point. */
export interface PointHits {
  readonly visited: number;
  readonly controller: number;
  readonly local: number;
}
export interface Summary {
  readonly ops: number;
  readonly nmis: { readonly controller: number; readonly local: number };
  readonly raised: { readonly nmis: number; readonly irqs: number; readonly ticks: number };
  readonly irqs: number;
  readonly ticks: number;
  readonly nmisByContext: Readonly<Record<string, number>>;
  readonly irqsByContext: Readonly<Record<string, number>>;
  readonly points: Readonly<Record<string, PointHits>>;
  readonly gracePeriods: number;
  readonly expeditedGracePeriods: number;
  readonly callbacks: number;
  readonly rcuBarriers: number;
  readonly kvfreeBarriers: number;
  readonly irqWorkRuns: number;
  readonly readers: number;
  /** Readers by the number of grace periods that passed since their object was removed, or within them. */
  readonly readerAge: readonly number[];
  readonly kmallocNolock: { readonly ok: number; readonly failed: number };
  readonly kfreeNolock: { readonly sheaf: number; readonly deferred: number };
  /** Where the objects went that kfree_rcu() and its relatives were given. */
  readonly kfreeRcu: {
    readonly calls: number;
    readonly sheaf: number;
    /** Into kfree_rcu_cpu; of these into bnodes, and of those vmalloc areas. */
    readonly krc: number;
    readonly bulk: number;
    readonly vmalloc: number;
    /** kfree_rcu_mightsleep() that waited for its grace period itself. */
    readonly synchronous: number;
    /** In an unbatched machine. */
    readonly callRcu: number;
  };
  /** Pages of kfree_rcu_cpu, and shrinkers. */
  readonly bnodes: {
    readonly cached: number;
    readonly allocated: number;
    readonly refused: number;
    readonly workerRuns: number;
    readonly shrinks: number;
  };
  readonly kfreeRcuNolock: {
    readonly calls: number;
    readonly sheaf: number;
    readonly objectsByRcu: number;
    /** Full sheaves, not objects. */
    readonly rcuSheaves: number;
  };
  /** What kfree_rcu_nolock() of February 2026 has done besides; all 0 in other machines. */
  readonly nolockRfc: Readonly<Record<keyof typeof NolockRfcCounters.offset, number>>;
  /** Counters of all caches, those that are gone included, under their kernel names. */
  readonly slab: Readonly<Record<(typeof STAT_NAMES)[number], number>>;
  readonly caches: number;
  /** Of tasks to other CPUs. */
  readonly migrations: number;
  /** How often CPUs went offline, and interrupts that were sent to them there. */
  readonly hotplug: { readonly offlines: number; readonly lostInterrupts: number };
  readonly memoryShort: number;
  /** Reports of slub debugging. */
  readonly slabReports: number;
  /** Allocations that were made to fail (lowmem, failslab), and sheaves that were filled in part for lack of memory. */
  readonly faults: { readonly pages: number; readonly objects: number; readonly shortRefills: number };
}

export function summarise(mem: BareMemory, map: MachineMap, control: Control, oracle: SharedOracle): Summary {
  const sum = <T extends string>(variable: Inner<"percpu", T>, field: Field<NoInfer<T>>): number => {
    let total = 0;
    for (let id = 0; id < map.shape.cpus; id++) total += mem.peek(embedded(map.section(id), variable), field) >>> 0;
    return total;
  };
  const sums = <T extends string>(
    variable: Inner<"percpu", T>,
    field: ArrayField<NoInfer<T>, Access, number>,
    names: readonly string[],
  ): Record<string, number> => Object.fromEntries(names.map((name, i) => [name, sum(variable, element(field, i))]));
  const c = CpuCounters.offset;
  const k = KvfreeCounters.offset;
  const t = TortureCpu.offset;
  const s = SlubCpu.offset;
  const rcuState = embedded(map.globals, RCU_STATE);
  const ages = Array.from({ length: RCU_TORTURE_PIPE_LEN + 1 }, (_, age) => sum(TORTURE, element(t.reader_age, age)));
  return {
    ops: sum(TORTURE, t.ops),
    nmis: { controller: sum(COUNTERS, element(c.nmis, 0)), local: sum(COUNTERS, element(c.nmis, 1)) },
    raised: control.raised(),
    irqs: sum(COUNTERS, c.irqs),
    ticks: sum(COUNTERS, c.ticks),
    nmisByContext: sums(COUNTERS, c.nmis_by_context, CONTEXT_NAMES),
    irqsByContext: sums(COUNTERS, c.irqs_by_context, CONTEXT_NAMES),
    points: Object.fromEntries(
      POINT_NAMES.slice(1).map((name, i) => [
        name,
        {
          visited: sum(COUNTERS, element(c.points_visited, i + 1)),
          controller: sum(COUNTERS, element(c.points_hit_controller, i + 1)),
          local: sum(COUNTERS, element(c.points_hit_local, i + 1)),
        },
      ]),
    ),
    gracePeriods: mem.peek(rcuState, RcuState.offset.n_gps),
    expeditedGracePeriods: mem.peek(rcuState, RcuState.offset.n_exp_gps),
    callbacks: sum(RCU_DATA, RcuData.offset.n_cbs_invoked),
    rcuBarriers: mem.peek(rcuState, RcuState.offset.n_barriers),
    kvfreeBarriers: sum(KVFREE, k.kvfree_rcu_barriers) + sum(KVFREE, k.cache_barriers),
    irqWorkRuns: sum(COUNTERS, c.irq_work_runs),
    readers: sum(TORTURE, t.readers),
    readerAge: ages.some((n) => n > 0) ? ages : oracle.readerAges(),
    kmallocNolock: { ok: sum(SLUB, s.kmalloc_nolock_ok), failed: sum(SLUB, s.kmalloc_nolock_failed) },
    kfreeNolock: { sheaf: sum(SLUB, s.kfree_nolock_sheaf), deferred: sum(SLUB, s.kfree_nolock_deferred) },
    kfreeRcu: {
      calls: sum(KVFREE, k.kfree_rcu),
      sheaf: sum(KVFREE, k.kfree_rcu_sheaf),
      krc: sum(KVFREE, k.kfree_rcu_krc) - sum(NOLOCK_RFC_COUNTERS, NolockRfcCounters.offset.linked), // Not its own.
      bulk: sum(KVFREE, k.krc_bulk),
      vmalloc: sum(KVFREE, k.krc_vmalloc),
      synchronous: sum(KVFREE, k.kfree_rcu_synchronous),
      callRcu: sum(KVFREE, k.kfree_rcu_call_rcu),
    },
    bnodes: {
      cached: sum(KVFREE, k.bnodes_cached),
      allocated: sum(KVFREE, k.bnodes_allocated),
      refused: sum(KVFREE, k.bnodes_refused),
      workerRuns: sum(KVFREE, k.page_cache_runs),
      shrinks: sum(KVFREE, k.krc_shrinks),
    },
    kfreeRcuNolock: {
      calls: sum(KVFREE, k.kfree_rcu_nolock),
      sheaf: sum(KVFREE, k.kfree_rcu_nolock_sheaf),
      objectsByRcu: sum(KVFREE, k.kfree_rcu_nolock_deferred),
      rcuSheaves: sum(KVFREE, k.rcu_sheaves_deferred),
    },
    nolockRfc: Object.fromEntries(
      Object.entries(NolockRfcCounters.offset).map(([name, field]) => [name, sum(NOLOCK_RFC_COUNTERS, field)]),
    ) as Summary["nolockRfc"],
    slab: slabStats(mem, map, sum),
    caches: sum(TORTURE, t.caches),
    migrations: sum(COUNTERS, c.migrations),
    hotplug: { offlines: sum(COUNTERS, c.offlines), lostInterrupts: sum(COUNTERS, c.lost_interrupts) },
    memoryShort: sum(TORTURE, t.kmalloc_failed),
    slabReports: sum(SLUB, SlubCpu.offset.slab_reports),
    faults: {
      pages: sum(FAULT_INJECT, FaultInject.offset.fail_page_alloc),
      objects: sum(FAULT_INJECT, FaultInject.offset.failslab),
      shortRefills: sum(FAULT_INJECT, FaultInject.offset.sheaf_refills_short),
    },
  };
}

function slabStats(
  mem: BareMemory,
  map: MachineMap,
  sum: (variable: typeof SLUB, field: Field<"slub_cpu">) => number,
): Summary["slab"] {
  const totals = STAT_NAMES.map((_, item) => sum(SLUB, element(RETIRED, item)));
  for (const s of caches(mem, map)) {
    const stats = mem.peek(s, CPU_STATS);
    if (stats === NULL) continue;
    for (let id = 0; id < map.shape.cpus; id++) {
      const own = (stats + id * KmemCacheStats.size) as typeof stats;
      for (const item of STAT_NAMES.keys()) totals[item] += mem.peek(own, element(COUNTS, item)) >>> 0;
    }
  }
  return Object.fromEntries(STAT_NAMES.map((name, item) => [name, totals[item]])) as Summary["slab"];
}

/** More caches than any machine has: a machine that has failed may have a broken list. */
const MAX_CACHES = 10_000;
function* caches(mem: BareMemory, map: MachineMap): Generator<Ptr<"kmem_cache">> {
  const head = embedded(embedded(map.globals, SLAB), SLAB_CACHES);
  let entry = mem.peek(head, NEXT);
  for (let n = 0; entry !== head && entry > 0 && entry < map.shape.bytes && n < MAX_CACHES; n++) {
    yield container_of(entry, LIST);
    entry = mem.peek(entry, NEXT);
  }
}
