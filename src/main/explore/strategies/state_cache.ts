/**
 * StateCache: which states a search has been in, and with how much of its budget left. Open addressing in one Int32Array
 * of entries (hash1, hash2, left + 1); the two hashes together are the key. It grows up to a limit and then takes no more
 * states: the search then repeats work, but loses nothing.
 */

const ENTRY_WORDS = 3;
const FIRST_SLOTS = 1 << 10;
/** 96 MiB. */
const MAX_SLOTS = 1 << 23;
/** The largest budget that can be stored: stands for an unlimited one. */
const UNLIMITED = 0x7ffffffe;

export class StateCache {
  /** States stored. */
  size = 0;
  private readonly maxSlots: number;
  private slots = FIRST_SLOTS;
  private entries = new Int32Array(FIRST_SLOTS * ENTRY_WORDS);

  /** @param maxSlots  a power of two: three quarters of them are used. */
  constructor(maxSlots: number = MAX_SLOTS) {
    this.maxSlots = maxSlots;
  }
  clear(): void {
    this.size = 0;
    this.slots = FIRST_SLOTS;
    this.entries = new Int32Array(FIRST_SLOTS * ENTRY_WORDS);
  }

  /** Notes that a state is reached. @returns true if it was reached before with `left` or more: nothing new follows. */
  visit(hash1: number, hash2: number, left: number): boolean {
    const value = Math.min(left, UNLIMITED) + 1;
    const at = this.find(hash1, hash2);
    const known = this.entries[at + 2];
    if (known !== 0) {
      if (known >= value) return true;
      this.entries[at + 2] = value;
      return false;
    }
    if (this.size >= (this.slots >> 2) * 3) {
      if (this.slots >= this.maxSlots) return false;
      this.grow();
      this.store(this.find(hash1, hash2), hash1, hash2, value);
    } else {
      this.store(at, hash1, hash2, value);
    }
    this.size++;
    return false;
  }
  private store(at: number, hash1: number, hash2: number, value: number): void {
    this.entries[at] = hash1;
    this.entries[at + 1] = hash2;
    this.entries[at + 2] = value;
  }
  /** @returns index of the entry with this key, or of the free one where it belongs. */
  private find(hash1: number, hash2: number): number {
    const { entries } = this;
    const mask = this.slots - 1;
    const h1 = hash1 | 0;
    const h2 = hash2 | 0;
    for (let slot = (h1 ^ Math.imul(h2, 0x9e3779b9)) & mask; ; slot = (slot + 1) & mask) {
      const at = slot * ENTRY_WORDS;
      if (entries[at + 2] === 0 || (entries[at] === h1 && entries[at + 1] === h2)) return at;
    }
  }
  private grow(): void {
    const old = this.entries;
    this.slots *= 2;
    this.entries = new Int32Array(this.slots * ENTRY_WORDS);
    for (let i = 0; i < old.length; i += ENTRY_WORDS) {
      if (old[i + 2] !== 0) this.store(this.find(old[i], old[i + 1]), old[i], old[i + 1], old[i + 2]);
    }
  }
}
