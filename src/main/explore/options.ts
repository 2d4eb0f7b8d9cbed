/** Options that several commands of the explorer take: what is changed of a scenario, and how the answer is printed. */
import { BARRIER_ORDER, IRQWORK, KERNEL_BEHAVIOUR, keysOf, VARIANT } from "../behaviour.ts";
import { describeWords, HOOKS_OPTION, parseHooks, parseVariant, VARIANT_OPTION } from "../behaviour_options.ts";
import { UsageError } from "../errors.ts";
import type { Options, OptionSpec } from "../options.ts";
import { either, parseChoice, parseCount, parseList, parseProbability } from "../values.ts";
import type { Overrides } from "./overrides.ts";
import type { MemoryModel } from "./engine/store_buffer.ts";

export const MODELS: readonly MemoryModel[] = ["sc", "tso", "pso"];

const CONFIG_WORDS = {
  tiny: "small capacities",
  "spurious=P": "trylocks that fail",
  unbatched: "kfree_rcu() is call_rcu()",
  "cached=N": "pages that each CPU keeps for kfree_rcu()",
  nohz: "idle CPUs do without ticks",
};
/** More pages than this for each CPU no small machine has. */
const MOST_CACHED = 16;
/** More injections than this in one execution are a load test. */
const MAX_INJECTIONS = 64;

export const JSON_OPTION: OptionSpec = { name: "json", summary: "print one JSON object, and nothing else" };

export const OVERRIDE_OPTIONS: readonly OptionSpec[] = [
  { name: "nmi", value: "K", summary: "NMIs in one execution, at most; default: as the scenario says" },
  { name: "ticks", value: "K", summary: "ticks in one execution, besides those that time needs to go on" },
  { name: "tso", summary: "stores wait in a buffer of their CPU, as on x86" },
  { name: "pso", summary: "stores wait in a buffer for each address: they overtake each other" },
  { name: "irqwork", value: "MODE", summary: `when the irq_work interrupt comes: ${either(keysOf(IRQWORK))}` },
  { name: "barrier-order", value: "ORDER", summary: `of kvfree_rcu_barrier: ${either(keysOf(BARRIER_ORDER))}` },
  {
    name: "config",
    value: "WORDS",
    summary: describeWords(CONFIG_WORDS),
  },
  {
    name: "kernel-bug",
    value: "NAMES",
    summary: `switch repairs off: ${keysOf(KERNEL_BEHAVIOUR).join(", ")}`,
  },
  VARIANT_OPTION,
  HOOKS_OPTION,
];

/** @throws UsageError */
export function parseOverrideOptions(options: Options): Overrides {
  if (options.on("tso") && options.on("pso")) throw new UsageError("--tso and --pso exclude each other: give one");
  const model = options.on("tso") ? "tso" : options.on("pso") ? "pso" : undefined;
  const nmi = options.text("nmi");
  const ticks = options.text("ticks");
  const irqwork = options.text("irqwork");
  const order = options.text("barrier-order");
  const bugs = options.text("kernel-bug");
  const variant = options.text("variant");
  const hooks = options.text("hooks");
  return {
    ...(nmi !== undefined && { nmis: parseCount("--nmi", nmi, 0, MAX_INJECTIONS) }),
    ...(ticks !== undefined && { ticks: parseCount("--ticks", ticks, 0, MAX_INJECTIONS) }),
    ...(model !== undefined && { model: MODELS.indexOf(model) }),
    ...(irqwork !== undefined && { irqwork_mode: IRQWORK[parseChoice("--irqwork", irqwork, keysOf(IRQWORK))] }),
    ...(order !== undefined && {
      barrier_order: BARRIER_ORDER[parseChoice("--barrier-order", order, keysOf(BARRIER_ORDER))],
    }),
    ...(bugs !== undefined && {
      kernel_behaviour: parseList("--kernel-bug", bugs, keysOf(KERNEL_BEHAVIOUR)).reduce(
        (bits, name) => bits | KERNEL_BEHAVIOUR[name],
        0,
      ),
    }),
    ...(variant !== undefined && { nolock_variant: VARIANT[parseVariant(variant)] }),
    ...(hooks !== undefined && { hooks: parseHooks(hooks) }),
    ...parseConfigWords(options.text("config")),
  };
}

function parseConfigWords(text: string | undefined): Overrides {
  const words = new Map<string, Overrides>();
  for (const word of text?.split(",") ?? []) {
    const [name, value, ...rest] = word.split("=");
    if (words.has(name)) throw new UsageError(`--config names '${name}' twice: name it once`);
    const override = rest.length === 0 ? parseConfigWord(name, value) : undefined;
    if (override === undefined) {
      throw new UsageError(`--config must be ${either(Object.keys(CONFIG_WORDS))}, separated by commas, not '${word}'`);
    }
    words.set(name, override);
  }
  return Object.assign({}, ...words.values()) as Overrides;
}
/** @returns undefined if there is no such word. */
function parseConfigWord(name: string, value: string | undefined): Overrides | undefined {
  if (value === undefined) {
    if (name === "tiny") return { tiny: 1 };
    if (name === "unbatched") return { unbatched: 1 };
    return name === "nohz" ? { nohz: 1 } : undefined;
  }
  if (name === "cached") return { rcu_min_cached_objs: parseCount(name, value, 0, MOST_CACHED) };
  if (name !== "spurious") return undefined;
  return { spurious: Math.min(Math.round(parseProbability(name, value) * 2 ** 32), 2 ** 32 - 1) };
}
