/**
 * A scenario: what every CPU runs, what the interrupt handlers do besides their own mix, and what must hold. Scenario
 * code runs on CPUs, as kernel code does: all state that outlives an operation is in the machine's memory
 * (layout/torture.ts), chance is cpu_random(), and a wrong state is a bug().
 */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { random_below } from "../../shared/cpu/random.ts";

export interface Scenario {
  /** Binds callback numbers; on every thread. */
  readonly bind?: () => void;
  /** Makes what the CPUs share; once, on CPU 0, before the others run. */
  readonly setup?: (cpu: Cpu) => void;
  /** One small operation. @context Task, may sleep */
  readonly operation: (cpu: Cpu) => void;
  /** @context NMI */
  readonly nmi?: (cpu: Cpu) => void;
  /** @context Hardirq */
  readonly irq?: (cpu: Cpu) => void;
  /** Gives back what this CPU holds; on every CPU, no more interrupt traffic. @context Task, may sleep */
  readonly teardown?: (cpu: Cpu) => void;
  /** Gives back what the CPUs shared; on CPU 0, all others at rest. @context Task, may sleep */
  readonly finish?: (cpu: Cpu) => void;
}

/** Operations and how often each is drawn, relative to the others. */
export type Mix = readonly (readonly [weight: number, operation: (cpu: Cpu) => void])[];

/** Runs one of the operations. */
export function run_one_of(cpu: Cpu, mix: Mix, total: number): void {
  let draw = random_below(cpu, total);
  for (const [weight, operation] of mix) {
    draw -= weight;
    if (draw < 0) {
      operation(cpu);
      return;
    }
  }
}
export function totalWeight(mix: Mix): number {
  return mix.reduce((sum, [weight]) => sum + weight, 0);
}
