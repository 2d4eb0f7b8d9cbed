/** `npm run bench`: runs the benches that are named, or all. docs/BENCHMARKS.md says how to read what it prints. */
import { parseArgs } from "node:util";
import type { Bench } from "./bench.ts";
import { BENCHES, SUMMARIES } from "./catalogue.ts";
import { compare, type Settings } from "./harness/compare.ts";
import { comparisonLines, describeMachine, machineLines, type Result, resultsOf } from "./harness/report.ts";
import { BenchError } from "./harness/run.ts";

const EXIT_FAILURE = 1;
const EXIT_USAGE = 2;
/** A run of all is to take less than ten minutes. */
const RUNS = 5;
const RUNS_OF_ALL = 3;
const MS = 200;

const HELP = `usage: npm run bench -- [--runs N] [--ms N] [--threads LIST] [--json] [--list] [NAME ...]

Compares sheaf's allocators with native and JavaScript ones, each in a process of its own, in turn.

  --runs N        runs of each (${RUNS}; ${RUNS_OF_ALL} if all benches run)
  --ms N          how long each run measures, after as long a warm-up (${MS})
  --threads LIST  numbers of threads, such as 1,2,4,8, where the bench leaves them open
  --first         only the first comparison of each bench
  --output FOLDER where pages are written (bench-results)
  --json          print one JSON object, and nothing else
  --list          print the benches and what they ask`;

class UsageError extends Error {}

interface Options extends Settings {
  readonly benches: readonly Bench[];
  readonly threads: readonly number[] | undefined;
  readonly output: string;
  readonly first: boolean;
  readonly json: boolean;
}

function count(name: string, text: string): number {
  const n = Number(text);
  if (!Number.isInteger(n) || n < 1)
    throw new UsageError(`${name} must be a whole number of at least 1, not '${text}'`);
  return n;
}
function benchNamed(name: string): Bench {
  const bench = [...BENCHES, ...SUMMARIES].find((each) => each.name === name);
  if (bench === undefined) throw new UsageError(`there is no bench '${name}': see --list`);
  return bench;
}
function parse(args: readonly string[]): Options | string {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      runs: { type: "string" },
      ms: { type: "string", default: String(MS) },
      threads: { type: "string" },
      output: { type: "string", default: "bench-results" },
      first: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      list: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) return HELP;
  if (values.list) return listing();
  const ms = count("--ms", values.ms);
  return {
    benches: positionals.length === 0 ? BENCHES : positionals.map(benchNamed),
    runs: count("--runs", values.runs ?? String(positionals.length === 0 ? RUNS_OF_ALL : RUNS)),
    ms,
    warmupMs: ms,
    threads: values.threads?.split(",").map((n) => count("--threads", n)),
    output: values.output,
    first: values.first,
    json: values.json,
    onRun: (name) => progress(name),
  };
}
function listing(): string {
  return [...BENCHES, ...SUMMARIES].map(({ name, question }) => `${name.padEnd(19)}${question}`).join("\n");
}
/** On the terminal only; the empty text clears it. */
function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}

async function run({ benches, threads, first, json, ...settings }: Options): Promise<void> {
  const say = (line: string): void => {
    progress("");
    if (!json) console.log(line);
  };
  const machine = describeMachine();
  machineLines(machine).forEach(say);
  const results: Result[] = [];
  for (const bench of benches) {
    say(`\n# ${bench.name}: ${bench.question}`);
    const all = bench.cases({ threads });
    const comparisons = [];
    for (const c of first ? all.slice(0, 1) : all) {
      const comparison = await compare(c, settings);
      comparisons.push(comparison);
      results.push(...resultsOf(comparison));
      comparisonLines(comparison).forEach(say);
    }
    for (const line of (await bench.conclude?.(comparisons, settings)) ?? []) say(line);
  }
  if (json) console.log(JSON.stringify({ machine, results }));
}

/** @throws UsageError */
function parseOrComplain(args: readonly string[]): Options | string {
  try {
    return parse(args);
  } catch (error) {
    if (error instanceof TypeError) throw new UsageError(error.message); // parseArgs()
    throw error;
  }
}

try {
  const options = parseOrComplain(process.argv.slice(2));
  if (typeof options === "string") console.log(options);
  else await run(options);
} catch (error) {
  if (!(error instanceof UsageError || error instanceof BenchError)) throw error;
  progress("");
  console.error(`bench: ${error.message}`);
  process.exitCode = error instanceof BenchError ? EXIT_FAILURE : EXIT_USAGE;
}
