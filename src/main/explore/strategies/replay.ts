/**
 * Replay: repeats a schedule; everything that it does not name is the default. It asks at every access, because a
 * schedule counts all accesses, shared word or not.
 */
import type { DecisionPoint, Schedule, Strategy } from "../strategy.ts";
import { STRATEGY_WORDS } from "./state.ts";

const NEXT = 0;
const MISSED = 1;
const DONE = 2;

export class Replay implements Strategy {
  readonly name = "replay";
  readonly everyAccess = true;
  private readonly schedule: Schedule;
  private readonly state: Int32Array;

  constructor(schedule: Schedule, state: Int32Array = new Int32Array(STRATEGY_WORDS)) {
    this.schedule = schedule;
    this.state = state;
  }
  begin(): boolean {
    return this.state[DONE] === 0;
  }
  choose(point: DecisionPoint): number {
    const pick = this.schedule[this.state[NEXT]];
    if (pick === undefined || pick.lane !== point.lane || pick.access !== point.access) return 0;
    this.state[NEXT]++;
    for (let i = 0; i < point.count; i++) if (point.choices[i] === pick.choice) return i;
    this.state[MISSED]++;
    return 0;
  }
  end(): void {
    this.state[DONE] = 1;
  }
  /** Picks that found no place in the execution: 0 for a faithful replay. */
  get unused(): number {
    return this.schedule.length - this.state[NEXT] + this.state[MISSED];
  }
}
