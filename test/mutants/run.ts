/**
 * Runs planted bugs: each in a copy of the tree with one piece of code replaced, under the explorer and under torture.
 * One that nobody notices is a hole in our checks.
 *
 *   npm run mutants -- [NAME ...] [--explore | --torture] [--markdown]
 *
 * With --markdown the table of docs/MUTANTS.md goes to stdout, bugs that were not run as the page has them, and the rest to
 * stderr.
 */
import { readFileSync } from "node:fs";
import { UsageError } from "../../src/main/errors.ts";
import { EXIT_FAILURE, EXIT_SUCCESS, EXIT_USAGE } from "../../src/main/exit_code.ts";
import { explore, type Explored, type Outcome, torture } from "./drivers.ts";
import type { Mutant } from "./mutant.ts";
import { MUTANTS } from "./mutants.ts";
import { type Measured, table } from "./table.ts";

const PAGE = new URL("../../docs/MUTANTS.md", import.meta.url);
const OPTIONS = ["--explore", "--torture", "--markdown"];

interface Asked {
  readonly mutants: readonly Mutant[];
  readonly options: ReadonlySet<string>;
}
function parse(words: readonly string[]): Asked {
  const options = new Set(words.filter((word) => word.startsWith("-")));
  const names = words.filter((word) => !word.startsWith("-"));
  for (const option of options) {
    if (!OPTIONS.includes(option)) throw new UsageError(`unknown option '${option}': there are ${OPTIONS.join(", ")}`);
  }
  for (const name of names) {
    if (MUTANTS.some((mutant) => mutant.name === name)) continue;
    throw new UsageError(`no planted bug '${name}': docs/MUTANTS.md lists them`);
  }
  return { mutants: MUTANTS.filter(({ name }) => names.length === 0 || names.includes(name)), options };
}

function measure(mutant: Mutant, options: ReadonlySet<string>, print: (line: string) => void): Measured {
  print(`${mutant.name}: ${mutant.what}`);
  const explored = options.has("--torture") && !options.has("--explore") ? undefined : explore(mutant);
  if (explored !== undefined) print(`  explore ${mutant.explore.join(" ")}: ${describeExplored(explored)}`);
  const tortured = options.has("--explore") && !options.has("--torture") ? undefined : torture(mutant);
  if (tortured !== undefined) print(`  torture ${mutant.torture.join(" ")}: ${describe(tortured)}`);
  return { mutant, explored, tortured };
}
/** What was measured of it now; nothing, if it was not run. */
function measuredOf(mutant: Mutant, measured: readonly Measured[]): Measured {
  return measured.find((one) => one.mutant === mutant) ?? { mutant, explored: undefined, tortured: undefined };
}
function describeExplored(outcome: Explored): string {
  return `${outcome.schedules.toLocaleString("en")} schedules, ${describe(outcome)}`;
}
function describe({ caught, message, seconds }: Outcome): string {
  return caught ? `${seconds.toFixed(1)} s: ${message}` : message;
}

function main(words: readonly string[]): number {
  const { mutants, options } = parse(words);
  const isMarkdown = options.has("--markdown");
  const print = isMarkdown ? console.error : console.log;
  const page = readFileSync(PAGE, "utf8");
  const measured = mutants.map((mutant) => measure(mutant, options, print));
  if (isMarkdown)
    console.log(
      table(
        MUTANTS.map((mutant) => measuredOf(mutant, measured)),
        page,
      ),
    );
  const unnoticed = measured.filter(
    ({ explored, tortured }) => !(explored?.caught ?? false) && !(tortured?.caught ?? false),
  );
  if (unnoticed.length > 0) print(`noticed by nobody: ${unnoticed.map(({ mutant }) => mutant.name).join(", ")}`);
  return unnoticed.length === 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

try {
  process.exitCode = main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`mutants: ${error.message}`);
  process.exitCode = EXIT_USAGE;
}
