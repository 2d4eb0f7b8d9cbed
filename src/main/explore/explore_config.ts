/** The parameters of `sheaf explore`: from the command line, and back to text. */
import { UsageError } from "../errors.ts";
import type { Options, OptionSpec } from "../options.ts";
import { either, formatDuration, parseChoice, parseCount, parseDuration, parseSeed } from "../values.ts";
import { OVERRIDE_OPTIONS, parseOverrideOptions } from "./options.ts";
import type { Overrides } from "./overrides.ts";
import { STRATEGY_NAMES, type StrategyName } from "./strategy_names.ts";

const DEFAULT_DURATION = "10s";
const MAX_SCHEDULES = 1_000_000_000;

export interface ExploreConfig {
  /** Names and files; none: all of ours. */
  readonly scenarios: readonly string[];
  readonly strategy: StrategyName;
  /** Of each scenario; Infinity: no limit. */
  readonly schedules: number;
  /** Of all together; Infinity: no limit. */
  readonly durationMs: number;
  readonly untilStable: boolean;
  readonly seed: number;
  readonly preemptions: number;
  readonly depth: number;
  /** Every access is a decision point. */
  readonly allSteps: boolean;
  /** NMIs hit at named points only. */
  readonly nmiAtPoints: boolean;
  /** Coverage of every execution, printed in full. */
  readonly coverage: boolean;
  readonly overrides: Overrides;
  /** The options that set them, as they were given: "nmi=2", "tso". */
  readonly overrideWords: readonly string[];
}

export const EXPLORE_OPTIONS: readonly OptionSpec[] = [
  { name: "strategy", value: "S", summary: either(STRATEGY_NAMES), default: "portfolio" },
  { name: "schedules", value: "N", summary: "how many schedules of each scenario to try" },
  {
    name: "duration",
    value: "TIME",
    summary: `how long to search, all scenarios together; default: ${DEFAULT_DURATION}`,
  },
  { name: "until-stable", summary: "go on to the next scenario when nothing new has been reached for a while" },
  { name: "seed", value: "N", summary: "seed of every random choice; drawn anew if not given" },
  {
    name: "preemptions",
    value: "K",
    summary: "bound of exhaustive search: switches away from a CPU that could go on",
    default: "2",
  },
  { name: "depth", value: "D", summary: "depth for PCT: how many orderings of steps a bug needs", default: "3" },
  { name: "all-steps", summary: "decide before every access, not only before those of words that two contexts share" },
  { name: "nmi-at-points", summary: "inject NMIs at named points only ('sheaf list points'), not before any step" },
  { name: "coverage", summary: "print in full what was reached and what never was" },
  ...OVERRIDE_OPTIONS,
];

/** @throws UsageError */
export function parseExploreConfig(options: Options): ExploreConfig {
  const schedules = options.text("schedules");
  const duration = options.text("duration");
  if (schedules !== undefined && duration !== undefined) {
    throw new UsageError("--schedules and --duration exclude each other: give one");
  }
  const untilStable = options.on("until-stable");
  const hasLimit = schedules !== undefined || untilStable;
  const longest = duration ?? (hasLimit ? undefined : DEFAULT_DURATION);
  return {
    scenarios: options.positionals,
    strategy: parseChoice("--strategy", options.text("strategy") ?? "", STRATEGY_NAMES),
    schedules: schedules === undefined ? Infinity : parseCount("--schedules", schedules, 1, MAX_SCHEDULES),
    durationMs: longest === undefined ? Infinity : parseDuration("--duration", longest),
    untilStable,
    seed: parseSeed("--seed", options.text("seed")),
    preemptions: parseCount("--preemptions", options.text("preemptions") ?? "", 0, 32),
    depth: parseCount("--depth", options.text("depth") ?? "", 1, 32),
    allSteps: options.on("all-steps"),
    nmiAtPoints: options.on("nmi-at-points"),
    coverage: options.on("coverage"),
    overrides: parseOverrideOptions(options),
    overrideWords: OVERRIDE_OPTIONS.filter(({ name }) => options.on(name)).map(({ name, value }) =>
      value === undefined ? name : `${name}=${options.text(name)}`,
    ),
  };
}

/** "strategy=portfolio duration=10s ...": every parameter that says anything. */
export function describeParameters(config: ExploreConfig): string {
  const { strategy, schedules, durationMs, untilStable, seed, preemptions, depth, allSteps, nmiAtPoints, scenarios } =
    config;
  return [
    `strategy=${strategy}`,
    ...(schedules === Infinity ? [] : [`schedules=${schedules}`]),
    ...(durationMs === Infinity ? [] : [`duration=${formatDuration(durationMs)}`]),
    ...(untilStable ? ["until-stable"] : []),
    `seed=${seed}`,
    `preemptions=${preemptions}`,
    `depth=${depth}`,
    ...(allSteps ? ["all-steps"] : []),
    ...(nmiAtPoints ? ["nmi-at-points"] : []),
    ...config.overrideWords,
    `scenarios=${scenarios.length === 0 ? "all" : scenarios.join(",")}`,
  ].join(" ");
}
