/** Options that several commands of the explorer take: what is changed of a scenario, and how the answer is printed. */
import { BARRIER_ORDER, IRQWORK, KERNEL_BEHAVIOUR, keysOf, VARIANT } from "../behaviour.ts";
import { HOOKS_OPTION, parseHooks, VARIANT_OPTION } from "../behaviour_options.ts";
import { BUG_OPTION, choiceWithBugs, parseBugs, wordsOf } from "../bugs.ts";
import { CONFIG_OPTION, parseConfigWords, splitWords } from "../config_option.ts";
import { UsageError } from "../errors.ts";
import type { Options, OptionSpec } from "../options.ts";
import { either, parseChoice, parseCount, parseList } from "../values.ts";
import type { Overrides } from "./overrides.ts";
import type { MemoryModel } from "./engine/store_buffer.ts";

export const MODELS: readonly MemoryModel[] = ["sc", "tso", "pso"];

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
  CONFIG_OPTION,
  {
    name: "kernel-bug",
    value: "NAMES",
    summary: `switch repairs off: ${keysOf(KERNEL_BEHAVIOUR).join(", ")}`,
  },
  BUG_OPTION,
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
  const behaviour = options.text("kernel-bug");
  const bugs = options.on(BUG_OPTION.name) ? parseBugs(options.text(BUG_OPTION.name) ?? "") : [];
  const variant = options.text("variant");
  const hooks = options.text("hooks");
  return {
    ...(nmi !== undefined && { nmis: parseCount("--nmi", nmi, 0, MAX_INJECTIONS) }),
    ...(ticks !== undefined && { ticks: parseCount("--ticks", ticks, 0, MAX_INJECTIONS) }),
    ...(model !== undefined && { model: MODELS.indexOf(model) }),
    ...(irqwork !== undefined && { irqwork_mode: IRQWORK[parseChoice("--irqwork", irqwork, keysOf(IRQWORK))] }),
    ...(order !== undefined && {
      barrier_order:
        BARRIER_ORDER[choiceWithBugs(options, "barrier-order", BARRIER_ORDER, wordsOf(bugs).barrier_order)],
    }),
    ...wordsOf(
      bugs,
      behaviour === undefined
        ? {}
        : {
            kernel_behaviour: parseList("--kernel-bug", behaviour, keysOf(KERNEL_BEHAVIOUR)).reduce(
              (bits, name) => bits | KERNEL_BEHAVIOUR[name],
              0,
            ),
          },
    ),
    ...(variant !== undefined && {
      nolock_variant: VARIANT[choiceWithBugs(options, "variant", VARIANT, wordsOf(bugs).nolock_variant)],
    }),
    ...(hooks !== undefined && { hooks: parseHooks(hooks) }),
    ...configOverrides(options.text("config")),
  };
}

function configOverrides(text: string | undefined): Overrides {
  if (text === undefined) return {};
  const { globals, nodes, memless } = parseConfigWords("explore", splitWords(text));
  return { ...globals, ...(nodes !== undefined && { nodes, memless: memless === true ? 1 : 0 }) };
}
