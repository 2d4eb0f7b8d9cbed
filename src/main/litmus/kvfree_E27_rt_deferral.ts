/**
 * E27: PREEMPT_RT. A task with IRQs off fills its CPU's sheaf by kfree_rcu_nolock(): call_rcu() may not be called
 * there, so the sheaf is deferred, and "IRQs are on again" says nothing of it: the thread irq_work/N comes when it
 * comes. Then a barrier.
 */
import { local_irq_disable, local_irq_enable } from "../../shared/cpu/context.ts";
import { flush_rcu_sheaves_on_cache, kvfree_rcu_barrier_on_cache } from "../../shared/linux/mm/kvfree_rcu/barrier.ts";
import { __kvfree_rcu_barrier } from "../../shared/linux/mm/kvfree_rcu/krc_barrier.ts";
import { kfree_rcu_nolock } from "../../shared/linux/mm/kvfree_rcu/nolock.ts";
import { rcu_barrier } from "../../shared/linux/rcu/tree_barrier.ts";
import { get, result, set, type Operation, type Scenario } from "../explore/scenario.ts";
import { cache, CAPACITY, HEAD, isThere, OBJECTS, thing, withThings } from "./kit_objects.ts";
import { registers } from "./kit_words.ts";
import type { Forbidden } from "./litmus.ts";

const FREED = 3;

const machine = (name: string, barrier: Operation): Scenario => ({
  name,
  globals: { ...OBJECTS, rt: 1 },
  setup: withThings(CAPACITY, 0),
  cpus: [
    [
      (cpu) => {
        local_irq_disable(cpu);
        for (let i = 0; i < CAPACITY; i++) kfree_rcu_nolock(cpu, thing(cpu, i), HEAD);
        set(cpu, FREED, 1);
        local_irq_enable(cpu);
      },
    ],
    [
      (cpu) => {
        while (get(cpu, FREED) === 0) cpu.mem.relax();
        barrier(cpu);
        for (let i = 0; i < CAPACITY; i++) if (isThere(cpu, thing(cpu, i))) result(cpu, 0, 1);
      },
    ],
  ],
});
/** F R K: a barrier that does not wait for what is deferred. */
const without: Operation = (cpu) => {
  flush_rcu_sheaves_on_cache(cpu, cache(cpu));
  rcu_barrier(cpu);
  __kvfree_rcu_barrier(cpu);
};

const test: Forbidden = {
  title: "kfree_rcu_nolock() with IRQs off fills a sheaf with PREEMPT_RT, then a barrier",
  outcome: "still queued",
  observed: registers(1),
  bound: -1,
  random: 30,
  verdict: "F",
  scenario: machine("E27", (cpu) => kvfree_rcu_barrier_on_cache(cpu, cache(cpu))),
  vacuity: machine("E27+no-D", without),
};
export default test;
