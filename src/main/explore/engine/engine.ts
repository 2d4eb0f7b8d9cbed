/**
 * The explorer's engine on one thread: nested execution with re-execution.
 *
 *   - To let B run while A stands before an access, the engine calls B's operations from inside A's access.
 *   - A lane is rebuilt by putting its slot back and running its current operation again with the answers in its log.
 *   - To go on with a lane deeper on the JavaScript stack, those above are unwound by a private exception (UNWIND),
 * to be
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
import { CpuSlot } from "../../../shared/layout/cpu.ts";
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
const { main_task: MAIN, further_task: FURTHER, current: CURRENT } = CpuSlot.offset;

/** Thrown through the frames of a lane that must make room for one below it. Nobody else sees it. */
const UNWIND = signal();

/** What unwinding costs, in accesses that are answered from a log. */
const UNWINDING = 20;
/** Frames on the stack, abandoned ones included. */
const MAX_DEPTH = 24;

/**
 * The lanes of a machine, on the words that their threads share: one for each CPU, then those of further tasks.
 * @param further  CPUs that have a second task, in the order of lanes
 */
export function lanesOf(
  map: MachineMap,
  words: Int32Array,
  state: SharedState,
  further: readonly number[],
): readonly Lane[] {
  const nr = map.shape.cpus;
  const cpus = state.lanes.map((_, id) => (id < nr ? id : further[id - nr]));
  return state.lanes.map((s, id) => {
    const cpu = cpus[id];
    const section = map.section(cpu);
    const slot = embedded(section, SLOT);
    const isFurther = id >= nr;
    const task = {
      task: embedded(slot, isFurther ? FURTHER : MAIN),
      current: (slot + CURRENT) >> 2,
      further: isFurther,
      rivals: cpus.flatMap((each, other) => (each === cpu && other !== id ? [other] : [])),
    };
    const several = further.includes(cpu) ? task : undefined;
    return new Lane(id, s, words, cpu, slot, embedded(section, PENDING), several);
  });
}
/** The Cpu object of each lane. */
export function cpusOf(
  lanes: readonly Lane[],
  memories: readonly TracedMemory[],
  map: MachineMap,
  oracle: Oracle,
): readonly Cpu[] {
  return lanes.map((lane, i) => attachCpu(memories[i], map, lane.cpu, 0, oracle, lane.task?.further === true ? 1 : 0));
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
    this.lanes = lanesOf(map, memory.words, state, programs.further);
    this.memories = this.lanes.map((lane) => new TracedMemory(this, lane));
    this.cpus = cpusOf(this.lanes, this.memories, map, oracle);
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
    this.schedule(true);
    this.target = this.lanes[0];
    let pruned = false;
    try {
      for (;;) this.enter(this.target);
    } catch (e) {
      if (e === PRUNED) pruned = true;
      else if (e !== FINISHED) throw e;
    } finally {
      this.endQuiet();
      this.schedule(false);
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
      this.cpus[lane.id].become(lane.cpu);
      traced.rebuilding = true;
    }
    try {
      for (;;) {
        if (lane.s[L_BEGUN] === 0) {
          this.standBetween(lane);
          lane.operation = this.nextOperation(lane);
          lane.begin();
        }
        const returned: unknown = lane.operation(this.cpus[lane.id]);
        if (returned !== undefined) this.programs.returned?.(returned);
        if (traced.rebuilding) throw new MachineBug(lane.cpu, "divergence: an operation ended before its log");
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
  /**
   * `next` has a frame below `lane`'s. Is it cheaper to leave that and rebuild it here than to unwind and rebuild
   * `lane`?
   */
  private isRebuiltOnTop(lane: Lane, next: Lane): boolean {
    return this.depth < MAX_DEPTH && next.log.length < lane.log.length + UNWINDING;
  }
  protected override readonly exchangesLanes = true;
  protected override isRebuilding(lane: Lane): boolean {
    return this.memories[lane.id].rebuilding;
  }
}
