/**
 * Bounded search: all schedules with at most `bound` preemptions, that is switches away from a lane that could go on.
 * Injections cost none. Bounds are searched one after the other, `from` first: few preemptions show most bugs.
 *
 * Musuvathi and Qadeer, "Iterative context bounding for systematic testing of multithreaded programs" (PLDI 2007).
 *
 * With the state cache a new point is abandoned if its state was met before with at least as many preemptions left. The
 * state is all that decides what can follow: memory, where each lane stands, which one runs, and what is left of the
 * engine's budgets. What can follow has then been tried, or will be: depth first, the earlier visit is complete or still
 * on the path. The engine tells 64 bits of hash only: of a million states two collide with a chance of about one in
 * 10^7, and what follows the second would be hidden.
 */
import type { DecisionPoint } from "../strategy.ts";
import { DepthFirst, isSwitch } from "./depth_first.ts";
import { MASKED_CHOICES } from "./path.ts";
import { StateCache } from "./state_cache.ts";

export interface BoundedOptions {
  /** First bound to search; default: `bound`, and no other. */
  readonly from?: number;
  /** Keep a cache of states. Default false. */
  readonly cache?: boolean;
}

export class Bounded extends DepthFirst {
  /** The last bound to search; Infinity: as many as there can be. */
  readonly bound: number;
  readonly hashes: boolean;
  /** Largest bound whose schedules were all tried; -1: none; Infinity: no bound would have more schedules. */
  finished = -1;
  private readonly from: number;
  private readonly cache: StateCache | undefined;
  /** The bound that is being searched. */
  private current: number;
  /** Preemptions left in this execution. */
  private left = 0;
  /** A preemption was left out because of the bound. */
  private cut = false;

  constructor(bound: number, { from = bound, cache = false }: BoundedOptions = {}) {
    super();
    this.bound = bound;
    this.hashes = cache;
    this.from = from;
    this.current = from;
    this.cache = cache ? new StateCache() : undefined;
  }
  get name(): string {
    return this.current === Infinity ? "exhaustive" : `exhaustive, ${this.current} preemptions`;
  }
  /** The bound that is being searched, and about what part of it has been, from 0 to 1. */
  get progress(): { readonly bound: number; readonly share: number } {
    return { bound: this.current, share: this.exhausted ? 1 : this.path.share() };
  }
  /** States in the cache. */
  get states(): number {
    return this.cache?.size ?? 0;
  }

  override startOver(): void {
    super.startOver();
    this.finished = -1;
    this.search(this.from);
  }
  private search(bound: number): void {
    this.current = bound;
    this.cut = false;
    this.cache?.clear();
  }
  protected override start(): void {
    this.left = this.current;
  }
  protected override open(point: DecisionPoint): number {
    if (this.cache?.visit(point.hash1, point.hash2, this.left)) return 0;
    let choices = 0;
    for (let i = 0; i < Math.min(point.count, MASKED_CHOICES); i++) {
      if (this.cost(point, i) <= this.left) choices |= 1 << i;
      else this.cut = true;
    }
    return choices;
  }
  protected override take(point: DecisionPoint, choice: number): void {
    this.left -= this.cost(point, choice);
  }
  private cost(point: DecisionPoint, choice: number): number {
    return isSwitch(point, choice) && !point.blocked ? 1 : 0;
  }
  protected override finish(): void {
    this.finished = this.cut ? this.current : Infinity;
    if (this.finished >= this.bound) this.exhausted = true;
    else this.search(this.current + 1);
  }
}
