/** `sheaf torture`: runs a machine and reports. */
import type { Command } from "../command.ts";
import { exitCodeOf } from "../exit_code.ts";
import { listenForInterrupt } from "../interrupt.ts";
import { jsonReport } from "../report/json.ts";
import { Reporter } from "../report/reporter.ts";
import { KERNEL_BASELINE } from "../version.ts";
import { parseTortureConfig, TORTURE_OPTIONS } from "./config.ts";

export const torture: Command = {
  usage: "",
  description: `Boots a machine of N CPUs, one thread each, runs scenarios on it under NMIs and IRQs, lets it come to rest,
counts everything, and says whether anything was lost, freed early, freed twice or stuck.
Follows Linux ${KERNEL_BASELINE}.`,
  options: [
    ...TORTURE_OPTIONS,
    { name: "json", summary: "print one JSON object, and nothing else" },
    { name: "quiet", summary: "print the last line only, and failures" },
  ],
  maxPositionals: 0,
  async run(options, output) {
    const config = parseTortureConfig(options);
    const json = options.on("json");
    const reporter = new Reporter(config, output, json || options.on("quiet"));
    reporter.start();
    const { runTorture } = await import("./run.ts"); // After the first line: it brings the whole kernel along.
    const interrupt = listenForInterrupt();
    try {
      const result = await runTorture(config, {
        signal: interrupt.signal,
        onBoot: (ms) => reporter.booted(ms),
        onProgress: (summary, elapsedMs) => reporter.progress(summary, elapsedMs),
      });
      if (json) output.out(jsonReport(result));
      else reporter.end(result);
      return exitCodeOf(result);
    } finally {
      interrupt.dispose();
    }
  },
};
