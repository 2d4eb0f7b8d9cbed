/** `sheaf torture`: runs a machine and reports. */
import type { Command, Output } from "../command.ts";
import { UsageError } from "../errors.ts";
import { exitCodeOf } from "../exit_code.ts";
import { type Interrupt, listenForInterrupt } from "../interrupt.ts";
import { jsonReport } from "../report/json.ts";
import { Reporter } from "../report/reporter.ts";
import { KERNEL_BASELINE } from "../version.ts";
import type { Top } from "../top/top.ts";
import { parseTortureConfig, TORTURE_OPTIONS, type TortureConfig } from "./config.ts";

export const torture: Command = {
  usage: "",
  description: `Boots a machine of N CPUs, one thread each, runs scenarios on it under NMIs and IRQs, lets it come to rest,
counts everything, and says whether anything was lost, freed early, freed twice or stuck.
Follows Linux ${KERNEL_BASELINE}.`,
  options: [
    ...TORTURE_OPTIONS,
    { name: "json", summary: "print one JSON object, and nothing else" },
    { name: "quiet", summary: "print the last line only, and failures" },
    { name: "top", summary: "show CPUs, grace periods and caches while it runs; q ends the run" },
  ],
  maxPositionals: 0,
  async run(options, output) {
    const config = parseTortureConfig(options);
    const json = options.on("json");
    const silent = ["json", "quiet"].find((name) => options.on(name));
    if (options.on("top") && silent !== undefined) throw new UsageError(`--top shows what --${silent} leaves out`);
    const reporter = new Reporter(config, output, silent !== undefined);
    reporter.start();
    const { runTorture } = await import("./run.ts"); // After the first line: it brings the whole kernel along.
    const interrupt = listenForInterrupt();
    const top = options.on("top") ? await newTop(config, output, interrupt) : undefined;
    try {
      const result = await runTorture(config, {
        signal: interrupt.signal,
        onMachine: (machine) => top?.watch(machine),
        onBoot: (ms) => {
          reporter.booted(ms);
          top?.start();
        },
        onProgress: (summary, elapsedMs) => {
          if (top === undefined) reporter.progress(summary, elapsedMs);
        },
      });
      top?.stop();
      if (json) output.out(jsonReport(result));
      else reporter.end(result);
      return exitCodeOf(result);
    } finally {
      top?.stop();
      interrupt.dispose();
    }
  },
};

async function newTop(config: TortureConfig, output: Output, { end }: Interrupt): Promise<Top> {
  const { Top } = await import("../top/top.ts");
  const title = `sheaf-torture: ${config.scenarios.join(",")} on ${config.shape.cpus} CPUs`;
  return new Top(title, output, { end, interrupt: () => process.kill(process.pid, "SIGINT") });
}
