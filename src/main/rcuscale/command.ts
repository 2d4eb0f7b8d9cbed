/** `sheaf rcuscale`: runs a machine whose CPUs only allocate and free by RCU, and measures. */
import type { Command, Output } from "../command.ts";
import { UsageError } from "../errors.ts";
import { exitCodeOf } from "../exit_code.ts";
import { listenForInterrupt } from "../interrupt.ts";
import type { SupervisedRun } from "../supervise.ts";
import { CONFIG_SUMMARIES, describeParameters, parseScaleConfig, SCALE_OPTIONS, type ScaleConfig } from "./config.ts";
import { METHOD_SUMMARIES } from "./methods.ts";

const PREFIX = "sheaf-rcuscale:";
/** What a comparison leaves to the user. */
const OF_COMPARISONS = ["cpus", "memory", "seed", "json", "compare"];

export const rcuscale: Command = {
  usage: "[compare]",
  description: `Linux's rcuscale in kfree mode: each CPU allocates objects and frees them by RCU, as fast as it can.
Prints the kernel's line ("Total time taken by all kfree'ers"), and below it which way the objects took, what each
cost, how much memory they held, and what barriers cost. 'sheaf rcuscale compare' makes a number of runs, and says
which of the published results about kfree_rcu() and sheaves are found here.

The kernel runs 10 loops. Here that is over before the code has been compiled.

--by
${list(METHOD_SUMMARIES)}
--config
${list(CONFIG_SUMMARIES)}`,
  options: [
    ...SCALE_OPTIONS,
    { name: "compare", summary: "as the word 'compare'" },
    { name: "json", summary: "print one JSON object, and nothing else" },
  ],
  maxPositionals: 1,
  async run(options, output) {
    const [word] = options.positionals;
    if (word !== undefined && word !== "compare") throw new UsageError(`unexpected argument '${word}': see --help`);
    const compares = word !== undefined || options.on("compare");
    const config = parseScaleConfig(options);
    const chosen = SCALE_OPTIONS.find(({ name }) => options.on(name) && !OF_COMPARISONS.includes(name));
    if (compares && chosen !== undefined) throw new UsageError(`compare chooses --${chosen.name} itself: leave it out`);
    const interrupt = listenForInterrupt();
    try {
      const run = compares ? compare : measure;
      return await run(config, options.on("json"), interrupt.signal, output);
    } finally {
      interrupt.dispose();
    }
  },
};

function list(summaries: Readonly<Record<string, string>>): string {
  const width = Math.max(...Object.keys(summaries).map((word) => word.length));
  const lines = Object.entries(summaries).map(([word, summary]) => `  ${word.padEnd(width)}  ${summary}`);
  return lines.join("\n");
}

async function measure(config: ScaleConfig, json: boolean, signal: AbortSignal, output: Output): Promise<number> {
  const say = (line: string): void => {
    if (!json) output.out(line);
  };
  say(`${PREFIX}--- Start of test: ${describeParameters(config)}`);
  // Loaded now: they bring the whole kernel along.
  const { runScale } = await import("./run.ts");
  const { busyHost, scaleJson, scaleTable, totalLine } = await import("./report.ts");
  const result = await runScale(config, {
    signal,
    onProgress: (objects) => output.progress?.(`${objects} objects`),
  });
  output.progress?.("");
  if (json) output.out(JSON.stringify(scaleJson(result)));
  if (result.measured.objects > 0) [`${PREFIX} ${totalLine(result)}`, ...scaleTable(result)].forEach(say);
  const busy = busyHost(result);
  if (busy !== undefined) say(`${PREFIX} metrics untrustworthy: ${busy}`);
  sayFailures(result, say);
  const how = result.interrupted ? `${result.verdict} (interrupted)` : result.verdict;
  say(`${PREFIX}--- End of test: ${how}: ${describeParameters(config)}`);
  return exitCodeOf(result);
}

async function compare(config: ScaleConfig, json: boolean, signal: AbortSignal, output: Output): Promise<number> {
  const { compare: makeRuns, comparisonJson, comparisonTable } = await import("./compare.ts");
  const comparison = await makeRuns(config, { signal, onRun: (n, of) => output.progress?.(`run ${n} of ${of}`) });
  output.progress?.("");
  if (json) output.out(JSON.stringify(comparisonJson(comparison)));
  else comparisonTable(comparison).forEach((line) => output.out(line));
  const last = comparison.runs[comparison.runs.length - 1];
  sayFailures(last, (line) => output.err(line));
  return exitCodeOf(last);
}

function sayFailures({ verdict, failures, cpus }: SupervisedRun, say: (line: string) => void): void {
  for (const failure of failures) say(`!!! ${verdict}: ${failure}`);
  for (const line of cpus) say(line);
}
