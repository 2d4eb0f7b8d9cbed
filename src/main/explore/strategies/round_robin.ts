/**
 * Round-robin: each lane runs for `quantum` decision points, then the next one. The first turn is cut to a random length,
 * so that executions differ. It finds little that the others miss; it is how a fair scheduler without ideas would run.
 */
import type { DecisionPoint } from "../strategy.ts";
import { isRun } from "./injections.ts";
import { Sampler } from "./sampler.ts";
import { OWN, STRATEGY_WORDS } from "./state.ts";

const USED = OWN;

/** The first choice that lets another lane run, 0 if there is none. */
function firstOther(point: DecisionPoint): number {
  for (let i = 1; i < point.count; i++) if (isRun(point, i)) return i;
  return 0;
}

export class RoundRobin extends Sampler {
  readonly name: string;
  private readonly quantum: number;

  constructor(seed: number, quantum: number, injections: number, state: Int32Array = new Int32Array(STRATEGY_WORDS)) {
    super(seed, injections, state);
    if (!Number.isInteger(quantum) || quantum < 1) throw new RangeError(`quantum ${quantum}: must be 1 or more`);
    this.name = `round-robin q=${quantum}`;
    this.quantum = quantum;
  }
  protected override start(): void {
    this.state[USED] = this.random.below(this.quantum);
  }
  protected override pick(point: DecisionPoint): number {
    const interrupt = this.injections.accept(point);
    if (interrupt !== 0) return interrupt;
    const next = point.blocked ? 0 : firstOther(point);
    if (!point.blocked && (next === 0 || this.state[USED] < this.quantum)) {
      if (next !== 0) this.state[USED]++;
      return 0;
    }
    this.state[USED] = 1; // The access that it is switched to for.
    return next;
  }
}
