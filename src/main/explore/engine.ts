/**
 * The explorer's engine: runs the real CPU code of all lanes on one thread, one step at a time, in an order that a
 * strategy chooses. shared/design calls it nested execution with re-execution:
 *
 *   - To let B run while A stands before an access, the engine calls B's operations from inside A's access.
 *   - To go on with a lane deeper on the JavaScript stack, those above are unwound by a private exception (UNWIND) and
 *     rebuilt later: the slot is put back, and the current operation runs again with the answers in its log.
 *
 * Sound because whatever outlives an access lies in shared memory or in the slot, and operations are deterministic; a
 * rebuild that differs from its log is reported as a divergence. At most one frame of each lane is on the stack.
 *
 * Only words that two contexts (lane x nesting level) touch, one of them writing, are decision points: others cannot
 * matter to anybody else. The set is learned and only grows.
 */
import { MachineBug } from "../../shared/base/verdict.ts";
import { attachCpu } from "../../shared/cpu/boot.ts";
import { deliverable, irqs_disabled, in_nmi } from "../../shared/cpu/context.ts";
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
import { PerCpu } from "../../shared/layout/percpu.ts";
import type { Oracle } from "../../shared/mem/oracle.ts";
import { embedded } from "../../shared/mem/struct.ts";
import { Lane } from "./lane.ts";
import type { Operation } from "./scenario.ts";
import { INTERRUPT, keyOf } from "./log.ts";
import { GO, IRQ, NMI, NMI_TO, SWITCH, TICK, TIME, type Pick, type Strategy } from "./strategy.ts";
import { TracedMemory } from "./traced_memory.ts";

const { slot: SLOT, pending: PENDING } = PerCpu.offset;
const { jiffies: JIFFIES } = Globals.offset;
const PAGE_WORDS_SHIFT = 10;
/** Interrupts that a lane takes when it pleases the strategy; others are taken at the first chance. */
const OPTIONAL_IRQS = P_IPI_CALL | P_IRQ | P_TICK | P_IRQ_WORK_LATE;
/** Ticks that pass because nobody can move, without any operation ending, before it is called a deadlock. */
const MAX_FORCED_TICKS = 300;
/** After this many forced ticks in a row time jumps to the next armed timer. */
const TICKS_BEFORE_JUMP = 16;

/** Thrown through the frames of a lane that must make room for one below it. Nobody else sees it. */
const UNWIND = new Error("unwind");
/** Thrown when all programs have ended. */
const FINISHED = new Error("finished");

export interface Limits {
  /** Steps in one execution before it is called a livelock. */
  readonly steps: number;
  /** NMIs that may be injected per execution. */
  readonly nmis: number;
  /** Ticks that may be injected per execution, on top of those without which nothing can move. */
  readonly ticks: number;
  /** False: every access is a decision point, not only those of shared words. */
  readonly filter: boolean;
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
}

export class Engine {
  readonly map: MachineMap;
  readonly words: Int32Array;
  readonly lanes: readonly Lane[];
  readonly cpus: readonly Cpu[];
  /** Picks of this execution that were not the default. */
  picks: Pick[] = [];
  /** Steps and decision points of this execution. */
  steps = 0;
  points = 0;

  /** The decision point that is being decided; one object for all of them. */
  private readonly decision = {
    lane: 0,
    access: 0,
    blocked: false,
    choices: [] as number[],
    lanes: [] as number[],
    count: 0,
    point: 0,
    words: [] as number[],
    effects: [] as number[],
    hash1: 0,
    hash2: 0,
  };

  private readonly memories: readonly TracedMemory[];
  private readonly programs: Programs;
  private readonly limits: Limits;
  private strategy: Strategy | undefined;
  private readonly stack: Lane[] = [];
  private target: Lane;
  private solo = true;
  private nmisLeft = 0;
  private ticksLeft = 0;
  private forcedTicks = 0;
  private finalDone = false;

  // Snapshot and the pages that differ from it.
  private snapshot: Int32Array = new Int32Array(0);
  private readonly dirty: Uint8Array;
  private dirtyPages: number[] = [];

  // The shared-word filter: contexts that read or wrote each word, those that wrote it, and the verdict.
  private readonly touchedBy: Int32Array;
  private readonly writtenBy: Int32Array;
  private readonly shared: Uint8Array;
  private learned = false;
  private everyAccess = false;

  constructor(map: MachineMap, buffer: SharedArrayBuffer, oracle: Oracle, programs: Programs, limits: Limits) {
    this.map = map;
    this.programs = programs;
    this.limits = limits;
    this.words = new Int32Array(buffer);
    this.dirty = new Uint8Array((this.words.length >> PAGE_WORDS_SHIFT) + 1);
    this.touchedBy = new Int32Array(this.words.length);
    this.writtenBy = new Int32Array(this.words.length);
    this.shared = new Uint8Array(this.words.length);
    this.lanes = Array.from({ length: map.shape.cpus }, (_, id) => {
      const section = map.section(id);
      return new Lane(id, this.words, embedded(section, SLOT), embedded(section, PENDING));
    });
    this.memories = this.lanes.map(
      (lane) => new TracedMemory(this, lane, buffer, embedded(map.section(lane.id), PENDING)),
    );
    this.cpus = this.memories.map((memory, id) => attachCpu(memory, map, id, 0, oracle));
    this.target = this.lanes[0];
  }

  /** Ends the set-up: every execution starts from memory as it is now. */
  takeSnapshot(): void {
    this.snapshot = this.words.slice();
    this.clearDirty();
  }

  /**
   * Runs one execution.
   * @returns true if new words became shared: exhaustive strategies start over then.
   * @throws MachineBug when something is wrong.
   */
  run(strategy: Strategy): boolean {
    this.restore();
    this.strategy = strategy;
    this.everyAccess = !this.limits.filter || strategy.everyAccess === true;
    this.picks = [];
    this.steps = 0;
    this.points = 0;
    this.nmisLeft = this.limits.nmis;
    this.ticksLeft = this.limits.ticks;
    this.forcedTicks = 0;
    this.finalDone = this.programs.final === undefined;
    this.learned = false;
    this.stack.length = 0;
    for (const lane of this.lanes) lane.reset();
    for (const memory of this.memories) memory.rebuilding = false;
    this.solo = false;
    this.target = this.lanes[0];
    try {
      for (;;) this.enter(this.target);
    } catch (e) {
      if (e !== FINISHED) throw e;
    } finally {
      this.solo = true;
    }
    strategy.end(this.points, this.learned);
    return this.learned;
  }

  private restore(): void {
    for (const page of this.dirtyPages) {
      const start = page << PAGE_WORDS_SHIFT;
      this.words.set(this.snapshot.subarray(start, start + (1 << PAGE_WORDS_SHIFT)), start);
    }
    this.clearDirty();
  }
  private clearDirty(): void {
    for (const page of this.dirtyPages) this.dirty[page] = 0;
    this.dirtyPages = [];
  }
  /** A word has been written. */
  touched(index: number): void {
    const page = index >> PAGE_WORDS_SHIFT;
    if (this.dirty[page] === 0) {
      this.dirty[page] = 1;
      this.dirtyPages.push(page);
    }
  }

  // ---- lanes on the stack

  /** Runs a lane on top of the stack until it is unwound. */
  private enter(lane: Lane): void {
    const memory = this.memories[lane.id];
    lane.onStack = true;
    this.stack.push(lane);
    if (lane.begun) {
      lane.restoreSlot();
      memory.rebuilding = true;
    }
    try {
      for (;;) {
        if (!lane.begun) {
          lane.operation = this.nextOperation(lane);
          lane.begun = true;
        }
        lane.operation(this.cpus[lane.id]);
        if (memory.rebuilding) throw new MachineBug(lane.id, "divergence: an operation ended before its log");
        this.operationEnded(lane);
      }
    } catch (e) {
      if (e !== UNWIND) throw e;
    }
    this.stack.pop();
    lane.onStack = false;
  }
  private operationEnded(lane: Lane): void {
    lane.checkpoint();
    if (!this.isBusy(lane)) return;
    this.forcedTicks = 0;
    if (lane.done < this.programLength(lane)) lane.done++;
    // CPU 0 may be idle: it has the final operation to run.
    if (!this.finalDone && this.programsEnded()) this.setPending(this.lanes[0], P_KICK, 0);
  }
  private programsEnded(): boolean {
    return this.lanes.every((lane) => lane.done === this.programLength(lane));
  }
  private programLength(lane: Lane): number {
    return this.programs.cpus[lane.id]?.length ?? 0;
  }
  private nextOperation(lane: Lane): Operation {
    const operation = this.programs.cpus[lane.id]?.[lane.done];
    if (operation !== undefined) return operation;
    if (this.programsEnded()) {
      if (!this.finalDone && lane.id === 0) return this.finalOperation;
      if (this.finalDone && this.lanes.every((other) => !other.begun || !this.isEnabled(other))) throw FINISHED;
    }
    return this.programs.idle;
  }
  private readonly finalOperation: Operation = (cpu) => {
    this.programs.final?.(cpu);
    this.finalDone = true;
  };
  private isBusy(lane: Lane): boolean {
    return lane.done < this.programLength(lane) || (lane.id === 0 && !this.finalDone);
  }

  /** Lets `this.target` run until it is `lane`'s turn again. Called from inside an access of `lane`. */
  private yieldTo(lane: Lane, next: Lane): void {
    this.target = next;
    while (this.target !== lane) {
      if (this.target.onStack) throw UNWIND; // Deeper: those above it make room.
      this.enter(this.target);
    }
  }

  // ---- steps

  /** Before an access of `lane` to word `index`: others may run, interrupts may come. */
  step(lane: Lane, index: number, effect: number): void {
    if (this.solo) {
      this.deliverForced(lane, INTERRUPT);
      return;
    }
    this.noteShared(lane, index, effect);
    this.decideBefore(lane, this.shared[index] === 1 || this.everyAccess, 0);
  }
  /** A named point, or an explicit poll: always a place for an interrupt. */
  poll(lane: Lane, point: number): void {
    if (this.solo) {
      this.deliverForced(lane, INTERRUPT);
      return;
    }
    this.decideBefore(lane, point !== 0, point);
    if (point === 0 && this.deliverAll(lane, INTERRUPT)) lane.accesses++; // Nothing better to do.
  }
  private decideBefore(lane: Lane, isDecision: boolean, point: number): void {
    this.countStep(lane);
    if (this.deliverForced(lane, INTERRUPT)) lane.accesses++;
    if (!isDecision) return;
    for (;;) {
      const choice = this.decide(lane, false, point);
      if (choice === GO) return;
      // After an interrupt the same access counts anew: a rebuild cannot tell that it was counted before.
      if (this.perform(lane, choice) || this.deliverForced(lane, INTERRUPT)) lane.accesses++;
    }
  }

  private countStep(lane: Lane): void {
    if (lane.resuming) lane.resuming = false;
    else lane.accesses++;
    if (++this.steps > this.limits.steps) {
      throw new MachineBug(lane.id, `livelock: ${this.limits.steps} steps without an end`);
    }
  }

  /** Asks the strategy. @returns the choice. */
  private decide(lane: Lane, blocked: boolean, point: number): number {
    const { decision } = this;
    decision.lane = lane.id;
    decision.access = lane.accesses;
    decision.blocked = blocked;
    decision.point = point;
    decision.count = 0;
    const cpu = this.cpus[lane.id];
    if (!blocked) this.offer(GO, lane.id);
    for (let i = 1; i <= this.lanes.length; i++) {
      const other = this.lanes[(lane.id + i) % this.lanes.length];
      if (other !== lane && this.isEnabled(other)) this.offer(SWITCH + other.id, other.id);
    }
    const ended = this.finalDone && this.programsEnded(); // What has begun, handlers above all, still ends.
    if (decision.count === 0) {
      if (ended) throw FINISHED;
      this.offer(TIME, -1);
    }
    if (this.nmisLeft > 0 && !ended) {
      if (!blocked && !in_nmi(cpu)) this.offer(NMI, -1);
      for (const other of this.lanes) {
        if (other.isBlocked && !this.isEnabled(other) && other.level < 2) this.offer(NMI_TO + other.id, -1);
      }
    }
    const bits = this.pendingOf(lane);
    if (bits & OPTIONAL_IRQS && !irqs_disabled(cpu)) {
      for (let bit = bits & OPTIONAL_IRQS; bit !== 0; bit &= bit - 1) this.offer(IRQ + 31 - Math.clz32(bit & -bit), -1);
    }
    if (this.ticksLeft > 0 && !ended) this.offer(TICK, -1);
    if (decision.count === 1) return decision.choices[0];
    this.points++;
    const index = (this.strategy as Strategy).choose(decision);
    const choice = decision.choices[index];
    if (index !== 0) this.picks.push({ lane: lane.id, access: lane.accesses, choice });
    return choice;
  }
  private offer(choice: number, lane: number): void {
    const { decision } = this;
    decision.choices[decision.count] = choice;
    decision.lanes[decision.count] = lane;
    decision.count++;
  }
  private pendingOf(lane: Lane): number {
    return this.words[embedded(this.map.section(lane.id), PENDING) >> 2];
  }
  private setPending(lane: Lane, set: number, clear: number): void {
    const index = embedded(this.map.section(lane.id), PENDING) >> 2;
    this.words[index] = (this.words[index] | set) & ~clear;
    this.touched(index);
  }

  /** Does what was chosen at a decision point of `lane`. @returns true if an interrupt ran on `lane`. */
  private perform(lane: Lane, choice: number): boolean {
    if (choice === NMI) {
      this.nmisLeft--;
      this.interrupt(lane, P_NMI_LOCAL, INTERRUPT);
      return true;
    }
    if (choice === TIME) {
      this.forceTick(lane);
    } else if (choice === TICK) {
      this.ticksLeft--;
      this.tick(1);
    } else if (choice >= IRQ) {
      const bit = 1 << (choice - IRQ);
      this.setPending(lane, 0, bit);
      this.interrupt(lane, bit === P_IRQ_WORK_LATE ? P_IRQ_WORK : bit, INTERRUPT);
      return true;
    } else if (choice >= NMI_TO) {
      this.nmisLeft--;
      this.setPending(this.lanes[choice - NMI_TO], P_NMI_LOCAL, 0);
    } else {
      this.yieldTo(lane, this.lanes[choice - SWITCH]);
    }
    return false;
  }

  /** Nobody can move, so time does. */
  private forceTick(lane: Lane): void {
    if (++this.forcedTicks > MAX_FORCED_TICKS) {
      throw new MachineBug(lane.id, `deadlock: no CPU can run. ${this.describeLanes()}`);
    }
    let jiffies = 1;
    if (this.forcedTicks > TICKS_BEFORE_JUMP) jiffies = Math.max(1, this.ticksToNextTimer());
    this.tick(jiffies);
  }
  private ticksToNextTimer(): number {
    const now = this.words[(this.map.globals + JIFFIES) >> 2];
    let soonest = 1 << 30;
    for (const cpu of this.cpus) {
      const expires = this.programs.nextTimer(cpu);
      if (expires !== undefined) soonest = Math.min(soonest, (expires - now) | 0);
    }
    return soonest === 1 << 30 ? 1 : soonest;
  }
  private tick(jiffies: number): void {
    const index = (this.map.globals + JIFFIES) >> 2;
    this.words[index] = this.words[index] + jiffies;
    this.touched(index);
    for (const lane of this.lanes) this.setPending(lane, P_TICK, 0);
  }
  private describeLanes(): string {
    return this.lanes
      .map((lane) => `CPU ${lane.id}: ${lane.isWaiting ? "waits" : lane.isBlocked ? "spins" : "ready"}`)
      .join("; ");
  }

  // ---- interrupts

  /** Runs an interrupt on `lane`, nested in what it does. */
  private interrupt(lane: Lane, bit: number, kind: number): void {
    lane.log.push(keyOf(kind, 0), bit, 0);
    this.replayInterrupt(lane, bit);
  }
  /** Also used by a rebuild, for an interrupt that is in the log. */
  replayInterrupt(lane: Lane, bit: number): void {
    const level = lane.level;
    lane.level = bit & P_ANY_NMI ? 2 : 1;
    run_interrupt(this.cpus[lane.id], bit);
    lane.level = level;
  }
  /** Takes what may not wait: NMIs, and in prompt mode the irq_work self-IPI. @returns true if anything ran. */
  deliverForced(lane: Lane, kind: number): boolean {
    return this.deliver(lane, this.solo ? -1 : ~OPTIONAL_IRQS, kind);
  }
  /** Takes everything that can be taken: the CPU has nothing better to do. */
  deliverAll(lane: Lane, kind: number): boolean {
    return this.deliver(lane, -1, kind);
  }
  private deliver(lane: Lane, mask: number, kind: number): boolean {
    for (let ran = false; ; ran = true) {
      const pending = this.pendingOf(lane) & mask;
      if (pending === 0) return ran;
      const bit = deliverable(this.cpus[lane.id], pending);
      if (bit === 0) return ran;
      this.setPending(lane, 0, bit);
      this.interrupt(lane, bit, kind);
    }
  }
  /** Can this lane make a step? A spinner can if it has an interrupt to take. */
  private isEnabled(lane: Lane): boolean {
    if (lane.enabled) return true;
    return !lane.isWaiting && deliverable(this.cpus[lane.id], this.pendingOf(lane)) !== 0;
  }

  // ---- waiting

  /** The CPU blocks until its pending word differs from `seen`. */
  wait(lane: Lane, seen: number): void {
    if (this.solo) throw new MachineBug(lane.id, "waits during set-up or check");
    this.countStep(lane);
    lane.blockWait(seen);
    while (!this.isEnabled(lane)) this.perform(lane, this.decide(lane, true, 0));
    lane.unblock();
  }
  /** One turn of a spin loop: goes on when a word that the loop read has changed, or after an interrupt. */
  relax(lane: Lane): void {
    if (this.solo) throw new MachineBug(lane.id, "spins during set-up or check");
    this.countStep(lane);
    lane.blockRelax();
    while (!this.isEnabled(lane)) this.perform(lane, this.decide(lane, true, 0));
    lane.unblock();
    lane.progress();
  }

  // ---- the shared-word filter

  /** Learns who touches a word. @param effect  1: reads; 2: writes; 3: both. */
  noteShared(lane: Lane, index: number, effect: number): void {
    if (this.shared[index] === 1) return;
    const context = 1 << (lane.id * 3 + lane.level);
    const touched = this.touchedBy[index] | context;
    this.touchedBy[index] = touched;
    if (effect & 2) this.writtenBy[index] = this.writtenBy[index] | context;
    if (this.writtenBy[index] !== 0 && (touched & (touched - 1)) !== 0) {
      this.shared[index] = 1;
      this.learned = true;
    }
  }
  /** Number of words known to be shared. */
  get sharedWords(): number {
    return this.shared.reduce((n, s) => n + s, 0);
  }
}
