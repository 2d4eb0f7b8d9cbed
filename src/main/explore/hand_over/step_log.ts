/**
 * StepLog: every step, switch and interrupt of an execution as numbers, for the comparison of engines. The entries lie in
 * shared words: several threads may write them in turn. A running hash stands for those that no longer fit.
 */
import type { Access, Recorder } from "../recorder.ts";
import { mix1, mix2 } from "../engine/state_hash.ts";

const COUNT = 0;
const HASH1 = 1;
const HASH2 = 2;
const FIRST = 4;
/** Words of an entry: what happened, and three numbers. */
export const ENTRY_WORDS = 4;

const SWITCHED = 1;
const INTERRUPT = 2;
const INTERRUPT_END = 3;
const TICKED = 4;
const DRAINED = 5;
const OPERATION = 6;
const ACCESS = 16; // + kind
const NAMES = ["-", "switch", "interrupt", "interrupt ends", "tick", "drain", "operation"];

export class StepLog implements Recorder {
  private readonly words: Int32Array;
  /** @param words  room for the entries; a few thousand at least. */
  constructor(words: Int32Array) {
    this.words = words;
  }
  static of(entries: number): StepLog {
    return new StepLog(new Int32Array(FIRST + entries * ENTRY_WORDS));
  }
  clear(): void {
    this.words.fill(0, 0, FIRST);
  }
  get count(): number {
    return this.words[COUNT];
  }
  /** Stands for all entries. */
  get digest(): string {
    return `${this.count}:${this.words[HASH1] >>> 0}:${this.words[HASH2] >>> 0}`;
  }
  /** Entry `n` in words, for a report of a difference. */
  describe(n: number): string {
    const [what, a, b, c] = this.words.subarray(FIRST + n * ENTRY_WORDS, FIRST + (n + 1) * ENTRY_WORDS);
    const kind = what & 255;
    const name = kind >= ACCESS ? `access ${kind - ACCESS}` : NAMES[kind];
    return `CPU ${what >> 8}: ${name} 0x${(a >>> 0).toString(16)} ${b} ${c}`;
  }
  /** Index of the first entry in which the two differ; -1: none. */
  firstDifference(other: StepLog): number {
    const a = this.words;
    const b = other.words;
    const end = FIRST + Math.min(this.count, other.count) * ENTRY_WORDS;
    for (let i = FIRST; i < Math.min(end, a.length, b.length); i++) {
      if (a[i] !== b[i]) return Math.floor((i - FIRST) / ENTRY_WORDS);
    }
    return this.digest === other.digest ? -1 : Math.min(this.count, other.count);
  }

  private push(lane: number, what: number, a: number, b: number, c: number): void {
    const { words } = this;
    const first = (lane << 8) | what;
    words[HASH1] = mix1(mix1(mix1(mix1(words[HASH1], first), a), b), c);
    words[HASH2] = mix2(mix2(mix2(mix2(words[HASH2], first), a), b), c);
    const at = FIRST + words[COUNT]++ * ENTRY_WORDS;
    if (at + ENTRY_WORDS > words.length) return;
    words[at] = first;
    words[at + 1] = a;
    words[at + 2] = b;
    words[at + 3] = c;
  }
  access({ lane, kind, address, before, after }: Access): void {
    this.push(lane, ACCESS + kind, address, before, after);
  }
  operation(lane: number, n: number): void {
    this.push(lane, OPERATION, n, 0, 0);
  }
  switched(from: number, to: number, blocked: boolean): void {
    this.push(from, SWITCHED, to, blocked ? 1 : 0, 0);
  }
  interrupt(lane: number, bit: number, chosen: boolean): void {
    this.push(lane, INTERRUPT, bit, chosen ? 1 : 0, 0);
  }
  interruptEnd(lane: number, bit: number): void {
    this.push(lane, INTERRUPT_END, bit, 0, 0);
  }
  tick(jiffies: number, forced: boolean): void {
    this.push(0, TICKED, jiffies, forced ? 1 : 0, 0);
  }
  drained(lane: number, address: number, before: number, after: number): void {
    this.push(lane, DRAINED, address, before, after);
  }
}
