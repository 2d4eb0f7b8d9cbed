/**
 * Path: where a depth-first search stands. One entry for each decision point on the way: the choice that is being tried,
 * all that are to be tried, and two masks of lanes for the search's own notes. Four words an entry.
 *
 * A mask of choices has a bit for each of the first 31; later ones are always tried. Lanes that can run come first in
 * the list, and only they are ever left out.
 */
import type { DecisionPoint } from "../strategy.ts";

const ENTRY_WORDS = 4;
const CHOICES = 1;
const MASK1 = 2;
const MASK2 = 3;
export const MASKED_CHOICES = 31;

function bitCount(mask: number): number {
  let bits = 0;
  for (let left = mask; left !== 0; left &= left - 1) bits++;
  return bits;
}
/** How many of the first `count` choices are tried. */
function tries(choices: number, count: number): number {
  return count > MASKED_CHOICES ? bitCount(choices) + count - MASKED_CHOICES : bitCount(choices & ((1 << count) - 1));
}
/** What a point must have in common with the one that was met here before. */
function fingerprint(point: DecisionPoint): number {
  return (point.lane << 9) | (point.blocked ? 256 : 0) | point.count;
}

export class Path {
  length = 0;
  private words = new Int32Array(256 * ENTRY_WORDS);

  clear(): void {
    this.length = 0;
  }
  /** @param choices  mask of those to try, not 0: the first is tried now. */
  push(point: DecisionPoint, choices: number): void {
    const at = this.length++ * ENTRY_WORDS;
    if (at === this.words.length) {
      const grown = new Int32Array(at * 2);
      grown.set(this.words);
      this.words = grown;
    }
    this.words[at] = fingerprint(point) << 8;
    this.words[at + CHOICES] = choices;
    this.words[at + MASK1] = 0;
    this.words[at + MASK2] = 0;
    this.tryNext(at, 0);
  }
  /** Tries the next choice of an entry, from `first` on. @returns false if there is none. */
  private tryNext(at: number, first: number): boolean {
    const { words } = this;
    const count = (words[at] >> 8) & 0xff;
    for (let i = first; i < count; i++) {
      if (i < MASKED_CHOICES && (words[at + CHOICES] & (1 << i)) === 0) continue;
      words[at] = (words[at] & ~0xff) | i;
      return true;
    }
    return false;
  }
  /** The choice that is being tried at an entry. @throws Error if the point is not the one that was met before. */
  choice(depth: number, point: DecisionPoint): number {
    const head = this.words[depth * ENTRY_WORDS];
    if (head >> 8 !== fingerprint(point)) {
      throw new Error(
        `decision point ${depth} is not what it was: the execution depends on more than the choices made`,
      );
    }
    return head & 0xff;
  }
  /** Goes on to the next path. @returns false if there is none. */
  advance(): boolean {
    for (; this.length > 0; this.length--) {
      const at = (this.length - 1) * ENTRY_WORDS;
      if (this.tryNext(at, (this.words[at] & 0xff) + 1)) return true;
    }
    return false;
  }

  /**
   * What part of the search lies behind, from 0 to 1, if everything that follows one choice of a point is as large as what
   * follows another. It is not, so this is a guess; it only grows.
   */
  share(): number {
    let share = 0;
    let part = 1;
    for (let n = 0; n < this.length && part > 1e-9; n++) {
      const at = n * ENTRY_WORDS;
      const head = this.words[at];
      const choices = this.words[at + CHOICES];
      part /= tries(choices, (head >> 8) & 0xff);
      share += part * tries(choices, head & 0xff);
    }
    return share;
  }

  mask1(depth: number): number {
    return this.words[depth * ENTRY_WORDS + MASK1];
  }
  mask2(depth: number): number {
    return this.words[depth * ENTRY_WORDS + MASK2];
  }
  note(depth: number, mask1: number, mask2: number): void {
    this.words[depth * ENTRY_WORDS + MASK1] |= mask1;
    this.words[depth * ENTRY_WORDS + MASK2] |= mask2;
  }
}
