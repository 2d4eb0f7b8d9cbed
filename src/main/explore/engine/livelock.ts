/**
 * SpinTurns: notices a lane that spins in circles. A spin loop goes on only when a word that it read has changed, so one
 * turn more is no sign of anything; but after many turns in one operation, the same memory with the same last turn, again
 * and again, is a livelock. The step bound would find it later, and say less.
 */
import type { Lane } from "./lane.ts";
import type { MachineMemory } from "./machine_memory.ts";
import { mix1, mix2 } from "./state_hash.ts";

/** Turns before anybody looks. */
const PATIENCE = 400;
/** How often a state must come back: more often than a bounded loop would let it. */
const REPEATS = 24;

export class SpinTurns {
  private turns = 0;
  private readonly seen = new Map<string, number>();

  reset(): void {
    if (this.turns === 0) return;
    this.turns = 0;
    this.seen.clear();
  }
  /** It has spun for long. */
  get isTired(): boolean {
    return this.turns >= PATIENCE;
  }
  /** A turn has ended. @returns true if it only repeats what has been there often. */
  repeats({ log, turnStart }: Lane, memory: MachineMemory): boolean {
    if (++this.turns < PATIENCE) return false;
    let [h1, h2] = memory.fingerprint();
    for (let n = turnStart; n < log.length; n++) {
      h1 = mix1(h1, log.resultAt(n));
      h2 = mix2(h2, log.resultAt(n));
    }
    const key = `${h1}.${h2}`;
    const times = (this.seen.get(key) ?? 0) + 1;
    this.seen.set(key, times);
    return times >= REPEATS;
  }
}
