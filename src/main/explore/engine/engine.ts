/**
 * The explorer's engine on one thread: nested execution with re-execution.
 *
 *   - To let B run while A stands before an access, the engine calls B's operations from inside A's access.
 *   - A lane is rebuilt by putting its slot back and running its current operation again with the answers in its log.
 *   - To go on with a lane deeper on the JavaScript stack, those above are unwound by a private exception (UNWIND), to be
 *     rebuilt when it is their turn again; or, if its log is shorter than that of the lane above, it is rebuilt on top.
 *     Its frame below is then abandoned: when it is reached again it only unwinds.
 *
 * Sound because whatever outlives an access lies in shared memory or in the slot, and operations are deterministic; a
 * rebuild that differs from its log is reported as a divergence. At most one frame of each lane is alive.
 */
import { MachineBug } from "../../../shared/base/verdict.ts";
import { attachCpu } from "../../../shared/cpu/boot.ts";
import type { Cpu } from "../../../shared/cpu/cpu.ts";
import type { MachineMap } from "../../../shared/layout/map.ts";
import { PerCpu } from "../../../shared/layout/percpu.ts";
import type { Oracle } from "../../../shared/mem/oracle.ts";
import { embedded } from "../../../shared/mem/struct.ts";
import { L_BEGUN, Lane } from "./lane.ts";
import type { MachineMemory } from "./machine_memory.ts";
import type { Recorder } from "../recorder.ts";
import { PRUNED } from "./decider.ts";
import { FINISHED, type Limits, type Programs, signal } from "./execution.ts";
import { Scheduler } from "./scheduler.ts";
import type { SharedState } from "./state_words.ts";
import type { Strategy } from "../strategy.ts";
import { TracedMemory } from "./traced_memory.ts";

const { slot: SLOT, pending: PENDING } = PerCpu.offset;

/** Thrown through the frames of a lane that must make room for one below it. Nobody else sees it. */
const UNWIND = signal();

/** What unwinding costs, in accesses that are answered from a log. */
const UNWINDING = 20;
/** Frames on the stack, abandoned ones included. */
const MAX_DEPTH = 24;

/** The lanes of a machine, on the words that their threads share. */
export function lanesOf(map: MachineMap, words: Int32Array, state: SharedState): readonly Lane[] {
  return state.lanes.map((s, id) => {
    const section = map.section(id);
    return new Lane(id, s, words, embedded(section, SLOT), embedded(section, PENDING));
  });
}

export class Engine extends Scheduler {
  readonly lanes: readonly Lane[];
  readonly cpus: readonly Cpu[];
  private readonly memories: readonly TracedMemory[];
  /** Frames that the execution has had so far, and those that are on the stack. */
  private frames = 0;
  private depth = 0;
  private target: Lane;

  constructor(
    map: MachineMap,
    memory: MachineMemory,
    state: SharedState,
    oracle: Oracle,
    programs: Programs,
    limits: Limits,
  ) {
    super(map, memory, state, programs, limits);
    this.lanes = lanesOf(map, memory.words, state);
    this.memories = this.lanes.map((lane) => new TracedMemory(this, lane));
    this.cpus = this.memories.map((traced, id) => attachCpu(traced, map, id, 0, oracle));
    this.target = this.lanes[0];
  }

  /**
   * Runs one execution.
   * @returns false if the strategy abandoned it: it came to a state whose future is known.
   * @throws MachineBug when something is wrong.
   */
  run(strategy: Strategy, recorder?: Recorder): boolean {
    this.memory.restore();
    this.recorder = recorder;
    this.frames = 0;
    this.depth = 0;
    for (const traced of this.memories) traced.rebuilding = false;
    this.beginExecution(strategy);
    this.solo = false;
    this.target = this.lanes[0];
    let pruned = false;
    try {
      for (;;) this.enter(this.target);
    } catch (e) {
      if (e === PRUNED) pruned = true;
      else if (e !== FINISHED) throw e;
    } finally {
      this.endQuiet();
      this.solo = true;
      // A failure may have left lanes half rebuilt; who looks at the machine now looks at memory.
      for (const traced of this.memories) traced.rebuilding = false;
    }
    if (!pruned) for (const lane of this.lanes) this.drainAll(lane);
    return !pruned;
  }

  /** Runs a lane on top of the stack until it is unwound. */
  private enter(lane: Lane): void {
    const traced = this.memories[lane.id];
    const frame = ++this.frames;
    lane.frame = frame;
    this.depth++;
    if (lane.s[L_BEGUN] !== 0) {
      lane.restoreSlot();
      traced.rebuilding = true;
    }
    try {
      for (;;) {
        if (lane.s[L_BEGUN] === 0) {
          lane.operation = this.nextOperation(lane);
          lane.s[L_BEGUN] = 1;
        }
        lane.operation(this.cpus[lane.id]);
        if (traced.rebuilding) throw new MachineBug(lane.id, "divergence: an operation ended before its log");
        this.operationEnded(lane);
      }
    } catch (e) {
      if (e !== UNWIND) throw e;
    }
    this.depth--;
    if (lane.frame === frame) lane.frame = 0;
  }
  protected override runOther(lane: Lane, next: Lane): void {
    const { frame } = lane;
    this.target = next;
    if (next.frame !== 0 && !this.isRebuiltOnTop(lane, next)) throw UNWIND;
    this.enter(next);
    // Whoever is next now has a frame below, or it is this one; an abandoned frame never goes on.
    while (this.target !== lane || lane.frame !== frame) {
      if (this.target.frame !== 0 || lane.frame !== frame) throw UNWIND;
      this.enter(this.target);
    }
  }
  /** `next` has a frame below `lane`'s. Is it cheaper to leave that and rebuild it here than to unwind and rebuild `lane`? */
  private isRebuiltOnTop(lane: Lane, next: Lane): boolean {
    return this.depth < MAX_DEPTH && next.log.length < lane.log.length + UNWINDING;
  }
  protected override isRebuilding(lane: Lane): boolean {
    return this.memories[lane.id].rebuilding;
  }
}
