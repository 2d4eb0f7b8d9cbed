/**
 * A lane: one task of a CPU under the explorer, with the program it runs and all that is needed to suspend and
 * rebuild it. A program is a list of operations; the end of each is a checkpoint, from which a suspended lane is
 * executed again.
 *
 * Mostly a CPU has one task. Lanes of one CPU share its slot; only the one whose task is slot.current can run or take
 * interrupts, all others are off the CPU. The slot is then restored for the current one alone: to its checkpoint, and
 * in a rebuild to what the others had left whenever the CPU came back to it.
 *
 * What a lane that runs must know of the others lies in `s`, words that the threads of an engine share; the rest (log,
 * slot at the checkpoint) belongs to the engine that rebuilds.
 */
import { CpuSlot } from "../../../shared/layout/cpu.ts";
import { SpinTurns } from "./livelock.ts";
import { INTERRUPT, INTERRUPT_AT_ENABLE, LOAD, Log, RMW, STORE } from "./log.ts";
import type { Operation } from "../scenario.ts";
import { WRITTEN } from "./shared_words.ts";
import { hashWord1, hashWord2, mix1, mix2 } from "./state_hash.ts";

// Words of a lane.
/** NOT_BLOCKED, BLOCKED_RELAX, BLOCKED_WAIT or OFF_CPU. */
export const L_BLOCKED = 0;
/** The value of the pending word for whose change it waits. */
export const L_SEEN = 1;
/** Nesting of interrupts: 0 task level, 1 IRQ, 2 IRQ on top of an IRQ's softirqs, 3 NMI. */
export const L_LEVEL = 2;
export const LEVEL_NMI = 3;
const LEVELS = 4;
/** Operations that are done. */
export const L_DONE = 3;
/** Accesses made in this execution, interrupts included. */
export const L_ACCESSES = 4;
/** The word that it touches next and how, if it stands before a decision point; -1: not known. */
export const L_NEXT_WORD = 5;
export const L_NEXT_EFFECT = 6;
/** It was switched to where it stood before a decision point: switching away again would change nothing. */
export const L_ARRIVED = 7;
/** A spinner that may make one more turn although nothing has changed. */
export const L_LET_THROUGH = 8;
const L_WATCHED = 9;
/** Entries of its store buffer (store_buffer.ts). */
export const L_BUFFERED = 10;
/** Its current operation has begun. */
export const L_BEGUN = 11;
const L_WATCH = 16;
/** Words that a spin loop may read in one turn; one that reads more counts as changed. */
const MAX_WATCHED = 2048;
export const L_BUFFER = L_WATCH + 2 * MAX_WATCHED;
/** Stores that a buffer holds; one more drains the oldest. Two words each. */
export const MAX_BUFFERED = 32;
export const LANE_WORDS = L_BUFFER + 2 * MAX_BUFFERED;

export const NOT_BLOCKED = 0;
export const BLOCKED_RELAX = 1;
export const BLOCKED_WAIT = 2;
/** Another task of its CPU runs, or did until just now. */
export const OFF_CPU = 3;

/** Which task a lane is. */
export interface LaneTask {
  /** Address of its struct task; that of slot.current says whether it runs. */
  readonly task: number;
  readonly current: number;
  /** False: its CPU runs nothing else, or this is the task that it begins with. */
  readonly further: boolean;
  /** Lanes of the other tasks of its CPU, before anybody migrates. */
  readonly rivals: readonly number[];
}

/** A CPU's number, and word indices of its slot and its pending word. */
export interface CpuAddresses {
  readonly cpu: number;
  readonly slot: number;
  readonly pending: number;
}
interface Migration {
  readonly to: CpuAddresses;
  readonly slot: Int32Array;
}

export class Lane {
  readonly id: number;
  /** Whose task it runs now; its slot and its pending word go with it. */
  cpu: number;
  /** Undefined: the only one of its CPU. */
  readonly task: LaneTask | undefined;
  readonly s: Int32Array;
  readonly log = new Log();
  /** Index of the pending word. */
  pending: number;
  /** Result of the access that was last answered from the log. */
  result = 0;
  /** Its frame on the JavaScript stack of the one-thread engine; 0: none. */
  frame = 0;
  /** Being rebuilt: its next access was counted before it was suspended. */
  resuming = false;
  /**
   * Who it is for the shared-word filter: CPU and nesting level, from 1 on. And the mark of words that it alone
   * writes.
   */
  context = 1;
  writes = 1 | WRITTEN;
  operation: Operation = () => undefined;
  /** Operations that were done when it last stood between two, and was asked what may happen there. */
  boundary = 0;
  /** Notices a spin loop that goes round in circles. */
  readonly turns = new SpinTurns();
  /** Log entry at which the present turn of a spin loop began. */
  turnStart = 0;
  hash1 = 0;
  hash2 = 0;
  private readonly watched = new Map<number, number>();
  private readonly words: Int32Array;
  private slot: number;
  /** Its slot at the last checkpoint: one of the two below. */
  private savedSlot: Int32Array;
  /** As at the start of every execution; undefined before the first. */
  private firstSlot: Int32Array | undefined = undefined;
  private readonly laterSlot: Int32Array;
  /** The slot as it was when the CPU came back to this task; one for each SWITCHED in the log. */
  private readonly returns: Int32Array[] = [];
  private returned = 0;
  /** The slot as it is while this lane is rebuilt up to where it waits for its CPU. */
  private readonly present: Int32Array;
  private readonly home: CpuAddresses;
  /** Where it was at the last checkpoint. */
  private savedCpu: CpuAddresses;
  /** Where it has been since, each with the slot as it was when the lane came there; `migrated` of them. */
  private readonly migrations: Migration[] = [];
  private migrated = 0;
  /** What the slot held where the lane is being rebuilt, until it leaves it. */
  private othersSlot = new Int32Array(0);
  private slotHash1 = 0;
  private slotHash2 = 0;
  private slotHashed = false;
  private hashedEntries = 0;
  /** Hashes of what the running interrupts have interrupted, outermost first. */
  private readonly interrupted: number[] = [];

  /**
   * @param cpu   whose task it runs. @param task  which one, if that CPU has several.
   * @param slot  byte address of the cpu_slot. @param pending  byte address of the pending word.
   */
  constructor(
    id: number,
    s: Int32Array,
    words: Int32Array,
    cpu: number,
    slot: number,
    pending: number,
    task: LaneTask | undefined,
  ) {
    this.id = id;
    this.cpu = cpu;
    this.task = task;
    const size = task === undefined ? CpuSlot.offset.further_task : CpuSlot.size;
    this.laterSlot = new Int32Array(size >> 2);
    this.savedSlot = this.laterSlot;
    this.present = new Int32Array(task === undefined ? 0 : size >> 2);
    this.s = s;
    this.words = words;
    this.slot = slot >> 2;
    this.pending = pending >> 2;
    this.home = { cpu, slot: this.slot, pending: this.pending };
    this.savedCpu = this.home;
  }

  /** From now on it runs the task of that CPU. */
  private stand(at: CpuAddresses): void {
    this.cpu = at.cpu;
    this.slot = at.slot;
    this.pending = at.pending;
  }
  get addresses(): CpuAddresses {
    return { cpu: this.cpu, slot: this.slot, pending: this.pending };
  }
  /** It gets another lane's CPU, whose slot is nobody's just now. @param inOperation  false: it stands between two. */
  migrate(to: CpuAddresses, inOperation: boolean): void {
    this.stand(to);
    if (!inOperation) {
      this.checkpoint();
      return;
    }
    const slot = this.words.slice(this.slot, this.slot + this.savedSlot.length);
    this.migrations[this.migrated++] = { to, slot };
  }
  /**
   * The same in a rebuild. The slot that it leaves is somebody else's by now, and gets back what it held when the
   * rebuild began; the one that it comes to is its own, or will be left in the same way.
   */
  repeatMigration(): void {
    this.words.set(this.othersSlot, this.slot);
    const { to, slot } = this.migrations[this.migrated++];
    this.stand(to);
    this.othersSlot = this.words.slice(this.slot, this.slot + this.savedSlot.length);
    this.words.set(slot, this.slot);
  }

  /** Back to the start of an execution; memory has been reset already. */
  reset(): void {
    const { s } = this;
    this.stand(this.home);
    this.boundary = 0;
    s[L_DONE] = 0;
    s[L_ACCESSES] = 0;
    s[L_ARRIVED] = 0;
    s[L_BUFFERED] = 0;
    this.frame = 0;
    this.resuming = false;
    this.setLevel(0);
    this.unblock();
    if (this.task?.further === true) s[L_BLOCKED] = OFF_CPU;
    this.startOver();
    this.firstSlot ??= this.words.slice(this.slot, this.slot + this.laterSlot.length);
    this.savedSlot = this.firstSlot;
  }
  /** Its program begins, or goes on with the next operation. */
  begin(): void {
    if (this.s[L_BLOCKED] === OFF_CPU) {
      this.unblock(); // For the first time on its CPU: until now the slot was others'.
      this.checkpoint();
    }
    this.s[L_BEGUN] = 1;
  }
  /** The end of an outermost operation. */
  checkpoint(): void {
    this.startOver();
    const { laterSlot, slot, words } = this;
    for (let i = 0; i < laterSlot.length; i++) laterSlot[i] = words[slot + i];
    this.savedSlot = laterSlot;
  }
  /** From where it stands now it will be executed again. */
  private startOver(): void {
    this.log.clear();
    this.returned = 0;
    this.migrated = 0;
    if (this.savedCpu.cpu !== this.cpu) this.savedCpu = this.addresses;
    this.turns.reset();
    this.s[L_BEGUN] = 0;
    this.s[L_NEXT_WORD] = -1;
    this.turnStart = 0;
    this.slotHashed = false;
    this.hash1 = 0;
    this.hash2 = 0;
    this.hashedEntries = 0;
    if (this.interrupted.length > 0) this.interrupted.length = 0; // Why the test: V8 calls out for it.
  }
  /** Puts the slot back to the last checkpoint, for a rebuild. */
  restoreSlot(): void {
    if (this.s[L_BLOCKED] === OFF_CPU)
      this.present.set(this.words.subarray(this.slot, this.slot + this.present.length));
    this.returned = 0;
    if (this.migrated > 0) {
      this.migrated = 0;
      this.stand(this.savedCpu);
      this.othersSlot = this.words.slice(this.slot, this.slot + this.savedSlot.length);
    }
    this.words.set(this.savedSlot, this.slot);
    this.log.position = 0;
    this.setLevel(0);
    this.resuming = true;
    this.s[L_BLOCKED] = NOT_BLOCKED; // It will block again where it stood; that it may go on there must not be lost.
  }
  /** Is its task the one that its CPU runs? */
  get isCurrent(): boolean {
    return this.task === undefined || this.words[this.task.current] === this.task.task;
  }
  /** It gives its CPU to another task. In a rebuild that was some time ago: the slot is as it is now. */
  leaveCpu(): void {
    if (this.resuming) this.words.set(this.present, this.slot);
    this.s[L_BLOCKED] = OFF_CPU;
    this.s[L_NEXT_WORD] = -1;
  }
  /** The CPU has come back to it. */
  noteReturn(): void {
    const { words, slot, savedSlot } = this;
    const copy = (this.returns[this.returned++] ??= new Int32Array(savedSlot.length));
    for (let i = 0; i < copy.length; i++) copy[i] = words[slot + i];
  }
  /** The same in a rebuild. */
  repeatReturn(): void {
    this.words.set(this.returns[this.returned++], this.slot);
  }
  /** Is it a word of the CPU's slot? Those belong to where the CPU stands. */
  inSlot(index: number): boolean {
    return index >= this.slot && index < this.slot + this.savedSlot.length;
  }
  setLevel(level: number): void {
    this.s[L_LEVEL] = level;
    this.context = 1 + this.id * LEVELS + level;
    this.writes = this.context | WRITTEN;
  }
  get level(): number {
    return this.s[L_LEVEL];
  }
  /** Accesses made in this execution. */
  get accesses(): number {
    return this.s[L_ACCESSES];
  }

  /**
   * Notes what the present turn of a spin loop has read: a turn that reads the same again ends the same. A word that it
   * has stored since counts with that value. Interrupts may have changed anything behind its back: then it looks again.
   */
  private watchTurn(): void {
    const { log, s, watched } = this;
    watched.clear();
    s[L_WATCHED] = 0;
    for (let n = this.turnStart; n < log.length; n++) {
      const kind = log.kindAt(n);
      if (kind === INTERRUPT || kind === INTERRUPT_AT_ENABLE) s[L_WATCHED] = MAX_WATCHED + 1;
      const word = log.wordAt(n);
      if (kind === LOAD || kind === RMW || (kind === STORE && watched.has(word))) watched.set(word, log.afterAt(n));
    }
    if (watched.size > MAX_WATCHED) s[L_WATCHED] = MAX_WATCHED + 1;
    if (s[L_WATCHED] !== 0) return;
    let at = L_WATCH;
    for (const [word, value] of watched) {
      s[at++] = word;
      s[at++] = value;
    }
    s[L_WATCHED] = watched.size;
  }
  /** A turn of a spin loop has ended. */
  endTurn(): void {
    this.turnStart = this.log.length;
  }
  /** It looks again whatever has changed. */
  get looksAgain(): boolean {
    return this.s[L_BLOCKED] === BLOCKED_RELAX && this.s[L_WATCHED] > MAX_WATCHED;
  }
  /** Has a word changed that its present turn has read? */
  watchedChanged(): boolean {
    const { s, words } = this;
    const n = s[L_WATCHED];
    if (n > MAX_WATCHED) return true;
    for (let i = L_WATCH; i < L_WATCH + 2 * n; i += 2) if (words[s[i]] !== s[i + 1]) return true;
    return false;
  }

  blockRelax(): void {
    this.s[L_BLOCKED] = BLOCKED_RELAX;
    this.s[L_NEXT_WORD] = -1;
    this.watchTurn();
  }
  blockWait(seen: number): void {
    this.s[L_BLOCKED] = BLOCKED_WAIT;
    this.s[L_SEEN] = seen;
    this.s[L_NEXT_WORD] = -1;
  }
  unblock(): void {
    this.s[L_BLOCKED] = NOT_BLOCKED;
    this.s[L_LET_THROUGH] = 0;
  }
  get isBlocked(): boolean {
    return this.s[L_BLOCKED] !== NOT_BLOCKED;
  }

  /** Brings hash1 and hash2 up to date: where this lane stands, given by what its operation has met so far. */
  updateHash(): void {
    const { log } = this;
    if (!this.slotHashed) {
      let h1 = 0;
      let h2 = 0;
      for (let i = 0; i < this.savedSlot.length; i++) {
        h1 ^= hashWord1(i, this.savedSlot[i]);
        h2 ^= hashWord2(i, this.savedSlot[i]);
      }
      this.slotHash1 = h1;
      this.slotHash2 = h2;
      this.slotHashed = true;
    }
    if (this.hashedEntries === 0) {
      this.hash1 = this.slotHash1;
      this.hash2 = this.slotHash2;
    }
    for (; this.hashedEntries < log.length; this.hashedEntries++) {
      const result = log.resultAt(this.hashedEntries);
      this.hash1 = mix1(this.hash1, result);
      this.hash2 = mix2(this.hash2, result);
    }
  }

  /** Of what the slot is like now. */
  hashOfSlot(): number {
    let h = 0;
    for (let i = 0; i < this.savedSlot.length; i++) h ^= hashWord1(i, this.words[this.slot + i]);
    return h;
  }
  /** An interrupt begins. Only while hashes are wanted. */
  enterInterrupt(): void {
    this.updateHash();
    this.interrupted.push(this.hash1, this.hash2, this.hashOfSlot());
  }
  /**
   * It has ended: what it met is in memory or forgotten, and the interrupted code stands where it stood. What it has
   * left changed in the slot (the state of cpu_random(), ticks) it has left for good.
   */
  leaveInterrupt(): void {
    const slot = this.hashOfSlot();
    const isChanged = slot !== this.interrupted.pop();
    this.hash2 = this.interrupted.pop() ?? 0;
    this.hash1 = this.interrupted.pop() ?? 0;
    this.hashedEntries = this.log.length;
    if (!isChanged) return;
    this.hash1 = mix1(this.hash1, slot);
    this.hash2 = mix2(this.hash2, slot);
  }
}
