/**
 * E13: an object lies in CPU 0's rcu_free sheaf, which lacks one to be full. A barrier begins on CPU 1, and an NMI on CPU 0
 * fills the sheaf, which goes to rcu_sheaves.
 *
 * D F R K misses a late irq_work: D was there before the sheaf, F finds none, and R comes before its call_rcu().
 */
import { kfree_rcu } from "../../shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { kfree_rcu_nolock } from "../../shared/linux/mm/kvfree_rcu/nolock.ts";
import { rcu_barrier } from "../../shared/linux/rcu/tree_barrier.ts";
import { result } from "../explore/scenario.ts";
import { inEachOrder } from "./kit_barrier_orders.ts";
import { CAPACITY, HEAD, isThere, thing, withThings } from "./kit_objects.ts";

export default inEachOrder({
  name: "E13",
  title: "a barrier, and kfree_rcu_nolock() in an NMI fills the sheaf of an old object",
  program: (barrier) => ({
    setup: withThings(CAPACITY, 0, (cpu) => {
      for (let i = 1; i < CAPACITY; i++) kfree_rcu(cpu, thing(cpu, i), HEAD);
    }),
    cpus: [
      [],
      [
        (cpu) => {
          barrier(cpu);
          if (isThere(cpu, thing(cpu, 1))) result(cpu, 0, 1);
        },
      ],
    ],
    nmi: (cpu) => {
      if (cpu.id === 0) kfree_rcu_nolock(cpu, thing(cpu, 0), HEAD);
    },
  }),
  without: rcu_barrier,
  missesLate: "dfrk",
  bound: 0,
  random: 20,
});
