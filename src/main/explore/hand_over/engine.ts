/**
 * The hand-over engine: the same scheduler with a worker thread for each CPU, of which one runs at a time. Nothing is
 * rebuilt: a lane that has to wait simply waits on its own stack until it gets the baton back. It confirms on real
 * threads what the one-thread engine found, and is slower (a hand-over costs microseconds).
 *
 * The thread of lane 0 leads: it puts memory back, begins each execution, and looks at the end.
 */
import type { Cpu } from "../../../shared/cpu/cpu.ts";
import type { MachineMap } from "../../../shared/layout/map.ts";
import type { Oracle } from "../../../shared/mem/oracle.ts";
import { cpusOf, lanesOf } from "../engine/engine.ts";
import { violation } from "../explore.ts";
import { type Lane } from "../engine/lane.ts";
import type { MachineMemory } from "../engine/machine_memory.ts";
import type { Recorder } from "../recorder.ts";
import { PRUNED } from "../engine/decider.ts";
import { FINISHED, type Limits, type Programs } from "../engine/execution.ts";
import { Scheduler } from "../engine/scheduler.ts";
import type { SharedState } from "../engine/state_words.ts";
import type { Strategy } from "../strategy.ts";
import { TracedMemory } from "../engine/traced_memory.ts";
import { ABANDONED, type Control, ENDED, FAILED, FINISHED_ALL } from "./control.ts";

export class HandOverEngine extends Scheduler {
  readonly lanes: readonly Lane[];
  readonly cpus: readonly Cpu[];
  /** The lane that this thread runs. */
  readonly own: Lane;
  private readonly control: Control;

  constructor(
    map: MachineMap,
    memory: MachineMemory,
    state: SharedState,
    oracle: Oracle,
    programs: Programs,
    limits: Limits,
    control: Control,
    own: number,
  ) {
    super(map, memory, state, programs, limits);
    this.control = control;
    this.lanes = lanesOf(map, memory.words, state, programs.further);
    const memories = this.lanes.map((lane) => new TracedMemory(this, lane));
    this.cpus = cpusOf(this.lanes, memories, map, oracle);
    this.own = this.lanes[own];
  }

  /** The leader's part of execution number `n`. @returns how it ended; control.text says what was wrong. */
  lead(n: number, strategy: Strategy, recorder: Recorder | undefined): number {
    const { control } = this;
    this.memory.restore();
    this.recorder = recorder;
    this.beginExecution(strategy);
    control.begin(n);
    this.runOwn();
    control.waitForAll();
    const { status } = control;
    if (status === FINISHED_ALL) for (const lane of this.lanes) this.drainAll(lane);
    return status;
  }
  /** Another thread's part: waits for the first baton of each execution. @throws DISMISSED when there are no more. */
  follow(strategyOf: (n: number) => Strategy, recorder: Recorder | undefined): never {
    for (;;) {
      try {
        this.control.await(this.own.id);
      } catch (e) {
        if (e === ENDED) continue; // It ended before this lane's turn had come.
        throw e;
      }
      this.recorder = recorder;
      this.attachStrategy(strategyOf(this.control.execution));
      this.own.setLevel(0);
      this.own.checkpoint();
      this.runOwn();
    }
  }

  private runOwn(): void {
    const { control, own } = this;
    control.enter(own.id);
    this.schedule(true);
    try {
      for (;;) {
        const operation = this.nextOperation(own);
        own.begin();
        operation(this.cpus[own.id]);
        this.operationEnded(own);
      }
    } catch (e) {
      this.endQuiet();
      this.schedule(false);
      this.leave(e);
    }
  }
  private leave(e: unknown): void {
    const { control, own } = this;
    if (e !== ENDED) {
      if (e === FINISHED) control.end(own.id, FINISHED_ALL, "");
      else if (e === PRUNED) control.end(own.id, ABANDONED, "");
      else control.end(own.id, FAILED, violation(e));
    }
    control.leave();
  }

  protected override runOther(lane: Lane, next: Lane): void {
    this.control.handTo(next.id);
    this.control.await(lane.id);
  }
  protected override isRebuilding(): boolean {
    return false;
  }
}
