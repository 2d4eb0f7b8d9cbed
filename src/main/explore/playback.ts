/**
 * Playback: one execution of a schedule, with what each of its picks did. Unlike Replay it goes on when a pick finds no
 * place: the run is another one then than that which was recorded, but shrinking may well want to see it.
 */
import { fingerprint } from "./code_fingerprint.ts";
import type { Explorer, Failure } from "./explore.ts";
import type { Recorder } from "./recorder.ts";
import { type DecisionPoint, IRQ, NMI, NMI_TO, type Pick, type Schedule, type Strategy, SWITCH } from "./strategy.ts";
import type { Stretch } from "./stretch.ts";

/** An interrupt or a tick; a switch away from a CPU that could go on; anything else, such as who follows one that blocks. */
export type PickKind = "injection" | "preemption" | "other";
export interface PlayedPick extends Pick {
  readonly kind: PickKind;
  /** Of the interrupt, if it was one. */
  readonly stretch?: Stretch;
}

export interface Execution {
  readonly failure: Failure | undefined;
  readonly steps: number;
  /** Those that found their place. */
  readonly picks: readonly PlayedPick[];
  /** How many did not. */
  readonly missed: number;
  /** Of each CPU, those that have begun. */
  readonly operations: readonly (readonly Stretch[])[];
}

export function play(explorer: Explorer, schedule: Schedule): Execution {
  const playback = new Playback(explorer, schedule);
  const failure = explorer.execute(playback, playback);
  const { picks, operations } = playback;
  return { failure, steps: explorer.engine.steps, picks, missed: schedule.length - picks.length, operations };
}

/** Two executions. @returns the second one, or undefined if they differ */
export function playTwice(explorer: Explorer, schedule: Schedule): Execution | undefined {
  const first = play(explorer, schedule);
  const second = play(explorer, schedule);
  return verdictOf(first) === verdictOf(second) ? second : undefined;
}

/** A fingerprint of what an execution came to: the same message after the same number of steps. */
export function verdictOf({ failure, steps }: Execution): string {
  return fingerprint(`${steps} ${failure?.message ?? ""}`);
}

class Playback implements Strategy, Recorder {
  readonly name = "replay";
  readonly everyAccess = true;
  readonly picks: PlayedPick[] = [];
  readonly operations: Stretch[][];
  private readonly explorer: Explorer;
  /** Of each CPU, its picks that are still to come, the last one first. */
  private readonly toCome: Pick[][];
  /** Of each CPU: the pick whose interrupt comes next, and the interrupts that run. */
  private readonly chosen: (number | undefined)[] = [];
  private readonly running: { readonly pick: number | undefined; readonly begin: number }[][];

  constructor(explorer: Explorer, schedule: Schedule) {
    this.explorer = explorer;
    const { lanes } = explorer.engine;
    this.toCome = lanes.map(({ id }) => schedule.filter(({ lane }) => lane === id).toReversed());
    this.operations = lanes.map(() => []);
    this.running = lanes.map(() => []);
  }

  begin(): boolean {
    return true;
  }
  end(): void {
    // It is made for one execution.
  }
  choose(point: DecisionPoint): number {
    const { lane, access, blocked } = point;
    const toCome = this.toCome[lane];
    while (toCome.length > 0 && toCome[toCome.length - 1].access < access) toCome.pop();
    if (toCome.at(-1)?.access !== access) return 0;
    const choice = toCome.pop()?.choice ?? 0;
    const index = point.choices.indexOf(choice);
    if (index <= 0 || index >= point.count) return 0;
    if (choice === NMI || isIrq(choice)) this.chosen[lane] = this.picks.length;
    if (isNmiTo(choice)) this.chosen[choice - NMI_TO] = this.picks.length;
    this.picks.push({ lane, access, choice, kind: kindOf(choice, blocked) });
    return index;
  }

  operation(lane: number): void {
    const begin = this.accesses(lane);
    this.operations[lane].push({ lane, begin, end: Infinity, growth: Infinity });
  }
  operationEnd(lane: number, n: number): void {
    const { begin } = this.operations[lane][n];
    const end = this.accesses(lane);
    this.operations[lane][n] = { lane, begin, end, growth: end - begin };
  }
  interrupt(lane: number): void {
    this.running[lane].push({ pick: this.chosen[lane], begin: this.accesses(lane) });
    this.chosen[lane] = undefined;
  }
  interruptEnd(lane: number): void {
    const { pick, begin } = this.running[lane].pop() ?? { pick: undefined, begin: 0 };
    if (pick === undefined) return;
    const end = this.accesses(lane);
    this.picks[pick] = { ...this.picks[pick], stretch: { lane, begin, end, growth: end - begin + 1 } };
  }
  private accesses(lane: number): number {
    return this.explorer.engine.lanes[lane].accesses;
  }
}

function isNmiTo(choice: number): boolean {
  return choice >= NMI_TO && choice < IRQ;
}
function isIrq(choice: number): boolean {
  return choice >= IRQ && choice < IRQ + 32;
}
function kindOf(choice: number, blocked: boolean): PickKind {
  if (choice < SWITCH || isNmiTo(choice) || isIrq(choice)) return "injection";
  return choice < NMI_TO && !blocked ? "preemption" : "other";
}
