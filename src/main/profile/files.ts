/** The files that a profile leaves in its folder. */
import { mkdirSync, readFileSync, readdirSync, rmSync } from "node:fs";
import type { Profiler } from "node:inspector";
import { join } from "node:path";
import { UsageError } from "../errors.ts";
import type { OptionSpec } from "../options.ts";

/** What `sheaf profile` writes. */
export const PROFILES = /^(?:(?:cpu-\d+|all-cpus)\.(?:cpuprofile|clinic-flame|clinic-flame\.html)|speedscope\.json)$/;

export const OUT_OPTION: OptionSpec = {
  name: "out",
  value: "DIR",
  summary: "folder for the files; those of an earlier profile go",
  default: "profile",
};

export const SPEEDSCOPE = "speedscope.json";
/** The name of CPU `cpu`'s files; those of all CPUs together are ALL_CPUS. */
export const cpuName = (cpu: number): string => `cpu-${cpu}`;
export const ALL_CPUS = "all-cpus";
export const profilePath = (folder: string, cpu: number): string => join(folder, `${cpuName(cpu)}.cpuprofile`);

/**
 * Makes the folder, and removes the files whose names match: pages of an earlier run's CPUs would mislead.
 * @throws UsageError  it cannot be written
 */
export function openFolder(folder: string, old: RegExp): void {
  try {
    mkdirSync(folder, { recursive: true });
    for (const name of readdirSync(folder)) if (old.test(name)) rmSync(join(folder, name), { recursive: true });
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException;
    throw new UsageError(`--out ${folder} cannot be written (${code}): name another folder`);
  }
}

/** The profiles by CPU; undefined: the CPU's thread left none. */
export function readProfiles(folder: string, cpus: number): readonly (Profiler.Profile | undefined)[] {
  const names = new Set(readdirSync(folder));
  return Array.from({ length: cpus }, (_, cpu) =>
    names.has(`${cpuName(cpu)}.cpuprofile`)
      ? (JSON.parse(readFileSync(profilePath(folder, cpu), "utf8")) as Profiler.Profile)
      : undefined,
  );
}
