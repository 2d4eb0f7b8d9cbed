/**
 * LocalSource: interrupts that a CPU raises at itself, for density. Threads reach each other some thousand times a second;
 * this source hits the same CPU tens of thousands of times, at chosen places:
 *
 *   by steps    an NMI before the k-th step from now, k from a heavy-tailed distribution: mostly soon, sometimes late
 *   by point    an NMI at the n-th visit of a named point; points take turns, those hit least often in between
 *   noise       no interrupt, but a short spin between two steps: the other CPUs overtake
 *
 * The density follows `nmisPerTick` by itself: at each tick of machine time the mean gap is corrected. It counts ticks,
 * not time, so a CPU that lost its processor does not make up for it. Everything is drawn from the seed.
 *
 * Called between two steps of the CPU that owns it, so it must take none: it looks by peek and sets its bit directly.
 */
import { below, mixSeed, xorshift32 } from "../shared/base/random.ts";
import type { Cpu } from "../shared/cpu/cpu.ts";
import { CpuSlot, P_NMI_LOCAL, P_RESCHED } from "../shared/layout/cpu.ts";
import { Globals } from "../shared/layout/globals.ts";
import { POINT_NAMES } from "../shared/layout/points.ts";
import { pause } from "../shared/mem/bare_memory.ts";
import { type InterruptibleMemory, NO_POINT, type StepSource } from "../shared/mem/interruptible_memory.ts";

const { nmi: NMI } = CpuSlot.offset;
const { jiffies: JIFFIES, stopping: STOPPING } = Globals.offset;

/** Mean steps between two NMIs: bounds, and where it starts. Below the minimum a task would hardly get on. */
const MIN_GAP = 128;
const MAX_GAP = 1 << 22;
const FIRST_GAP = 2048;
/** The gap is its mean times a power of two of so many, all equally likely; the mean of the powers is 1. */
const POWERS = 8;
const MEAN_OF_POWERS = (2 ** POWERS - 1) / POWERS;
/** One event in so many is noise. */
const NOISE_ONE_IN = 8;
const MAX_NOISE_POWER = 10;
/** An armed point waits for at most this many visits, and gives way to the next one after so many other NMIs. */
const MAX_VISITS_POWER = 6;
const POINT_PATIENCE = 32;
/** Steps until the next look when nothing is to be raised. */
const QUIET_STEPS = 1 << 20;

export interface LocalSourceOptions {
  readonly seed: number;
  /** NMIs that this CPU is to get with each tick; 0: none. */
  readonly nmisPerTick: number;
  readonly noise: boolean;
}

export class LocalSource implements StepSource {
  private readonly cpu: Cpu;
  private readonly mem: InterruptibleMemory;
  private readonly nmisPerTick: number;
  private readonly noise: boolean;
  private state: number;
  private meanGap = FIRST_GAP;
  private tick: number;
  private raisedInTick = 0;
  /** How often each point was hit. */
  private readonly hits = new Uint32Array(POINT_NAMES.length);
  private turn: number;
  private visitsLeft = 1;
  private patience = POINT_PATIENCE;

  constructor(cpu: Cpu, mem: InterruptibleMemory, { seed, nmisPerTick, noise }: LocalSourceOptions) {
    this.cpu = cpu;
    this.mem = mem;
    this.state = mixSeed(seed, cpu.id);
    this.nmisPerTick = nmisPerTick;
    this.noise = noise;
    this.tick = mem.peek(cpu.globals, JIFFIES);
    this.turn = this.below(POINT_NAMES.length);
  }

  /** From now on this source gets the memory's countdown. Nothing is attached if there is nothing to raise. */
  start(): void {
    if (this.nmisPerTick > 0) this.mem.attachSource(this, FIRST_GAP, this.armNextPoint());
    else if (this.noise) this.mem.attachSource(this, FIRST_GAP, NO_POINT);
  }

  expired(): number {
    if (this.mem.peek(this.cpu.globals, STOPPING) !== 0) {
      this.mem.attachSource(this, QUIET_STEPS, NO_POINT);
      return QUIET_STEPS;
    }
    if (this.noise && this.below(NOISE_ONE_IN) === 0) this.makeNoise();
    // Another task of the CPU may take over here, if there is one and the running one is preemptible.
    if (this.cpu.preempt) Atomics.or(this.mem.words, this.cpu.pending >> 2, P_RESCHED);
    if (this.nmisPerTick === 0) return this.gap();
    this.followRate();
    // An NMI does not nest, and one that waited for this one's end would keep the interrupted code from going on.
    if (this.mem.peek(this.cpu.slot, NMI) === 0) this.raise();
    if (--this.patience === 0) this.mem.attachSource(this, 1, this.armNextPoint());
    return this.gap();
  }

  visited(point: number): number {
    if (this.mem.peek(this.cpu.slot, NMI) !== 0 || --this.visitsLeft > 0) return point;
    this.raise();
    this.hits[point]++;
    return this.armNextPoint();
  }

  private raise(): void {
    Atomics.or(this.mem.words, this.cpu.pending >> 2, P_NMI_LOCAL);
    this.raisedInTick++;
  }
  private armNextPoint(): number {
    this.patience = POINT_PATIENCE;
    this.turn = following(this.turn);
    const inTurn = this.below(2) === 0;
    this.visitsLeft = inTurn ? 1 + this.below(1 << this.below(MAX_VISITS_POWER + 1)) : 1; // The others are rare enough.
    return inTurn ? this.turn : this.leastHit();
  }
  /** Of several that were hit equally often, the one whose turn comes first. */
  private leastHit(): number {
    let least = this.turn;
    for (let each = following(least); each !== this.turn; each = following(each)) {
      if (this.hits[each] < this.hits[least]) least = each;
    }
    return least;
  }
  private gap(): number {
    const power = 1 << this.below(POWERS);
    return 1 + this.below(Math.floor((2 * this.meanGap * power) / MEAN_OF_POWERS));
  }
  /** Once a tick: more NMIs than wanted make the gaps longer. */
  private followRate(): void {
    const now = this.mem.peek(this.cpu.globals, JIFFIES);
    if (now === this.tick) return;
    const excess = this.raisedInTick / (this.nmisPerTick * (now - this.tick));
    this.meanGap = Math.round(clamp(this.meanGap * clamp(excess, 0.75, 1.5), MIN_GAP, MAX_GAP));
    this.tick = now;
    this.raisedInTick = 0;
  }
  private makeNoise(): void {
    for (let turns = 1 << this.below(MAX_NOISE_POWER + 1); turns > 0; turns--) pause();
  }
  private below(n: number): number {
    this.state = xorshift32(this.state);
    return below(this.state, n);
  }
}

/** Points are numbered from 1; 0 is none. */
const following = (point: number): number => (point % (POINT_NAMES.length - 1)) + 1;
const clamp = (value: number, low: number, high: number): number => Math.min(Math.max(value, low), high);
