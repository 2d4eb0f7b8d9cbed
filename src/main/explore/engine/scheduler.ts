/**
 * Scheduler: what happens before each step of a CPU. It counts, takes interrupts that may not wait, and at decision
 * points (decider.ts) does what was chosen. How one lane lets another run is the engine's business: nested calls on one
 * thread (engine.ts), or a hand-over between threads (hand_over/).
 *
 * Decision points are accesses to words that two contexts share (shared_words.ts), named points, raise(), and
 * places where a CPU cannot go on.
 */
import { MachineBug } from "../../../shared/base/verdict.ts";
import { deliverable } from "../../../shared/cpu/context.ts";
import { run_interrupt } from "../../../shared/cpu/interrupt.ts";
import { P_ANY_NMI, P_IRQ_WORK, P_IRQ_WORK_LATE, P_NMI_LOCAL, P_RESCHED } from "../../../shared/layout/cpu.ts";
import {
  L_ACCESSES,
  L_ARRIVED,
  L_BEGUN,
  L_BLOCKED,
  L_BUFFERED,
  L_DONE,
  L_NEXT_EFFECT,
  L_NEXT_WORD,
  LEVEL_NMI,
  type Lane,
  NOT_BLOCKED,
} from "./lane.ts";
import { INTERRUPT, keyOf } from "./log.ts";
import type { Access } from "../recorder.ts";
import { noteAccess, SHARED } from "./shared_words.ts";
import { G_LEARNED, G_MIGRATIONS_LEFT, G_NMIS_LEFT, G_SHARED_WORDS, G_STEPS, G_TICKS_LEFT } from "./state_words.ts";
import { remove, valueAt, wordAt } from "./store_buffer.ts";
import { DRAIN, GO, IRQ, MIGRATE, NMI, NMI_TO, READS, SWITCH, TICK, TIME, WRITES } from "../strategy.ts";
import { Decider, FORCED_INTERRUPTS, OPTIONAL_IRQS } from "./decider.ts";

export abstract class Scheduler extends Decider {
  private readonly access: { -readonly [K in keyof Access]: Access[K] } = {
    lane: 0,
    kind: 0,
    address: 0,
    before: 0,
    after: 0,
    visible: true,
  };

  /** Lets `next` run until it is `lane`'s turn again. Called from inside an access of `lane`. */
  protected abstract runOther(lane: Lane, next: Lane): void;
  /** Is this lane being executed again from its log? */
  protected abstract isRebuilding(lane: Lane): boolean;

  /** Before an access of `lane` to word `index`: others may run, interrupts may come. */
  step(lane: Lane, index: number, effect: number): void {
    if (this.isPlain && !lane.resuming && (this.words[lane.pending] & FORCED_INTERRUPTS) === 0) {
      lane.s[L_ACCESSES]++;
      if (++this.g[G_STEPS] > this.maxSteps) this.livelock(lane);
      const owner = this.owners[index];
      if (owner === lane.writes || (owner === lane.context && effect === READS)) return; // Most steps end here,
      if (owner === SHARED && this.quiet > 0) {
        this.quiet--; // or here.
        return;
      }
      this.decideStep(lane, index, effect, owner);
    } else this.stepWithCare(lane, index, effect);
  }
  private stepWithCare(lane: Lane, index: number, effect: number): void {
    if (this.solo) {
      this.deliverForced(lane, INTERRUPT);
      return;
    }
    this.countStep(lane);
    this.deliverForced(lane, INTERRUPT);
    const owner = this.owners[index];
    const isPrivate = owner === lane.writes || (owner === lane.context && effect === READS);
    if (!isPrivate || this.everyAccess || lane.s[L_BUFFERED] > 0) this.decideStep(lane, index, effect, owner);
  }
  private decideStep(lane: Lane, index: number, effect: number, owner: number): void {
    if (owner !== SHARED) this.noteShared(lane, index, effect);
    const drains = lane.s[L_BUFFERED] > 0 && effect === (READS | WRITES);
    if (this.owners[index] === SHARED || this.everyAccess || drains) this.decideBefore(lane, index, effect, 0);
  }
  /** Before a step that meets more than one word, or another CPU: a decision point that depends on everything. */
  stepAside(lane: Lane): void {
    if (!this.solo) this.countStep(lane);
    this.deliverForced(lane, INTERRUPT);
    if (!this.solo) this.decideBefore(lane, -1, 0, 0);
  }
  /** A full barrier of a CPU with a store buffer: until here its stores may come out one by one. */
  fence(lane: Lane): void {
    if (!this.solo) {
      this.countStep(lane);
      this.deliverForced(lane, INTERRUPT);
      if (lane.s[L_BUFFERED] > 0) this.decideBefore(lane, -1, 0, 0);
    }
    this.drainAll(lane);
  }
  /** A named point, or an explicit poll: always a place for an interrupt. */
  poll(lane: Lane, point: number): void {
    if (this.solo) {
      this.deliverForced(lane, INTERRUPT);
      return;
    }
    const isNew = !lane.resuming;
    this.countStep(lane);
    if (point !== 0 && isNew) this.recorder?.point?.(lane.id, point);
    this.deliverForced(lane, INTERRUPT);
    if (point !== 0) {
      this.decideBefore(lane, -1, 0, point);
    } else this.deliverAll(lane, INTERRUPT); // Nothing better to do.
  }
  /** Can two lanes of this engine exchange their CPUs? Every thread would have to know of it. */
  protected readonly exchangesLanes: boolean = false;
  /**
   * A migration point. If it is chosen the other lane gets this one's CPU at once: it stands between two operations, so nothing
   * of the slot is its own.
   * @returns the CPU that the lane's task is on from now on; -1: the same.
   */
  migrate(lane: Lane): number {
    const { g } = this;
    const { s } = lane;
    if (this.solo || !this.exchangesLanes || g[G_MIGRATIONS_LEFT] === 0) return -1;
    this.countStep(lane);
    this.deliverForced(lane, INTERRUPT);
    this.endQuiet();
    for (;;) {
      s[L_NEXT_WORD] = -1;
      s[L_NEXT_EFFECT] = 0;
      this.migrating = true;
      const choice = this.decide(lane, false, 0);
      if (choice === GO) break;
      if (choice >= MIGRATE && choice < DRAIN) {
        this.exchange(lane, this.lanes[choice - MIGRATE]);
        break;
      }
      this.perform(lane, choice, false);
      this.deliverForced(lane, INTERRUPT);
    }
    s[L_ARRIVED] = 0;
    return lane.cpu === this.cpus[lane.id].id ? -1 : lane.cpu;
  }
  /**
   * The lane stands between two operations: where tasks migrate others may run meanwhile, and take its CPU. Nothing else may
   * happen: an interrupt that is suspended belongs to an operation, from which it is rebuilt.
   */
  protected standBetween(lane: Lane): void {
    if (!this.exchangesLanes || this.g[G_MIGRATIONS_LEFT] === 0 || !this.isBusy(lane)) return;
    if (lane.boundary === lane.s[L_DONE]) return; // Asked before: it was unwound there.
    lane.boundary = lane.s[L_DONE];
    this.countStep(lane);
    this.endQuiet();
    lane.s[L_NEXT_WORD] = -1;
    this.between = true;
    const choice = this.decide(lane, false, 0);
    if (choice !== GO) this.perform(lane, choice, false);
    lane.s[L_ARRIVED] = 0;
  }
  private exchange(lane: Lane, other: Lane): void {
    this.endQuiet();
    this.g[G_MIGRATIONS_LEFT]--;
    const [from, to] = [lane.addresses, other.addresses];
    other.migrate(from, false);
    this.cpus[other.id].become(from.cpu);
    lane.migrate(to, true);
  }
  private decideBefore(lane: Lane, index: number, effect: number, point: number): void {
    if (this.passes()) return;
    const { s } = lane;
    for (;;) {
      s[L_NEXT_WORD] = index;
      s[L_NEXT_EFFECT] = effect;
      const choice = this.decide(lane, false, point);
      if (choice === GO) break;
      this.perform(lane, choice, false);
      this.deliverForced(lane, INTERRUPT);
    }
    s[L_ARRIVED] = 0;
  }
  private countStep(lane: Lane): void {
    if (lane.resuming) {
      lane.resuming = false;
      return;
    }
    lane.s[L_ACCESSES]++;
    if (++this.g[G_STEPS] > this.maxSteps) this.livelock(lane);
  }
  private livelock(lane: Lane): never {
    throw new MachineBug(lane.cpu, `livelock: ${this.maxSteps} steps without an end`);
  }
  /** Learns who stores to all words from `first` up to `end`. @returns true if any of them is shared. */
  sharesAny(lane: Lane, first: number, end: number, effect = WRITES): boolean {
    if (this.solo) return false;
    let shared = false;
    for (let i = first; i < end; i++) {
      this.noteShared(lane, i, effect);
      if (this.owners[i] === SHARED) shared = true;
    }
    return shared;
  }
  /** Learns who touches a word. */
  noteShared(lane: Lane, index: number, effect: number): void {
    const owner = this.owners[index];
    const now = noteAccess(owner, lane.context, effect);
    if (now === owner) return;
    this.owners[index] = now;
    if (now === SHARED) {
      this.g[G_LEARNED] = 1;
      this.g[G_SHARED_WORDS]++;
    }
  }

  /** Does what was chosen at a decision point of `lane`. */
  private perform(lane: Lane, choice: number, blocked: boolean): void {
    const { g } = this;
    this.endQuiet();
    if (choice === NMI) {
      g[G_NMIS_LEFT]--;
      this.interrupt(lane, P_NMI_LOCAL, INTERRUPT, true);
    } else if (choice === TIME) {
      this.forceTick(lane);
    } else if (choice === TICK) {
      g[G_TICKS_LEFT]--;
      this.tick(1, false);
    } else if (choice >= DRAIN) {
      this.drain(this.lanes[(choice - DRAIN) % 16], (choice - DRAIN) >> 4);
    } else if (choice >= IRQ) {
      const bit = 1 << (choice - IRQ);
      this.setPending(lane, 0, bit);
      this.interrupt(lane, bit === P_IRQ_WORK_LATE ? P_IRQ_WORK : bit, INTERRUPT, true);
    } else if (choice >= NMI_TO) {
      g[G_NMIS_LEFT]--;
      this.setPending(this.lanes[choice - NMI_TO], P_NMI_LOCAL, 0);
    } else {
      const next = this.lanes[choice - SWITCH];
      if (next.cpu === lane.cpu && !blocked) {
        this.interrupt(lane, P_RESCHED, INTERRUPT, true);
        return;
      }
      // Only one that stands before a decision point: others have something to do first, be it no step.
      if (next.s[L_BEGUN] !== 0 && next.s[L_BLOCKED] === NOT_BLOCKED) next.s[L_ARRIVED] = 1;
      this.recorder?.switched?.(lane.id, next.id, blocked);
      this.runOther(lane, next);
    }
  }

  /** Runs an interrupt on `lane`, nested in what it does. */
  private interrupt(lane: Lane, bit: number, kind: number, chosen: boolean): void {
    this.endQuiet();
    this.recorder?.interrupt?.(lane.id, bit, chosen);
    if (this.memory.hashing) lane.enterInterrupt();
    if (this.limits.model === "tso") this.drainAll(lane); // As x86 does when it takes an interrupt.
    lane.s[L_ARRIVED] = 0;
    lane.log.push(keyOf(kind, 0), bit, 0);
    this.runInterrupt(lane, bit);
    // The interrupted access counts anew, as it does when the lane was suspended in the interrupt and is rebuilt.
    if (kind === INTERRUPT && !this.solo) this.countStep(lane);
  }
  /** Also used by a rebuild, for an interrupt that is in the log. */
  runInterrupt(lane: Lane, bit: number): void {
    const { level, s } = lane;
    const blocked = s[L_BLOCKED];
    if (bit !== P_RESCHED) lane.setLevel(bit & P_ANY_NMI ? LEVEL_NMI : level + 1);
    s[L_BLOCKED] = NOT_BLOCKED; // The handler is not.
    run_interrupt(this.cpus[lane.id], bit);
    s[L_BLOCKED] = blocked;
    lane.setLevel(level);
    this.endQuiet();
    if (this.isRebuilding(lane)) return; // It had ended before the lane was suspended.
    if (this.memory.hashing) lane.leaveInterrupt();
    this.recorder?.interruptEnd?.(lane.id, bit);
  }
  /** Takes what may not wait: NMIs, and in prompt mode the irq_work self-IPI. */
  deliverForced(lane: Lane, kind: number): void {
    this.deliver(lane, this.solo ? ~P_RESCHED : ~OPTIONAL_IRQS, kind);
  }
  /** Takes everything that can be taken: the CPU has nothing better to do. */
  deliverAll(lane: Lane, kind: number): void {
    this.deliver(lane, -1, kind);
  }
  private deliver(lane: Lane, mask: number, kind: number): void {
    for (;;) {
      const pending = this.words[lane.pending] & mask;
      if (pending === 0) return;
      const bit = deliverable(this.cpus[lane.id], pending);
      if (bit === 0) return;
      this.setPending(lane, 0, bit);
      this.interrupt(lane, bit, kind, false);
    }
  }
  /** The CPU blocks until its pending word differs from `seen`. */
  wait(lane: Lane, seen: number): void {
    if (this.solo) throw new MachineBug(lane.cpu, "waits during set-up or check");
    this.countStep(lane);
    this.endQuiet();
    lane.blockWait(seen);
    this.standBlocked(lane);
  }
  /** The lane's CPU goes to another of its tasks; returns when it has come back. @param stays  false: it never will. */
  leaveCpu(lane: Lane, stays: boolean): void {
    if (this.solo) throw new MachineBug(lane.cpu, "switches tasks during set-up or check");
    lane.leaveCpu();
    this.countStep(lane);
    this.endQuiet();
    this.standBlocked(lane);
    if (!stays) throw new MachineBug(lane.cpu, "a task goes on after its end");
    lane.s[L_ARRIVED] = 1; // Or a task that gives way again and again, and is preferred to us, would let us do nothing.
  }
  /** One turn of a spin loop: goes on when a word that the loop read has changed, or after an interrupt. */
  relax(lane: Lane): void {
    if (this.solo) throw new MachineBug(lane.cpu, "spins during set-up or check");
    this.countStep(lane);
    this.endQuiet();
    lane.blockRelax();
    this.standBlocked(lane);
    if (
      lane.turns.repeats(lane, this.memory) &&
      this.lanes.every((other) => other.turns.isTired || !this.isEnabled(other))
    ) {
      throw new MachineBug(lane.cpu, `livelock: the same state came back again and again. ${this.describeLanes()}`);
    }
    lane.endTurn();
  }
  private standBlocked(lane: Lane): void {
    while (!this.isEnabled(lane)) {
      const choice = this.decide(lane, true, 0);
      lane.s[L_ACCESSES]++; // Each decision has a number of its own: a schedule names it by that.
      this.perform(lane, choice, true);
    }
    lane.unblock();
  }

  /** After a step. `before` and `after`: the word's values; for a buffered store, what is stored. */
  accessed(lane: Lane, kind: number, index: number, before: number, after: number, visible: boolean): void {
    if (this.solo) return;
    const { recorder } = this;
    if (recorder?.access !== undefined) {
      const { access } = this;
      access.lane = lane.id;
      access.kind = kind;
      access.address = index << 2;
      access.before = before;
      access.after = after;
      access.visible = visible;
      recorder.access(access);
    }
    if (before !== after && visible) this.checkInvariant(lane);
  }
  private checkInvariant(lane: Lane): void {
    const { invariant } = this.programs;
    if (invariant === undefined) return;
    const wrong = invariant();
    if (wrong !== undefined) throw new MachineBug(lane.cpu, wrong);
  }
  /** A buffered store reaches memory. */
  drain(lane: Lane, n: number): void {
    const index = wordAt(lane, n);
    const value = valueAt(lane, n);
    const before = this.words[index];
    remove(lane, n);
    this.memory.set(index, value);
    this.recorder?.drained?.(lane.id, index << 2, before, value);
    if (before !== value) this.checkInvariant(lane);
  }
  drainAll(lane: Lane): void {
    while (lane.s[L_BUFFERED] > 0) this.drain(lane, 0);
  }
}
