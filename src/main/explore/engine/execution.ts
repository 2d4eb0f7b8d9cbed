/**
 * Execution: what one run of a scenario is made of: programs that end, time that goes on when nobody can move, who
 * could make a step, and the counts and picks that are known of it afterwards. Everything that outlives a step lies in
 * SharedState, in the machine's memory or in the strategy's words.
 */
import { MachineBug } from "../../../shared/base/verdict.ts";
import { deliverable } from "../../../shared/cpu/context.ts";
import type { Cpu } from "../../../shared/cpu/cpu.ts";
import { P_KICK, P_TICK, SchedTask, TASK_GOING_TO_SLEEP, TASK_RUNNING } from "../../../shared/layout/cpu.ts";
import { Globals } from "../../../shared/layout/globals.ts";
import type { MachineMap } from "../../../shared/layout/map.ts";
import { tick_fires } from "../../../shared/linux/kernel/tick_sched.ts";
import {
  BLOCKED_WAIT,
  L_BEGUN,
  L_BLOCKED,
  L_DONE,
  L_LET_THROUGH,
  L_SEEN,
  type Lane,
  NOT_BLOCKED,
  OFF_CPU,
} from "./lane.ts";
import type { MachineMemory } from "./machine_memory.ts";
import type { Recorder } from "../recorder.ts";
import type { Operation } from "../scenario.ts";
import {
  G_FINAL_DONE,
  G_FORCED_TICKS,
  G_LEARNED,
  G_NMIS_LEFT,
  G_PICK_COUNT,
  G_PICKS,
  G_POINTS,
  G_PROGRAMS_LEFT,
  G_SHARED_WORDS,
  G_STEPS,
  G_MIGRATIONS_LEFT,
  G_TICKS_LEFT,
  MAX_PICKS,
  type SharedState,
} from "./state_words.ts";
import { type MemoryModel } from "./store_buffer.ts";
import { type Pick, type Strategy } from "../strategy.ts";

const { jiffies: JIFFIES } = Globals.offset;
const { state: STATE } = SchedTask.offset;
/** Ticks that pass because nobody can move, without any operation ending, before it is called a deadlock. */
const MAX_FORCED_TICKS = 300;
/** The same if no timer is armed: enough for a grace period, which counts ticks without one. */
const MAX_FORCED_TICKS_WITHOUT_TIMER = 48;
/** After this many forced ticks in a row time jumps to the next armed timer. */
const TICKS_BEFORE_JUMP = 16;

/** Decision points that pass where nobody but the running lane can do anything: more than there are. They do not count. */
export const ALONE = 0x7fffffff;

/** Something to throw that nobody sees: it lacks what makes a real Error cost as much again as the throw. */
export function signal(): Error {
  return Object.create(Error.prototype) as Error;
}
/** Thrown through all lanes when every program has ended. */
export const FINISHED = signal();

export interface Limits {
  /** Steps in one execution before it is called a livelock. */
  readonly steps: number;
  /** NMIs that may be injected per execution. */
  readonly nmis: number;
  /** Named points at which alone NMIs are injected; undefined: anywhere. */
  readonly nmiPoints: readonly number[] | undefined;
  /** Ticks that may be injected per execution, on top of those without which nothing can move. */
  readonly ticks: number;
  /** Migrations of tasks per execution. */
  readonly migrations: number;
  /** False: every access is a decision point, not only those of shared words. */
  readonly filter: boolean;
  readonly model: MemoryModel;
}

export interface Programs {
  /** Operations of each CPU; behind them, those of further tasks, in the order of lanes. */
  readonly cpus: readonly (readonly Operation[])[];
  /** Run by CPU 0 after all programs have ended, other CPUs still serving interrupts and items. */
  readonly final?: Operation;
  /** CPUs that have a second task, in the order of their lanes. */
  readonly further: readonly number[];
  /** What a CPU does when its program has ended and others go on. */
  readonly idle: Operation;
  /** What a further task of a CPU does then. */
  readonly ended: Operation;
  /** Has a CPU anything to do between operations? */
  readonly owes: (cpu: Cpu) => boolean;
  /** Jiffies at which the next timer of a CPU expires, or undefined. For time jumps. */
  readonly nextTimer: (cpu: Cpu) => number | undefined;
  /** Looks after each step that changed memory. @returns what is wrong. */
  readonly invariant?: () => string | undefined;
  /** Looks at what an operation has given back, if that is anything. */
  readonly returned?: (value: unknown) => void;
}

/** A lane in words; the main task goes by the name of its CPU. */
export function nameOf({ cpu, task }: Lane): string {
  return task?.further === true ? `CPU ${cpu}'s second task` : `CPU ${cpu}`;
}
/** By BLOCKED_* and OFF_CPU. */
const BLOCKED_NAMES = ["ready", "spins", "waits", "off its CPU"];

export abstract class Execution {
  readonly map: MachineMap;
  readonly memory: MachineMemory;
  readonly state: SharedState;
  abstract readonly lanes: readonly Lane[];
  abstract readonly cpus: readonly Cpu[];
  /** Told of everything, if there is one. */
  recorder: Recorder | undefined = undefined;
  readonly limits: Limits;
  protected readonly maxSteps: number;
  /** Somebody wants to be told of accesses. */
  observed = false;
  /** Set-up and check: no scheduling. */
  solo = true;
  protected readonly programs: Programs;
  protected strategy: Strategy | undefined = undefined;
  /** Programs that have an operation. */
  private readonly programCount: number;
  protected everyAccess = false;
  /** What decides about most steps is the word, and who touches it: see Scheduler.step(). */
  protected isPlain = false;
  protected wantsAccesses = false;
  /** Mixed into the state hash by whoever keeps state beside the machine (oracle_history.ts). */
  history1 = 0;
  history2 = 0;
  /** Decision points that the running lane still passes without a question; 0: each is decided. And how many they were. */
  protected quiet = 0;
  private granted = 0;
  /** Some CPU has several tasks. */
  protected hasTasks = false;
  protected readonly g: Int32Array;
  protected readonly owners: Uint8Array;
  protected readonly words: Int32Array;

  constructor(map: MachineMap, memory: MachineMemory, state: SharedState, programs: Programs, limits: Limits) {
    this.map = map;
    this.memory = memory;
    this.words = memory.words;
    this.state = state;
    this.g = state.scheduler;
    this.owners = state.owners;
    this.programs = programs;
    this.programCount = programs.cpus.filter((program) => program.length > 0).length;
    this.limits = limits;
    this.maxSteps = limits.steps;
  }

  /** A new execution begins; memory is as at the snapshot. */
  protected beginExecution(strategy: Strategy): void {
    const { g, limits } = this;
    this.attachStrategy(strategy);
    g[G_STEPS] = 0;
    g[G_POINTS] = 0;
    g[G_NMIS_LEFT] = limits.nmis;
    g[G_TICKS_LEFT] = limits.ticks;
    g[G_MIGRATIONS_LEFT] = limits.migrations;
    g[G_FORCED_TICKS] = 0;
    g[G_FINAL_DONE] = this.programs.final === undefined ? 1 : 0;
    g[G_LEARNED] = 0;
    g[G_PICK_COUNT] = 0;
    g[G_PROGRAMS_LEFT] = this.programCount;
    this.history1 = 0;
    this.history2 = 0;
    for (const lane of this.lanes) {
      lane.reset();
      this.cpus[lane.id].become(lane.cpu);
    }
  }
  /** Every thread of an engine does this. */
  protected attachStrategy(strategy: Strategy): void {
    this.strategy = strategy;
    this.hasTasks = this.lanes.some(({ task }) => task !== undefined);
    this.everyAccess = !this.limits.filter || strategy.everyAccess === true;
    this.memory.hashing = strategy.hashes === true;
    this.wantsAccesses = strategy.nextAccesses === true;
    this.observed = this.recorder?.access !== undefined || this.programs.invariant !== undefined;
    this.schedule(!this.solo);
  }

  /** Scheduling begins, or ends. */
  protected schedule(isOn: boolean): void {
    this.solo = !isOn;
    this.isPlain = isOn && !this.everyAccess && this.limits.model === "sc";
  }

  get steps(): number {
    return this.g[G_STEPS];
  }
  /** The running lane stands before a decision point. @returns true if there is nothing to decide. */
  protected passes(): boolean {
    if (this.quiet === 0) return false;
    this.quiet--;
    return true;
  }
  /** From here on so many decision points pass, or ALONE. */
  protected beQuiet(points: number): void {
    this.quiet = points;
    this.granted = points;
  }
  /** Something has changed for somebody: from now on each decision point counts. */
  endQuiet(): void {
    if (this.granted === 0) return;
    const passed = this.granted === ALONE ? 0 : this.granted - this.quiet;
    this.beQuiet(0);
    if (passed === 0) return;
    this.g[G_POINTS] += passed;
    this.strategy?.passed?.(passed);
  }

  /** Decision points at which there was a choice. */
  get points(): number {
    return this.g[G_POINTS];
  }
  get learned(): boolean {
    return this.g[G_LEARNED] !== 0;
  }
  /** Number of words known to be shared. */
  get sharedWords(): number {
    return this.g[G_SHARED_WORDS];
  }
  /** Picks that were not the default. */
  get picks(): Pick[] {
    const { g } = this;
    const picks: Pick[] = [];
    for (let n = 0; n < Math.min(g[G_PICK_COUNT], MAX_PICKS); n++) {
      const at = G_PICKS + 3 * n;
      picks.push({ lane: g[at], access: g[at + 1], choice: g[at + 2] });
    }
    return picks;
  }

  protected nextOperation(lane: Lane): Operation {
    const done = lane.s[L_DONE];
    const operation = this.programs.cpus[lane.id]?.[done];
    if (operation !== undefined) {
      this.recorder?.operation?.(lane.id, done);
      return operation;
    }
    if (this.programsEnded()) {
      if (!this.isFinalDone() && lane.id === 0) {
        this.recorder?.operation?.(lane.id, done);
        return this.finalOperation;
      }
      if (this.isFinalDone() && this.allAtRest()) throw FINISHED;
    }
    return lane.task?.further === true ? this.programs.ended : this.programs.idle;
  }
  /** What has begun, handlers above all, has ended or waits. */
  private allAtRest(): boolean {
    for (const lane of this.lanes) {
      if (lane.s[L_BEGUN] !== 0 && (this.isEnabled(lane) || this.waitsForItsCpu(lane))) return false;
    }
    return true;
  }
  /** Has it been preempted in the middle of something? The main task's CPU comes back to it anyway. */
  private waitsForItsCpu(lane: Lane): boolean {
    return lane.s[L_BLOCKED] === OFF_CPU && lane.task?.further === true && this.isRunnable(lane);
  }
  /** Is its task among those that its CPU can run? */
  protected isRunnable(lane: Lane): boolean {
    const state = this.words[(this.cpus[lane.id].sched + STATE) >> 2];
    return state === TASK_RUNNING || state === TASK_GOING_TO_SLEEP;
  }
  private readonly finalOperation: Operation = (cpu) => {
    this.programs.final?.(cpu);
    this.g[G_FINAL_DONE] = 1;
    this.recorder?.operationEnd?.(0, this.programLength(this.lanes[0]));
  };
  protected operationEnded(lane: Lane): void {
    const { s } = lane;
    const busy = this.isBusy(lane);
    this.endQuiet();
    lane.checkpoint();
    if (!busy) return;
    this.recorder?.operationEnd?.(lane.id, s[L_DONE]);
    this.g[G_FORCED_TICKS] = 0;
    if (++s[L_DONE] === this.programLength(lane)) this.g[G_PROGRAMS_LEFT]--;
    // CPU 0 may be idle: it has the final operation to run.
    if (!this.isFinalDone() && this.programsEnded()) this.setPending(this.lanes[0], P_KICK, 0);
  }
  protected programsEnded(): boolean {
    return this.g[G_PROGRAMS_LEFT] === 0;
  }
  private programLength(lane: Lane): number {
    return this.programs.cpus[lane.id]?.length ?? 0;
  }
  protected isFinalDone(): boolean {
    return this.g[G_FINAL_DONE] !== 0;
  }
  protected isBusy(lane: Lane): boolean {
    return lane.s[L_DONE] < this.programLength(lane);
  }

  /**
   * Nobody can move, so time does; and who spins on what does not change gets one more turn: the loop may be bounded.
   */
  protected forceTick(lane: Lane): void {
    const { g } = this;
    const ticks = ++g[G_FORCED_TICKS];
    const next = ticks > TICKS_BEFORE_JUMP ? this.ticksToNextTimer() : 1;
    if (ticks > (next === undefined ? MAX_FORCED_TICKS_WITHOUT_TIMER : MAX_FORCED_TICKS)) {
      throw new MachineBug(lane.cpu, `deadlock: no CPU can run. ${this.describeLanes()}`);
    }
    this.tick(Math.max(1, next ?? 1), true);
    for (const each of this.lanes) each.s[L_LET_THROUGH] = 1;
  }
  /** Undefined if no timer is armed. */
  private ticksToNextTimer(): number | undefined {
    const now = this.words[(this.map.globals + JIFFIES) >> 2];
    let soonest: number | undefined;
    for (const cpu of this.cpus) {
      const expires = this.programs.nextTimer(cpu);
      if (expires !== undefined) soonest = Math.min(soonest ?? Infinity, (expires - now) | 0);
    }
    return soonest;
  }
  protected tick(jiffies: number, forced: boolean): void {
    const index = (this.map.globals + JIFFIES) >> 2;
    this.memory.set(index, this.words[index] + jiffies);
    for (const lane of this.lanes) {
      if (lane.task?.further === true) continue; // A tick is for the CPU.
      const { mem, globals, slot } = this.cpus[lane.id];
      if (tick_fires(mem, globals, slot)) this.setPending(lane, P_TICK, 0);
    }
    this.recorder?.tick?.(jiffies, forced);
  }
  protected describeLanes(): string {
    const doing = (lane: Lane): string => (lane.isBlocked ? BLOCKED_NAMES[lane.s[L_BLOCKED]] : "ready");
    return this.lanes.map((lane) => `${nameOf(lane)}: ${doing(lane)}`).join("; ");
  }

  protected setPending(lane: Lane, set: number, clear: number): void {
    this.endQuiet();
    this.memory.set(lane.pending, (this.words[lane.pending] | set) & ~clear);
  }
  /** Can this lane make a step? */
  protected isEnabled(lane: Lane): boolean {
    const { s } = lane;
    if (s[L_BLOCKED] === NOT_BLOCKED) return true;
    const pending = this.words[lane.pending];
    if (s[L_BLOCKED] === OFF_CPU) return lane.isCurrent;
    if (s[L_BLOCKED] === BLOCKED_WAIT) return pending !== s[L_SEEN];
    return s[L_LET_THROUGH] !== 0 || lane.watchedChanged() || deliverable(this.cpus[lane.id], pending) !== 0;
  }
}
