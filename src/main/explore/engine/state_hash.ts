/**
 * Hashing of machine states, in two independent 32-bit halves. Memory is hashed word by word and combined by XOR, so
 * that a store changes the hash in constant time; sequences (what a CPU has read) are hashed in order.
 */

export function hashWord1(index: number, value: number): number {
  let h = Math.imul(index + 1, 0x9e3779b1) ^ Math.imul(value, 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d);
  h = Math.imul(h ^ (h >>> 12), 0x297a2d39);
  return h ^ (h >>> 15);
}
export function hashWord2(index: number, value: number): number {
  let h = Math.imul(value + 1, 0xc2b2ae3d) ^ Math.imul(index, 0x27d4eb2f);
  h = Math.imul(h ^ (h >>> 16), 0x7feb352d);
  h = Math.imul(h ^ (h >>> 15), 0x846ca68b);
  return h ^ (h >>> 16);
}
/** The next value joins a sequence. */
export function mix1(h: number, value: number): number {
  const x = Math.imul(h ^ value, 0x85ebca6b) + 0x165667b1;
  return x ^ (x >>> 13);
}
export function mix2(h: number, value: number): number {
  const x = Math.imul((h << 5) ^ (h >>> 27) ^ value, 0x9e3779b1) + 0x27d4eb2f;
  return x ^ (x >>> 15);
}

/** The memory's part: relative to the snapshot, whose hash is 0. */
export class MemoryHash {
  h1 = 0;
  h2 = 0;
  reset(): void {
    this.h1 = 0;
    this.h2 = 0;
  }
  change(index: number, before: number, after: number): void {
    if (before === after) return;
    this.h1 ^= hashWord1(index, before) ^ hashWord1(index, after);
    this.h2 ^= hashWord2(index, before) ^ hashWord2(index, after);
  }
}
