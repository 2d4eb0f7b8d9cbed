/**
 * DepthFirst: what the exhaustive strategies have in common. Each execution follows the path up to its last choice, which
 * is new, and from there takes the first choice at each new point. Then the deepest point with a choice left tries that.
 * An unbounded search ends because a lane that was switched to makes its access before it can be left again.
 */
import { GO, PRUNE, type DecisionPoint, type Strategy } from "../strategy.ts";
import { isRun } from "./injections.ts";
import { Path } from "./path.ts";

/** Choice number i makes another lane run. */
export function isSwitch(point: DecisionPoint, i: number): boolean {
  return isRun(point, i) && point.choices[i] !== GO;
}

export abstract class DepthFirst implements Strategy {
  abstract readonly name: string;
  /** True once everything has been tried. */
  exhausted = false;
  /** Executions begun, and how many of them were abandoned. */
  executions = 0;
  pruned = 0;
  protected readonly path = new Path();
  /** Decision points so far in this execution. */
  protected depth = 0;

  begin(): boolean {
    if (this.exhausted) return false;
    this.executions++;
    this.depth = 0;
    this.start();
    return true;
  }
  choose(point: DecisionPoint): number {
    const { path, depth } = this;
    this.meet(point);
    if (depth === path.length) {
      const choices = this.open(point);
      if (choices === 0) {
        this.pruned++;
        return PRUNE;
      }
      path.push(point, choices);
    }
    const choice = path.choice(depth, point);
    this.take(point, choice);
    this.depth++;
    return choice;
  }
  end(_points: number, learned: boolean): void {
    if (learned) this.startOver();
    else if (!this.path.advance()) this.finish();
  }
  /** There are more decision points than before: the path is void, and what was exhausted is not. */
  startOver(): void {
    this.exhausted = false;
    this.path.clear();
  }

  /** An execution begins. */
  protected abstract start(): void;
  /** A point is met, new or not. */
  protected meet(_point: DecisionPoint): void {
    // Only some searches look.
  }
  /** A new point. @returns mask of the choices to try (path.ts); 0: none, abandon the execution. */
  protected abstract open(point: DecisionPoint): number;
  /** A choice is made, for the first time or again. */
  protected abstract take(point: DecisionPoint, choice: number): void;
  /** All paths have been tried. */
  protected finish(): void {
    this.exhausted = true;
  }
}
