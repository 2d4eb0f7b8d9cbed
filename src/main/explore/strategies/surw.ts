/**
 * SURW, selectively uniform random walk: each execution takes a subset of accesses as the interesting ones, here all
 * accesses to one word that several lanes touch, or all accesses. Which lane makes the next interesting access is drawn
 * in proportion to how many each still has to make, as counted in executions before; others wait in front of theirs.
 * So all orders of the interesting accesses are about equally likely, however uneven the programs are. In between, lanes
 * run on, with a small chance to switch: every interleaving stays possible.
 *
 * Zhao, Wolff, Mathur, Roychoudhury, "Selectively uniform concurrency testing" (ASPLOS 2025).
 */
import { GO, type DecisionPoint } from "../strategy.ts";
import { isRun } from "./injections.ts";
import { Sampler } from "./sampler.ts";
import { LANES, OWN, STRATEGY_WORDS } from "./state.ts";

/** Words are counted by hash: two that fall together are interesting together. */
const BUCKET_BITS = 6;
const BUCKETS = 1 << BUCKET_BITS;
/** Accesses that are not known when a lane is switched to, as it has not begun or wakes up: always interesting. */
const UNKNOWN = BUCKETS;
const ROW = BUCKETS + 1;
const ALL = -1;
const NOBODY = -1;
const SWITCH_CHANCE = 0.1;

const INTERESTING = OWN;
const INTENDED = OWN + 1;
/** Highest lane that has made an access, plus 1. */
const LANES_SEEN = OWN + 2;
/** Lane whose access was counted when it was switched to. */
const COUNTED = OWN + 3;
const REMAINING = OWN + 4;
/** Accesses of each lane by bucket: in this execution, and the most in any before. */
const NOW = REMAINING + LANES;
const BEFORE = NOW + LANES * ROW;

function bucketOf(word: number): number {
  return word === -1 ? UNKNOWN : Math.imul(word, 0x9e3779b9) >>> (32 - BUCKET_BITS);
}

export class Surw extends Sampler {
  readonly nextAccesses = true;
  readonly name = "SURW";

  constructor(seed: number, injections: number, state: Int32Array = new Int32Array(STRATEGY_WORDS)) {
    super(seed, injections, state);
  }
  protected override start(): void {
    const { state } = this;
    // The most: a lane that runs alone is not asked, so an execution may have had more than were counted.
    for (let i = 0; i < state[LANES_SEEN] * ROW; i++) {
      state[BEFORE + i] = Math.max(state[BEFORE + i], state[NOW + i]);
      state[NOW + i] = 0;
    }
    state[INTENDED] = NOBODY;
    state[COUNTED] = NOBODY;
    state[INTERESTING] = this.chooseInteresting();
    for (let lane = 0; lane < state[LANES_SEEN]; lane++) state[REMAINING + lane] = this.interestingOf(lane);
  }
  /** A bucket that two lanes touch, or all, each equally likely. */
  private chooseInteresting(): number {
    let candidates = 0;
    for (let b = 0; b < BUCKETS; b++) if (this.isShared(b)) candidates++;
    let n = this.random.below(candidates + 1);
    for (let b = 0; b < BUCKETS; b++) if (this.isShared(b) && n-- === 0) return b;
    return ALL;
  }
  private isShared(bucket: number): boolean {
    let lanes = 0;
    for (let lane = 0; lane < this.state[LANES_SEEN]; lane++) {
      if (this.state[BEFORE + lane * ROW + bucket] > 0) lanes++;
    }
    return lanes > 1;
  }
  private interestingOf(lane: number): number {
    const { state } = this;
    const row = BEFORE + lane * ROW;
    if (state[INTERESTING] !== ALL) return state[row + state[INTERESTING]] + state[row + UNKNOWN];
    let all = 0;
    for (let b = 0; b < ROW; b++) all += state[row + b];
    return all;
  }

  protected override pick(point: DecisionPoint): number {
    const interrupt = this.injections.accept(point);
    if (interrupt !== 0) return interrupt;
    if (this.state[INTENDED] === NOBODY) this.intend(point);
    let best = this.free(point);
    if (best < 0) {
      this.intend(point); // Whom we wait for is blocked, or has ended.
      best = this.free(point);
    }
    if (best < 0) return 0;
    this.count(point, best);
    return best;
  }
  /** Draws who makes the next interesting access. */
  private intend(point: DecisionPoint): void {
    const { state } = this;
    let total = 0;
    for (let i = 0; i < point.count; i++) {
      if (!isRun(point, i)) continue;
      const remaining = REMAINING + point.lanes[i];
      if (state[remaining] === 0 && this.isInteresting(point, i)) state[remaining] = 1; // More than were counted.
      total += state[remaining];
    }
    state[INTENDED] = NOBODY;
    if (total === 0) return;
    let n = this.random.below(total);
    for (let i = 0; i < point.count; i++) {
      if (!isRun(point, i)) continue;
      n -= state[REMAINING + point.lanes[i]];
      if (n < 0) {
        state[INTENDED] = point.lanes[i];
        return;
      }
    }
  }
  private isInteresting(point: DecisionPoint, i: number): boolean {
    const bucket = bucketOf(point.words[i]);
    const interesting = this.state[INTERESTING];
    return interesting === ALL || bucket === interesting || bucket === UNKNOWN;
  }
  /** May choice number i run: is it the intended lane, or one that stands in front of nothing interesting? */
  private isFree(point: DecisionPoint, i: number): boolean {
    return isRun(point, i) && (point.lanes[i] === this.state[INTENDED] || !this.isInteresting(point, i));
  }
  /** @returns index of a free choice: mostly the running lane; -1 if there is none. */
  private free(point: DecisionPoint): number {
    if (point.choices[0] === GO && this.isFree(point, 0) && !this.random.chance(SWITCH_CHANCE)) return 0;
    let free = 0;
    for (let i = 0; i < point.count; i++) if (this.isFree(point, i)) free++;
    if (free === 0) return -1;
    let n = this.random.below(free);
    for (let i = 0; ; i++) if (this.isFree(point, i) && n-- === 0) return i;
  }
  /** A lane makes its access: the running one, or the one that is switched to, asked again or not. */
  private count(point: DecisionPoint, i: number): void {
    const { state } = this;
    const lane = point.lanes[i];
    const isCounted = state[COUNTED] === lane && point.choices[i] === GO && this.isAlone(point);
    state[COUNTED] = point.choices[i] === GO ? NOBODY : lane;
    if (isCounted) return;
    state[LANES_SEEN] = Math.max(state[LANES_SEEN], lane + 1);
    state[NOW + lane * ROW + bucketOf(point.words[i])]++;
    if (!this.isInteresting(point, i)) return;
    if (state[REMAINING + lane] > 0) state[REMAINING + lane]--;
    state[INTENDED] = NOBODY;
  }
  private isAlone(point: DecisionPoint): boolean {
    for (let i = 1; i < point.count; i++) if (isRun(point, i)) return false;
    return true;
  }
}
