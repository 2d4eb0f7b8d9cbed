/**
 * The state of one execution that every engine's threads share: one Int32Array for the scheduler and one for each lane,
 * on one SharedArrayBuffer. On one thread it is ordinary memory; with a worker per CPU it is what they hand over.
 */
import { LANE_WORDS } from "./lane.ts";

// Words of the scheduler.
export const G_STEPS = 0;
/** Decision points. */
export const G_POINTS = 1;
export const G_NMIS_LEFT = 2;
export const G_TICKS_LEFT = 3;
/** Ticks in a row that passed because nobody could move. */
export const G_FORCED_TICKS = 4;
export const G_FINAL_DONE = 5;
/** New words became shared in this execution. */
export const G_LEARNED = 6;
/** Words that are known to be shared. */
export const G_SHARED_WORDS = 7;
/** Picks recorded so far: three words each, from G_PICKS on. */
export const G_PICK_COUNT = 8;
/** CPUs whose programs have not ended. */
export const G_PROGRAMS_LEFT = 9;
/** Tasks that may still migrate in this execution. */
export const G_MIGRATIONS_LEFT = 10;
export const G_PICKS = 16;

/** Picks that are recorded. A failure after more does not show itself again, and is reported as such. */
export const MAX_PICKS = 1 << 15;
const SCHEDULER_WORDS = G_PICKS + 3 * MAX_PICKS;

export class SharedState {
  readonly buffer: SharedArrayBuffer;
  readonly scheduler: Int32Array;
  /** One block for each lane: lane.ts. */
  readonly lanes: readonly Int32Array[];
  /** Who touches each word of the machine's memory: shared_words.ts. */
  readonly owners: Uint8Array;

  /** @param words  of the machine's memory. */
  constructor(lanes: number, words: number, buffer?: SharedArrayBuffer) {
    const lanesAt = SCHEDULER_WORDS * 4;
    const ownersAt = lanesAt + lanes * LANE_WORDS * 4;
    this.buffer = buffer ?? new SharedArrayBuffer(ownersAt + words);
    this.scheduler = new Int32Array(this.buffer, 0, SCHEDULER_WORDS);
    this.lanes = Array.from(
      { length: lanes },
      (_, id) => new Int32Array(this.buffer, lanesAt + id * LANE_WORDS * 4, LANE_WORDS),
    );
    this.owners = new Uint8Array(this.buffer, ownersAt, words);
  }
}
