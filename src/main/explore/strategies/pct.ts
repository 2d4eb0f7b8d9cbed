/**
 * PCT: each lane and each interrupt source has a random priority, and the highest runs; at d-1 random points, drawn over
 * the learned length, whoever would run falls below all others. A bug that needs d ordering constraints among n lanes
 * and k points is found by one execution with probability 1 / (n * k^(d-1)) or more.
 *
 * Burckhardt, Kothari, Musuvathi, Nagarakatte, "A randomized scheduler with probabilistic guarantees of finding bugs"
 * (ASPLOS 2010).
 */
import { NEVER, type DecisionPoint } from "../strategy.ts";
import { BEHIND_PRIORITIES, Priorities } from "./priorities.ts";
import { Sampler } from "./sampler.ts";
import { AT, LENGTH, STRATEGY_WORDS } from "./state.ts";

const CHANGES = BEHIND_PRIORITIES;
const MAX_DEPTH = 64;

export class Pct extends Sampler {
  readonly name: string;
  private readonly depth: number;
  private readonly priorities: Priorities;

  constructor(seed: number, depth: number, injections: number, state: Int32Array = new Int32Array(STRATEGY_WORDS)) {
    super(seed, injections, state);
    if (!Number.isInteger(depth) || depth < 1 || depth > MAX_DEPTH) {
      throw new RangeError(`depth ${depth}: PCT takes 1 to ${MAX_DEPTH}`);
    }
    this.name = `PCT d=${depth}`;
    this.depth = depth;
    this.priorities = new Priorities(state, this.random);
  }
  protected override start(): void {
    this.priorities.begin();
    for (let i = 1; i < this.depth; i++) this.state[CHANGES + i] = this.random.below(this.state[LENGTH]);
  }
  protected override pick(point: DecisionPoint, at: number): number {
    const { state, priorities, depth } = this;
    // Why: the points are not sorted. A lane that falls later need not fall deeper, or some orders were never seen.
    for (let i = 1; i < depth; i++) {
      if (state[CHANGES + i] === at) priorities.lower(point, priorities.highest(point), i - depth);
    }
    return priorities.highest(point);
  }
  quiet(point: DecisionPoint): number {
    const { state, priorities, depth } = this;
    if (!priorities.areBelow(point.rivals, point.lane)) return 0;
    let next = NEVER;
    for (let i = 1; i < depth; i++) if (state[CHANGES + i] >= state[AT]) next = Math.min(next, state[CHANGES + i]);
    return this.quietUntil(next);
  }
}
