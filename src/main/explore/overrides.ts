/**
 * Overrides: what a search changes of the scenario as it is written. Options of the command line set them, shrinking
 * leaves out operations, and a token carries them as letters and a number each.
 */
import { UsageError } from "../errors.ts";
import { nmisOf } from "./explore.ts";
import { MODELS } from "./options.ts";
import type { MemoryModel } from "./engine/store_buffer.ts";
import { GLOBALS_LETTERS } from "../settings.ts";
import { globalsOf, nodesOf, type Scenario } from "./scenario.ts";

/** `model` is an index into MODELS. The other names are those of Scenario and of its globals. */
type Setting = "nmis" | "ticks" | "model" | "nodes" | "memless" | keyof typeof GLOBALS_LETTERS;
export interface Overrides extends Readonly<Partial<Record<Setting, number>>> {
  /** Operations that are left out, ascending; numbered through all CPUs, those of CPU 0 first. */
  readonly without?: readonly number[];
}

const LETTERS: Readonly<Record<Setting, string>> = {
  nmis: "N",
  ticks: "T",
  model: "M",
  ...GLOBALS_LETTERS,
  nodes: "NN",
  memless: "NM",
};
const SETTINGS = Object.keys(LETTERS) as readonly Setting[];
const WITHOUT = "X";
const RADIX = 36;

/** The overrides that change anything. */
export function differing(scenario: Scenario, overrides: Overrides): Overrides {
  const differs = SETTINGS.filter((name) => {
    const value = overrides[name];
    return (
      value !== undefined && value !== ownValue(scenario, name) && !(name === "nmis" && scenario.nmi === undefined)
    );
  });
  const { without = [] } = overrides;
  return {
    ...Object.fromEntries(differs.map((name) => [name, overrides[name]])),
    ...(without.length > 0 && { without }),
  };
}
function ownValue(scenario: Scenario, name: Setting): number {
  if (name === "nmis") return nmisOf(scenario);
  if (name === "ticks") return scenario.ticks ?? 0;
  if (name === "model") return 0;
  const { nodes, memless } = nodesOf(scenario);
  if (name === "nodes") return nodes;
  return name === "memless" ? Number(memless) : (globalsOf(scenario)[name] ?? 0);
}

/** The scenario as it is explored; the memory model is not a part of it. */
export function withOverrides(scenario: Scenario, overrides: Overrides): Scenario {
  const { nmis, ticks, model: _, nodes, memless, without = [], ...globals } = overrides;
  let operation = 0;
  return {
    ...scenario,
    ...(nmis !== undefined && { nmis }),
    ...(ticks !== undefined && { ticks }),
    ...(nodes !== undefined && { nodes }),
    ...(memless !== undefined && { memless: memless !== 0 }),
    cpus: scenario.cpus.map((program) => program.filter(() => !without.includes(operation++))),
    globals: { ...scenario.globals, ...globals },
  };
}
export function modelOf({ model = 0 }: Overrides): MemoryModel {
  return MODELS[model];
}
/** "N2I1X0X3": two NMIs, irqwork_mode 1, without operations 0 and 3. */
export function formatOverrides(overrides: Overrides): string {
  const settings = SETTINGS.filter((name) => overrides[name] !== undefined).map(
    (name) => LETTERS[name] + (overrides[name] ?? 0).toString(RADIX),
  );
  const without = (overrides.without ?? []).map((n) => WITHOUT + n.toString(RADIX));
  return [...settings, ...without].join("");
}
/** @throws UsageError  not what formatOverrides() writes */
export function parseOverrides(text: string): Overrides {
  const settings: Partial<Record<Setting, number>> = {};
  const without: number[] = [];
  for (const [, letters, digits] of text.matchAll(/([A-Z]+)([0-9a-z]{1,7})/g)) {
    const value = Number.parseInt(digits, RADIX);
    const name = SETTINGS.find((each) => LETTERS[each] === letters);
    if (name !== undefined) settings[name] = value;
    if (letters === WITHOUT) without.push(value);
  }
  const overrides: Overrides = { ...settings, ...(without.length > 0 && { without }) };
  const isKnown = (settings.model ?? 0) < MODELS.length;
  if (!isKnown || formatOverrides(overrides) !== text) {
    throw new UsageError(`the token's options '${text}' are not known here: use the sheaf that printed it`);
  }
  return overrides;
}
