/**
 * E12 and E13: does a barrier wait for an object that kfree_rcu_nolock() has had? In each order of its drains, with irq_work
 * that comes promptly or late. D F D R K always does, the others if it comes promptly (spec rcu 2.8).
 *
 *   D  deferred_work_barrier()     F  flush of rcu_free sheaves     R  rcu_barrier()     K  __kvfree_rcu_barrier()
 */
import { bind_callback } from "../../shared/cpu/callback_table.ts";
import { CB } from "../../shared/layout/callbacks.ts";
import {
  BARRIER_DFDRK,
  BARRIER_DFRK,
  BARRIER_FDRK,
  IRQWORK_LATE,
  IRQWORK_PROMPT,
} from "../../shared/layout/globals.ts";
import { kvfree_rcu_barrier_on_cache } from "../../shared/linux/mm/kvfree_rcu/barrier.ts";
import { KERNEL, type Kernel } from "../explore/kernel.ts";
import type { Operation, Scenario } from "../explore/scenario.ts";
import { cache, OBJECTS } from "./kit_objects.ts";
import { registers } from "./kit_words.ts";
import type { Litmus } from "./litmus.ts";

const ORDERS = { dfdrk: BARRIER_DFDRK, dfrk: BARRIER_DFRK, fdrk: BARRIER_FDRK } as const;
const MODES = { prompt: IRQWORK_PROMPT, late: IRQWORK_LATE } as const;
type Order = keyof typeof ORDERS;
type Mode = keyof typeof MODES;

export interface BarrierTest {
  readonly name: string;
  readonly title: string;
  /** The program, which calls `barrier`, and sets r0 to 1 if the object is there afterwards. */
  program(barrier: Operation): Omit<Scenario, "name">;
  /** What the barrier comes to without its mechanism: drains of places where the object is not. */
  readonly without: Operation;
  /** Default: all. */
  readonly orders?: readonly Order[];
  /** In this order a late irq_work is missed. */
  readonly missesLate?: Order;
  /** Preemption bound, if irq_work is prompt. If it is late time has to go on, and executions are many: bound 0. */
  readonly bound: number;
  readonly random?: number;
}

export function inEachOrder(test: BarrierTest): Litmus[] {
  const { orders = ["dfdrk", "dfrk", "fdrk"] } = test;
  return orders.flatMap((order) => [litmusOf(test, order, "prompt"), litmusOf(test, order, "late")]);
}
function litmusOf(test: BarrierTest, order: Order, mode: Mode): Litmus {
  const name = `${test.name}-${order}-${mode}`;
  const { bound, random = 100 } = test;
  const common = {
    title: `${test.title}; ${order}, irq_work ${mode}`,
    outcome: "still queued",
    observed: registers(1),
    bound: mode === "late" ? 0 : bound,
    random,
    scenario: { name, ...machine(order, mode), ...test.program(barrier) },
  };
  if (mode === "late" && order === test.missesLate) return { ...common, verdict: "A" };
  // Prompt: what is not waited for is missed, late or not.
  const vacuity = { name: `${name}+no-op`, ...machine(order, "prompt"), ...test.program(test.without) };
  return { ...common, verdict: "F", vacuity };
}
const machine = (order: Order, mode: Mode): Pick<Scenario, "globals" | "kernel"> => ({
  globals: { ...OBJECTS, barrier_order: ORDERS[order], irqwork_mode: MODES[mode] },
  kernel: NO_GRACE_PERIOD_AFTER_SYNC,
});
const barrier: Operation = (cpu) => kvfree_rcu_barrier_on_cache(cpu, cache(cpu));

/** A sleeping irq_work_sync() ends without its grace period, which is for works that are freed afterwards. */
const NO_GRACE_PERIOD_AFTER_SYNC: Kernel = {
  ...KERNEL,
  bind: () => {
    KERNEL.bind();
    bind_callback(CB.synchronize_rcu, () => undefined);
  },
};
