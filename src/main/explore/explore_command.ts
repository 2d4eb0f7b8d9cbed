/** `sheaf explore`: searches the interleavings of scenarios and reports. */
import type { Command } from "../command.ts";
import { EXIT_FAILURE, EXIT_INCONCLUSIVE, EXIT_INTERRUPTED, EXIT_SUCCESS } from "../exit_code.ts";
import { listenForInterrupt } from "../interrupt.ts";
import { EXPLORE_OPTIONS, parseExploreConfig } from "./explore_config.ts";
import type { ExploreResult } from "./explore_run.ts";
import { JSON_OPTION } from "./options.ts";

export const explore: Command = {
  usage: "[NAME|FILE ...]",
  description: `Runs scenarios under a scheduler that chooses, before each access of shared memory, which CPU goes on and whether
an interrupt comes: those named, those of a file (./my-race.ts), or all of ours. A failure is shrunk, shown again twice, and
printed with a token that \`sheaf replay\` takes.`,
  options: [...EXPLORE_OPTIONS, JSON_OPTION, { name: "quiet", summary: "print the last line only, and failures" }],
  maxPositionals: Infinity,
  async run(options, output) {
    const config = parseExploreConfig(options);
    const isJson = options.on(JSON_OPTION.name);
    const { runExplore } = await import("./explore_run.ts"); // They bring the whole kernel along.
    const { ExploreReporter, jsonReport } = await import("./explore_report.ts");
    const silent = { out: () => undefined, err: (line: string) => output.err(line), progress: undefined };
    const reporter = new ExploreReporter(config, isJson ? silent : output, options.on("quiet"));
    const interrupt = listenForInterrupt();
    try {
      const result = await runExplore(config, {
        signal: interrupt.signal,
        onStart: (names) => reporter.start(names),
        onScenario: (name) => reporter.scenario(name),
        onProgress: (state) => reporter.searching(state),
        onReport: (report) => reporter.report(report),
        onNotRun: (notRun) => reporter.notRun(notRun),
      });
      if (isJson) output.out(jsonReport(config, result));
      else reporter.end(result);
      return exitCode(result);
    } finally {
      interrupt.dispose();
    }
  },
};

function exitCode({ verdict, isInterrupted }: ExploreResult): number {
  if (verdict === "FAILURE") return EXIT_FAILURE;
  if (isInterrupted) return EXIT_INTERRUPTED;
  return verdict === "SUCCESS" ? EXIT_SUCCESS : EXIT_INCONCLUSIVE;
}
