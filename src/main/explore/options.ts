/** Options that several commands of the explorer take: what is changed of a scenario, and how the answer is printed. */
import { BARRIER_ORDER, IRQWORK, KERNEL_BEHAVIOUR, keysOf } from "../behaviour.ts";
import { UsageError } from "../errors.ts";
import type { Options, OptionSpec } from "../options.ts";
import { either, parseChoice, parseCount, parseList, parseProbability } from "../values.ts";
import type { Overrides } from "./overrides.ts";
import type { MemoryModel } from "./engine/store_buffer.ts";

export const MODELS: readonly MemoryModel[] = ["sc", "tso", "pso"];

const CONFIG_WORDS = ["tiny", "spurious=P"];
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
  { name: "config", value: "WORDS", summary: `${CONFIG_WORDS.join(", ")}: small capacities, trylocks that fail` },
  {
    name: "kernel-bug",
    value: "NAMES",
    summary: `switch repairs off: ${keysOf(KERNEL_BEHAVIOUR).join(", ")}`,
  },
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
    ...parseConfigWords(options.text("config")),
  };
}

function parseConfigWords(text: string | undefined): Pick<Overrides, "tiny" | "spurious"> {
  let words: Pick<Overrides, "tiny" | "spurious"> = {};
  for (const word of text?.split(",") ?? []) {
    const [name, value, ...rest] = word.split("=");
    if (Object.hasOwn(words, name)) throw new UsageError(`--config names '${name}' twice: name it once`);
    if (name === "tiny" && value === undefined) words = { ...words, tiny: 1 };
    else if (name === "spurious" && value !== undefined && rest.length === 0) {
      words = { ...words, spurious: Math.min(Math.round(parseProbability(name, value) * 2 ** 32), 2 ** 32 - 1) };
    } else throw new UsageError(`--config must be ${either(CONFIG_WORDS)}, separated by commas, not '${word}'`);
  }
  return words;
}
