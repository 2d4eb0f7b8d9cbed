/**
 * Recorder: who watches one execution step by step, for reports, for coverage, for the comparison of engines. Called while
 * the recorded CPU stands on the JavaScript stack, so a recorder may capture the stack to learn the function's name. A
 * rebuild repeats nothing: each step is told once.
 */

/** What kind of step; the numbers of log.ts: LOAD, STORE, RMW, FILL, RAISE. */
export interface Access {
  readonly lane: number;
  readonly kind: number;
  /** Byte address of the 32-bit word. */
  readonly address: number;
  /** The word before and after; equal for a load. */
  readonly before: number;
  readonly after: number;
  /** False: the store went to the CPU's store buffer; memory is as it was (`after` is what was stored). */
  readonly visible: boolean;
}

export interface Recorder {
  /** An access has been made. The object is reused: copy what is kept. */
  access?(access: Access): void;
  /** `lane` stands at a named point (layout/points.ts). */
  point?(lane: number, point: number): void;
  /** The lane begins / has ended operation number `n` of its program; n = program length: the final one. Idle is untold. */
  operation?(lane: number, n: number): void;
  operationEnd?(lane: number, n: number): void;
  /** Another lane runs from now on. `blocked`: the old one could not go on, so this is no preemption. */
  switched?(from: number, to: number, blocked: boolean): void;
  /** An interrupt (one P_* bit) begins on the lane / has ended. `chosen`: the strategy chose it. */
  interrupt?(lane: number, bit: number, chosen: boolean): void;
  interruptEnd?(lane: number, bit: number): void;
  /** Machine time goes on. `forced`: because nobody could run. */
  tick?(jiffies: number, forced: boolean): void;
  /** A buffered store of the lane reaches memory (--tso, --pso). */
  drained?(lane: number, address: number, before: number, after: number): void;
}
