/**
 * Tests of the grace-period guarantee (spec rcu 5.1): a shape is a program with a gap where it waits for readers. With
 * synchronize_rcu() in the gap its outcome is forbidden, with synchronize_rcu_expedited() too (T28); with nothing in it
 * the outcome must show.
 *
 * Readers have the lower CPU numbers. CPU 0 runs first unless a preemption is spent on it, so one preemption in a reader
 * is enough to put a whole updater into its section.
 */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { rcu_read_lock, rcu_read_unlock } from "../../shared/linux/rcu/update.ts";
import { synchronize_rcu } from "../../shared/linux/rcu/tree.ts";
import { synchronize_rcu_expedited } from "../../shared/linux/rcu/tree_exp.ts";
import { get, result, resultOf, set, type Operation, type Scenario } from "../explore/scenario.ts";
import type { Forbidden } from "./litmus.ts";

export interface Shape extends Pick<Forbidden, "title" | "outcome" | "observed" | "bound" | "random" | "memory"> {
  readonly id: string;
  /** The program with `wait` in its gap. */
  program(wait: Operation): Omit<Scenario, "name">;
}
export const normal = (shape: Shape): Forbidden => litmusOf(shape, shape.id, synchronize_rcu);
export const expedited = (shape: Shape): Forbidden => litmusOf(shape, `T28-${shape.id}`, synchronize_rcu_expedited);

function litmusOf(shape: Shape, name: string, wait: Operation): Forbidden {
  return {
    ...shape,
    verdict: "F",
    scenario: { name, ...shape.program(wait) },
    vacuity: { name: `${name}+no-op`, ...shape.program(() => undefined) },
  };
}

/** Variables of T4. */
export const X = 0;
export const Y = 1;
/** Updater of T4: y before the wait, x after it. */
export const updater =
  (wait: Operation): Operation =>
  (cpu) => {
    set(cpu, Y, 1);
    wait(cpu);
    set(cpu, X, 1);
  };
/** Reader of T4: one section that reads y, then x. */
export const reader: Operation = (cpu) => {
  rcu_read_lock(cpu);
  const r0 = get(cpu, Y);
  const r1 = get(cpu, X);
  rcu_read_unlock(cpu);
  sawSpan(cpu, r0, r1);
};
/** Notes a section that has seen both "before the wait" and "after it". Any reader may be the one. */
export function sawSpan(cpu: Cpu, r0: number, r1: number): void {
  if (r0 === 0 && r1 === 1) result(cpu, 0, 1);
}
/** The outcome of T4. */
export const span = {
  outcome: "r0=0 and r1=1",
  observed: (cpu: Cpu): boolean => resultOf(cpu, 0) === 1,
};
