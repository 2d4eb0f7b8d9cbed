/** A profiled torture run, and the files that it leaves. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { threadModule } from "../machine.ts";
import { describeParameters, type TortureConfig } from "../torture/config.ts";
import { runTorture, type TortureHooks, type TortureResult } from "../torture/run.ts";
import { openFolder, PROFILES, readProfiles, SPEEDSCOPE } from "./files.ts";
import { speedscopeFile } from "./speedscope.ts";
import { type Stack, stacksOf } from "./stacks.ts";

export interface Profiled {
  readonly result: TortureResult;
  /** By CPU; undefined: the CPU's thread ended without leaving a profile. */
  readonly cpus: readonly (readonly Stack[] | undefined)[];
}

/**
 * Runs, and leaves a .cpuprofile of each CPU and a file for speedscope in the folder.
 * @throws UsageError  the folder cannot be written
 */
export async function profileTorture(config: TortureConfig, folder: string, hooks: TortureHooks): Promise<Profiled> {
  openFolder(folder, PROFILES);
  const cpuModule = threadModule("./cpu_thread", import.meta.url);
  const result = await runTorture(config, { ...hooks, cpuModule, cpuTask: { folder } });
  const profiles = readProfiles(folder, config.shape.cpus);
  const cpus = profiles.map((profile) => (profile === undefined ? undefined : stacksOf(profile)));
  writeFileSync(join(folder, SPEEDSCOPE), JSON.stringify(speedscopeFile(`sheaf ${describeParameters(config)}`, cpus)));
  return { result, cpus };
}
