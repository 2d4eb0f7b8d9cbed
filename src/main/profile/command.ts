/** `sheaf profile`: a torture run whose CPUs are sampled, and pictures of where their time went. */
import type { Command, Output } from "../command.ts";
import { EXIT_FAILURE, EXIT_INTERRUPTED, exitCodeOf } from "../exit_code.ts";
import { listenForInterrupt } from "../interrupt.ts";
import { describeParameters, parseTortureConfig, TORTURE_OPTIONS } from "../torture/config.ts";
import { CLINIC, makePages } from "./clinic.ts";
import { OUT_OPTION } from "./files.ts";
import { hottestTable, timesOf } from "./hottest.ts";
import type { Profiled } from "./run.ts";

const PREFIX = "sheaf-profile:";

export const profile: Command = {
  usage: "",
  description: `Runs scenarios as 'sheaf torture' does, and samples every CPU meanwhile. Prints the ten hottest functions of
each CPU, and how much of its time it waited. Leaves in the folder --out:

  cpu-N.cpuprofile            for the developer tools of Chrome, VS Code and others
  speedscope.json             all CPUs, for speedscope
  cpu-N.clinic-flame.html     flame graph by clinic, which npm fetches the first time: a minute
  all-cpus.clinic-flame.html  the same, of all CPUs

Samples are of wall time: where there are more CPUs than cores, a function may only have stood there.`,
  options: [...TORTURE_OPTIONS, OUT_OPTION, { name: "no-pages", summary: "leave clinic's pages out" }],
  maxPositionals: 0,
  async run(options, output) {
    const config = parseTortureConfig(options);
    const folder = options.text(OUT_OPTION.name) ?? "";
    output.out(`${PREFIX}--- Start of test: ${describeParameters(config)}`);
    const { profileTorture } = await import("./run.ts"); // After the first line: it brings the whole kernel along.
    const interrupt = listenForInterrupt();
    const { signal } = interrupt;
    try {
      const { result, cpus } = await profileTorture(config, folder, {
        signal,
        onProgress: (_, elapsedMs) => output.progress?.(`${Math.round(elapsedMs / 1000)} s`),
      });
      output.progress?.("");
      sayHottest(cpus, output);
      for (const failure of result.failures) output.out(`!!! ${result.verdict}: ${failure}`);
      for (const line of result.cpus) output.out(line);
      output.out(`${PREFIX} ${folder}: a .cpuprofile of each CPU, and speedscope.json`);
      if (!options.on("no-pages")) await sayPages(folder, cpus, signal, output);
      output.out(`${PREFIX}--- End of test: ${result.verdict}: ${describeParameters(config)}`);
      const code = exitCodeOf(result);
      return signal.aborted && code !== EXIT_FAILURE ? EXIT_INTERRUPTED : code;
    } finally {
      interrupt.dispose();
    }
  },
};

function sayHottest(cpus: Profiled["cpus"], output: Output): void {
  for (const [cpu, stacks] of cpus.entries()) {
    const lines = stacks === undefined ? [`CPU ${cpu}: left no profile`] : hottestTable(cpu, timesOf(stacks));
    for (const line of lines) output.out(line);
    output.out("");
  }
}

async function sayPages(folder: string, cpus: Profiled["cpus"], signal: AbortSignal, output: Output): Promise<void> {
  output.progress?.(`making pages with ${CLINIC}`);
  const problem = signal.aborted ? "interrupted" : await makePages(folder, cpus, signal);
  output.progress?.("");
  if (problem === undefined) output.out(`${PREFIX} ${folder}: a clinic-flame.html of each CPU, and one of all`);
  else output.out(`${PREFIX} pages are missing: ${CLINIC}, run by npm: ${problem}`);
}
