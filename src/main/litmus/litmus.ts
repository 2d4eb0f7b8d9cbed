/**
 * Litmus tests, in the manner of herd: a few lines per CPU, an outcome, and whether it may happen. One shape per file;
 * catalogue.ts has them all.
 *
 * No test is believed for its silence. An outcome that is allowed must be reached. One that is forbidden must be reached
 * as soon as the mechanism that forbids it does nothing: `vacuity` is the same test with that mechanism switched off.
 */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import type { MemoryModel } from "../explore/engine/store_buffer.ts";
import type { Scenario } from "../explore/scenario.ts";

interface Test {
  /** Its name is the test's name in the catalogue. `check`, if there, says what else must never be. */
  readonly scenario: Scenario;
  /** One sentence. */
  readonly title: string;
  /** What is asked for, in words: "r0=0 and r1=1". */
  readonly outcome: string;
  /** All schedules with at most so many preemptions can be tried in the default budget; -1: not even those with none. */
  readonly bound: number;
  /** Executions of each random strategy in the default budget (default 100). */
  readonly random?: number;
  /** The memory model in which the outcome can show at all: store buffers in order (tso) or one per word (pso). */
  readonly memory?: Exclude<MemoryModel, "sc">;
}
interface Observing extends Test {
  /** Is this the outcome? Asked at the end of each execution, alone. */
  observed(cpu: Cpu): boolean;
  /** With this in its message the machine itself may stop at the outcome, before its end. That is an observation, too. */
  readonly reported?: RegExp;
}
/** No execution may end so, and there is one that does without the mechanism. */
export interface Forbidden extends Observing {
  readonly verdict: "F";
  readonly vacuity: Scenario;
}
/** Some execution must end so. */
export interface Allowed extends Observing {
  readonly verdict: "A";
}
/** The machine itself must stop, with the outcome in its message. */
export interface Detector extends Test {
  readonly verdict: "detector";
}
export type Litmus = Forbidden | Allowed | Detector;
