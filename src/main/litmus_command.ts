/** `sheaf litmus`: runs litmus tests and prints, as herd does, how often each outcome was observed. */
import type { Command, Output } from "./command.ts";
import { EXIT_FAILURE, EXIT_INCONCLUSIVE, EXIT_INTERRUPTED, EXIT_SUCCESS } from "./exit_code.ts";
import { listenForInterrupt } from "./interrupt.ts";
import type { LitmusBudget, LitmusResult } from "./litmus/run.ts";
import type { Options } from "./options.ts";
import { parseCount, parseSeed } from "./values.ts";

const MAX_NAMES = 1000;
const EXIT_CODES = { ok: EXIT_SUCCESS, failed: EXIT_FAILURE, inconclusive: EXIT_INCONCLUSIVE } as const;

export const litmus: Command = {
  usage: "[NAMES]",
  description: `Explores litmus tests: a few lines per CPU, an outcome, and whether it may happen. Without NAMES it runs all of them;
"T28" or "llist" names a family. Each test is a line:

  Observation T4 Never 0 5035    F bound 2 exhausted no-op: Sometimes 102

the outcome was observed in 0 executions and not in 5035; it is forbidden (F; A: allowed, and must be observed); all
schedules with at most 2 preemptions were tried; without its mechanism the same test showed the outcome 102 times.`,
  options: [
    { name: "bound", value: "K", summary: "most preemptions to search up to [each test's own bound]" },
    { name: "seed", value: "N", summary: "seed of the random strategies", default: "1" },
    { name: "schedules", value: "N", summary: "most executions that one bound of a test may take", default: "100000" },
    { name: "list", summary: "list the tests, and those of the specification that are left out; run nothing" },
    { name: "json", summary: "print one JSON object, and nothing else" },
  ],
  maxPositionals: MAX_NAMES,
  async run(options, output) {
    const budget = parseBudget(options);
    // Loaded now: the tests bring the whole kernel along, and the help does not need it.
    const { select } = await import("./litmus/catalogue.ts");
    const { interruptedSummary, litmusJson, litmusLine, litmusList, litmusSummary, overall } =
      await import("./litmus/report.ts");
    const { runningLitmus } = await import("./litmus/run.ts");
    const { inTurns } = await import("./explore/turns.ts");
    const tests = select(options.positionals);
    if (options.on("list")) {
      for (const line of litmusList(tests)) output.out(line);
      return EXIT_SUCCESS;
    }
    const json = options.on("json");
    const results: LitmusResult[] = [];
    const interrupt = listenForInterrupt();
    try {
      for (const [i, test] of tests.entries()) {
        output.progress?.(`${i + 1}/${tests.length} ${test.scenario.name}`);
        const result = await inTurns(runningLitmus(test, budget), interrupt.signal);
        if (result === undefined) break;
        results.push(result);
        if (!json) printLine(litmusLine(result), output);
      }
    } finally {
      interrupt.dispose();
    }
    output.progress?.("");
    const isComplete = results.length === tests.length;
    const summary = isComplete ? litmusSummary(results) : interruptedSummary(results, tests.length);
    output.out(json ? litmusJson(results, tests.length) : summary);
    const verdict = overall(results);
    return isComplete || verdict === "failed" ? EXIT_CODES[verdict] : EXIT_INTERRUPTED;
  },
};

function printLine(line: string, output: Output): void {
  output.progress?.(""); // Where both go to one terminal, the line takes the place of the progress.
  output.out(line);
}

function parseBudget(options: Options): LitmusBudget {
  const bound = options.text("bound");
  return {
    ...(bound !== undefined && { bound: parseCount("--bound", bound, 0, 9) }),
    seed: parseSeed("--seed", options.text("seed")),
    schedules: parseCount("--schedules", options.text("schedules") ?? "", 1, 1_000_000_000),
  };
}
