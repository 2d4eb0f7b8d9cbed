/**
 * Watchdog: decides when a CPU that finishes no operation is a finding, and which. It judges by machine time as the CPU
 * itself took it, so a thread that merely lost its processor is never accused:
 *
 *   the CPU took LOCKUP_TICKS ticks within one operation          FAILURE: it spins or sleeps for ever
 *   it took interrupts over LOCKUP_TICKS jiffies, but no tick     FAILURE: its IRQs are off for ever
 *   neither, for HOST_STALL_MS of real time                       INCONCLUSIVE: its thread does not run
 *
 * kernel/watchdog.c, hung_task.c in spirit; a grace period that does not end has a detector of its own (RCU stalls).
 */
import { HZ } from "../../shared/base/limits.ts";

/** Longer than RCU waits before it reports a stall: that report says more. */
export const LOCKUP_TICKS = 25 * HZ;
export const HOST_STALL_MS = 60_000;

/** What the host reads of one CPU now and then. */
export interface CpuSample {
  /** Operations finished; anything that changes when the CPU gets on. */
  readonly progress: number;
  /** It is not expected to get on: it rests. */
  readonly resting: boolean;
  readonly ticks: number;
  /** NMIs taken. */
  readonly interrupts: number;
}
export interface Finding {
  readonly verdict: "FAILURE" | "INCONCLUSIVE";
  readonly cpu: number;
  readonly message: string;
}

/** A CPU since its last progress. */
interface Since {
  readonly progress: number;
  readonly ticks: number;
  readonly ms: number;
  /** Last sample. */
  seenTicks: number;
  interrupts: number;
  /** Jiffies that passed while it took interrupts, but no tick. */
  jiffiesWithoutTick: number;
}

export class Watchdog {
  private readonly since: (Since | undefined)[] = [];
  private jiffies = 0;
  private readonly lockupTicks: number;
  private readonly hostStallMs: number;

  constructor(lockupTicks = LOCKUP_TICKS, hostStallMs = HOST_STALL_MS) {
    this.lockupTicks = lockupTicks;
    this.hostStallMs = hostStallMs;
  }

  /** Looks at all CPUs. @param jiffies  machine time. @param nowMs  real time. */
  observe(samples: readonly CpuSample[], jiffies: number, nowMs: number): Finding | undefined {
    const passed = jiffies - this.jiffies;
    this.jiffies = jiffies;
    return samples.map((sample, cpu) => this.observeCpu(cpu, sample, passed, nowMs)).find((each) => each !== undefined);
  }

  private observeCpu(cpu: number, sample: CpuSample, passed: number, nowMs: number): Finding | undefined {
    const { progress, resting, ticks, interrupts } = sample;
    const since = this.since[cpu];
    if (since === undefined || resting || progress !== since.progress) {
      this.since[cpu] = { progress, ticks, ms: nowMs, seenTicks: ticks, interrupts, jiffiesWithoutTick: 0 };
      return undefined;
    }
    if (ticks !== since.seenTicks) since.jiffiesWithoutTick = 0;
    else if (interrupts !== since.interrupts) since.jiffiesWithoutTick += passed;
    since.seenTicks = ticks;
    since.interrupts = interrupts;
    if (ticks - since.ticks >= this.lockupTicks) {
      const message = `lockup: CPU ${cpu} took ${ticks - since.ticks} ticks and finished no operation`;
      return { verdict: "FAILURE", cpu, message };
    }
    if (since.jiffiesWithoutTick >= this.lockupTicks) {
      const message = `hard lockup: CPU ${cpu} takes NMIs, but took no tick in ${since.jiffiesWithoutTick} jiffies`;
      return { verdict: "FAILURE", cpu, message };
    }
    if (nowMs - since.ms >= this.hostStallMs) {
      const seconds = Math.round((nowMs - since.ms) / 1000);
      const message = `CPU ${cpu} has finished no operation for ${seconds} s, but has hardly run: its thread gets no processor`;
      return { verdict: "INCONCLUSIVE", cpu, message };
    }
    return undefined;
  }
}
