/**
 * Priorities: a random number for each lane, each source of pending interrupts of each lane, and each lane's store
 * buffer, in words of the strategy's state. They are drawn when they are first asked for; the highest runs.
 */
import { DRAIN, IRQ, type DecisionPoint } from "../strategy.ts";
import { isPending, isRun } from "./injections.ts";
import { LANES, OWN, type StoredRandom } from "./state.ts";

const SOURCES = 32;
const BUFFERS = 16;
const SLOTS = LANES + BUFFERS + LANES * SOURCES;
/** First word behind the priorities. */
export const BEHIND_PRIORITIES = OWN + SLOTS;

/** Drawn priorities are above it; others may be set below. */
const NOT_DRAWN = 0;

/** Word of the priority of choice number i, or -1: NMIs and ticks have none. */
function slotOf(point: DecisionPoint, i: number): number {
  if (isRun(point, i)) return OWN + point.lanes[i];
  if (!isPending(point, i)) return -1;
  const choice = point.choices[i];
  if (choice >= DRAIN) return OWN + LANES + ((choice - DRAIN) % BUFFERS);
  return OWN + LANES + BUFFERS + point.lane * SOURCES + ((choice - IRQ) % SOURCES);
}

export class Priorities {
  private readonly state: Int32Array;
  private readonly random: StoredRandom;

  constructor(state: Int32Array, random: StoredRandom) {
    this.state = state;
    this.random = random;
  }
  /** Forgets all of them. */
  begin(): void {
    this.state.fill(NOT_DRAWN, OWN, BEHIND_PRIORITIES);
  }
  /** @returns index of the choice with the highest priority: the default, if none has one. */
  highest(point: DecisionPoint): number {
    let best = 0;
    let highest = -Infinity;
    for (let i = 0; i < point.count; i++) {
      const slot = slotOf(point, i);
      if (slot < 0) continue;
      const priority = this.at(slot);
      if (priority > highest) {
        best = i;
        highest = priority;
      }
    }
    return best;
  }
  private at(slot: number): number {
    if (this.state[slot] === NOT_DRAWN) this.state[slot] = 1 + (this.random.next() >>> 2);
    return this.state[slot];
  }
  /** Are these lanes known to have a lower priority than `lane`? */
  areBelow(lanes: readonly number[], lane: number): boolean {
    const { state } = this;
    for (let i = 0; i < lanes.length; i++) {
      const priority = state[OWN + lanes[i]];
      if (priority === NOT_DRAWN || priority >= state[OWN + lane]) return false;
    }
    return true;
  }
  /** Gives choice number i the priority `value`, which is negative: below all that are drawn. */
  lower(point: DecisionPoint, i: number, value: number): void {
    const slot = slotOf(point, i);
    if (slot >= 0) this.state[slot] = value;
  }
  /** What choice number i stands for has happened, or must be decided anew. */
  forget(point: DecisionPoint, i: number): void {
    const slot = slotOf(point, i);
    if (slot >= 0) this.state[slot] = NOT_DRAWN;
  }
}
