/** Runs one process that measures, and reads what it says. */
import { execFile } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";
import { CACHE } from "../root.ts";
import type { Command } from "../subjects/contenders.ts";
import type { Sample } from "../subjects/job.ts";

const exec = promisify(execFile);
/** Start, warm-up and end of the slowest, on a busy machine. */
const TIMEOUT_MS = 120_000;
const COMPILE_CACHE = path.join(CACHE, "code");

/** A process has failed: then there is nothing to compare. */
export class BenchError extends Error {
  override readonly name = "BenchError";
}

/** @throws BenchError */
export async function runOnce({ file, args }: Command): Promise<Sample> {
  const env = { ...process.env, NODE_OPTIONS: "", NODE_COMPILE_CACHE: COMPILE_CACHE };
  try {
    const { stdout } = await exec(file, args, { env, timeout: TIMEOUT_MS });
    return JSON.parse(stdout) as Sample;
  } catch (error) {
    throw new BenchError(`${path.basename(file)} ${args.join(" ")}: ${explain(error)}`, { cause: error });
  }
}
function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if ("killed" in error && error.killed === true) return `did not end within ${TIMEOUT_MS / 1000} s`;
  return "stderr" in error && error.stderr !== "" ? String(error.stderr).trim() : error.message;
}
