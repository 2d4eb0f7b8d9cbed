/**
 * What our repairs of the kernel are for: each race is won with the repair, and lost as the kernel does it (name with
 * "-off"; globals.kernel_behaviour).
 *
 *   nested-producer  an NMI between llist_add() and irq_work_queue() adds to the same list       slub 6.4a
 *   rcuwait-shared   two irq_work_sync() of one work sleep in a place for one                     slub B25
 *   K-1              a barrier cancels the monitor that later objects rely on                      rcu 1.10
 *   K-2              a barrier does not wait for a shrinker that frees what it has taken           rcu 1.10
 *   K-3              a barrier overlooks the batch that another one is just queueing               rcu E22
 */
import { bug } from "../../shared/cpu/bug.ts";
import type { Cpu } from "../../shared/cpu/cpu.ts";
import {
  IRQWORK_LATE,
  KB_K1,
  KB_K2,
  KB_K3,
  KB_NESTED_PRODUCER,
  KB_RCUWAIT_SHARED,
} from "../../shared/layout/globals.ts";
import { init_irq_work, irq_work_queue, irq_work_sync } from "../../shared/linux/kernel/irq_work.ts";
import { deferred_work_barrier } from "../../shared/linux/mm/kvfree_rcu/barrier.ts";
import { __kvfree_rcu_barrier } from "../../shared/linux/mm/kvfree_rcu/krc_barrier.ts";
import { kfree_rcu_mightsleep } from "../../shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { shrink_kvfree_rcu } from "../../shared/linux/mm/kvfree_rcu/shrinker.ts";
import { NULL } from "../../shared/mem/struct.ts";
import { callbackId, get, set, type Scenario } from "../explore/scenario.ts";
import { NO_GRACE_PERIODS } from "./kit_no_grace_periods.ts";
import { at, cache, FIRST_THING, FIRST_WORD, HEAD, repair, take, withoutSheaves } from "./kit.ts";
import { accounted } from "./kit_account.ts";
import { freeRcu, freeRcuNolock, krcBarrier, pendingIsReady } from "./kit_frees.ts";
import { see_before_call_rcu } from "./kit_whereabouts.ts";

/** Set once the NMI's free has returned. */
const RETURNED = FIRST_WORD;
const nestedProducer: Scenario = {
  name: "nested-producer",
  summary: "kfree_rcu_nolock() in an NMI on top of itself against deferred_work_barrier()",
  setup: withoutSheaves(2),
  cpus: [
    [freeRcuNolock(0)],
    [
      (cpu) => {
        if (get(cpu, RETURNED) === NULL) return;
        const ours = get(cpu, RETURNED);
        deferred_work_barrier(cpu);
        see_before_call_rcu(cpu, cache(cpu), HEAD, (object, place) => {
          if (object === ours) bug(cpu, `the NMI's object is on ${place} still: deferred_work_barrier() has missed it`);
        });
      },
    ],
  ],
  nmi: (cpu) => {
    if (cpu.id !== 0) return;
    const thing = get(cpu, FIRST_THING + 1);
    freeRcuNolock(1)(cpu);
    set(cpu, RETURNED, thing);
  },
  check: accounted,
  kernel: NO_GRACE_PERIODS,
};

const WORK = FIRST_WORD;
const sync = (cpu: Cpu): void => irq_work_sync(cpu, at(cpu, WORK));
const rcuwaitShared: Scenario = {
  name: "rcuwait-shared",
  summary: "two irq_work_sync() of one late irq_work",
  globals: { irqwork_mode: IRQWORK_LATE },
  callbacks: [() => undefined],
  setup: (cpu) => {
    init_irq_work(cpu, at(cpu, WORK), callbackId(0));
    irq_work_queue(cpu, at(cpu, WORK));
  },
  cpus: [[], [sync], [sync]],
  kernel: NO_GRACE_PERIODS,
};

const k1: Scenario = {
  name: "K-1",
  summary: "__kvfree_rcu_barrier() against a kfree_rcu() that relies on the monitor",
  setup: withoutSheaves(2, freeRcu(0)),
  cpus: [[__kvfree_rcu_barrier], [freeRcu(1)]],
  check: accounted,
};

const k2: Scenario = {
  name: "K-2",
  summary: "__kvfree_rcu_barrier() against a shrinker that frees what is ready",
  setup: withoutSheaves(2, (cpu) => {
    freeRcu(0)(cpu);
    kfree_rcu_mightsleep(cpu, take(cpu, 1));
    pendingIsReady(cpu);
  }),
  cpus: [[krcBarrier], [(cpu) => void shrink_kvfree_rcu(cpu)]],
  check: accounted,
};

const k3: Scenario = {
  name: "K-3",
  summary: "two __kvfree_rcu_barrier() at once",
  setup: withoutSheaves(1, freeRcu(0)),
  cpus: [[krcBarrier], [krcBarrier]],
  check: accounted,
};

export default [
  ...repair(nestedProducer, KB_NESTED_PRODUCER),
  ...repair(rcuwaitShared, KB_RCUWAIT_SHARED),
  ...repair(k1, KB_K1),
  ...repair(k2, KB_K2),
  ...repair(k3, KB_K3),
];
