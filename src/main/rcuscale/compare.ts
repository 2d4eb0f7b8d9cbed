/** `sheaf rcuscale compare`: makes the runs that the claims are about, and says which of them hold here. */
import type { ScaleConfig } from "./config.ts";
import { busyHost } from "./report.ts";
import { runScale, type ScaleResult } from "./run.ts";
import { type Claim, CLAIMS, type Results, RUN_NAMES, type RunName, type RunOptions, RUNS } from "./shapes.ts";

export interface Judgement extends Claim {
  readonly here: readonly [number, number];
  readonly ratio: number;
  readonly reproduced: boolean;
}
export interface Comparison {
  /** None if the last run failed or was interrupted. */
  readonly judgements: readonly Judgement[];
  readonly runs: readonly ScaleResult[];
}

export interface CompareHooks {
  readonly signal?: AbortSignal;
  /** A run begins. */
  readonly onRun?: (number: number, of: number) => void;
}

export async function compare(config: ScaleConfig, { signal, onRun }: CompareHooks): Promise<Comparison> {
  const results: Partial<Record<RunName, ScaleResult>> = {};
  const runs: ScaleResult[] = [];
  for (const name of RUN_NAMES) {
    onRun?.(runs.length + 1, RUN_NAMES.length);
    const result = await runScale(configOf(config, RUNS[name]), { signal });
    runs.push(result);
    if (result.verdict !== "SUCCESS" || result.interrupted) return { judgements: [], runs };
    results[name] = result;
  }
  return { judgements: judge(results as Results), runs };
}

/** The user's CPUs, memory and seed, unless the run wants others. */
function configOf(config: ScaleConfig, { cpus, nodes, ...options }: RunOptions): ScaleConfig {
  const shape = { ...config.shape, cpus: cpus ?? config.shape.cpus, nodes: nodes ?? 1 };
  return { ...config, shape, nthreads: shape.cpus, ...options };
}

export function judge(results: Results): readonly Judgement[] {
  return CLAIMS.map((claim) => {
    const here = claim.numbers(results);
    const ratio = here[0] / here[1];
    return { ...claim, here, ratio, reproduced: claim.holds(ratio) };
  });
}

/** Two lines for each claim, and a warning if there is reason for one. */
export function comparisonTable({ judgements, runs }: Comparison): readonly string[] {
  const lines = judgements.flatMap(({ shape, says, published, here: [more, less], ratio, text, reproduced }) => [
    `${`(${shape})`.padEnd(5)} ${says}: ${reproduced ? "" : "not "}reproduced`,
    `      published ${published}; here ${text(more)} / ${text(less)} = ${ratioText(ratio)}`,
  ]);
  const warning = runs.map(busyHost).find((text) => text !== undefined);
  return warning === undefined ? lines : [...lines, `metrics untrustworthy: ${warning}`];
}
/** Its keys are an interface: add to them, change none. Numbers that are not finite are null. */
export function comparisonJson({ judgements }: Comparison): object {
  return judgements.map(({ shape, says, published, here, ratio, reproduced }) => {
    return { shape, says, published, here, ratio, reproduced };
  });
}

const ratioText = (ratio: number): string => (Number.isFinite(ratio) ? ratio.toFixed(1) : "∞");
