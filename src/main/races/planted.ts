/**
 * Races that no other one covers, each the shortest that notices a planted bug of test/mutants: memory runs out in the
 * middle of a refill; the old objects of a barrier lie on another CPU; a reader sees what kfree_rcu() frees by the sheaf; a
 * grace period ends while rcu_barrier() is still at the lists.
 */
import { bug } from "../../shared/cpu/bug.ts";
import { cond_resched } from "../../shared/cpu/sched.ts";
import { kvfree_rcu_barrier_on_cache } from "../../shared/linux/mm/kvfree_rcu/barrier.ts";
import { rcu_barrier } from "../../shared/linux/rcu/tree_barrier.ts";
import { call_rcu } from "../../shared/linux/rcu/tree.ts";
import { NULL } from "../../shared/mem/struct.ts";
import { callbackId, get, type Operation, set } from "../explore/scenario.ts";
import { NO_GRACE_PERIODS } from "./kit_no_grace_periods.ts";
import { at, cache, CAPACITY, FIRST_THING, FIRST_WORD, looksTwice, makeCache, makeThings, race } from "./kit.ts";
import { accounted } from "./kit_account.ts";
import { freeRcu, slabFree } from "./kit_frees.ts";
import { exhaustPages, refill, scarceSlab } from "./kit_sheaves.ts";

/** Begins once thing 0 is out of use: then its free may have returned. */
const barrierAfterFree: Operation = (cpu) => {
  if (get(cpu, FIRST_THING) === NULL) kvfree_rcu_barrier_on_cache(cpu, cache(cpu));
};

const HEADS = [FIRST_WORD, FIRST_WORD + 4] as const;
const INVOKED = FIRST_WORD + 8;
const callRcu =
  (i: 0 | 1): Operation =>
  (cpu) =>
    call_rcu(cpu, at(cpu, HEADS[i]), callbackId(i));
const rcuBarrier: Operation = (cpu) => {
  rcu_barrier(cpu);
  if (get(cpu, INVOKED) === 0) bug(cpu, "rcu_barrier() returns before the callback of its own CPU was invoked");
};

export default [
  race({
    name: "refill-no-memory",
    summary: "the refill of a sheaf from a slab that has too little for it, without memory for another slab",
    setup: (cpu) => {
      scarceSlab(cpu);
      exhaustPages(cpu);
    },
    cpus: [[refill], [slabFree(0)]],
    kernel: NO_GRACE_PERIODS,
    check: accounted,
  }),
  race({
    name: "barrier-remote-sheaf",
    summary: "kvfree_rcu_barrier_on_cache() against a kfree_rcu() on another CPU that does not fill its sheaf",
    setup: (cpu) => makeThings(cpu, makeCache(cpu), 1),
    cpus: [[barrierAfterFree], [freeRcu(0)]],
    check: accounted,
  }),
  race({
    name: "gp-kfree-rcu-sheaf",
    summary: "kfree_rcu() that fills a sheaf against a reader",
    setup: (cpu) => {
      makeThings(cpu, makeCache(cpu), CAPACITY);
      for (let i = 1; i < CAPACITY; i++) freeRcu(i)(cpu);
    },
    cpus: [[freeRcu(0), rcu_barrier], [looksTwice]],
    check: accounted,
  }),
  race({
    name: "rcu-barrier-two-lists",
    summary: "rcu_barrier() behind callbacks of two CPUs against the end of the grace period of one of them",
    // Resched: with that the grace period does not need the CPU any more that is in the barrier.
    cpus: [[callRcu(0)], [callRcu(1), cond_resched, rcuBarrier]],
    callbacks: [() => undefined, (cpu) => set(cpu, INVOKED, 1)],
  }),
];
