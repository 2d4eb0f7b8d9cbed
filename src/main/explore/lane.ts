/**
 * A lane: one CPU under the explorer, with the program it runs and all that is needed to suspend and rebuild it. A
 * program is a list of operations; the end of each is a checkpoint, from which a suspended lane is executed again.
 */
import { CpuSlot } from "../../shared/layout/cpu.ts";
import { Log } from "./log.ts";
import type { Operation } from "./scenario.ts";

const NOT_BLOCKED = 0;
const BLOCKED_RELAX = 1;
const BLOCKED_WAIT = 2;

export class Lane {
  readonly id: number;
  readonly log = new Log();
  /** Result of the access that was last answered from the log. */
  result = 0;
  /** Operations that are done. */
  done = 0;
  /** Accesses made in this execution, interrupts included. */
  accesses = 0;
  /** Nesting of interrupts: 0 task level, 1 IRQ, 2 NMI. */
  level = 0;
  onStack = false;
  /** Being rebuilt: its next access was counted before it was suspended. */
  resuming = false;
  operation: Operation = () => undefined;
  /** The current operation has begun: entering the lane again means rebuilding it. */
  begun = false;
  private readonly words: Int32Array;
  private readonly pending: number;
  private readonly slot: number;
  private readonly savedSlot = new Int32Array(CpuSlot.size >> 2);
  private blocked = NOT_BLOCKED;
  private seen = 0;
  // What was read since the last progress: a spin loop that read only this would read it again.
  private readonly watchIndex: number[] = [];
  private readonly watchValue: number[] = [];

  /** @param slot  byte address of the cpu_slot. @param pending  byte address of the pending word. */
  constructor(id: number, words: Int32Array, slot: number, pending: number) {
    this.id = id;
    this.words = words;
    this.slot = slot >> 2;
    this.pending = pending >> 2;
  }

  /** Back to the start of an execution; memory has been reset already. */
  reset(): void {
    this.log.clear();
    this.done = 0;
    this.accesses = 0;
    this.level = 0;
    this.onStack = false;
    this.begun = false;
    this.resuming = false;
    this.unblock();
    this.progress();
    this.saveSlot();
  }
  /** The end of an outermost operation. */
  checkpoint(): void {
    this.log.clear();
    this.begun = false;
    this.progress();
    this.saveSlot();
  }
  private saveSlot(): void {
    this.savedSlot.set(this.words.subarray(this.slot, this.slot + this.savedSlot.length));
  }
  /** Puts the slot back to the last checkpoint, for a rebuild. */
  restoreSlot(): void {
    this.words.set(this.savedSlot, this.slot);
    this.log.position = 0;
    this.level = 0;
    this.resuming = true;
    this.unblock();
  }

  watch(index: number, value: number): void {
    this.watchIndex.push(index);
    this.watchValue.push(value);
  }
  progress(): void {
    this.watchIndex.length = 0;
    this.watchValue.length = 0;
  }

  blockRelax(): void {
    this.blocked = BLOCKED_RELAX;
  }
  blockWait(seen: number): void {
    this.blocked = BLOCKED_WAIT;
    this.seen = seen;
  }
  unblock(): void {
    this.blocked = NOT_BLOCKED;
  }
  get isBlocked(): boolean {
    return this.blocked !== NOT_BLOCKED;
  }
  get isWaiting(): boolean {
    return this.blocked === BLOCKED_WAIT;
  }
  /** Can this lane make a step? */
  get enabled(): boolean {
    if (this.blocked === NOT_BLOCKED) return true;
    if (this.blocked === BLOCKED_WAIT) return this.words[this.pending] !== this.seen;
    for (let i = 0; i < this.watchIndex.length; i++) {
      if (this.words[this.watchIndex[i]] !== this.watchValue[i]) return true;
    }
    return false;
  }
}
