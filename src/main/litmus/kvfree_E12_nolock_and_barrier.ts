/**
 * E12: an NMI on CPU 0 frees an object by kfree_rcu_nolock(), wherever it hits a kfree_rcu() of the same cache: inside the
 * sheaf lock it must defer, and without sheaves always. CPU 1 sees that the call has returned, and calls the barrier.
 *
 * F D R K misses a late irq_work: D finds the object deferred, and takes it to a sheaf that nobody flushes any more.
 */
import { SLAB_NO_SHEAVES } from "../../shared/layout/slab_flags.ts";
import { __kvfree_rcu_barrier } from "../../shared/linux/mm/kvfree_rcu/krc_barrier.ts";
import { kfree_rcu } from "../../shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { kfree_rcu_nolock } from "../../shared/linux/mm/kvfree_rcu/nolock.ts";
import { get, result, set } from "../explore/scenario.ts";
import { inEachOrder, type BarrierTest } from "./kit_barrier_orders.ts";
import { HEAD, isThere, thing, withThings } from "./kit_objects.ts";

const RETURNED = 3;

const test = (flags: number): Pick<BarrierTest, "program" | "without" | "bound"> => ({
  program: (barrier) => ({
    setup: withThings(2, flags),
    cpus: [
      [(cpu) => kfree_rcu(cpu, thing(cpu, 0), HEAD)],
      [
        (cpu) => {
          if (get(cpu, RETURNED) === 0) return;
          barrier(cpu);
          if (isThere(cpu, thing(cpu, 1))) result(cpu, 0, 1);
        },
      ],
    ],
    nmi: (cpu) => {
      if (cpu.id !== 0) return;
      kfree_rcu_nolock(cpu, thing(cpu, 1), HEAD);
      set(cpu, RETURNED, 1);
    },
  }),
  without: __kvfree_rcu_barrier,
  bound: 1,
});

export default [
  ...inEachOrder({
    ...test(0),
    name: "E12",
    title: "kfree_rcu_nolock() in an NMI, then a barrier",
    missesLate: "fdrk",
  }),
  ...inEachOrder({
    ...test(SLAB_NO_SHEAVES),
    name: "E12-list",
    title: "kfree_rcu_nolock() in an NMI, without sheaves, then a barrier",
    orders: ["dfdrk"],
  }),
];
