/**
 * The log of a CPU's current operation: one entry for every access, wait and interrupt since its last checkpoint. From
 * it the operation can be executed again, up to where the CPU was suspended, without touching memory.
 */

/** Entry kinds. The key of an entry is kind << 26 | word index. */
export const LOAD = 1;
export const STORE = 2;
export const RMW = 3;
export const FILL = 4;
export const POLL = 5;
export const RELAX = 6;
export const WAIT = 7;
export const RAISE = 8;
export const TAKE = 9;
export const PENDING = 10;
export const INTERRUPT = 11; // taken before the next access
export const INTERRUPT_AT_ENABLE = 12; // taken in irqs_enabled()
export const FENCE = 13;
export const INTERRUPT_AT_RELAX = 14; // taken at the end of a spin loop's turn
export const SWITCHED = 15; // the CPU went to another of its tasks, and came back
export const MIGRATED = 16; // a migration point; its result is the CPU that the task is on from then on, or -1: the same
export const STATIC_KEY = 17; // it was on; where it was off there is no entry
const KIND_NAMES = [
  "-",
  "load",
  "store",
  "rmw",
  "fill",
  "poll",
  "relax",
  "wait",
  "raise",
  "take",
  "pending",
  "interrupt",
  "interrupt",
  "fence",
  "interrupt",
  "task switch",
  "migration point",
  "static key",
];
const KIND_SHIFT = 26;

export const keyOf = (kind: number, index: number): number => (kind << KIND_SHIFT) | index;
const kindOf = (key: number): number => key >>> KIND_SHIFT;
const indexOf = (key: number): number => key & ((1 << KIND_SHIFT) - 1);

/** Words of an entry: key, result, what was stored, the word after the access. */
const ENTRY_WORDS = 4;

export class Log {
  length = 0;
  /** Next entry to replay; means something during a rebuild only. */
  position = 0;
  private entries = new Int32Array(256 * ENTRY_WORDS);

  clear(): void {
    this.length = 0;
  }
  /**
   * @param result  what the access returned. @param stored  what it stored, or its operand.
   * @param after  the word after the access, for loads, stores and read-modify-writes.
   */
  push(key: number, result: number, stored: number, after = 0): void {
    const at = this.length++ * ENTRY_WORDS;
    if (at === this.entries.length) this.grow();
    const { entries } = this;
    entries[at] = key;
    entries[at + 1] = result;
    entries[at + 2] = stored;
    entries[at + 3] = after;
  }
  /** Kind of the next entry to replay; 0 when the log is used up. */
  nextKind(): number {
    return this.position < this.length ? this.kindAt(this.position) : 0;
  }
  /** Takes the next entry. @returns its result. */
  take(): number {
    return this.resultAt(this.position++);
  }
  /** Is the next entry this very access? */
  matches(key: number, stored: number): boolean {
    const at = this.position * ENTRY_WORDS;
    return this.entries[at] === key && this.entries[at + 2] === stored;
  }
  /** The next entry in words, for a divergence report. */
  describeNext(): string {
    const at = this.position * ENTRY_WORDS;
    return describeAccess(this.entries[at], this.entries[at + 2]);
  }

  kindAt(n: number): number {
    return kindOf(this.entries[n * ENTRY_WORDS]);
  }
  wordAt(n: number): number {
    return indexOf(this.entries[n * ENTRY_WORDS]);
  }
  resultAt(n: number): number {
    return this.entries[n * ENTRY_WORDS + 1];
  }
  /** The word after the access of entry `n`. */
  afterAt(n: number): number {
    return this.entries[n * ENTRY_WORDS + 3];
  }
  private grow(): void {
    const bigger = new Int32Array(this.entries.length * 2);
    bigger.set(this.entries);
    this.entries = bigger;
  }
}

export function describeAccess(key: number, stored: number): string {
  const kind = KIND_NAMES[kindOf(key)] ?? "?";
  return `${kind} at 0x${(indexOf(key) * 4).toString(16)}${kindOf(key) === LOAD ? "" : ` (${stored})`}`;
}
