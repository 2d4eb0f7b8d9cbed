/**
 * The seeded generator: xorshift32 on one word of state, so that the state can live in shared memory, and a mixer that
 * derives independent seeds. The only source of randomness in the project.
 */

/** Next state; never 0 for a state that is not 0. The state is also the value. */
export function xorshift32(state: number): number {
  let x = state;
  x ^= x << 13;
  x ^= x >>> 17;
  x ^= x << 5;
  return x;
}

/** A seed for stream `stream` of the run with seed `seed` (murmur3's finalizer); never 0. */
export function mixSeed(seed: number, stream: number): number {
  let h = (seed ^ Math.imul(stream + 1, 0x9e3779b9)) | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  h ^= h >>> 16;
  return h === 0 ? 1 : h;
}

/** Uniform in 0 .. n-1 from a 32-bit value (n <= 65536; the bias is below 2^-16). */
export function below(value: number, n: number): number {
  return Math.floor(((value >>> 0) / 4294967296) * n);
}

/** A generator that keeps its state itself: for host code, never for kernel code. */
export class Random {
  private state: number;
  constructor(seed: number) {
    this.state = mixSeed(seed, 0);
  }
  /** A 32-bit signed integer. */
  next(): number {
    this.state = xorshift32(this.state);
    return this.state;
  }
  /** Uniform in 0 .. n-1. */
  below(n: number): number {
    return below(this.next(), n);
  }
  /** True with probability p. */
  chance(p: number): boolean {
    return (this.next() >>> 0) / 4294967296 < p;
  }
}
