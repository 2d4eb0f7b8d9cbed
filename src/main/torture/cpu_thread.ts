/** The entry of a CPU's thread in a torture run: src/workers/cpu.ts with the scenarios that it is to run. */
import { type CpuOutcome, type CpuTask, runCpu } from "../../workers/cpu.ts";
import type { ScenarioName } from "../scenarios/catalogue.ts";
import { programOf } from "../scenarios/registry.ts";

export interface TortureCpuTask extends CpuTask {
  readonly scenarios: readonly ScenarioName[];
}

/** Piscina calls it once. */
export default function cpuThread(task: TortureCpuTask): CpuOutcome {
  return runCpu(task, programOf(task.scenarios));
}
