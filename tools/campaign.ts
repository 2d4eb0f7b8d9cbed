/**
 * A campaign: `sheaf torture` with each word of --config by itself, then with random combinations. One line for each, and
 * the output of what did not end in SUCCESS. Words that the other options exclude are left out. Ctrl-C ends it with what
 * has been done so far; exit codes are those of `sheaf`.
 *
 *   node tools/campaign.ts [--duration 30s] [--random 20] [--jobs 1] [--seed 1] [-- MORE TORTURE OPTIONS]
 */
import { execFile } from "node:child_process";
import path from "node:path";
import { parseArgs } from "node:util";
import { CONFIG_WORDS } from "../src/main/config_words.ts";
import { UsageError } from "../src/main/errors.ts";
import { EXIT_FAILURE, EXIT_INTERRUPTED, EXIT_SUCCESS, EXIT_USAGE } from "../src/main/exit_code.ts";
import { listenForInterrupt } from "../src/main/interrupt.ts";
import { parseOptions } from "../src/main/options.ts";
import { torture as TORTURE } from "../src/main/torture/command.ts";
import { parseTortureConfig } from "../src/main/torture/config.ts";
import { parseCount, parseDuration } from "../src/main/values.ts";

const SHEAF = path.join(import.meta.dirname, "../bin/sheaf.js");
/** To boot, and to come to rest on a busy machine. */
const AROUND_MS = 120_000;

/** Each word alone, with the last value that a random draw could give it; then random ones. */
function configurations(random: number): readonly string[] {
  const words = CONFIG_WORDS.filter(({ planned, only }) => planned !== true && (only ?? "torture") === "torture");
  const alone = words.map(({ name, draw }) => draw?.((n) => n - 1) ?? name);
  return [...alone, ...Array.from({ length: random }, () => "random")];
}

/** @throws UsageError  torture would not take these options */
function checkTorture(args: readonly string[]): void {
  parseTortureConfig(parseOptions(args, TORTURE.options, TORTURE.maxPositionals));
}
/** Why torture would not take these options; undefined: it would. */
function refusal(args: readonly string[]): string | undefined {
  try {
    checkTorture(args);
    return undefined;
  } catch (error) {
    if (error instanceof UsageError) return error.message;
    throw error;
  }
}

interface Ended {
  /** undefined: a signal has ended it. */
  readonly code: number | undefined;
  readonly output: string;
}
async function torture(args: readonly string[], durationMs: number, signal: AbortSignal): Promise<Ended> {
  const options = { timeout: durationMs + AROUND_MS, maxBuffer: 1 << 26 };
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [SHEAF, "torture", ...args], options, (error, stdout, stderr) => {
      signal.removeEventListener("abort", interrupt);
      resolve({ code: error === null ? 0 : exitCodeIn(error), output: stdout + stderr });
    });
    const interrupt = (): void => void child.kill("SIGINT"); // From a terminal it has one already: two at once are one.
    signal.addEventListener("abort", interrupt);
  });
}
function exitCodeIn({ code }: { readonly code?: unknown }): number | undefined {
  return typeof code === "number" ? code : undefined;
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    options: {
      duration: { type: "string", default: "30s" },
      random: { type: "string", default: "20" },
      jobs: { type: "string", default: "1" },
      seed: { type: "string", default: "1" },
    },
    allowPositionals: true,
  });
  const durationMs = parseDuration("--duration", values.duration);
  const waiting = configurations(parseCount("--random", values.random, 0, 1000));
  const jobs = parseCount("--jobs", values.jobs, 1, 64);
  const seed = parseCount("--seed", values.seed, 0, 1_000_000);
  const argsOf = (i: number): string[] => ["--duration", values.duration, "--seed", String(seed + i), ...positionals];
  checkTorture(["--config", "tiny", ...argsOf(0)]);
  const { signal } = listenForInterrupt();
  let next = 0;
  let done = 0;
  let failures = 0;
  const say = (verdict: string, config: string, more: string): void =>
    console.log(`${verdict.padEnd(13)} ${`--config ${config}`.padEnd(60)} ${more}`);
  const fitting = waiting.flatMap((config, i) => {
    const args = ["--config", config, ...argsOf(i)];
    const refused = refusal(args);
    if (refused !== undefined) say("left out", config, refused);
    return refused === undefined ? [{ config, args, seed: seed + i }] : [];
  });
  const work = async (): Promise<void> => {
    while (next < fitting.length && !signal.aborted) {
      const { config, args, seed } = fitting[next++];
      const { code, output } = await torture(args, durationMs, signal);
      if (signal.aborted && code !== EXIT_FAILURE) return;
      done++;
      const verdict = /--- End of [^:]*: (\w+)/.exec(output)?.[1] ?? `exit code ${code ?? "of a signal"}`;
      say(verdict, /\bconfig=(\S+)/.exec(output)?.[1] ?? config, `--seed ${seed}`);
      if (code === EXIT_SUCCESS) continue;
      failures++;
      console.log(output.replaceAll(/^/gm, "    "));
    }
  };
  await Promise.all(Array.from({ length: jobs }, work));
  const share = signal.aborted ? `interrupted: ${done} of ${fitting.length}` : `${done}`;
  console.log(`${share} configurations, ${failures} not SUCCESS`);
  if (failures > 0) return EXIT_FAILURE;
  return signal.aborted ? EXIT_INTERRUPTED : EXIT_SUCCESS;
}

try {
  process.exitCode = await main();
} catch (error) {
  const isUsage = error instanceof UsageError || (error instanceof TypeError && "code" in error);
  if (!isUsage) throw error;
  console.error(`campaign: ${error.message}`);
  process.exitCode = EXIT_USAGE;
}
