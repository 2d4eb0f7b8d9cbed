/**
 * A lane: one CPU under the explorer, with the program it runs and all that is needed to suspend and rebuild it. A
 * program is a list of operations; the end of each is a checkpoint, from which a suspended lane is executed again.
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
/** NOT_BLOCKED, BLOCKED_RELAX or BLOCKED_WAIT. */
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

export class Lane {
  readonly id: number;
  readonly s: Int32Array;
  readonly log = new Log();
  /** Index of the pending word. */
  readonly pending: number;
  /** Result of the access that was last answered from the log. */
  result = 0;
  /** Its frame on the JavaScript stack of the one-thread engine; 0: none. */
  frame = 0;
  /** Being rebuilt: its next access was counted before it was suspended. */
  resuming = false;
  /** Who it is for the shared-word filter: CPU and nesting level, from 1 on. And the mark of words that it alone writes. */
  context = 1;
  writes = 1 | WRITTEN;
  operation: Operation = () => undefined;
  /** Notices a spin loop that goes round in circles. */
  readonly turns = new SpinTurns();
  /** Log entry at which the present turn of a spin loop began. */
  turnStart = 0;
  hash1 = 0;
  hash2 = 0;
  private readonly watched = new Map<number, number>();
  private readonly words: Int32Array;
  private readonly slot: number;
  private readonly savedSlot = new Int32Array(CpuSlot.size >> 2);
  private slotHash1 = 0;
  private slotHash2 = 0;
  private slotHashed = false;
  private hashedEntries = 0;
  /** Hashes of what the running interrupts have interrupted, outermost first. */
  private readonly interrupted: number[] = [];

  /** @param slot  byte address of the cpu_slot. @param pending  byte address of the pending word. */
  constructor(id: number, s: Int32Array, words: Int32Array, slot: number, pending: number) {
    this.id = id;
    this.s = s;
    this.words = words;
    this.slot = slot >> 2;
    this.pending = pending >> 2;
  }

  /** Back to the start of an execution; memory has been reset already. */
  reset(): void {
    const { s } = this;
    s[L_DONE] = 0;
    s[L_ACCESSES] = 0;
    s[L_ARRIVED] = 0;
    s[L_BUFFERED] = 0;
    this.frame = 0;
    this.resuming = false;
    this.setLevel(0);
    this.unblock();
    this.checkpoint();
  }
  /** The end of an outermost operation. */
  checkpoint(): void {
    this.log.clear();
    this.turns.reset();
    this.s[L_BEGUN] = 0;
    this.s[L_NEXT_WORD] = -1;
    this.turnStart = 0;
    for (let i = 0; i < this.savedSlot.length; i++) this.savedSlot[i] = this.words[this.slot + i];
    this.slotHashed = false;
    this.hash1 = 0;
    this.hash2 = 0;
    this.hashedEntries = 0;
    this.interrupted.length = 0;
  }
  /** Puts the slot back to the last checkpoint, for a rebuild. */
  restoreSlot(): void {
    this.words.set(this.savedSlot, this.slot);
    this.log.position = 0;
    this.setLevel(0);
    this.resuming = true;
    this.s[L_BLOCKED] = NOT_BLOCKED; // It will block again where it stood; that it may go on there must not be lost.
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

  private hashOfSlot(): number {
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
   * It has ended: what it met is in memory or forgotten, and the interrupted code stands where it stood. What it has left
   * changed in the slot (the state of cpu_random(), ticks) it has left for good.
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
