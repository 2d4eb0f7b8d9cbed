/** What the CPUs of a machine run: the shape that scenarios give their code. */
import type { Cpu } from "../shared/cpu/cpu.ts";

interface ProgramParts {
  /** Binds the program's callback numbers; on every thread, before the machine starts. */
  readonly bind: () => void;
  /** Makes what the CPUs share; once, on CPU 0, after the kernel has started and before the other CPUs run. */
  readonly setup: (cpu: Cpu) => void;
  /** What the program adds to the interrupt handlers. @context NMI */
  readonly nmi: (cpu: Cpu) => void;
  /** @context Hardirq */
  readonly irq: (cpu: Cpu) => void;
  /** Gives back what this CPU holds; on every CPU, once, after its last operation. */
  readonly teardown: (cpu: Cpu) => void;
  /** Gives back what the CPUs shared, and checks it; on CPU 0, once, with all CPUs at rest. */
  readonly finish: (cpu: Cpu) => void;
}
/** Runs until the machine stops. */
interface Endless {
  /** One small operation; called again and again on every CPU, as a task that may sleep. */
  readonly operation: (cpu: Cpu) => void;
}
/** Has an amount of work to do. */
interface Finite {
  /**
   * All of this CPU's work, as a task that may sleep. Counts torture_cpu.ops as it gets on: that is what the watchdog
   * looks at. Ends early once globals.stopping is set.
   */
  readonly main: (cpu: Cpu) => void;
}
export type Program = ProgramParts & (Endless | Finite);
