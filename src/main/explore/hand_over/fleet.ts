/**
 * The main thread's side of the hand-over engine: starts a worker per CPU on the machine of an Explorer, which is booted
 * already, and hands out work. The Explorer must not execute anything meanwhile: they share the machine.
 */
import { fileURLToPath } from "node:url";
import { setTimeout as delay } from "node:timers/promises";
import { Piscina } from "piscina";
import { threadModule } from "../../machine.ts";
import { G_STEPS } from "../engine/state_words.ts";
import type { Explorer } from "../explore.ts";
import { STRATEGY_WORDS } from "../strategies/state.ts";
import type { Subject } from "../subject.ts";
import { CONTROL_BYTES } from "./control.ts";
import { ENTRY_WORDS, StepLog } from "./step_log.ts";
import type { Executed, ThreadTask, Work } from "./work.ts";

const PATIENCE_MS = 30_000;
/** Entries that a step log has room for; beyond, only its digest goes on. */
export const STEP_LOG_ENTRIES = 1 << 16;

/** The threads, one per CPU; the same ones serve one scenario after the other. */
export class Fleet {
  /** Steps of the last execution. */
  readonly steps: StepLog;
  private readonly stepWords = new SharedArrayBuffer(4 * (4 + STEP_LOG_ENTRIES * ENTRY_WORDS));
  private readonly pool: Piscina;

  private readonly patienceMs: number;

  /** @param threads  CPUs of the largest scenario. @param patienceMs  without a step, before a run is given up. */
  constructor(threads: number, patienceMs = PATIENCE_MS) {
    this.patienceMs = patienceMs;
    this.steps = new StepLog(new Int32Array(this.stepWords));
    this.pool = new Piscina({
      filename: fileURLToPath(threadModule("./thread", import.meta.url)),
      minThreads: threads,
      maxThreads: threads,
      concurrentTasksPerWorker: 1,
      idleTimeout: Infinity,
      recordTiming: false,
      env: { ...process.env, NODE_OPTIONS: "" },
    });
  }

  /**
   * @param record  whether every step goes into `steps` and the digests
   * @throws Error  when a thread dies or does not answer
   */
  async run({ entry, overrides, explorer }: Subject, work: Work, record: boolean): Promise<readonly Executed[]> {
    explorer.oracle?.restore();
    const common = {
      file: entry.file.href,
      scenario: entry.scenario.name,
      overrides,
      options: explorer.options,
      shape: explorer.map.shape,
      work,
      buffer: explorer.buffer,
      memoryState: explorer.memoryState,
      state: explorer.state.buffer,
      oracle: explorer.oracle?.buffer,
      control: new SharedArrayBuffer(CONTROL_BYTES),
      strategyState: new SharedArrayBuffer(STRATEGY_WORDS * 4),
      steps: record ? this.stepWords : undefined,
    };
    const tasks = explorer.engine.lanes.map(
      ({ id }) => this.pool.run({ ...common, lane: id } satisfies ThreadTask) as Promise<readonly Executed[]>,
    );
    const watch = new AbortController();
    try {
      const [executed] = await Promise.race([Promise.all(tasks), this.silence(explorer, watch.signal)]);
      explorer.engine.memory.restore();
      return executed;
    } finally {
      watch.abort();
    }
  }
  /** @throws Error  when no thread has taken a step for long; close() then terminates them. */
  private async silence({ state }: Explorer, signal: AbortSignal): Promise<never> {
    for (let before = -1; ;) {
      await delay(this.patienceMs, undefined, { signal, ref: false });
      // Race: the same number in another execution is possible, and would have to come twice at the same moment.
      const now = Atomics.load(state.scheduler, G_STEPS);
      if (now === before) throw new Error(`no CPU's thread has taken a step for ${this.patienceMs / 1000} s`);
      before = now;
    }
  }
  async close(): Promise<void> {
    await this.pool.destroy();
  }
}
