/** What the options of several commands have in common: the form of kfree_rcu_nolock(), facilities. */
import { HOOKS, keysOf, VARIANT } from "./behaviour.ts";
import type { OptionSpec } from "./options.ts";
import { either, parseList } from "./values.ts";

export type VariantName = keyof typeof VARIANT;

export const VARIANT_OPTION: OptionSpec = {
  name: "variant",
  value: "NAME",
  summary: `of kfree_rcu_nolock: ${either(keysOf(VARIANT))} ('sheaf list variants')`,
};
export const HOOKS_OPTION: OptionSpec = {
  name: "hooks",
  value: "NAMES",
  summary: "debugging facilities that are on: all, none, or some of 'sheaf list hooks'",
};

const ALL_HOOKS = Object.values(HOOKS).reduce((bits, bit) => bits | bit, 0);

/** HOOK_* bits. @throws UsageError */
export function parseHooks(text: string): number {
  if (text === "none") return 0;
  if (text === "all") return ALL_HOOKS;
  return parseList("--hooks", text, keysOf(HOOKS)).reduce((bits, name) => bits | HOOKS[name], 0);
}
export function formatHooks(bits: number): string {
  if (bits === ALL_HOOKS) return "all";
  const names = keysOf(HOOKS).filter((name) => (bits & HOOKS[name]) !== 0);
  return names.length === 0 ? "none" : names.join(",");
}
