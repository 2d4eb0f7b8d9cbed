/**
 * What decides: at each decision point the engine lists what may happen next, and a strategy picks one. A schedule is
 * the list of picks that were not the default, each as (lane, access number of that lane, choice).
 */

/** Choices. 0 is the default: the running lane goes on; or, if it cannot, the next enabled lane runs. */
export const GO = 0;
export const SWITCH = 64; // + lane
export const NMI = 1; // to the running lane, before its access
export const NMI_TO = 128; // + lane: to a lane that is blocked or idle
export const TICK = 2; // one tick of machine time
export const TIME = 3; // a tick, because nobody can run: the default then
export const IRQ = 192; // + number of the pending bit: the running lane takes a pending interrupt now
export const MIGRATE = 224; // + lane: the running lane, at a migration point, and that lane exchange their CPUs
export const DRAIN = 256; // + lane + 16 * entry: a buffered store reaches memory (--tso, --pso)

export interface DecisionPoint {
  /** The lane that stands before an access, or has just blocked. */
  readonly lane: number;
  /** Access number of that lane, counted over the whole execution. */
  readonly access: number;
  /** True if the lane cannot go on: choice 0 is then a switch. */
  readonly blocked: boolean;
  /** What may happen; choices[0] is the default. */
  readonly choices: readonly number[];
  readonly count: number;
  /** Lane that runs if choices[i] is GO or a switch; used by priority strategies. -1 for injections. */
  readonly lanes: readonly number[];
  /** Named point at which the lane stands; 0: none. */
  readonly point: number;
  /**
   * Word that lanes[i] touches in its next step, and how (READS, WRITES or both); -1 and 0 where it is not known. Only for
   * strategies that want it.
   */
  readonly words: readonly number[];
  readonly effects: readonly number[];
  /** The state of the machine as two 32-bit hashes; only for strategies that want it. */
  readonly hash1: number;
  readonly hash2: number;
  /** For quiet() only: lanes of the running one's CPU, which may or may not be able to run at each point from here. */
  readonly rivals: readonly number[];
}

/** What an access does to its word. */
export const READS = 1;
export const WRITES = 2;

/** The number of a decision point that does not come. Why not Infinity: sums of it stay small integers, which are faster. */
export const NEVER = 1 << 30;

/** choose() may answer this instead of an index: the rest of this execution is known already, abandon it. */
export const PRUNE = -1;

export interface Strategy {
  readonly name: string;
  /** True: ask at every access, shared word or not. A recorded schedule may name any. */
  readonly everyAccess?: boolean;
  /** True: point.hash1 and hash2 are wanted. */
  readonly hashes?: boolean;
  /** True: point.words and effects are wanted. */
  readonly nextAccesses?: boolean;
  /** Starts an execution. @returns false if there is nothing left to try. */
  begin(): boolean;
  /** @returns an index into point.choices, or PRUNE. */
  choose(point: DecisionPoint): number;
  /**
   * After choose() let the lane go on: at how many decision points from here it would do so again, as long as what else
   * could run stays the same but for point.rivals. The engine does not ask there.
   * @param pending  it may take interrupts here that are pending, and may or may not at those points.
   */
  quiet?(point: DecisionPoint, pending: boolean): number;
  /** So many decision points went by without a question. */
  passed?(points: number): void;
  /** The execution is over. @param points  decision points it had. @param learned  true if new words became shared. */
  end(points: number, learned: boolean): void;
}

/** One pick that was not the default. */
export interface Pick {
  readonly lane: number;
  readonly access: number;
  readonly choice: number;
}
export type Schedule = readonly Pick[];

/** A schedule as text: "lane.access.choice lane.access.choice ...". */
export function scheduleToText(schedule: Schedule): string {
  return schedule.map((p) => `${p.lane}.${p.access}.${p.choice}`).join(" ");
}
/** @throws RangeError that says which part is not a pick. */
export function scheduleFromText(text: string): Schedule {
  return text
    .split(/\s+/)
    .filter((word) => word !== "")
    .map((word) => {
      const numbers = /^(\d+)\.(\d+)\.(\d+)$/.exec(word);
      if (numbers === null) throw new RangeError(`"${word}" is not lane.access.choice`);
      return { lane: Number(numbers[1]), access: Number(numbers[2]), choice: Number(numbers[3]) };
    });
}
