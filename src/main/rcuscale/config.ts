/**
 * The parameters of rcuscale: from the command line, to the machine, and back to text. What the kernel has as a module
 * parameter (rcuscale.kfree_*) is called as there.
 */
import os from "node:os";
import { HZ, NR_CPUS } from "../../shared/base/limits.ts";
import { KB_UNPOLLED } from "../../shared/layout/globals.ts";
import { RCU_MIN_CACHED_OBJS } from "../../shared/layout/kvfree_rcu.ts";
import type { MachineShape } from "../../shared/layout/map.ts";
import { KMALLOC_SHIFT_HIGH } from "../../shared/layout/slab.ts";
import { BARRIER_ORDER, IRQWORK, keysOf, VARIANT } from "../behaviour.ts";
import { UsageError } from "../errors.ts";
import type { MachineConfig, MachineThreads } from "../machine.ts";
import type { Options, OptionSpec } from "../options.ts";
import { CPUS_OPTION, MEMORY_OPTION, parseShape } from "../shape.ts";
import { either, formatRate, formatSize, parseChoice, parseCount, parseRate, parseSeed } from "../values.ts";
import { fromNolock, type Method, METHODS, needsRcuHead } from "./methods.ts";
import type { ScaleWork } from "./program.ts";

export const CONFIG_SUMMARIES = {
  unbatched: "kfree_rcu() is a call_rcu() for each object",
  unpolled: "kfree_rcu_cpu frees nothing before its batch: pages of pointers have no cookies (before November 2022)",
  "no-sheaves": "objects come from a cache without sheaves, so all go to kfree_rcu_cpu",
  "cached=N": "pages that each CPU keeps for kfree_rcu_cpu",
  "caches=N": "caches beside those of kmalloc(), for barriers to look after",
  "nodes=N": "NUMA nodes",
} as const;
const CONFIG_WORDS = Object.keys(CONFIG_SUMMARIES);
const MOST_CACHED = 100;
const MOST_EXTRA_CACHES = 200;
/** Longer, a CPU would look locked up. */
const MOST_HOLDOFF = 10 * HZ;
/** Largest object: beyond it, kmalloc() gives pages. */
const MAX_OBJECT = 1 << KMALLOC_SHIFT_HIGH;
/** Of an object, besides its head. */
const PAYLOAD = 8;
/** More CPUs than cores measure how the host shares them out. */
const DEFAULT_CPUS = Math.min(os.availableParallelism(), 8);

export interface ScaleConfig {
  readonly shape: MachineShape;
  readonly seed: number;
  readonly by: Method;
  readonly loops: number;
  readonly allocNum: number;
  readonly nthreads: number;
  readonly mult: number;
  /** Bytes of the head in each object: struct kvfree_rcu_head, or struct rcu_head. */
  readonly head: 8 | 16;
  /** Form of kfree_rcu_nolock(). */
  readonly variant: keyof typeof VARIANT;
  /** Jiffies that a thread sleeps after each loop. */
  readonly holdoff: number;
  readonly remote: boolean;
  readonly unbatched: boolean;
  readonly noSheaves: boolean;
  /** The monitor of kfree_rcu_cpu frees nothing itself: KB_UNPOLLED. */
  readonly unpolled: boolean;
  /** Pages that each CPU keeps for kfree_rcu(). */
  readonly cached: number;
  readonly extraCaches: number;
  readonly nmiRate: number;
}

export const SCALE_OPTIONS: readonly OptionSpec[] = [
  { name: "by", value: "WAY", summary: METHODS.join(", "), default: "kfree_rcu" },
  { name: "loops", value: "N", summary: "loops of each thread", default: "100" },
  { name: "alloc-num", value: "N", summary: "objects that each loop allocates and frees", default: "8000" },
  { name: "mult", value: "N", summary: `size of an object, in units of ${PAYLOAD} bytes and a head`, default: "1" },
  { name: "head", value: "BYTES", summary: "8: struct kvfree_rcu_head; 16: struct rcu_head", default: "16" },
  { name: "holdoff", value: "N", summary: "jiffies that each thread sleeps after a loop", default: "0" },
  {
    name: "variant",
    value: "WORD",
    summary: `of kfree_rcu_nolock(): ${keysOf(VARIANT).join(", ")}`,
    default: "merged",
  },
  { name: "nthreads", value: "N", summary: "CPUs that allocate and free; the others idle [all]" },
  { name: "remote", summary: "each CPU frees what the one before it has allocated" },
  { ...CPUS_OPTION, summary: `CPUs of the machine, 1 to ${NR_CPUS}`, default: String(DEFAULT_CPUS) },
  MEMORY_OPTION,
  {
    name: "config",
    value: "WORDS",
    summary: CONFIG_WORDS.join(", "),
  },
  { name: "nmi", value: "RATE", summary: "NMIs per second, such as 20k", default: "0" },
  { name: "seed", value: "N", summary: "seed of every random choice; drawn anew if not given" },
];

/** @throws UsageError */
export function parseScaleConfig(options: Options): ScaleConfig {
  const count = (name: string, max: number): number => parseCount(`--${name}`, options.text(name) ?? "", 1, max);
  const { nodes, ...words } = parseConfigWords(options.text("config"));
  const shape = parseShape(options, { nodes });
  const head = parseChoice("--head", options.text("head") ?? "", ["8", "16"]) === "8" ? 8 : 16;
  const config: ScaleConfig = {
    shape,
    seed: parseSeed("--seed", options.text("seed")),
    by: parseChoice("--by", options.text("by") ?? "", METHODS),
    loops: count("loops", 1_000_000),
    allocNum: count("alloc-num", 1_000_000),
    nthreads: options.text("nthreads") === undefined ? shape.cpus : count("nthreads", shape.cpus),
    mult: count("mult", Math.floor(MAX_OBJECT / (PAYLOAD + head))),
    head,
    holdoff: parseCount("--holdoff", options.text("holdoff") ?? "", 0, MOST_HOLDOFF),
    variant: parseChoice("--variant", options.text("variant") ?? "", keysOf(VARIANT)),
    remote: options.on("remote"),
    nmiRate: parseRate("--nmi", options.text("nmi") ?? ""),
    ...words,
  };
  const problem = problemOf(config);
  if (problem !== undefined) throw new UsageError(problem);
  return config;
}

type Words = Pick<ScaleConfig, "unbatched" | "unpolled" | "noSheaves" | "cached" | "extraCaches"> & {
  readonly nodes: number;
};

function parseConfigWords(text: string | undefined): Words {
  const words = {
    unbatched: false,
    unpolled: false,
    noSheaves: false,
    cached: RCU_MIN_CACHED_OBJS,
    extraCaches: 0,
    nodes: 1,
  };
  const seen = new Set<string>();
  for (const word of text?.split(",") ?? []) {
    const [name, value, ...rest] = word.split("=");
    if (seen.has(name)) throw new UsageError(`--config names '${name}' twice: name it once`);
    seen.add(name);
    if (name === "unbatched" && value === undefined) words.unbatched = true;
    else if (name === "unpolled" && value === undefined) words.unpolled = true;
    else if (name === "no-sheaves" && value === undefined) words.noSheaves = true;
    else if (value === undefined || rest.length > 0) throw unknownWord(word);
    else if (name === "cached") words.cached = parseCount(name, value, 0, MOST_CACHED);
    else if (name === "caches") words.extraCaches = parseCount(name, value, 0, MOST_EXTRA_CACHES);
    else if (name === "nodes") words.nodes = parseCount(name, value, 1, 4);
    else throw unknownWord(word);
  }
  return words;
}
function unknownWord(word: string): UsageError {
  return new UsageError(`--config must be ${either(CONFIG_WORDS)}, separated by commas, not '${word}'`);
}

/** What does not go together. */
function problemOf({ by, head, noSheaves, unbatched }: ScaleConfig): string | undefined {
  if (head === 8 && needsRcuHead(by)) return `--by ${by} needs a struct rcu_head in each object: --head 16`;
  if (head === 8 && unbatched) return "--config unbatched needs a struct rcu_head in each object: --head 16";
  if (noSheaves && fromNolock(by)) return `--by ${by} allocates by kmalloc_nolock(): --config no-sheaves is not for it`;
  return undefined;
}

/** The part of the parameters that the machine's memory holds. */
export function machineConfig({ shape, seed, variant, unbatched, unpolled, cached }: ScaleConfig): MachineConfig {
  return {
    shape,
    seed,
    globals: {
      irqwork_mode: IRQWORK.prompt,
      barrier_order: BARRIER_ORDER.dfdrk,
      kernel_behaviour: unpolled ? KB_UNPOLLED : 0,
      nolock_variant: VARIANT[variant],
      unbatched: unbatched ? 1 : 0,
      rcu_min_cached_objs: cached,
    },
  };
}
/** What its CPUs are to do. */
export function workOf(config: ScaleConfig): ScaleWork {
  const { by, loops, allocNum, nthreads, holdoff, remote, noSheaves, extraCaches } = config;
  return { by, loops, allocNum, nthreads, holdoff, size: objectSize(config), remote, noSheaves, extraCaches };
}
/** Bytes of an object, before kmalloc() rounds it up. */
export function objectSize({ mult, head }: ScaleConfig): number {
  return mult * (PAYLOAD + head);
}
/** No oracle and no noise: they would be measured, too. NMIs come from the CPUs themselves. */
export function interruptsOf({ nmiRate, shape }: ScaleConfig): Omit<MachineThreads, "cpuModule" | "cpuTask"> {
  return { watched: false, noise: false, nmisPerTick: nmiRate / shape.cpus / HZ, nmiRate: 0, irqRate: 0 };
}

/** Every parameter as `[option, text]`; switches that are off are left out. */
function parameters(config: ScaleConfig): readonly (readonly [string, string])[] {
  const words = [
    ...(config.unbatched ? ["unbatched"] : []),
    ...(config.unpolled ? ["unpolled"] : []),
    ...(config.noSheaves ? ["no-sheaves"] : []),
    ...(config.cached === RCU_MIN_CACHED_OBJS ? [] : [`cached=${config.cached}`]),
    ...(config.extraCaches === 0 ? [] : [`caches=${config.extraCaches}`]),
    ...(config.shape.nodes === 1 ? [] : [`nodes=${config.shape.nodes}`]),
  ];
  return [
    ["by", config.by],
    ["loops", String(config.loops)],
    ["alloc-num", String(config.allocNum)],
    ["mult", String(config.mult)],
    ["head", String(config.head)],
    ...(config.holdoff === 0 ? [] : [["holdoff", String(config.holdoff)] as const]),
    ["nthreads", String(config.nthreads)],
    ...(config.variant === "merged" ? [] : [["variant", config.variant] as const]),
    ...(config.remote ? [["remote", ""] as const] : []),
    ["cpus", String(config.shape.cpus)],
    ["memory", formatSize(config.shape.bytes)],
    ...(words.length === 0 ? [] : [["config", words.join(",")] as const]),
    ...(config.nmiRate === 0 ? [] : [["nmi", formatRate(config.nmiRate)] as const]),
    ["seed", String(config.seed)],
  ];
}
/** "by=kfree_rcu loops=100 ..." */
export function describeParameters(config: ScaleConfig): string {
  return parameters(config)
    .map(([name, text]) => (text === "" ? name : `${name}=${text}`))
    .join(" ");
}
