/** `sheaf` run in this thread, on arrays in place of the process's streams. */
import { main } from "../../src/main/cli.ts";
import type { Output } from "../../src/main/command.ts";

export interface Captured {
  /** The exit code. */
  readonly code: number;
  readonly out: readonly string[];
  readonly err: readonly string[];
}

/** @param hooks  what takes the place of ours: a test that acts when a line comes, or that wants progress lines */
export async function run(words: readonly string[], hooks: Partial<Output> = {}): Promise<Captured> {
  const out: string[] = [];
  const err: string[] = [];
  const output: Output = {
    out: (line) => out.push(line),
    err: (line) => err.push(line),
    progress: undefined,
    ...hooks,
  };
  return { code: await main(words, output), out, err };
}
