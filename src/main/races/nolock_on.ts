/**
 * kfree_rcu_nolock() from an NMI on top of every step of what the kernel may be doing at that moment: allocation, free,
 * kfree_rcu(), call_rcu(), the irq_work handler, __slab_free(). Spec slub 4.5, rcu 2.7. Another CPU meanwhile takes from
 * the same slabs and gives to them.
 */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { cond_resched } from "../../shared/cpu/sched.ts";
import { SLAB_NO_SHEAVES } from "../../shared/layout/slab_flags.ts";
import { kmem_cache_free } from "../../shared/linux/mm/slub/kmalloc.ts";
import { call_rcu } from "../../shared/linux/rcu/tree.ts";
import { callbackId, type Operation, type Scenario } from "../explore/scenario.ts";
import { NO_GRACE_PERIODS } from "./kit_no_grace_periods.ts";
import { alloc, at, cache, CAPACITY, FIRST_WORD, makeCache, makeThings, race } from "./kit.ts";
import { accounted } from "./kit_account.ts";
import {
  free,
  freeNolock,
  freeRcu,
  freeRcuNolock,
  insideSheafLock,
  monitorIsDue,
  nmiFrees,
  slabFree,
} from "./kit_frees.ts";

/** The thing that the NMI frees. */
const LAST = 15;
const each =
  (count: number, operation: (i: number) => Operation): Operation =>
  (cpu) => {
    for (let i = 0; i < count; i++) operation(i)(cpu);
  };
const allocFree = (cpu: Cpu): void => kmem_cache_free(cpu, cache(cpu), alloc(cpu));

interface Interrupted {
  readonly what: string;
  readonly summary: string;
  readonly cpus: Scenario["cpus"];
  /** State from which the programs start. */
  readonly before?: Operation;
  /** Of the cache, and objects of its slabs. */
  readonly flags?: number;
  readonly objects?: number;
}
function nolockOn({ what, summary, cpus, before, flags, objects }: Interrupted): Scenario {
  return race({
    name: `nolock-on-${what}`,
    summary: `kfree_rcu_nolock() from an NMI at every step of ${summary}`,
    setup: (cpu) => {
      makeThings(cpu, makeCache(cpu, flags, objects), LAST + 1);
      before?.(cpu);
    },
    cpus,
    callbacks: [() => undefined],
    nmi: nmiFrees(LAST),
    check: accounted,
    kernel: NO_GRACE_PERIODS,
  });
}

const deferBoth = (cpu: Cpu): void =>
  insideSheafLock(cpu, () => {
    freeNolock(0)(cpu);
    freeRcuNolock(1)(cpu);
  });

export default [
  nolockOn({
    what: "kmalloc",
    summary: "an allocation that refills its sheaf",
    cpus: [[allocFree], [slabFree(0)]],
  }),
  nolockOn({
    what: "kfree",
    summary: "a free that finds main and spare full",
    before: each(2 * CAPACITY, free),
    cpus: [[free(8)], [slabFree(9)]],
  }),
  nolockOn({
    what: "kfree-rcu",
    summary: "a kfree_rcu() that fills its sheaf, and one that needs a new one",
    before: each(CAPACITY - 1, freeRcu),
    cpus: [[freeRcu(8), freeRcu(10)], [slabFree(9)]],
  }),
  nolockOn({
    what: "call-rcu",
    summary: "call_rcu(), with a sheaf that this fills",
    before: each(CAPACITY - 1, freeRcu),
    cpus: [[(cpu) => call_rcu(cpu, at(cpu, FIRST_WORD), callbackId(0))], [slabFree(9)]],
  }),
  nolockOn({
    what: "irq-work",
    summary: "deferred_percpu_work_fn()",
    cpus: [[deferBoth], [slabFree(9)]],
  }),
  nolockOn({
    what: "krc-monitor",
    summary: "kfree_rcu_monitor()",
    flags: SLAB_NO_SHEAVES,
    before: freeRcu(0),
    cpus: [[monitorIsDue, cond_resched], [slabFree(9)]],
  }),
  nolockOn({
    what: "slab-free",
    summary: "__slab_free() into a full slab",
    objects: LAST + 1,
    cpus: [[slabFree(0), slabFree(1)], [slabFree(9)]],
  }),
];
