/** Programs that most RCU litmus tests share: T4's updater and its reader (spec rcu 5.2). */
import { get, result, resultOf, set, type Scenario } from "../../src/main/explore/scenario.ts";
import type { Cpu } from "../../src/shared/cpu/cpu.ts";
import { rcu_read_lock, rcu_read_unlock } from "../../src/shared/linux/rcu/update.ts";
import { observed } from "./kit.ts";

/** Variables of T4. */
export const X = 0;
export const Y = 1;

/** P0 of T4: y before the grace period, x after it. */
export function updater(wait: (cpu: Cpu) => void): (cpu: Cpu) => void {
  return (cpu) => {
    set(cpu, Y, 1);
    wait(cpu);
    set(cpu, X, 1);
  };
}
/** P1 of T4: one section that reads y, then x. `middle` runs between the two. */
export function reader(middle: (cpu: Cpu) => void = () => undefined): (cpu: Cpu) => void {
  return (cpu) => {
    rcu_read_lock(cpu);
    const r0 = get(cpu, Y);
    middle(cpu);
    const r1 = get(cpu, X);
    rcu_read_unlock(cpu);
    sawSpan(cpu, r0, r1);
  };
}
/** Notes if a section saw both "before the grace period" and "after it". */
export function sawSpan(cpu: Cpu, r0: number, r1: number): void {
  if (r0 === 0 && r1 === 1) result(cpu, 0, 1);
}
export const checkSpan: NonNullable<Scenario["check"]> = (cpu) =>
  observed(resultOf(cpu, 0) === 1, "r0=0 and r1=1: one section saw both sides of a grace period");
