/**
 * The entry of a CPU's thread in a profiled run: as in torture, but its operations are recorded and the profile is left
 * in a file. Booting and coming to rest are no part of it: most CPUs wait for others then.
 */
import { type Profiler } from "node:inspector";
import { writeFileSync } from "node:fs";
import { type CpuOutcome, runCpu, run_operations } from "../../workers/cpu.ts";
import type { Program } from "../../workers/program.ts";
import { programOf } from "../scenarios/registry.ts";
import type { TortureCpuTask } from "../torture/cpu_thread.ts";
import { profilePath } from "./files.ts";
import { recordThread } from "./recording.ts";

export interface ProfiledCpuTask extends TortureCpuTask {
  /** Where the profile goes. */
  readonly folder: string;
}

/** Piscina calls it once. */
export default function cpuThread(task: ProfiledCpuTask): CpuOutcome {
  let profile: Profiler.Profile | undefined;
  const program = recorded(programOf(task.scenarios), (recording) => void (profile = recording));
  const outcome = runCpu(task, program);
  // Not earlier: while a CPU writes, it answers no interrupt.
  if (profile !== undefined) writeFileSync(profilePath(task.folder, task.cpu), JSON.stringify(profile));
  return outcome;
}

function recorded(program: Program, done: (profile: Profiler.Profile) => void): Program {
  return {
    ...program,
    main(cpu) {
      const operations = (): void => {
        if ("main" in program) program.main(cpu);
        else run_operations(cpu, program.operation);
      };
      recordThread(operations, done);
    },
  };
}
