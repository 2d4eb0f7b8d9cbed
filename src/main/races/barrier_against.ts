/**
 * kvfree_rcu_barrier_on_cache(), or its last part alone, while another CPU has the old objects in its hands: they have
 * left the place where the barrier looks for them, and have not yet come to the next one.
 */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { cond_resched } from "../../shared/cpu/sched.ts";
import { deferred_work_barrier, kvfree_rcu_barrier_on_cache } from "../../shared/linux/mm/kvfree_rcu/barrier.ts";
import { synchronize_rcu } from "../../shared/linux/rcu/tree.ts";
import { get, set } from "../explore/scenario.ts";
import { NO_GRACE_PERIODS } from "./kit_no_grace_periods.ts";
import { cache, CAPACITY, FIRST_WORD, makeCache, makeThings, race, withoutSheaves } from "./kit.ts";
import { accounted } from "./kit_account.ts";
import { freeNolock, freeRcu, krcBarrier, monitorIsDue } from "./kit_frees.ts";

/** Set when the grace period of the thing in krc is over, and the monitor comes. */
const DUE = FIRST_WORD;
const due = (cpu: Cpu): void => {
  monitorIsDue(cpu);
  set(cpu, DUE, 1);
};
const waitUntilDue = (cpu: Cpu): void => {
  while (get(cpu, DUE) === 0) cpu.mem.relax();
};

export default [
  race({
    name: "barrier-deferred-handler",
    summary: "deferred_work_barrier() against the handler that it waits for",
    setup: withoutSheaves(1),
    cpus: [[freeNolock(0)], [deferred_work_barrier]],
    kernel: NO_GRACE_PERIODS,
    check: accounted,
  }),
  race({
    name: "barrier-kfree-rcu",
    summary: "kvfree_rcu_barrier_on_cache() against a kfree_rcu() that fills the sheaf of old objects",
    setup: (cpu) => {
      makeThings(cpu, makeCache(cpu), CAPACITY);
      for (let i = 1; i < CAPACITY; i++) freeRcu(i)(cpu);
    },
    cpus: [[freeRcu(0)], [(cpu) => kvfree_rcu_barrier_on_cache(cpu, cache(cpu))]],
    check: accounted,
  }),
  race({
    name: "barrier-krc-monitor",
    summary: "__kvfree_rcu_barrier() against the monitor that frees an object whose grace period is over",
    setup: withoutSheaves(1, freeRcu(0)),
    cpus: [
      [synchronize_rcu, due, cond_resched],
      [waitUntilDue, krcBarrier],
    ],
    check: accounted,
  }),
];
