/**
 * POS, partial order sampling: each pending access has a random priority, and the highest is made. Accesses that race
 * with it (same word, one of them writing) draw anew, so that who won one race says nothing about the next. What happens
 * first among accesses that do not race is left as it falls: the sample is spread over partial orders, not over orders.
 *
 * Yuan, Yang, Gu, "Partial order aware concurrency sampling" (CAV 2018).
 */
import { WRITES, type DecisionPoint } from "../strategy.ts";
import { isRun } from "./injections.ts";
import { Priorities } from "./priorities.ts";
import { Sampler } from "./sampler.ts";
import { STRATEGY_WORDS } from "./state.ts";

/** Do the pending accesses of choices i and j race? Unknown ones (-1) do not: they are no accesses yet. */
function races(point: DecisionPoint, i: number, j: number): boolean {
  const { words, effects } = point;
  return words[i] !== -1 && words[i] === words[j] && ((effects[i] | effects[j]) & WRITES) !== 0;
}

export class Pos extends Sampler {
  readonly nextAccesses = true;
  readonly name = "POS";
  private readonly priorities: Priorities;

  constructor(seed: number, injections: number, state: Int32Array = new Int32Array(STRATEGY_WORDS)) {
    super(seed, injections, state);
    this.priorities = new Priorities(state, this.random);
  }
  protected override start(): void {
    this.priorities.begin();
  }
  protected override pick(point: DecisionPoint): number {
    const { priorities } = this;
    const best = priorities.highest(point);
    if (isRun(point, best)) {
      // A lane that is switched to makes its access at once: it need not be asked again.
      for (let i = 0; i < point.count; i++) {
        if (i !== best && isRun(point, i) && races(point, best, i)) priorities.forget(point, i);
      }
    }
    priorities.forget(point, best);
    return best;
  }
}
