/**
 * Clinic's flame pages. Clinic is no dependency: 700 packages, which npm fetches into its own cache when a page is first
 * asked for (docs/adr/0010).
 */
import { spawn } from "node:child_process";
import { existsSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { type Lane, writeClinicData } from "./clinic_data.ts";
import { ALL_CPUS, cpuName } from "./files.ts";
import type { Stack } from "./stacks.ts";

export const CLINIC = "clinic@13.0.0";
/** Fetching it included. */
const TIMEOUT_MS = 300_000;
/** So many lines about errors are repeated when it fails. */
const REPEATED = 2;

/** The command line that runs `clinic flame` with `args`. */
export function clinicFlame(args: readonly string[]): readonly [command: string, ...args: string[]] {
  const npm = ["exec", "--yes", "--prefer-offline", "--fetch-retries=1", `--package=${CLINIC}`, "--"];
  return ["npm", ...npm, "clinic", "flame", "--open=false", ...args];
}
/** Without NO_INSIGHT it asks for leave to send statistics, and where nobody can answer it does nothing at all. */
export const CLINIC_ENV = { NO_INSIGHT: "1" };

/**
 * Makes clinic's page of each CPU, and one of all.
 * @returns why there are no more, if one could not be made
 */
export async function makePages(
  folder: string,
  cpus: readonly (readonly Stack[] | undefined)[],
  signal: AbortSignal,
): Promise<string | undefined> {
  const all: Lane[] = [];
  for (const [cpu, stacks] of cpus.entries()) {
    if (stacks === undefined) continue;
    all.push({ root: `CPU_${cpu}`, stacks });
    const problem = await makePage(pageFolder(folder, cpuName(cpu)), [{ root: undefined, stacks }], signal);
    if (problem !== undefined) return problem;
  }
  return makePage(pageFolder(folder, ALL_CPUS), all, signal);
}
const pageFolder = (folder: string, name: string): string => join(folder, `${name}.clinic-flame`);

/**
 * Makes the page `folder`.html of the lanes.
 * @param folder  must end in ".clinic-flame"; exists while this runs.
 * @returns why there is none, if so
 */
async function makePage(folder: string, lanes: readonly Lane[], signal: AbortSignal): Promise<string | undefined> {
  try {
    writeClinicData(folder, lanes);
    const problem = await run(clinicFlame(["--visualize-only", basename(folder)]), dirname(folder), signal);
    // It ends with 0 in some cases in which it made nothing.
    return existsSync(`${folder}.html`) ? undefined : (problem ?? "it wrote no page");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** @returns what went wrong, if anything. */
function run(
  [command, ...args]: readonly [string, ...string[]],
  cwd: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  return new Promise((resolve) => {
    const env = { ...process.env, ...CLINIC_ENV };
    const child = spawn(command, args, { cwd, env, signal, timeout: TIMEOUT_MS, stdio: ["ignore", "pipe", "pipe"] });
    let said = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (chunk: string) => (said += chunk));
    }
    child.on("error", (error) => resolve(error.message));
    child.on("close", (code, killedBy) => {
      const errors = said.split("\n").filter((line) => /error/i.test(line));
      const why = killedBy === null ? errors.slice(0, REPEATED).join("; ") : `ended by ${killedBy}`;
      resolve(code === 0 ? undefined : why || `exit code ${code}`);
    });
  });
}
