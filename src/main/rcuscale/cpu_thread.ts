/** The entry of a CPU's thread in a run of rcuscale: src/workers/cpu.ts with the program that is measured. */
import { type CpuOutcome, type CpuTask, runCpu } from "../../workers/cpu.ts";
import { Measurements } from "./measurements.ts";
import { programOf, type ScaleWork } from "./program.ts";

export interface ScaleCpuTask {
  readonly work: ScaleWork;
  /** Of Measurements. */
  readonly measurements: SharedArrayBuffer;
}

/** Piscina calls it once. */
export default function cpuThread({ work, measurements, ...task }: CpuTask & ScaleCpuTask): CpuOutcome {
  return runCpu(task, programOf(work, new Measurements(measurements)));
}
