/**
 * The words in which a sampling strategy keeps all that changes. Several threads that run one execution in turn have an
 * object each, on the same words: whichever runs, the next choice is the same.
 */
import { xorshift32, below, mixSeed } from "../../../shared/base/random.ts";

/** Words that any strategy fits into. */
export const STRATEGY_WORDS = 8192;

const RANDOM = 0;
/** Decision points that an execution has, as learned; 0: nothing learned yet. */
export const LENGTH = 1;
/** Decision points so far in this execution. */
export const AT = 2;
/** NMIs and ticks still to be placed in this execution. */
export const TO_PLACE = 3;
/** Decision point at which the next of them is to be placed. */
export const NEXT_PLACE = 4;
/** First word of the strategy's own. */
export const OWN = 16;

/** Lanes that a strategy has room for: engines have fewer. */
export const LANES = 32;

/** The seeded generator, its state in the words. */
export class StoredRandom {
  private readonly state: Int32Array;
  constructor(state: Int32Array) {
    this.state = state;
  }
  /** Seeds the words if no object has done so yet: 0 is no state of the generator. */
  seed(seed: number): void {
    if (this.state[RANDOM] === 0) this.state[RANDOM] = mixSeed(seed, 0);
  }
  /** A 32-bit signed integer. */
  next(): number {
    return (this.state[RANDOM] = xorshift32(this.state[RANDOM]));
  }
  /** Uniform in 0 .. n-1. */
  below(n: number): number {
    return below(this.next(), n);
  }
  /** Of `ahead` points, `chosen` are drawn at random: how many come before the first of them? */
  before(ahead: number, chosen: number): number {
    if (chosen === 0) return ahead;
    if (chosen === 1) return this.below(ahead);
    let x = this.state[RANDOM];
    let passed = 0;
    while (passed < ahead - chosen) {
      x = xorshift32(x);
      if (below(x, ahead - passed) < chosen) break;
      passed++;
    }
    this.state[RANDOM] = x;
    return passed;
  }
  /** Uniform in [0, 1). */
  fraction(): number {
    return (this.next() >>> 0) / 4294967296;
  }
  /** True with probability p. */
  chance(p: number): boolean {
    return this.fraction() < p;
  }
}
