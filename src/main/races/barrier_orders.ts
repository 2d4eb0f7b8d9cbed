/**
 * The orders in which a barrier drains, against what slips past one of them if the irq_work comes late (spec rcu 2.8):
 *
 *   window       before the barrier                  then                                            missed by
 *   full-sheaf   old objects in an rcu_free sheaf    an NMI fills it after D: it is on rcu_sheaves   D F R K
 *   deferred     an old object on objects_by_rcu     D takes it to a sheaf that nobody flushes       F D R K
 *
 * D F D R K, and each order with a prompt irq_work, wait for all.
 *
 * Two sizes. `full-sheaf-barrier-*` runs kvfree_rcu_barrier_on_cache() with both kinds of old objects. `drains-*` runs D
 * and F only, and then looks whether all old objects are with call_rcu(), where R finds them: small enough to be exhausted.
 */
import { bug } from "../../shared/cpu/bug.ts";
import {
  BARRIER_DFDRK,
  BARRIER_DFRK,
  BARRIER_FDRK,
  IRQWORK_LATE,
  IRQWORK_PROMPT,
} from "../../shared/layout/globals.ts";
import {
  deferred_work_barrier,
  flush_rcu_sheaves_on_cache,
  kvfree_rcu_barrier_on_cache,
} from "../../shared/linux/mm/kvfree_rcu/barrier.ts";
import { kfree_rcu } from "../../shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { kfree_rcu_nolock } from "../../shared/linux/mm/kvfree_rcu/nolock.ts";
import { cpus_read_lock, cpus_read_unlock } from "../../shared/linux/sync/cpu_hotplug.ts";
import { get, set, type Operation, type Scenario } from "../explore/scenario.ts";
import { cache, CAPACITY, FIRST_WORD, HEAD, loses, type Loses, makeCache, makeThings, race, take } from "./kit.ts";
import { insideSheafLock, nmiFrees } from "./kit_frees.ts";
import { NO_GRACE_PERIODS } from "./kit_no_grace_periods.ts";
import { see_before_call_rcu } from "./kit_whereabouts.ts";

/** The thing that the NMI frees; those before it may be old. Words from FIRST_WORD on remember which are. */
const LAST = CAPACITY - 1;

/** Frees things: some are left as by an NMI that hits a holder of the sheaf lock, some lie in rcu_free. */
const oldThings =
  (deferred: number, inSheaf: number): Operation =>
  (cpu) => {
    makeThings(cpu, makeCache(cpu), LAST + 1);
    const things = Array.from({ length: deferred + inSheaf }, (_, i) => take(cpu, i));
    for (const [i, thing] of things.entries()) set(cpu, FIRST_WORD + i, thing);
    for (const thing of things.slice(deferred)) kfree_rcu(cpu, thing, HEAD);
    insideSheafLock(cpu, () => {
      for (const thing of things.slice(0, deferred)) kfree_rcu_nolock(cpu, thing, HEAD);
    });
  };
const D: Operation = deferred_work_barrier;
const F: Operation = (cpu) => {
  cpus_read_lock(cpu);
  flush_rcu_sheaves_on_cache(cpu, cache(cpu));
  cpus_read_unlock(cpu);
};
/** Where R begins: what is not with call_rcu() now is missed. */
const look: Operation = (cpu) => {
  const old = Array.from({ length: LAST }, (_, i) => get(cpu, FIRST_WORD + i));
  see_before_call_rcu(cpu, cache(cpu), HEAD, (object, place) => {
    if (old.includes(object)) bug(cpu, `an old object is in ${place} when rcu_barrier() begins: nobody waits for it`);
  });
};

/** Where an old object slips past a barrier: see above. */
type Window = "full-sheaf" | "deferred";
const ORDERS = {
  dfdrk: { barrier_order: BARRIER_DFDRK, drains: [D, F, D, look], misses: undefined },
  dfrk: { barrier_order: BARRIER_DFRK, drains: [D, F, look], misses: "full-sheaf" },
  fdrk: { barrier_order: BARRIER_FDRK, drains: [F, D, look], misses: "deferred" },
} as const;
const MODES = { prompt: IRQWORK_PROMPT, late: IRQWORK_LATE } as const;

/** One order in one mode: the drains with either kind of old object, and the whole barrier with both. */
function racesOf(order: keyof typeof ORDERS, mode: keyof typeof MODES): readonly (Scenario | Loses)[] {
  const { barrier_order, drains, misses } = ORDERS[order];
  const common = { nmi: nmiFrees(LAST), globals: { barrier_order, irqwork_mode: MODES[mode] } };
  const drainsRace = (window: Window, what: string): Scenario | Loses => {
    const of = race({
      ...common,
      name: `drains-${window}-${order}-${mode}`,
      summary: `the drains ${order} against ${what} and an NMI, irq_work ${mode}`,
      setup: window === "deferred" ? oldThings(1, 0) : oldThings(0, LAST),
      cpus: [[], drains],
      kernel: NO_GRACE_PERIODS,
    });
    return mode === "late" && misses === window ? loses(of) : of;
  };
  const barrier = race({
    ...common,
    name: `full-sheaf-barrier-${order}-${mode}`,
    summary: `kvfree_rcu_barrier_on_cache() ${order} against an NMI that fills an rcu_free sheaf, irq_work ${mode}`,
    setup: oldThings(1, LAST - 1),
    cpus: [[], [(cpu) => kvfree_rcu_barrier_on_cache(cpu, cache(cpu))]],
  });
  return [
    drainsRace("full-sheaf", "an rcu_free sheaf that the NMI fills"),
    drainsRace("deferred", "an object on objects_by_rcu"),
    mode === "late" && misses !== undefined ? loses(barrier) : barrier,
  ];
}

export default (["dfdrk", "dfrk", "fdrk"] as const).flatMap((order) =>
  (["prompt", "late"] as const).flatMap((mode) => racesOf(order, mode)),
);
