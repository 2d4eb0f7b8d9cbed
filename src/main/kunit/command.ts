/** `sheaf kunit`: the tests of lib/tests/slub_kunit.c on a booted machine, as KTAP. */
import type { Command } from "../command.ts";
import { UsageError } from "../errors.ts";
import { EXIT_FAILURE, EXIT_SUCCESS, exitCodeOf } from "../exit_code.ts";
import { listenForInterrupt } from "../interrupt.ts";
import { Options, type OptionSpec } from "../options.ts";
import type { Settings } from "../settings.ts";
import { machineConfig, nmiShares, parseTortureConfig, TORTURE_OPTIONS } from "../torture/config.ts";
import { parseCount, refuseRepeats } from "../values.ts";
import type { KunitRun } from "./run.ts";

/** Options of torture that matter here. */
const OF_TORTURE = [
  "cpus",
  "seed",
  "nmi",
  "memory",
  "config",
  "irqwork",
  "barrier-order",
  "kernel-behaviour",
  "bug",
  "variant",
  "hooks",
];
const DEFAULT_ROUNDS = 1000;
const MOST_ROUNDS = 1_000_000;

export const kunit: Command = {
  usage: "[NAMES]",
  description: `Runs the KUnit suite of Linux's SLUB (lib/tests/slub_kunit.c) on a machine with threads, and prints KTAP. With
NAMES, separated by commas: only these tests. Exit code 1 if a test fails.`,
  options: [
    ...TORTURE_OPTIONS.filter(({ name }) => OF_TORTURE.includes(name)),
    {
      name: "rounds",
      value: "N",
      summary: "of 1000 objects, in the tests under NMIs",
      default: String(DEFAULT_ROUNDS),
    },
    { name: "list", summary: "print the names of the tests, and run none" },
  ],
  maxPositionals: 1,
  async run(options, output) {
    const config = parseTortureConfig(tortureOptions(options), refuseFailures);
    const rounds = parseCount("--rounds", options.text("rounds") ?? "", 1, MOST_ROUNDS);
    const { CASES, SUITE } = await import("./catalogue.ts"); // Brings the whole kernel along.
    const { Ktap } = await import("./ktap.ts");
    const { runKunit } = await import("./run.ts");
    const names = CASES.map(({ name }) => name);
    if (options.on("list")) {
      names.forEach((name) => output.out(name));
      return 0;
    }
    const { controller, perTick } = nmiShares(config);
    const run: KunitRun = {
      machine: machineConfig(config),
      // The tests run on one CPU: it gets what is meant for all.
      options: { rounds, seed: config.seed, nmisPerTick: perTick * config.shape.cpus, nmis: config.nmiRate > 0 },
      nmiRate: controller,
      cases: chosen(options.positionals[0], names),
    };
    const ktap = new Ktap(SUITE, (line) => output.out(line));
    ktap.start(run.cases.length);
    const interrupt = listenForInterrupt();
    try {
      const { signal } = interrupt;
      const ended = await runKunit(run, {
        signal,
        onResult: (index, result) => ktap.result(names[index], result),
      });
      const good = ktap.end(ended.failures);
      if (ktap.failed) return EXIT_FAILURE; // However the rest has ended.
      const code = exitCodeOf(ended);
      return good || code !== EXIT_SUCCESS ? code : EXIT_FAILURE;
    } finally {
      interrupt.dispose();
    }
  },
};

/** Each test asserts that it gets the objects that it asks for: one that was refused them would be told as failed. */
function refuseFailures({ globals }: Settings): void {
  const word = (["failslab", "lowmem"] as const).find((each) => globals?.[each] !== undefined);
  if (word === undefined) return;
  throw new UsageError(`--config ${word} is not for kunit, whose tests expect that there is memory: leave it out`);
}
/** As if torture had been given them. */
function tortureOptions(options: Options): Options {
  const given = OF_TORTURE.filter((name) => options.on(name)).map((name) => [name, options.text(name) ?? ""] as const);
  const specs: readonly OptionSpec[] = TORTURE_OPTIONS;
  return new Options(specs, new Map(given), []);
}

/** @throws UsageError  there is no such test, or one is named twice */
function chosen(text: string | undefined, names: readonly string[]): readonly number[] {
  if (text === undefined) return [...names.keys()];
  const chosenNames = text.split(",");
  refuseRepeats("the list of tests", chosenNames); // Each has room for one result.
  return chosenNames.map((name) => {
    const index = names.indexOf(name);
    if (index === -1) throw new UsageError(`there is no test '${name}': 'sheaf kunit --list' names them`);
    return index;
  });
}
