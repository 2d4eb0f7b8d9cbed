/**
 * Sleep sets: all schedules without a bound, but of those that differ only in the order of independent accesses mostly
 * one. When everything that begins with the next access of lane A has been tried, A sleeps while others are tried, until
 * one of them makes an access that depends on A's: the same word, one of them writing. Every final state is reached.
 *
 * Godefroid, "Partial-order methods for the verification of concurrent systems" (LNCS 1032, 1996). Not with a bound: the
 * order that is left out may be the only one with few preemptions (Coons, Musuvathi, McKinley, "Bounded partial-order
 * reduction", OOPSLA 2013). Nor with the state cache: a state would have to remember who slept in it.
 *
 * On everything depend: interrupts and ticks; a step whose word is not known (-1), because it raises an interrupt, or its
 * lane has not begun, wakes up, or must take an interrupt first. A sleeping lane that the strategy could let an interrupt
 * hit is still switched to, for the interrupt only.
 */
import { GO, WRITES, type DecisionPoint } from "../strategy.ts";
import { DepthFirst, isSwitch } from "./depth_first.ts";
import { isRun } from "./injections.ts";
import { MASKED_CHOICES } from "./path.ts";
import { LANES } from "./state.ts";

const UNKNOWN = -1;

function isIndependent(point: DecisionPoint, i: number, j: number): boolean {
  const { words, effects } = point;
  return words[i] !== words[j] || ((effects[i] | effects[j]) & WRITES) === 0;
}

export class SleepSets extends DepthFirst {
  readonly nextAccesses = true;
  readonly name = "exhaustive, sleep sets";
  /** Lanes that sleep, and those of them that could be hit. */
  private asleep = 0;
  private hittable = 0;
  /** Access at which each lane was asked last. */
  private readonly lastAccess = new Int32Array(LANES);
  /** Lane that the last choice switched to, standing before a known access; -1: none. */
  private target = -1;
  /** The point is met between the switch to `target` and its access: others are not listed, and nothing has happened. */
  private arriving = false;

  protected override start(): void {
    this.asleep = 0;
    this.hittable = 0;
    this.target = -1;
    this.lastAccess.fill(-1);
  }

  protected override meet(point: DecisionPoint): void {
    this.arriving = point.lane === this.target && this.lastAccess[point.lane] === point.access;
    this.lastAccess[point.lane] = point.access;
  }

  protected override open(point: DecisionPoint): number {
    if (this.arriving) this.path.note(this.depth - 1, 0, this.hits(point));
    let choices = 0;
    for (let i = 0; i < Math.min(point.count, MASKED_CHOICES); i++) if (!this.sleeps(point, i)) choices |= 1 << i;
    return choices;
  }
  private sleeps(point: DecisionPoint, i: number): boolean {
    if (!isRun(point, i)) return false;
    const asleep = isSwitch(point, i) ? this.asleep & ~this.hittable : this.asleep;
    return (asleep & (1 << point.lanes[i])) !== 0;
  }
  /** @returns mask of the point's lane, if anything can be injected there. */
  private hits(point: DecisionPoint): number {
    for (let i = 0; i < point.count; i++) if (!isRun(point, i)) return 1 << point.lane;
    return 0;
  }

  protected override take(point: DecisionPoint, choice: number): void {
    const { path, depth } = this;
    const makes = isRun(point, choice) && point.words[choice] !== UNKNOWN;
    const lane = makes ? 1 << point.lanes[choice] : 0;
    path.note(depth, lane, point.choices[choice] === GO ? this.hits(point) & lane : 0);
    const before = this.asleep;
    if (!makes) this.asleep = 0;
    else if (this.arriving) this.asleep &= ~lane;
    else this.asleep = this.stillAsleep(point, choice, this.asleep | path.mask1(depth));
    this.target = -1;
    if (makes && isSwitch(point, choice)) {
      this.target = point.lanes[choice];
      this.asleep |= before & lane; // It was switched to for an interrupt only.
    }
    this.hittable = (this.hittable | path.mask2(depth)) & this.asleep;
  }
  /** @returns those of `lanes` that sleep on when the lane of `choice` makes its access. */
  private stillAsleep(point: DecisionPoint, choice: number, lanes: number): number {
    let asleep = 0;
    for (let i = 0; i < point.count; i++) {
      if (i !== choice && isRun(point, i) && isIndependent(point, i, choice)) asleep |= 1 << point.lanes[i];
    }
    return asleep & lanes;
  }
}
