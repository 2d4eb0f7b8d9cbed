/**
 * Runs tests of the suite, each on a booted machine. All share one, as long as it holds: when a test breaks it, that test
 * has failed, and the rest get a new one. A host that cannot run the machine says nothing about a test: that ends the run.
 */
import { Machine, type MachineConfig, threadModule } from "../machine.ts";
import { type SupervisedRun, supervise } from "../supervise.ts";
import type { Watchdog } from "../torture/watchdog.ts";
import type { KunitCpuTask } from "./cpu_thread.ts";
import { type CaseResult, KunitResults } from "./results.ts";
import type { KunitOptions } from "./test.ts";

export interface KunitRun {
  readonly machine: MachineConfig;
  readonly options: KunitOptions;
  /** NMIs per second that the controller raises. */
  readonly nmiRate: number;
  /** Positions in the suite. */
  readonly cases: readonly number[];
}
export interface KunitHooks {
  readonly signal?: AbortSignal | undefined;
  /** For tests: other code for the CPUs' threads. */
  readonly cpuModule?: URL;
  /** For tests: other limits. */
  readonly watchdog?: Watchdog;
  /** A test has ended; in their order. */
  readonly onResult: (index: number, result: CaseResult) => void;
}

/** @returns how the machines ended: the first that did not end well, or the last. */
export async function runKunit(run: KunitRun, hooks: KunitHooks): Promise<SupervisedRun> {
  const results = KunitResults.create(Math.max(...run.cases) + 1);
  const left = [...run.cases];
  const report = (): void => {
    for (let [index] = left; index !== undefined && isOver(results.get(index)); [index] = left) {
      hooks.onResult(index, results.get(index));
      left.shift();
    }
  };
  for (;;) {
    const ended = await runMachine({ ...run, cases: [...left] }, results, hooks, report);
    report();
    const [broken] = left;
    if (ended.verdict !== "FAILURE" || broken === undefined || results.get(broken).state !== "running") return ended;
    results.set(broken, "failed", [`the machine has failed: ${ended.failures.join("\n")}`]);
    report();
    if (left.length === 0 || ended.interrupted) return { ...ended, failures: [] }; // The test has told them.
  }
}
function isOver({ state }: CaseResult): boolean {
  return state !== "waiting" && state !== "running";
}

async function runMachine(
  { machine: config, options, nmiRate, cases }: KunitRun,
  results: KunitResults,
  { signal, cpuModule, watchdog }: KunitHooks,
  onProgress: () => void,
): Promise<SupervisedRun> {
  const cpuTask: KunitCpuTask = { work: { ...options, cases }, results: results.buffer };
  const machine = new Machine(config, {
    cpuModule: cpuModule ?? threadModule("./cpu_thread", import.meta.url),
    cpuTask,
    watched: true,
    nmisPerTick: 0, // The tests attach sources of their own.
    noise: false,
    nmiRate,
    irqRate: 0,
  });
  return supervise(machine, { durationMs: Infinity, signal, watchdog, onProgress });
}
