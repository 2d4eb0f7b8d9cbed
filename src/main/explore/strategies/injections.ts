/**
 * Where the sampling strategies put interrupts and ticks. NMIs and ticks could hit anywhere: they are spread evenly over
 * the execution, of which the learned length says how much is still to come (Knuth's selection sampling: with k left to
 * place and n points ahead, the first of these is a place with probability k/n, and so on). Pending interrupts wait for their CPU to take them, buffered
 * stores to reach memory: neither is limited in number, and each happens soon.
 */
import { IRQ, NEVER, type DecisionPoint } from "../strategy.ts";
import { LENGTH, NEXT_PLACE, TO_PLACE, type StoredRandom } from "./state.ts";

/** With what probability a pending interrupt is taken at a point, or a buffered store drained. */
const ACCEPTANCE = 0.25;

/** Choice number i says who runs, and injects nothing. */
export function isRun(point: DecisionPoint, i: number): boolean {
  return point.lanes[i] >= 0;
}
/** Choice number i lets the lane take an interrupt that is pending, or drains a store. */
export function isPending(point: DecisionPoint, i: number): boolean {
  return point.choices[i] >= IRQ;
}
function isPlaced(point: DecisionPoint, i: number): boolean {
  return !isRun(point, i) && !isPending(point, i);
}

export class Injections {
  private readonly state: Int32Array;
  private readonly random: StoredRandom;
  private readonly perExecution: number;

  constructor(state: Int32Array, random: StoredRandom, perExecution: number) {
    this.state = state;
    this.random = random;
    this.perExecution = perExecution;
  }
  begin(): void {
    this.state[TO_PLACE] = this.perExecution;
    this.drawPlace(0);
  }
  /** Number of the decision point at which the next one hits; NEVER: none is left. */
  get nextPlace(): number {
    return this.state[TO_PLACE] === 0 ? NEVER : this.state[NEXT_PLACE];
  }
  /** Draws the next place from decision point number `at` on. */
  private drawPlace(at: number): void {
    const left = this.state[TO_PLACE];
    this.state[NEXT_PLACE] = at + this.random.before(Math.max(left, this.state[LENGTH] - at), left);
  }
  /** False: everything has been placed, and from then on nothing was asked where it was the only question. */
  get couldGoOn(): boolean {
    return this.perExecution === 0 || this.state[TO_PLACE] > 0;
  }

  /** @returns index of the NMI or tick to inject at decision point number `at`, or 0. */
  place(point: DecisionPoint, at: number): number {
    if (at < this.nextPlace) return 0;
    let offered = 0;
    for (let i = 1; i < point.count; i++) if (isPlaced(point, i)) offered++;
    if (offered > 0) this.state[TO_PLACE]--;
    this.drawPlace(at + 1);
    if (offered === 0) return 0;
    let n = this.random.below(offered);
    for (let i = 1; ; i++) if (isPlaced(point, i) && n-- === 0) return i;
  }

  /** @returns index of the pending interrupt to take or the store to drain now, or 0. */
  accept(point: DecisionPoint): number {
    for (let i = 1; i < point.count; i++) if (isPending(point, i) && this.random.chance(ACCEPTANCE)) return i;
    return 0;
  }
}
