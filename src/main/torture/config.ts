/**
 * The parameters of a torture run: from the command line, to the machine, and back to text. The text names every
 * parameter: it is on the first and the last line of a run, and it is how a run is repeated.
 */
import { HZ } from "../../shared/base/limits.ts";
import { mixSeed, xorshift32, below } from "../../shared/base/random.ts";
import { RCU_MIN_CACHED_OBJS } from "../../shared/layout/kvfree_rcu.ts";
import type { MachineShape } from "../../shared/layout/map.ts";
import { BARRIER_ORDER, IRQWORK, KERNEL_BEHAVIOUR, keysOf, VARIANT } from "../behaviour.ts";
import { formatHooks, HOOKS_OPTION, parseHooks, VARIANT_OPTION, type VariantName } from "../behaviour_options.ts";
import { BUG_OPTION, bugNamed, choiceWithBugs, parseBugs, wordsOf } from "../bugs.ts";
import { CONFIG_OPTION, drawWords, parseConfigWords, RANDOM, splitWords } from "../config_option.ts";
import type { Draw } from "../config_words.ts";
import { UsageError } from "../errors.ts";
import type { MachineConfig } from "../machine.ts";
import type { Options, OptionSpec } from "../options.ts";
import { programName } from "../program_name.ts";
import { NEED_BATCHING, SCENARIO_NAMES, type ScenarioName } from "../scenarios/catalogue.ts";
import type { Settings } from "../settings.ts";
import { CPUS_OPTION, MEMORY_OPTION, parseShape } from "../shape.ts";
import {
  either,
  formatDuration,
  formatRate,
  formatSize,
  parseChoice,
  parseDuration,
  parseList,
  parseRate,
  parseSeed,
} from "../values.ts";

/** Bytes of the heads of objects. */
const HEADS = ["8", "16", "mixed"] as const;
/** Which of the seed's streams draws words: no CPU has this number. */
const WORDS_STREAM = 0x10000;
const NMI_SOURCES = ["controller", "local"] as const;
/** What the controller contributes when both sources are at work: it cannot reach much more. */
const CONTROLLER_SHARE = 4000;

export type IrqworkName = keyof typeof IRQWORK;
export type BarrierOrderName = keyof typeof BARRIER_ORDER;
export type KernelBehaviourName = keyof typeof KERNEL_BEHAVIOUR;

export interface TortureConfig {
  readonly shape: MachineShape;
  readonly durationMs: number;
  readonly seed: number;
  readonly scenarios: readonly ScenarioName[];
  /** NMIs per second, all CPUs and sources together; from one source only, if `nmiSource` says so. */
  readonly nmiRate: number;
  readonly nmiSource: (typeof NMI_SOURCES)[number] | undefined;
  readonly irqRate: number;
  /** The words of --config, and what they ask for. */
  readonly words: readonly string[];
  readonly settings: Settings;
  readonly irqwork: IrqworkName;
  readonly barrierOrder: BarrierOrderName;
  readonly kernelBehaviour: readonly KernelBehaviourName[];
  /** Known bugs, by name. */
  readonly bugs: readonly string[];
  readonly variant: VariantName;
  /** HOOK_* bits. */
  readonly hooks: number;
  readonly head: (typeof HEADS)[number];
}

export const TORTURE_OPTIONS: readonly OptionSpec[] = [
  CPUS_OPTION,
  { name: "duration", value: "TIME", summary: "how long to run: 500ms, 10s, 5m", default: "10s" },
  { name: "seed", value: "N", summary: "seed of every random choice; drawn anew if not given" },
  { name: "scenario", value: "A,B", summary: "what to run, mixed; see `sheaf list scenarios`", default: "nolock" },
  {
    name: "nmi",
    value: "RATE",
    summary: "NMIs per second, such as 100k; 20k:controller or 20k:local for one source only; 0 for none",
    default: "100k",
  },
  { name: "irq", value: "RATE", summary: "device interrupts per second; 0 for none", default: "4k" },
  MEMORY_OPTION,
  { ...CONFIG_OPTION, summary: `${CONFIG_OPTION.summary}; ${RANDOM}: some, drawn by the seed` },
  {
    name: "irqwork",
    value: "MODE",
    summary: "when the irq_work interrupt comes: prompt, late or mixed",
    default: "prompt",
  },
  { name: "barrier-order", value: "ORDER", summary: "of kvfree_rcu_barrier: dfdrk, dfrk or fdrk", default: "dfdrk" },
  {
    name: "kernel-behaviour",
    value: "NAMES",
    summary: `switch repairs off: ${Object.keys(KERNEL_BEHAVIOUR).join(", ")}`,
  },
  BUG_OPTION,
  { ...VARIANT_OPTION, default: "merged" },
  { ...HOOKS_OPTION, default: "none" },
  {
    name: "head",
    value: "BYTES",
    summary: `of the objects: ${either(HEADS)}; 8: struct kvfree_rcu_head, what lies behind it is the user's; 16: struct rcu_head`,
  },
];

/**
 * @param check  what the program of the machine has against settings: throws a UsageError. Such words are not drawn.
 * @throws UsageError, UnsupportedError
 */
export function parseTortureConfig(options: Options, check?: (settings: Settings) => void): TortureConfig {
  const seed = parseSeed("--seed", options.text("seed"));
  const text = options.text("config");
  const parse = (words: readonly string[]): TortureConfig => {
    const config = parseWith(options, seed, words);
    check?.(config.settings);
    return config;
  };
  if (text === RANDOM) {
    parse([]); // What is wrong without any words.
    return parse(drawWords("torture", drawFrom(seed), fitting(parse)));
  }
  return parse(text === undefined ? [] : splitWords(text));
}
function drawFrom(seed: number): Draw {
  let state = mixSeed(seed, WORDS_STREAM);
  return (n) => {
    state = xorshift32(state);
    return below(state, n);
  };
}
/** Can there be a run with such words and these other options? */
function fitting(parse: (words: readonly string[]) => TortureConfig): (words: readonly string[]) => boolean {
  return (words) => {
    try {
      parse(words);
      return true;
    } catch (error) {
      if (error instanceof UsageError) return false;
      throw error;
    }
  };
}

function parseWith(options: Options, seed: number, words: readonly string[]): TortureConfig {
  const settings = parseConfigWords("torture", words);
  const { nmiRate, nmiSource } = parseNmi(options.text("nmi") ?? "0");
  const behaviour = options.text("kernel-behaviour");
  const bugs = options.on(BUG_OPTION.name) ? parseBugs(options.text(BUG_OPTION.name) ?? "") : [];
  const bugWords = wordsOf(bugs);
  const unbatched = settings.globals?.unbatched === 1;
  return {
    shape: parseShape(options, settings),
    durationMs: parseDuration("--duration", options.text("duration") ?? ""),
    seed,
    scenarios: parseScenarios(options.text("scenario") ?? "", unbatched),
    nmiRate,
    nmiSource,
    irqRate: parseRate("--irq", options.text("irq") ?? "0"),
    words,
    settings,
    irqwork: parseChoice("--irqwork", options.text("irqwork") ?? "", keysOf(IRQWORK)),
    bugs: bugs.map(({ name }) => name),
    barrierOrder: choiceWithBugs(options, "barrier-order", BARRIER_ORDER, bugWords.barrier_order),
    kernelBehaviour:
      behaviour === undefined ? [] : parseList("--kernel-behaviour", behaviour, keysOf(KERNEL_BEHAVIOUR)),
    variant: choiceWithBugs(options, "variant", VARIANT, bugWords.nolock_variant),
    hooks: parseHooks(options.text("hooks") ?? ""),
    head: parseHead(options.text("head"), unbatched),
  };
}

function parseScenarios(text: string, unbatched: boolean): readonly ScenarioName[] {
  const scenarios = parseList("--scenario", text, SCENARIO_NAMES);
  const short = unbatched ? scenarios.find((name) => NEED_BATCHING.includes(name)) : undefined;
  if (short !== undefined) throw new UsageError(`--scenario ${short} needs batching: leave out unbatched`);
  return scenarios;
}
/** Without batching kfree_rcu() is call_rcu(), which needs both words. */
function parseHead(text: string | undefined, unbatched: boolean): TortureConfig["head"] {
  if (text === undefined) return unbatched ? "16" : "mixed";
  const head = parseChoice("--head", text, HEADS);
  if (unbatched && head !== "16") throw new UsageError(`--head ${head} needs batching: give --head 16 or no unbatched`);
  return head;
}

function parseNmi(text: string): Pick<TortureConfig, "nmiRate" | "nmiSource"> {
  const [rate, source, ...rest] = text.split(":");
  if (rest.length > 0) throw new UsageError(`--nmi must be RATE or RATE:${either(NMI_SOURCES)}, not '${text}'`);
  return {
    nmiRate: parseRate("--nmi", rate),
    nmiSource: source === undefined ? undefined : parseChoice("the source in --nmi", source, NMI_SOURCES),
  };
}

/** The part of the parameters that the machine's memory holds. */
export function machineConfig(config: TortureConfig): MachineConfig {
  const { shape, seed, settings, words } = config;
  return {
    shape,
    seed,
    words,
    globals: {
      irqwork_mode: IRQWORK[config.irqwork],
      barrier_order: BARRIER_ORDER[config.barrierOrder],
      nolock_variant: VARIANT[config.variant],
      ...wordsOf(config.bugs.map(bugNamed), {
        kernel_behaviour: config.kernelBehaviour.reduce((bits, name) => bits | KERNEL_BEHAVIOUR[name], 0),
      }),
      hooks: config.hooks,
      rcu_min_cached_objs: RCU_MIN_CACHED_OBJS,
      poison_free: 1,
      ...settings.globals,
    },
    headBytes: config.head === "mixed" ? 0 : Number(config.head),
    slabDebug: settings.slabDebug,
  };
}

/** How the NMIs are shared out: per second by the controller, and per tick and CPU by the local sources. */
export function nmiShares({ nmiRate, nmiSource, shape }: TortureConfig): { controller: number; perTick: number } {
  const all = { controller: nmiRate, local: 0 } as const;
  const controller = nmiSource === undefined ? Math.min(CONTROLLER_SHARE, nmiRate / 2) : all[nmiSource];
  return { controller, perTick: (nmiRate - controller) / shape.cpus / HZ };
}

/** Every parameter as `[option, text]`; options at a value that means "nothing" are left out. */
function parameters(config: TortureConfig): readonly (readonly [string, string])[] {
  const source = config.nmiSource === undefined ? "" : `:${config.nmiSource}`;
  return [
    ["cpus", String(config.shape.cpus)],
    ["duration", formatDuration(config.durationMs)],
    ["seed", String(config.seed)],
    ["scenario", config.scenarios.join(",")],
    ["nmi", `${formatRate(config.nmiRate)}${source}`],
    ["irq", formatRate(config.irqRate)],
    ["memory", formatSize(config.shape.bytes)],
    ...(config.words.length === 0 ? [] : [["config", config.words.join(",")] as const]),
    ["irqwork", config.irqwork],
    ["barrier-order", config.barrierOrder],
    ...(config.kernelBehaviour.length === 0 ? [] : [["kernel-behaviour", config.kernelBehaviour.join(",")] as const]),
    ...(config.bugs.length === 0 ? [] : [["bug", config.bugs.join(",")] as const]),
    ["variant", config.variant],
    ...(config.hooks === 0 ? [] : [["hooks", formatHooks(config.hooks)] as const]),
    ["head", config.head],
  ];
}

/** "cpus=4 duration=10s ..." */
export function describeParameters(config: TortureConfig): string {
  return parameters(config)
    .map(([name, text]) => `${name}=${text}`)
    .join(" ");
}
/** The command line that makes the same choices again. The interleaving of the threads is not theirs to repeat. */
export function repeatCommand(config: TortureConfig): string {
  const words = parameters(config).map(([name, text]) => `--${name} ${quoted(text)}`);
  return [programName(), "torture", ...words].join(" ");
}
/** So that no shell takes `*` for names of files. */
function quoted(text: string): string {
  return /^[\w=.,:/-]*$/.test(text) ? text : `'${text}'`;
}
