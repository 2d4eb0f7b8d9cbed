/**
 * Sampler: what the strategies that draw their schedules have in common. It learns how long executions are, places NMIs
 * and ticks, and leaves it to the strategy who runs. A sampler never runs out of executions.
 */
import type { DecisionPoint, Strategy } from "../strategy.ts";
import { Injections } from "./injections.ts";
import { AT, LENGTH, StoredRandom } from "./state.ts";

/** What an execution is taken to have before the first has ended. */
const FIRST_LENGTH = 64;

export abstract class Sampler implements Strategy {
  abstract readonly name: string;
  protected readonly state: Int32Array;
  protected readonly random: StoredRandom;
  protected readonly injections: Injections;
  private readonly seed: number;

  /** @param injections  NMIs and ticks to place in each execution. @param state  STRATEGY_WORDS words, all 0 at first. */
  constructor(seed: number, injections: number, state: Int32Array) {
    this.seed = seed;
    this.state = state;
    this.random = new StoredRandom(state);
    this.injections = new Injections(state, this.random, injections);
  }

  begin(): boolean {
    this.random.seed(this.seed);
    if (this.state[LENGTH] === 0) this.state[LENGTH] = FIRST_LENGTH;
    this.state[AT] = 0;
    this.injections.begin();
    this.start();
    return true;
  }
  choose(point: DecisionPoint): number {
    const at = this.state[AT]++;
    const injection = this.injections.place(point, at);
    return injection === 0 ? this.pick(point, at) : injection;
  }
  passed(points: number): void {
    this.state[AT] += points;
  }
  /** The length grows at once and shrinks slowly: what lies beyond it is never drawn, what it has too much is lost. */
  end(points: number, _learned: boolean): void {
    const known = this.state[LENGTH];
    if (points > known) this.state[LENGTH] = points;
    // Why: a lane that runs alone is asked only as long as something can be injected.
    else if (this.injections.couldGoOn) this.state[LENGTH] = Math.max(1, known - Math.ceil((known - points) / 8));
  }

  /** Decision points before the next one with an injection, or before number `at`, whichever comes first. */
  protected quietUntil(at: number): number {
    return Math.min(at, this.injections.nextPlace) - this.state[AT];
  }
  /** An execution begins. */
  protected start(): void {
    // Most strategies need nothing here.
  }
  /** @returns index of the choice at decision point number `at`. */
  protected abstract pick(point: DecisionPoint, at: number): number;
}
