/** The entry of a CPU's thread in a run of the tests: src/workers/cpu.ts with the program that runs them. */
import { type CpuOutcome, type CpuTask, runCpu } from "../../workers/cpu.ts";
import { CASES } from "./catalogue.ts";
import { type KunitWork, programOf } from "./program.ts";
import { KunitResults } from "./results.ts";

export interface KunitCpuTask {
  readonly work: KunitWork;
  /** Of KunitResults. */
  readonly results: SharedArrayBuffer;
}

/** Piscina calls it once. */
export default function cpuThread({ work, results, ...task }: CpuTask & KunitCpuTask): CpuOutcome {
  const program = programOf(CASES, work, new KunitResults(results));
  return runCpu(task, program);
}
