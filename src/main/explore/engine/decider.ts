/**
 * Decider: lists what may happen at a decision point, and asks the strategy if there is a choice. The default comes first:
 * the lane goes on, or, if it cannot, the next lane that can.
 *
 * To switch to a lane of the same CPU is to preempt one task in favour of the other, where that is possible.
 *
 * A lane that was just switched to and stands where it was left is not asked to switch away: that would only be another
 * name for a schedule without the visit.
 */
import { irqs_disabled, preemptible, takes_nmis } from "../../../shared/cpu/context.ts";
import {
  P_ANY_NMI,
  P_HRTIMER,
  P_IPI_CALL,
  P_IRQ,
  P_IRQ_WORK,
  P_IRQ_WORK_LATE,
  P_RESCHED,
  P_TICK,
} from "../../../shared/layout/cpu.ts";
import {
  BLOCKED_RELAX,
  L_ACCESSES,
  L_ARRIVED,
  L_BEGUN,
  L_BLOCKED,
  L_BUFFERED,
  L_DONE,
  L_LEVEL,
  L_NEXT_EFFECT,
  L_NEXT_WORD,
  LEVEL_NMI,
  type Lane,
  OFF_CPU,
} from "./lane.ts";
import {
  G_FINAL_DONE,
  G_FORCED_TICKS,
  G_MIGRATIONS_LEFT,
  G_NMIS_LEFT,
  G_PICK_COUNT,
  G_PICKS,
  G_POINTS,
  G_PROGRAMS_LEFT,
  G_TICKS_LEFT,
  MAX_PICKS,
} from "./state_words.ts";
import { mix1, mix2 } from "./state_hash.ts";
import { mayDrain, valueAt, wordAt } from "./store_buffer.ts";
import { DRAIN, GO, IRQ, MIGRATE, NMI, NMI_TO, PRUNE, type Strategy, SWITCH, TICK, TIME } from "../strategy.ts";
import { ALONE, Execution, FINISHED, signal } from "./execution.ts";

/** Interrupts that a lane takes when it pleases the strategy; others are taken at the first chance. */
export const OPTIONAL_IRQS = P_IPI_CALL | P_IRQ | P_TICK | P_IRQ_WORK_LATE | P_HRTIMER | P_RESCHED;
export const FORCED_INTERRUPTS = P_ANY_NMI | P_IRQ_WORK;
/** Of how many of a CPU's buffered stores the schedule may choose one to drain. */
const DRAINABLE = 6;

const NO_RIVALS: readonly number[] = [];

/** Thrown through all lanes when the strategy knows the rest. */
export const PRUNED = signal();

/** The decision point that is being decided; one object for all of them. */
class Decision {
  lane = 0;
  access = 0;
  blocked = false;
  readonly choices: number[] = [];
  readonly lanes: number[] = [];
  readonly words: number[] = [];
  readonly effects: number[] = [];
  count = 0;
  migrates = false;
  point = 0;
  rivals: readonly number[] = [];
  hash1 = 0;
  hash2 = 0;

  /** @param lane  who runs if this is chosen; -1: it is an injection. */
  offer(choice: number, lane: number): void {
    this.choices[this.count] = choice;
    this.lanes[this.count] = lane;
    this.count++;
  }
}

export abstract class Decider extends Execution {
  /** The next decision is one at a migration point. */
  protected migrating = false;
  /** It is one between two operations: who runs next. */
  protected between = false;
  private readonly decision = new Decision();

  /** Lists what may happen, and asks the strategy if there is a choice. @returns the choice. */
  protected decide(lane: Lane, blocked: boolean, point: number): number {
    const { decision, g } = this;
    decision.count = 0;
    const { between } = this;
    decision.migrates = this.migrating;
    this.migrating = false;
    this.between = false;
    if (!blocked) decision.offer(GO, lane.id);
    if (blocked || lane.s[L_ARRIVED] === 0) {
      const count = this.lanes.length;
      for (let i = 1; i < count; i++) {
        const at = lane.id + i;
        const other = this.lanes[at < count ? at : at - count];
        if (this.isEnabled(other) || (other.cpu === lane.cpu && !blocked && this.mayTakeOver(lane, other))) {
          decision.offer(SWITCH + other.id, other.id);
        }
      }
    }
    if (between) return decision.count > 1 ? this.ask(lane, false, 0, OPTIONAL_IRQS) : GO;
    if (this.limits.model !== "sc") this.offerDrains();
    const ended = g[G_PROGRAMS_LEFT] === 0 && this.isFinalDone(); // What has begun, handlers above all, still ends.
    if (decision.count === 0) {
      if (ended) throw FINISHED;
      decision.offer(TIME, -1);
    }
    if (g[G_NMIS_LEFT] > 0 && !ended) this.offerNmis(lane, blocked, point);
    const irqs = lane.s[L_BLOCKED] === OFF_CPU ? 0 : this.optionalIrqs(lane);
    if (irqs !== 0 && !irqs_disabled(this.cpus[lane.id])) {
      for (let bits = irqs; bits !== 0; bits &= bits - 1) decision.offer(IRQ + 31 - Math.clz32(bits & -bits), -1);
    }
    if (g[G_TICKS_LEFT] > 0 && !ended) decision.offer(TICK, -1);
    if (decision.migrates) this.offerMigrations(lane);
    if (decision.count > 1) return this.ask(lane, blocked, point, irqs);
    if (irqs === 0 && this.mayBeQuiet(lane, blocked)) this.beQuiet(ALONE);
    return decision.choices[0];
  }
  /** Those that the lane's CPU may take now, but for IRQs that are off. */
  private optionalIrqs(lane: Lane): number {
    const irqs = this.words[lane.pending] & OPTIONAL_IRQS;
    return (irqs & P_RESCHED) === 0 || preemptible(this.cpus[lane.id]) ? irqs : irqs & ~P_RESCHED;
  }
  /** May another task of the lane's CPU preempt it here? */
  private mayTakeOver(lane: Lane, other: Lane): boolean {
    const isMain = other.task?.further === false;
    const hasWork = this.isBusy(other) || this.programs.owes(this.cpus[other.id]);
    if (isMain && !hasWork) return false;
    return this.isRunnable(other) && preemptible(this.cpus[lane.id]);
  }
  /**
   * Does what can happen stay as it is until endQuiet()? A spinning lane may go on after any store, buffered stores are
   * choices of their own, and so are named points if NMIs hit there only. Where a lane has just arrived others were not
   * offered. What else there is, pending bits, blocked lanes, contexts, does not change behind the scheduler's back; but
   * whether other tasks of the same CPU could run does, and the strategy is told of those.
   */
  private mayBeQuiet(lane: Lane, blocked: boolean): boolean {
    if (blocked || lane.s[L_ARRIVED] !== 0) return false;
    if (this.hasTasks && !this.isAPointWithoutRivals(lane)) return false;
    if (this.limits.model !== "sc" || this.limits.nmiPoints !== undefined) return false;
    for (const other of this.lanes) if (other.s[L_BLOCKED] === BLOCKED_RELAX) return false;
    return true;
  }
  /** Is there a choice whatever becomes of other tasks of the lane's CPU? */
  private isAPointWithoutRivals(lane: Lane): boolean {
    const { decision } = this;
    if (this.limits.migrations > 0) return false; // Who they are changes.
    if ((this.words[lane.pending] & P_RESCHED) !== 0) return false; // It can be taken where they could run.
    for (let i = 1; i < decision.count; i++) {
      const id = decision.lanes[i];
      const staysAChoice = id < 0 ? decision.choices[i] < IRQ : this.lanes[id].cpu !== lane.cpu;
      if (staysAChoice) return true;
    }
    return false;
  }
  private ask(lane: Lane, blocked: boolean, point: number, irqs: number): number {
    const { decision } = this;
    this.endQuiet();
    decision.lane = lane.id;
    decision.access = lane.s[L_ACCESSES];
    decision.blocked = blocked;
    decision.point = point;
    if (this.wantsAccesses) this.listAccesses();
    if (this.memory.hashing) this.hashState(lane);
    this.g[G_POINTS]++;
    const strategy = this.strategy as Strategy;
    const index = strategy.choose(decision);
    if (index === PRUNE) throw PRUNED;
    const choice = decision.choices[index];
    if (index !== 0) this.recordPick(lane, choice);
    else if (strategy.quiet !== undefined && this.mayBeQuiet(lane, blocked)) {
      decision.rivals = lane.task === undefined ? NO_RIVALS : lane.task.rivals;
      if (irqs === 0) this.beQuiet(strategy.quiet(decision, false));
      else if (this.offersAll(lane, irqs)) this.beQuiet(strategy.quiet(decision, true));
    }
    return choice;
  }
  /**
   * Can the lane take the pending interrupts here? Then none is news later, should IRQs go off and on again. And are there
   * other choices, so that points with IRQs off are some too?
   */
  private offersAll(lane: Lane, irqs: number): boolean {
    let others = this.decision.count - 1;
    for (let bits = irqs; bits !== 0; bits &= bits - 1) others--;
    return others > 0 && !irqs_disabled(this.cpus[lane.id]);
  }
  private listAccesses(): void {
    const { decision } = this;
    for (let i = 0; i < decision.count; i++) {
      const id = decision.lanes[i];
      decision.words[i] = id < 0 || this.isAboutToBeInterrupted(this.lanes[id]) ? -1 : this.lanes[id].s[L_NEXT_WORD];
      decision.effects[i] = id < 0 ? 0 : this.lanes[id].s[L_NEXT_EFFECT];
    }
  }
  private isAboutToBeInterrupted(lane: Lane): boolean {
    return (this.words[lane.pending] & FORCED_INTERRUPTS) !== 0;
  }
  private offerNmis(lane: Lane, blocked: boolean, point: number): void {
    const { nmiPoints } = this.limits;
    if (nmiPoints !== undefined) {
      if (nmiPoints.includes(point) && takes_nmis(this.cpus[lane.id])) this.decision.offer(NMI, -1);
      return;
    }
    if (!blocked && takes_nmis(this.cpus[lane.id])) this.decision.offer(NMI, -1);
    for (const other of this.lanes) {
      if (
        other.isBlocked &&
        !this.isEnabled(other) &&
        other.s[L_BLOCKED] !== OFF_CPU &&
        other.level < LEVEL_NMI &&
        takes_nmis(this.cpus[other.id])
      ) {
        this.decision.offer(NMI_TO + other.id, -1);
      }
    }
  }
  /** Who stands between two operations, or before the first, may have its CPU exchanged. */
  private offerMigrations(lane: Lane): void {
    for (const other of this.lanes) {
      if (other !== lane && other.s[L_BEGUN] === 0 && this.isBusy(other)) this.decision.offer(MIGRATE + other.id, -1);
    }
  }
  private offerDrains(): void {
    for (const lane of this.lanes) {
      for (let n = 0; n < Math.min(lane.s[L_BUFFERED], DRAINABLE); n++) {
        if (mayDrain(lane, n, this.limits.model)) this.decision.offer(DRAIN + lane.id + 16 * n, -1);
      }
    }
  }
  private recordPick(lane: Lane, choice: number): void {
    const { g } = this;
    const n = g[G_PICK_COUNT]++;
    if (n >= MAX_PICKS) return;
    const at = G_PICKS + 3 * n;
    g[at] = lane.id;
    g[at + 1] = lane.s[L_ACCESSES];
    g[at + 2] = choice;
  }
  /** The state at this decision: memory, where every lane stands, who runs, what may still be injected, and history. */
  private hashState(lane: Lane): void {
    const { decision, g, memory } = this;
    let h1 = mix1(memory.hash.h1, this.history1);
    let h2 = mix2(memory.hash.h2, this.history2);
    for (const each of this.lanes) {
      const { s } = each;
      each.updateHash();
      const again = each.looksAgain ? 1 << 30 : 0;
      const standing =
        (each.cpu << 24) + s[L_DONE] * 64 + s[L_BLOCKED] * 16 + s[L_ARRIVED] * 8 + s[L_BEGUN] * 4 + s[L_LEVEL] + again;
      if (each.task !== undefined && each.isCurrent) h1 = mix1(h1, each.id + 1);
      h1 = mix1(mix1(h1, each.hash1), standing);
      h2 = mix2(mix2(h2, each.hash2), standing);
      for (let n = 0; n < s[L_BUFFERED]; n++) {
        h1 = mix1(mix1(h1, wordAt(each, n)), valueAt(each, n));
        h2 = mix2(mix2(h2, wordAt(each, n)), valueAt(each, n));
      }
    }
    const migrating = decision.migrates ? 1 << 20 : 0;
    const left = 32 * g[G_NMIS_LEFT] + (g[G_MIGRATIONS_LEFT] << 24);
    const rest = lane.id + 16 * (decision.blocked ? 1 : 0) + left + migrating;
    h1 = mix1(mix1(h1, rest), g[G_TICKS_LEFT] + 256 * g[G_FORCED_TICKS] + g[G_FINAL_DONE]);
    h2 = mix2(mix2(h2, rest), g[G_TICKS_LEFT] + 256 * g[G_FORCED_TICKS] + g[G_FINAL_DONE]);
    decision.hash1 = h1;
    decision.hash2 = h2;
  }
}
