/**
 * The parameters of a torture run: from the command line, to the machine, and back to text. The text names every
 * parameter: it is on the first and the last line of a run, and it is how a run is repeated.
 */
import { HZ } from "../../shared/base/limits.ts";
import { RCU_MIN_CACHED_OBJS } from "../../shared/layout/kvfree_rcu.ts";
import type { MachineShape } from "../../shared/layout/map.ts";
import { BARRIER_ORDER, IRQWORK, KERNEL_BEHAVIOUR, keysOf, VARIANT } from "../behaviour.ts";
import {
  describeWords,
  formatHooks,
  HOOKS_OPTION,
  parseHooks,
  parseVariant,
  VARIANT_OPTION,
  type VariantName,
} from "../behaviour_options.ts";
import { UnsupportedError, UsageError } from "../errors.ts";
import type { MachineConfig } from "../machine.ts";
import type { Options, OptionSpec } from "../options.ts";
import { NEED_BATCHING, SCENARIO_NAMES, type ScenarioName } from "../scenarios/catalogue.ts";
import { CPUS_OPTION, MEMORY_OPTION, parseShape } from "../shape.ts";
import {
  either,
  formatDuration,
  formatRate,
  formatSize,
  parseChoice,
  parseCount,
  parseDuration,
  parseList,
  parseProbability,
  parseRate,
  parseSeed,
} from "../values.ts";

/** Words of --config that ARCHITECTURE names and this version does not have. */
const NOT_YET = ["rt", "hotplug"];
const CONFIG_WORDS = {
  tiny: "small capacities",
  "quiet-memory": "no random delays at accesses",
  "spurious=P": "trylocks that fail",
  "nodes=N": "NUMA nodes",
  unbatched: "kfree_rcu() is call_rcu()",
  "cached=N": "pages that each CPU keeps for kfree_rcu()",
  nohz: "idle CPUs do without ticks",
};
/** Bytes of the heads of objects. */
const HEADS = ["8", "16", "mixed"] as const;
const MOST_CACHED = 100;
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
  readonly tiny: boolean;
  readonly spurious: number;
  /** Short random spins between accesses. */
  readonly noise: boolean;
  readonly irqwork: IrqworkName;
  readonly barrierOrder: BarrierOrderName;
  readonly kernelBehaviour: readonly KernelBehaviourName[];
  readonly variant: VariantName;
  /** HOOK_* bits. */
  readonly hooks: number;
  readonly head: (typeof HEADS)[number];
  readonly unbatched: boolean;
  /** Pages that each CPU keeps for kfree_rcu(). */
  readonly cached: number;
  /** Idle CPUs stop their ticks. */
  readonly nohz: boolean;
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
  {
    name: "config",
    value: "WORDS",
    summary: describeWords(CONFIG_WORDS),
  },
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
  { ...VARIANT_OPTION, default: "merged" },
  { ...HOOKS_OPTION, default: "none" },
  {
    name: "head",
    value: "BYTES",
    summary: `of the objects: ${either(HEADS)}; 8: struct kvfree_rcu_head, what lies behind it is the user's; 16: struct rcu_head`,
  },
];

/** @throws UsageError, UnsupportedError */
export function parseTortureConfig(options: Options): TortureConfig {
  const words = parseConfigWords(options.text("config"));
  const { nmiRate, nmiSource } = parseNmi(options.text("nmi") ?? "0");
  const behaviour = options.text("kernel-behaviour");
  const { unbatched, cached, nohz } = words;
  return {
    shape: parseShape(options, words.nodes),
    durationMs: parseDuration("--duration", options.text("duration") ?? ""),
    seed: parseSeed("--seed", options.text("seed")),
    scenarios: parseScenarios(options.text("scenario") ?? "", unbatched),
    nmiRate,
    nmiSource,
    irqRate: parseRate("--irq", options.text("irq") ?? "0"),
    tiny: words.tiny,
    spurious: words.spurious,
    noise: words.noise,
    irqwork: parseChoice("--irqwork", options.text("irqwork") ?? "", keysOf(IRQWORK)),
    barrierOrder: parseChoice("--barrier-order", options.text("barrier-order") ?? "", keysOf(BARRIER_ORDER)),
    kernelBehaviour:
      behaviour === undefined ? [] : parseList("--kernel-behaviour", behaviour, keysOf(KERNEL_BEHAVIOUR)),
    variant: parseVariant(options.text("variant") ?? ""),
    hooks: parseHooks(options.text("hooks") ?? ""),
    head: parseHead(options.text("head"), unbatched),
    unbatched,
    cached,
    nohz,
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

type Words = Pick<TortureConfig, "tiny" | "spurious" | "noise" | "unbatched" | "cached" | "nohz"> & { nodes: number };

function parseConfigWords(text: string | undefined): Words {
  const words = {
    tiny: false,
    spurious: 0,
    noise: true,
    nodes: 1,
    unbatched: false,
    cached: RCU_MIN_CACHED_OBJS,
    nohz: false,
  };
  const seen = new Set<string>();
  for (const word of text?.split(",") ?? []) {
    const [name, value, ...rest] = word.split("=");
    const problem = `--config must be ${either(Object.keys(CONFIG_WORDS))}, separated by commas, not '${word}'`;
    if (rest.length > 0) throw new UsageError(problem);
    if (seen.has(name)) throw new UsageError(`--config names '${name}' twice: name it once`);
    seen.add(name);
    if (name === "tiny" && value === undefined) words.tiny = true;
    else if (name === "quiet-memory" && value === undefined) words.noise = false;
    else if (name === "spurious" && value !== undefined) words.spurious = parseProbability("spurious", value);
    else if (name === "nodes" && value !== undefined) words.nodes = parseCount("nodes", value, 1, 4);
    else if (name === "unbatched" && value === undefined) words.unbatched = true;
    else if (name === "cached" && value !== undefined) words.cached = parseCount("cached", value, 0, MOST_CACHED);
    else if (name === "nohz" && value === undefined) words.nohz = true;
    else if (NOT_YET.includes(name)) throw new UnsupportedError(`--config ${name}: this version does not have it`);
    else throw new UsageError(problem);
  }
  return words;
}

/** The part of the parameters that the machine's memory holds. */
export function machineConfig(config: TortureConfig): MachineConfig {
  const { shape, seed, spurious, tiny } = config;
  return {
    shape,
    seed,
    spurious,
    tiny,
    irqwork: IRQWORK[config.irqwork],
    barrierOrder: BARRIER_ORDER[config.barrierOrder],
    kernelBehaviour: config.kernelBehaviour.reduce((bits, name) => bits | KERNEL_BEHAVIOUR[name], 0),
    nolockVariant: VARIANT[config.variant],
    unbatched: config.unbatched,
    hooks: config.hooks,
    rcuMinCachedObjs: config.cached,
    nohz: config.nohz,
    headBytes: config.head === "mixed" ? 0 : Number(config.head),
    poisonFree: true,
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
  const words = [
    ...(config.tiny ? ["tiny"] : []),
    ...(config.noise ? [] : ["quiet-memory"]),
    ...(config.spurious === 0 ? [] : [`spurious=${config.spurious}`]),
    ...(config.shape.nodes === 1 ? [] : [`nodes=${config.shape.nodes}`]),
    ...(config.unbatched ? ["unbatched"] : []),
    ...(config.cached === RCU_MIN_CACHED_OBJS ? [] : [`cached=${config.cached}`]),
    ...(config.nohz ? ["nohz"] : []),
  ];
  const source = config.nmiSource === undefined ? "" : `:${config.nmiSource}`;
  return [
    ["cpus", String(config.shape.cpus)],
    ["duration", formatDuration(config.durationMs)],
    ["seed", String(config.seed)],
    ["scenario", config.scenarios.join(",")],
    ["nmi", `${formatRate(config.nmiRate)}${source}`],
    ["irq", formatRate(config.irqRate)],
    ["memory", formatSize(config.shape.bytes)],
    ...(words.length === 0 ? [] : [["config", words.join(",")] as const]),
    ["irqwork", config.irqwork],
    ["barrier-order", config.barrierOrder],
    ...(config.kernelBehaviour.length === 0 ? [] : [["kernel-behaviour", config.kernelBehaviour.join(",")] as const]),
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
  // As the user came here: in a checkout there is no `sheaf` on the path.
  const command = process.env["npm_lifecycle_event"] === "start" ? "npm start --" : "sheaf";
  const words = parameters(config).map(([name, text]) => `--${name} ${text}`);
  return [command, "torture", ...words].join(" ");
}
