/**
 * What a torture run prints. As rcutorture does, the first and the last line carry every parameter, and the last one the
 * verdict, so a log can be read from either end.
 */
import os from "node:os";
import { styleText } from "node:util";
import type { Output } from "../command.ts";
import { describeParameters, repeatCommand, type TortureConfig } from "../torture/config.ts";
import type { TortureResult } from "../torture/run.ts";
import type { Summary } from "./summary.ts";
import { missedPoints, summaryTable } from "./table.ts";

const PREFIX = "sheaf-torture:";
/** Between progress lines where there is no terminal. */
const PROGRESS_MS = 10_000;

export class Reporter {
  private readonly config: TortureConfig;
  private readonly output: Output;
  /** Nothing but the last line and failures. */
  private readonly quiet: boolean;
  private lastProgressMs = 0;
  private lastNmis = 0;
  private onProgressLine = false;

  constructor(config: TortureConfig, output: Output, quiet: boolean) {
    this.config = config;
    this.output = output;
    this.quiet = quiet;
  }

  start(): void {
    this.say(`${PREFIX}--- Start of test: ${describeParameters(this.config)}`);
    const { cpus } = this.config.shape;
    const cores = os.availableParallelism();
    if (cpus > cores) this.say(`${PREFIX} metrics untrustworthy: ${cpus} CPUs share ${cores} cores`);
  }
  booted(ms: number): void {
    this.say(`${PREFIX} ${this.config.shape.cpus} CPUs booted in ${Math.round(ms)} ms`);
  }
  progress(summary: Summary, elapsedMs: number): void {
    if (this.quiet) return;
    const { progress } = this.output;
    if (progress === undefined && elapsedMs - this.lastProgressMs < PROGRESS_MS) return;
    const nmis = summary.nmis.controller + summary.nmis.local;
    const perSecond = Math.round(((nmis - this.lastNmis) * 1000) / Math.max(elapsedMs - this.lastProgressMs, 1));
    this.lastProgressMs = elapsedMs;
    this.lastNmis = nmis;
    const { ops, gracePeriods } = summary;
    const line = `${Math.round(elapsedMs / 1000)} s: ${ops} operations, ${nmis} NMIs (${perSecond}/s), ${gracePeriods} grace periods`;
    if (progress === undefined) {
      this.say(`${PREFIX} ${line}`);
    } else {
      progress(line);
      this.onProgressLine = true;
    }
  }

  end(result: TortureResult): void {
    const { verdict, failures, cpus, interrupted, elapsedMs, log } = result;
    if (this.onProgressLine) this.output.progress?.("");
    if (!this.quiet) this.table(result);
    if (!this.quiet || failures.length > 0) for (const line of log) this.output.out(line);
    if (failures.length > 0) this.fail(verdict, failures, cpus);
    const when = interrupted ? ` (interrupted after ${(elapsedMs / 1000).toFixed(1)} s)` : "";
    this.output.out(`${PREFIX}--- End of test: ${colour(verdict)}${when}: ${describeParameters(this.config)}`);
  }
  private table({ summary, elapsedMs }: TortureResult): void {
    for (const line of summaryTable(summary, elapsedMs)) this.output.out(line);
    const missed = missedPoints(summary);
    if (missed.length > 0) this.output.out(`points that no NMI hit: ${missed.join(", ")}`);
  }
  private fail(verdict: string, failures: readonly string[], cpus: readonly string[]): void {
    for (const failure of failures) this.output.out(`!!! ${verdict}: ${failure}`);
    for (const line of cpus) this.output.out(line);
    this.output.out(`seed ${this.config.seed}. The same choices again, in another interleaving of the threads:`);
    this.output.out(`  ${repeatCommand(this.config)}`);
  }
  private say(line: string): void {
    if (!this.quiet) this.output.out(line);
  }
}

function colour(verdict: TortureResult["verdict"]): string {
  const format = { SUCCESS: "green", FAILURE: "red", INCONCLUSIVE: "yellow" } as const;
  return styleText(format[verdict], verdict); // Leaves the text as it is where stdout is no terminal.
}
