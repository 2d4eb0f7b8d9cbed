/**
 * Scheduler: what happens before each step of a CPU. It counts, takes interrupts that may not wait, and at decision
 * points lists what may happen next, asks the strategy, and does it. How one lane lets another run is the engine's
 * business: nested calls on one thread (engine.ts), or a hand-over between threads (hand_over/).
 *
 * Decision points are accesses to words that two contexts share (shared_words.ts), named points, and places where a CPU
 * cannot go on. A lane that was just switched to is not asked to switch away before it has passed one: that would only be
 * another name for a schedule without the visit.
 *
 * Everything that outlives a step lies in SharedState, in the machine's memory or in the strategy's words.
 */
import { MachineBug } from "../../shared/base/verdict.ts";
import { deliverable, in_nmi, irqs_disabled } from "../../shared/cpu/context.ts";
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { run_interrupt } from "../../shared/cpu/interrupt.ts";
import {
  P_ANY_NMI,
  P_IPI_CALL,
  P_IRQ,
  P_IRQ_WORK,
  P_IRQ_WORK_LATE,
  P_KICK,
  P_NMI_LOCAL,
  P_TICK,
} from "../../shared/layout/cpu.ts";
import { Globals } from "../../shared/layout/globals.ts";
import type { MachineMap } from "../../shared/layout/map.ts";
import {
  BLOCKED_WAIT,
  L_ACCESSES,
  L_ARRIVED,
  L_BEGUN,
  L_BLOCKED,
  L_BUFFERED,
  L_DONE,
  L_LET_THROUGH,
  L_LEVEL,
  L_NEXT_EFFECT,
  L_NEXT_WORD,
  L_SEEN,
  LEVEL_NMI,
  type Lane,
  NOT_BLOCKED,
} from "./lane.ts";
import { INTERRUPT, keyOf } from "./log.ts";
import type { MachineMemory } from "./machine_memory.ts";
import type { Access, Recorder } from "./recorder.ts";
import type { Operation } from "./scenario.ts";
import { noteAccess, SHARED } from "./shared_words.ts";
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
  G_TICKS_LEFT,
  MAX_PICKS,
  type SharedState,
} from "./state_words.ts";
import { mix1, mix2 } from "./state_hash.ts";
import { mayDrain, type MemoryModel, remove, valueAt, wordAt } from "./store_buffer.ts";
import {
  DRAIN,
  GO,
  IRQ,
  NMI,
  NMI_TO,
  type Pick,
  PRUNE,
  READS,
  type Strategy,
  SWITCH,
  TICK,
  TIME,
  WRITES,
} from "./strategy.ts";

const { jiffies: JIFFIES } = Globals.offset;
/** Interrupts that a lane takes when it pleases the strategy; others are taken at the first chance. */
const OPTIONAL_IRQS = P_IPI_CALL | P_IRQ | P_TICK | P_IRQ_WORK_LATE;
const FORCED_INTERRUPTS = P_ANY_NMI | P_IRQ_WORK;
/** Ticks that pass because nobody can move, without any operation ending, before it is called a deadlock. */
const MAX_FORCED_TICKS = 300;
/** The same if no timer is armed: enough for a grace period, which counts ticks without one. */
const MAX_FORCED_TICKS_WITHOUT_TIMER = 48;
/** After this many forced ticks in a row time jumps to the next armed timer. */
const TICKS_BEFORE_JUMP = 16;

/** Of how many of a CPU's buffered stores the schedule may choose one to drain. */
const DRAINABLE = 6;

/** Thrown through all lanes when every program has ended. */
export const FINISHED = new Error("finished");
/** Thrown through all lanes when the strategy knows the rest. */
export const PRUNED = new Error("pruned");

export interface Limits {
  /** Steps in one execution before it is called a livelock. */
  readonly steps: number;
  /** NMIs that may be injected per execution. */
  readonly nmis: number;
  /** Named points at which alone NMIs are injected; undefined: anywhere. */
  readonly nmiPoints: readonly number[] | undefined;
  /** Ticks that may be injected per execution, on top of those without which nothing can move. */
  readonly ticks: number;
  /** False: every access is a decision point, not only those of shared words. */
  readonly filter: boolean;
  readonly model: MemoryModel;
}

export interface Programs {
  /** Operations of each CPU. */
  readonly cpus: readonly (readonly Operation[])[];
  /** Run by CPU 0 after all programs have ended, other CPUs still serving interrupts and items. */
  readonly final?: Operation;
  /** What a CPU does when its program has ended and others go on. */
  readonly idle: Operation;
  /** Jiffies at which the next timer of a CPU expires, or undefined. For time jumps. */
  readonly nextTimer: (cpu: Cpu) => number | undefined;
  /** Looks after each step that changed memory. @returns what is wrong. */
  readonly invariant?: () => string | undefined;
}

/** The decision point that is being decided; one object for all of them. */
class Decision {
  lane = 0;
  access = 0;
  blocked = false;
  readonly choices: number[] = [];
  readonly lanes: number[] = [];
  readonly words: number[] = [];
  readonly effects: number[] = [];
  count = 0;
  point = 0;
  hash1 = 0;
  hash2 = 0;

  /** @param lane  who runs if this is chosen; -1: it is an injection. */
  offer(choice: number, lane: number): void {
    this.choices[this.count] = choice;
    this.lanes[this.count] = lane;
    this.count++;
  }
}

export abstract class Scheduler {
  readonly map: MachineMap;
  readonly memory: MachineMemory;
  readonly state: SharedState;
  abstract readonly lanes: readonly Lane[];
  abstract readonly cpus: readonly Cpu[];
  /** Told of everything, if there is one. */
  recorder: Recorder | undefined;
  readonly limits: Limits;
  /** Somebody wants to be told of accesses. */
  observed = false;
  /** Set-up and check: no scheduling. */
  solo = true;
  protected readonly programs: Programs;
  protected strategy: Strategy | undefined;
  protected everyAccess = false;
  /** Mixed into the state hash by whoever keeps state beside the machine (oracle_history.ts). */
  history1 = 0;
  history2 = 0;
  private readonly decision = new Decision();
  private readonly g: Int32Array;
  private readonly owners: Uint8Array;
  private readonly words: Int32Array;
  private readonly access: { -readonly [K in keyof Access]: Access[K] } = {
    lane: 0,
    kind: 0,
    address: 0,
    before: 0,
    after: 0,
    visible: true,
  };

  constructor(map: MachineMap, memory: MachineMemory, state: SharedState, programs: Programs, limits: Limits) {
    this.map = map;
    this.memory = memory;
    this.words = memory.words;
    this.state = state;
    this.g = state.scheduler;
    this.owners = state.owners;
    this.programs = programs;
    this.limits = limits;
  }

  /** Lets `next` run until it is `lane`'s turn again. Called from inside an access of `lane`. */
  protected abstract runOther(lane: Lane, next: Lane): void;
  /** Is this lane being executed again from its log? */
  protected abstract isRebuilding(lane: Lane): boolean;

  /** A new execution begins; memory is as at the snapshot. */
  protected beginExecution(strategy: Strategy): void {
    const { g, limits } = this;
    this.attachStrategy(strategy);
    g[G_STEPS] = 0;
    g[G_POINTS] = 0;
    g[G_NMIS_LEFT] = limits.nmis;
    g[G_TICKS_LEFT] = limits.ticks;
    g[G_FORCED_TICKS] = 0;
    g[G_FINAL_DONE] = this.programs.final === undefined ? 1 : 0;
    g[G_LEARNED] = 0;
    g[G_PICK_COUNT] = 0;
    g[G_PROGRAMS_LEFT] = this.programs.cpus.filter((program) => program.length > 0).length;
    this.history1 = 0;
    this.history2 = 0;
    for (const lane of this.lanes) lane.reset();
  }
  /** Every thread of an engine does this. */
  protected attachStrategy(strategy: Strategy): void {
    this.strategy = strategy;
    this.everyAccess = !this.limits.filter || strategy.everyAccess === true;
    this.memory.hashing = strategy.hashes === true;
    this.observed = this.recorder?.access !== undefined || this.programs.invariant !== undefined;
  }

  // ---- what is known of an execution

  get steps(): number {
    return this.g[G_STEPS];
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

  // ---- programs

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
      if (this.isFinalDone() && this.lanes.every((other) => other.s[L_BEGUN] === 0 || !this.isEnabled(other)))
        throw FINISHED;
    }
    return this.programs.idle;
  }
  private readonly finalOperation: Operation = (cpu) => {
    this.programs.final?.(cpu);
    this.g[G_FINAL_DONE] = 1;
    this.recorder?.operationEnd?.(0, this.programLength(this.lanes[0]));
  };
  protected operationEnded(lane: Lane): void {
    const { s } = lane;
    const busy = this.isBusy(lane);
    lane.checkpoint();
    if (!busy) return;
    this.recorder?.operationEnd?.(lane.id, s[L_DONE]);
    this.g[G_FORCED_TICKS] = 0;
    if (++s[L_DONE] === this.programLength(lane)) this.g[G_PROGRAMS_LEFT]--;
    // CPU 0 may be idle: it has the final operation to run.
    if (!this.isFinalDone() && this.programsEnded()) this.setPending(this.lanes[0], P_KICK, 0);
  }
  private programsEnded(): boolean {
    return this.g[G_PROGRAMS_LEFT] === 0;
  }
  private programLength(lane: Lane): number {
    return this.programs.cpus[lane.id]?.length ?? 0;
  }
  private isFinalDone(): boolean {
    return this.g[G_FINAL_DONE] !== 0;
  }
  private isBusy(lane: Lane): boolean {
    return lane.s[L_DONE] < this.programLength(lane);
  }

  // ---- steps

  /** Before an access of `lane` to word `index`: others may run, interrupts may come. */
  step(lane: Lane, index: number, effect: number): void {
    if (this.solo) {
      this.deliverForced(lane, INTERRUPT);
      return;
    }
    this.countStep(lane);
    if ((this.words[lane.pending] & FORCED_INTERRUPTS) !== 0) this.deliverForced(lane, INTERRUPT);
    const owner = this.owners[index];
    const isPrivate = owner === lane.writes || (owner === lane.context && effect === READS);
    if (isPrivate && !this.everyAccess && lane.s[L_BUFFERED] === 0) return; // Most steps end here.
    if (owner !== SHARED) this.noteShared(lane, index, effect);
    const drains = lane.s[L_BUFFERED] > 0 && effect === (READS | WRITES);
    if (this.owners[index] === SHARED || this.everyAccess || drains) this.decideBefore(lane, index, effect, 0);
  }
  /** Before a step that meets more than one word, or another CPU: a decision point that depends on everything. */
  stepAside(lane: Lane): void {
    if (!this.solo) this.countStep(lane);
    this.deliverForced(lane, INTERRUPT);
    if (!this.solo) this.decideBefore(lane, -1, 0, 0);
  }
  /** A full barrier of a CPU with a store buffer: until here its stores may come out one by one. */
  fence(lane: Lane): void {
    if (!this.solo) {
      this.countStep(lane);
      this.deliverForced(lane, INTERRUPT);
      if (lane.s[L_BUFFERED] > 0) this.decideBefore(lane, -1, 0, 0);
    }
    this.drainAll(lane);
  }
  /** A named point, or an explicit poll: always a place for an interrupt. */
  poll(lane: Lane, point: number): void {
    if (this.solo) {
      this.deliverForced(lane, INTERRUPT);
      return;
    }
    const isNew = !lane.resuming;
    this.countStep(lane);
    if (point !== 0 && isNew) this.recorder?.point?.(lane.id, point);
    this.deliverForced(lane, INTERRUPT);
    if (point !== 0) {
      this.decideBefore(lane, -1, 0, point);
    } else this.deliverAll(lane, INTERRUPT); // Nothing better to do.
  }
  private decideBefore(lane: Lane, index: number, effect: number, point: number): void {
    const { s } = lane;
    for (;;) {
      s[L_NEXT_WORD] = index;
      s[L_NEXT_EFFECT] = effect;
      const choice = this.decide(lane, false, point);
      if (choice === GO) break;
      this.perform(lane, choice, false);
      this.deliverForced(lane, INTERRUPT);
    }
    s[L_ARRIVED] = 0;
  }
  private countStep(lane: Lane): void {
    if (lane.resuming) {
      lane.resuming = false;
      return;
    }
    lane.s[L_ACCESSES]++;
    if (++this.g[G_STEPS] > this.limits.steps) {
      throw new MachineBug(lane.id, `livelock: ${this.limits.steps} steps without an end`);
    }
  }
  /** Learns who stores to all words from `first` up to `end`. @returns true if any of them is shared. */
  sharesAny(lane: Lane, first: number, end: number): boolean {
    if (this.solo) return false;
    let shared = false;
    for (let i = first; i < end; i++) {
      this.noteShared(lane, i, WRITES);
      if (this.owners[i] === SHARED) shared = true;
    }
    return shared;
  }
  /** Learns who touches a word. */
  noteShared(lane: Lane, index: number, effect: number): void {
    const owner = this.owners[index];
    const now = noteAccess(owner, lane.context, effect);
    if (now === owner) return;
    this.owners[index] = now;
    if (now === SHARED) {
      this.g[G_LEARNED] = 1;
      this.g[G_SHARED_WORDS]++;
    }
  }

  // ---- decisions

  /** Lists what may happen, and asks the strategy if there is a choice. @returns the choice. */
  private decide(lane: Lane, blocked: boolean, point: number): number {
    const { decision, g } = this;
    decision.count = 0;
    if (!blocked) decision.offer(GO, lane.id);
    if (blocked || lane.s[L_ARRIVED] === 0) {
      const count = this.lanes.length;
      for (let i = 1; i < count; i++) {
        const at = lane.id + i;
        const other = this.lanes[at < count ? at : at - count];
        if (this.isEnabled(other)) decision.offer(SWITCH + other.id, other.id);
      }
    }
    if (this.limits.model !== "sc") this.offerDrains();
    const ended = g[G_PROGRAMS_LEFT] === 0 && this.isFinalDone(); // What has begun, handlers above all, still ends.
    if (decision.count === 0) {
      if (ended) throw FINISHED;
      decision.offer(TIME, -1);
    }
    if (g[G_NMIS_LEFT] > 0 && !ended) this.offerNmis(lane, blocked, point);
    const irqs = this.words[lane.pending] & OPTIONAL_IRQS;
    if (irqs !== 0 && !irqs_disabled(this.cpus[lane.id])) {
      for (let bits = irqs; bits !== 0; bits &= bits - 1) decision.offer(IRQ + 31 - Math.clz32(bits & -bits), -1);
    }
    if (g[G_TICKS_LEFT] > 0 && !ended) decision.offer(TICK, -1);
    return decision.count === 1 ? decision.choices[0] : this.ask(lane, blocked, point);
  }
  private ask(lane: Lane, blocked: boolean, point: number): number {
    const { decision } = this;
    decision.lane = lane.id;
    decision.access = lane.s[L_ACCESSES];
    decision.blocked = blocked;
    decision.point = point;
    for (let i = 0; i < decision.count; i++) {
      const id = decision.lanes[i];
      decision.words[i] = id < 0 || this.isAboutToBeInterrupted(this.lanes[id]) ? -1 : this.lanes[id].s[L_NEXT_WORD];
      decision.effects[i] = id < 0 ? 0 : this.lanes[id].s[L_NEXT_EFFECT];
    }
    if (this.memory.hashing) this.hashState(lane);
    this.g[G_POINTS]++;
    const index = (this.strategy as Strategy).choose(decision);
    if (index === PRUNE) throw PRUNED;
    const choice = decision.choices[index];
    if (index !== 0) this.recordPick(lane, choice);
    return choice;
  }
  private isAboutToBeInterrupted(lane: Lane): boolean {
    return (this.words[lane.pending] & FORCED_INTERRUPTS) !== 0;
  }
  private offerNmis(lane: Lane, blocked: boolean, point: number): void {
    const { nmiPoints } = this.limits;
    if (nmiPoints !== undefined) {
      if (nmiPoints.includes(point) && !in_nmi(this.cpus[lane.id])) this.decision.offer(NMI, -1);
      return;
    }
    if (!blocked && !in_nmi(this.cpus[lane.id])) this.decision.offer(NMI, -1);
    for (const other of this.lanes) {
      if (other.isBlocked && !this.isEnabled(other) && other.level < LEVEL_NMI) {
        this.decision.offer(NMI_TO + other.id, -1);
      }
    }
  }
  private offerDrains(): void {
    for (const lane of this.lanes) {
      for (let n = 0; n < Math.min(lane.s[L_BUFFERED], DRAINABLE); n++) {
        if (mayDrain(lane, n, this.limits.model)) this.decision.offer(DRAIN + lane.id + 16 * n, -1);
      }
    }
  }
  private recordPick(lane: Lane, choice: number): void {
    const { g } = this;
    const n = g[G_PICK_COUNT]++;
    if (n >= MAX_PICKS) return;
    const at = G_PICKS + 3 * n;
    g[at] = lane.id;
    g[at + 1] = lane.s[L_ACCESSES];
    g[at + 2] = choice;
  }
  /** The state at this decision: memory, where every lane stands, who runs, what may still be injected, and history. */
  private hashState(lane: Lane): void {
    const { decision, g, memory } = this;
    let h1 = mix1(memory.hash.h1, this.history1);
    let h2 = mix2(memory.hash.h2, this.history2);
    for (const each of this.lanes) {
      const { s } = each;
      each.updateHash();
      const again = each.looksAgain ? 1 << 30 : 0;
      const standing = s[L_DONE] * 64 + s[L_BLOCKED] * 16 + s[L_ARRIVED] * 8 + s[L_BEGUN] * 4 + s[L_LEVEL] + again;
      h1 = mix1(mix1(h1, each.hash1), standing);
      h2 = mix2(mix2(h2, each.hash2), standing);
      for (let n = 0; n < s[L_BUFFERED]; n++) {
        h1 = mix1(mix1(h1, wordAt(each, n)), valueAt(each, n));
        h2 = mix2(mix2(h2, wordAt(each, n)), valueAt(each, n));
      }
    }
    const rest = lane.id + 16 * (decision.blocked ? 1 : 0) + 32 * g[G_NMIS_LEFT];
    h1 = mix1(mix1(h1, rest), g[G_TICKS_LEFT] + 256 * g[G_FORCED_TICKS] + g[G_FINAL_DONE]);
    h2 = mix2(mix2(h2, rest), g[G_TICKS_LEFT] + 256 * g[G_FORCED_TICKS] + g[G_FINAL_DONE]);
    decision.hash1 = h1;
    decision.hash2 = h2;
  }

  /** Does what was chosen at a decision point of `lane`. */
  private perform(lane: Lane, choice: number, blocked: boolean): void {
    const { g } = this;
    if (choice === NMI) {
      g[G_NMIS_LEFT]--;
      this.interrupt(lane, P_NMI_LOCAL, INTERRUPT, true);
    } else if (choice === TIME) {
      this.forceTick(lane);
    } else if (choice === TICK) {
      g[G_TICKS_LEFT]--;
      this.tick(1, false);
    } else if (choice >= DRAIN) {
      this.drain(this.lanes[(choice - DRAIN) % 16], (choice - DRAIN) >> 4);
    } else if (choice >= IRQ) {
      const bit = 1 << (choice - IRQ);
      this.setPending(lane, 0, bit);
      this.interrupt(lane, bit === P_IRQ_WORK_LATE ? P_IRQ_WORK : bit, INTERRUPT, true);
    } else if (choice >= NMI_TO) {
      g[G_NMIS_LEFT]--;
      this.setPending(this.lanes[choice - NMI_TO], P_NMI_LOCAL, 0);
    } else {
      const next = this.lanes[choice - SWITCH];
      // Only one that stands before a decision point: others have something to do first, be it no step.
      if (next.s[L_BEGUN] !== 0 && next.s[L_BLOCKED] === NOT_BLOCKED) next.s[L_ARRIVED] = 1;
      this.recorder?.switched?.(lane.id, next.id, blocked);
      this.runOther(lane, next);
    }
  }

  // ---- time

  /** Nobody can move, so time does; and who spins on what does not change gets one more turn: the loop may be bounded. */
  private forceTick(lane: Lane): void {
    const { g } = this;
    const ticks = ++g[G_FORCED_TICKS];
    const next = ticks > TICKS_BEFORE_JUMP ? this.ticksToNextTimer() : 1;
    if (ticks > (next === undefined ? MAX_FORCED_TICKS_WITHOUT_TIMER : MAX_FORCED_TICKS)) {
      throw new MachineBug(lane.id, `deadlock: no CPU can run. ${this.describeLanes()}`);
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
  private tick(jiffies: number, forced: boolean): void {
    const index = (this.map.globals + JIFFIES) >> 2;
    this.memory.set(index, this.words[index] + jiffies);
    for (const lane of this.lanes) this.setPending(lane, P_TICK, 0);
    this.recorder?.tick?.(jiffies, forced);
  }
  private describeLanes(): string {
    const doing = (lane: Lane): string =>
      lane.s[L_BLOCKED] === BLOCKED_WAIT ? "waits" : lane.isBlocked ? "spins" : "ready";
    return this.lanes.map((lane) => `CPU ${lane.id}: ${doing(lane)}`).join("; ");
  }

  // ---- interrupts

  private setPending(lane: Lane, set: number, clear: number): void {
    this.memory.set(lane.pending, (this.words[lane.pending] | set) & ~clear);
  }
  /** Runs an interrupt on `lane`, nested in what it does. */
  private interrupt(lane: Lane, bit: number, kind: number, chosen: boolean): void {
    this.recorder?.interrupt?.(lane.id, bit, chosen);
    if (this.memory.hashing) lane.enterInterrupt();
    if (this.limits.model === "tso") this.drainAll(lane); // As x86 does when it takes an interrupt.
    lane.s[L_ARRIVED] = 0;
    lane.log.push(keyOf(kind, 0), bit, 0);
    this.runInterrupt(lane, bit);
    // The interrupted access counts anew, as it does when the lane was suspended in the interrupt and is rebuilt.
    if (kind === INTERRUPT && !this.solo) this.countStep(lane);
  }
  /** Also used by a rebuild, for an interrupt that is in the log. */
  runInterrupt(lane: Lane, bit: number): void {
    const { level, s } = lane;
    const blocked = s[L_BLOCKED];
    lane.setLevel(bit & P_ANY_NMI ? LEVEL_NMI : level + 1);
    s[L_BLOCKED] = NOT_BLOCKED; // The handler is not.
    run_interrupt(this.cpus[lane.id], bit);
    s[L_BLOCKED] = blocked;
    lane.setLevel(level);
    if (this.isRebuilding(lane)) return; // It had ended before the lane was suspended.
    if (this.memory.hashing) lane.leaveInterrupt();
    this.recorder?.interruptEnd?.(lane.id, bit);
  }
  /** Takes what may not wait: NMIs, and in prompt mode the irq_work self-IPI. */
  deliverForced(lane: Lane, kind: number): void {
    this.deliver(lane, this.solo ? -1 : ~OPTIONAL_IRQS, kind);
  }
  /** Takes everything that can be taken: the CPU has nothing better to do. */
  deliverAll(lane: Lane, kind: number): void {
    this.deliver(lane, -1, kind);
  }
  private deliver(lane: Lane, mask: number, kind: number): void {
    for (;;) {
      const pending = this.words[lane.pending] & mask;
      if (pending === 0) return;
      const bit = deliverable(this.cpus[lane.id], pending);
      if (bit === 0) return;
      this.setPending(lane, 0, bit);
      this.interrupt(lane, bit, kind, false);
    }
  }
  /** Can this lane make a step? */
  protected isEnabled(lane: Lane): boolean {
    const { s } = lane;
    if (s[L_BLOCKED] === NOT_BLOCKED) return true;
    const pending = this.words[lane.pending];
    if (s[L_BLOCKED] === BLOCKED_WAIT) return pending !== s[L_SEEN];
    return s[L_LET_THROUGH] !== 0 || lane.watchedChanged() || deliverable(this.cpus[lane.id], pending) !== 0;
  }

  // ---- waiting

  /** The CPU blocks until its pending word differs from `seen`. */
  wait(lane: Lane, seen: number): void {
    if (this.solo) throw new MachineBug(lane.id, "waits during set-up or check");
    this.countStep(lane);
    lane.blockWait(seen);
    this.standBlocked(lane);
  }
  /** One turn of a spin loop: goes on when a word that the loop read has changed, or after an interrupt. */
  relax(lane: Lane): void {
    if (this.solo) throw new MachineBug(lane.id, "spins during set-up or check");
    this.countStep(lane);
    lane.blockRelax();
    this.standBlocked(lane);
    if (
      lane.turns.repeats(lane, this.memory) &&
      this.lanes.every((other) => other.turns.isTired || !this.isEnabled(other))
    ) {
      throw new MachineBug(lane.id, `livelock: the same state came back again and again. ${this.describeLanes()}`);
    }
    lane.endTurn();
  }
  private standBlocked(lane: Lane): void {
    while (!this.isEnabled(lane)) {
      const choice = this.decide(lane, true, 0);
      lane.s[L_ACCESSES]++; // Each decision has a number of its own: a schedule names it by that.
      this.perform(lane, choice, true);
    }
    lane.unblock();
  }

  // ---- memory has changed

  /** After a step. `before` and `after`: the word's values; for a buffered store, what is stored. */
  accessed(lane: Lane, kind: number, index: number, before: number, after: number, visible: boolean): void {
    if (this.solo) return;
    const { recorder } = this;
    if (recorder?.access !== undefined) {
      const { access } = this;
      access.lane = lane.id;
      access.kind = kind;
      access.address = index << 2;
      access.before = before;
      access.after = after;
      access.visible = visible;
      recorder.access(access);
    }
    if (before !== after && visible) this.checkInvariant(lane);
  }
  private checkInvariant(lane: Lane): void {
    const { invariant } = this.programs;
    if (invariant === undefined) return;
    const wrong = invariant();
    if (wrong !== undefined) throw new MachineBug(lane.id, wrong);
  }
  /** A buffered store reaches memory. */
  drain(lane: Lane, n: number): void {
    const index = wordAt(lane, n);
    const value = valueAt(lane, n);
    const before = this.words[index];
    remove(lane, n);
    this.memory.set(index, value);
    this.recorder?.drained?.(lane.id, index << 2, before, value);
    if (before !== value) this.checkInvariant(lane);
  }
  drainAll(lane: Lane): void {
    while (lane.s[L_BUFFERED] > 0) this.drain(lane, 0);
  }
}
