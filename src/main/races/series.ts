/**
 * What reviewers of the kfree_rcu_nolock() series asked about, and no other race shows (docs/SERIES.md). Most are there to
 * be lost by a planted bug of test/mutants/series.ts, or by an option that takes a repair or a change back.
 */
import { bug } from "../../shared/cpu/bug.ts";
import { local_irq_restore, local_irq_save } from "../../shared/cpu/context.ts";
import { cond_resched } from "../../shared/cpu/sched.ts";
import { GFP_KERNEL } from "../../shared/layout/gfp.ts";
import { IRQWORK_LATE, KB_RCUWAIT_SHARED, VARIANT_V3 } from "../../shared/layout/globals.ts";
import { SLAB_NO_SHEAVES } from "../../shared/layout/slab_flags.ts";
import {
  deferred_work_barrier,
  kvfree_rcu_barrier,
  kvfree_rcu_barrier_on_cache,
} from "../../shared/linux/mm/kvfree_rcu/barrier.ts";
import { kfree_rcu_mightsleep } from "../../shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { kmem_cache_create } from "../../shared/linux/mm/slub/cache.ts";
import { kmem_cache_alloc } from "../../shared/linux/mm/slub/kmalloc.ts";
import { numa_mem_id, slab_nid, virt_to_slab } from "../../shared/linux/mm/slub/slab.ts";
import { NULL } from "../../shared/mem/struct.ts";
import type { Operation, Scenario } from "../explore/scenario.ts";
import { alloc, cache, CAPACITY, loses, makeCache, makeThings, race, repair, take, withoutSheaves } from "./kit.ts";
import { accounted } from "./kit_account.ts";
import { freeRcu, freeRcuNolock, insideSheafLock, monitorIsDue, nmiFrees } from "./kit_frees.ts";
import { NO_GRACE_PERIODS } from "./kit_no_grace_periods.ts";

const barrierOnCache: Operation = (cpu) => kvfree_rcu_barrier_on_cache(cpu, cache(cpu));
/** As an NMI would in an irqsave section: the irq_work comes at the end, or later. */
const freeWithIrqsOff =
  (first: number, count: number): Operation =>
  (cpu) => {
    const flags = local_irq_save(cpu);
    for (let i = first; i < first + count; i++) freeRcuNolock(i)(cpu);
    local_irq_restore(cpu, flags);
  };
/** An object of another cache, in the same krc, in the page that objects of both share. */
const freeOfAnotherCache: Operation = (cpu) => {
  const others = kmem_cache_create(cpu, "others", 32, { flags: SLAB_NO_SHEAVES });
  kfree_rcu_mightsleep(cpu, kmem_cache_alloc(cpu, others, GFP_KERNEL));
};
const allocateLocally: Operation = (cpu) => {
  const thing = alloc(cpu);
  const slab = thing === NULL ? NULL : virt_to_slab(cpu, thing);
  if (slab === NULL || slab_nid(cpu, slab) === numa_mem_id(cpu)) return;
  bug(cpu, `an allocation on node ${numa_mem_id(cpu)} gets memory of node ${slab_nid(cpu, slab)} from a local sheaf`);
};

const twoBarriers = {
  name: "two-barriers",
  summary: "two deferred_work_barrier() against two full sheaves that kfree_rcu_nolock() has deferred, irq_work late",
  globals: { irqwork_mode: IRQWORK_LATE },
  setup: (cpu) => {
    makeThings(cpu, makeCache(cpu), 2 * CAPACITY);
    freeWithIrqsOff(0, 2 * CAPACITY)(cpu);
  },
  cpus: [[], [deferred_work_barrier], [deferred_work_barrier]],
  check: accounted,
  kernel: NO_GRACE_PERIODS,
} satisfies Scenario;
const remote = {
  name: "nolock-remote",
  summary: "kfree_rcu_nolock() of as many objects of another node as fill a sheaf, then an allocation",
  nodes: 2,
  setup: (cpu) => makeThings(cpu, makeCache(cpu), CAPACITY),
  cpus: [[], [freeWithIrqsOff(0, CAPACITY), barrierOnCache, allocateLocally]],
} satisfies Scenario;

export default [
  race({
    name: "barrier-shared-krc",
    summary: "kvfree_rcu_barrier_on_cache() of one of two caches that share a krc against its monitor",
    setup: withoutSheaves(1, (cpu) => {
      freeOfAnotherCache(cpu);
      kfree_rcu_mightsleep(cpu, take(cpu, 0));
    }),
    cpus: [[monitorIsDue, cond_resched], [barrierOnCache]],
    check: accounted,
  }),
  race({
    name: "barrier-no-sheaves",
    summary: "kvfree_rcu_barrier_on_cache() of a cache without sheaves against kfree_rcu_nolock() in an NMI",
    setup: withoutSheaves(4, freeWithIrqsOff(2, 2)),
    cpus: [[freeRcu(1)], [barrierOnCache]],
    nmi: nmiFrees(0),
    check: accounted,
  }),
  race({
    name: "barrier-all-deferred",
    summary: "kvfree_rcu_barrier() against an object that kfree_rcu_nolock() has deferred, irq_work late",
    globals: { irqwork_mode: IRQWORK_LATE },
    setup: (cpu) => {
      makeThings(cpu, makeCache(cpu), 1);
      insideSheafLock(cpu, freeRcuNolock(0));
    },
    cpus: [[], [kvfree_rcu_barrier]],
    check: accounted,
  }),
  ...repair(twoBarriers, KB_RCUWAIT_SHARED),
  race(remote),
  loses(
    race({
      ...remote,
      name: "nolock-remote-v3",
      summary: `${remote.summary}, as in June 2026`,
      globals: { nolock_variant: VARIANT_V3 },
    }),
  ),
];
