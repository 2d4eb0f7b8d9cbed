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
export const KIND_NAMES = [
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
];
const KIND_SHIFT = 26;

export const keyOf = (kind: number, index: number): number => (kind << KIND_SHIFT) | index;
export const kindOf = (key: number): number => key >>> KIND_SHIFT;
export const indexOf = (key: number): number => key & ((1 << KIND_SHIFT) - 1);

export class Log {
  length = 0;
  /** Next entry to replay. */
  position = 0;
  private keys = new Int32Array(256);
  private results = new Int32Array(256);
  private stored = new Int32Array(256);

  clear(): void {
    this.length = 0;
    this.position = 0;
  }
  /** @param result  what the access returned. @param stored  what it stored, or its operand. */
  push(key: number, result: number, stored: number): void {
    const n = this.length;
    if (n === this.keys.length) this.grow();
    this.keys[n] = key;
    this.results[n] = result;
    this.stored[n] = stored;
    this.length = n + 1;
    this.position = n + 1;
  }
  /** Kind of the next entry to replay; 0 when the log is used up. */
  nextKind(): number {
    return this.position < this.length ? kindOf(this.keys[this.position]) : 0;
  }
  /** Takes the next entry. @returns its result. */
  take(): number {
    return this.results[this.position++];
  }
  /** Result of entry `n`. */
  resultAt(n: number): number {
    return this.results[n];
  }
  /** Is the next entry this very access? */
  matches(key: number, stored: number): boolean {
    return this.keys[this.position] === key && this.stored[this.position] === stored;
  }
  /** The next entry in words, for a divergence report. */
  describeNext(): string {
    const key = this.keys[this.position];
    return describeAccess(key, this.stored[this.position]);
  }
  private grow(): void {
    const bigger = (from: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> => {
      const to = new Int32Array(from.length * 2);
      to.set(from);
      return to;
    };
    this.keys = bigger(this.keys);
    this.results = bigger(this.results);
    this.stored = bigger(this.stored);
  }
}

export function describeAccess(key: number, stored: number): string {
  const kind = KIND_NAMES[kindOf(key)] ?? "?";
  return `${kind} at 0x${(indexOf(key) * 4).toString(16)}${kindOf(key) === LOAD ? "" : ` (${stored})`}`;
}
