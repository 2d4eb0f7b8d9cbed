/** One run of rcuscale: a machine whose CPUs do their loops and end, and what they have measured. */
import { Machine, threadModule } from "../machine.ts";
import { type Summary, summarise } from "../report/summary.ts";
import { type SupervisedRun, supervise } from "../supervise.ts";
import { interruptsOf, machineConfig, type ScaleConfig, workOf } from "./config.ts";
import type { ScaleCpuTask } from "./cpu_thread.ts";
import { type Measured, takenTogether } from "./measured.ts";
import { Measurements } from "./measurements.ts";
import { type Stages, stagesOf } from "./stages.ts";

export interface ScaleResult extends SupervisedRun {
  readonly config: ScaleConfig;
  readonly measured: Measured;
  readonly stages: Stages;
  readonly summary: Summary;
}

export interface ScaleHooks {
  readonly signal?: AbortSignal | undefined;
  /** Now and then while it runs: objects so far. */
  readonly onProgress?: (objects: number) => void;
}

export async function runScale(config: ScaleConfig, { signal, onProgress }: ScaleHooks = {}): Promise<ScaleResult> {
  const measurements = Measurements.create(config.shape.cpus);
  const cpuTask: ScaleCpuTask = { work: workOf(config), measurements: measurements.buffer };
  const cpuModule = threadModule("cpu_thread", import.meta.url);
  const machine = new Machine(machineConfig(config), { cpuModule, cpuTask, ...interruptsOf(config) });
  const rows = () => Array.from({ length: config.nthreads }, (_, cpu) => measurements.row(cpu));
  const run = await supervise(machine, {
    durationMs: Infinity,
    signal,
    onProgress: () => onProgress?.(takenTogether(rows()).objects),
  });
  const summary = summarise(machine.mem, machine.map, machine.control, machine.oracle);
  const measured = takenTogether(rows());
  const stages = stagesOf(summary, config.by, measured.objects);
  const gaveUp = rows().some((row) => row.gaveUp !== 0);
  return { config, ...(gaveUp ? withoutMemory(run) : run), measured, stages, summary };
}

/** The verdict on a machine that is too small for what it was to do. */
function withoutMemory(run: SupervisedRun): SupervisedRun {
  if (run.verdict !== "SUCCESS") return run;
  const failures = [
    "the machine has too little memory, and what waits for grace periods is not enough: give more --memory",
  ];
  return { ...run, verdict: "INCONCLUSIVE", failures };
}
