/** `sheaf list`: the names that other commands take. */
import { POINT_NAMES } from "../shared/layout/points.ts";
import { VARIANT_SUMMARIES } from "./behaviour.ts";
import type { Command } from "./command.ts";
import { UsageError } from "./errors.ts";
import { EXIT_SUCCESS } from "./exit_code.ts";
import type { Folder } from "./explore/catalogue.ts";
import { SCENARIO_SUMMARIES } from "./scenarios/catalogue.ts";
import { either, parseChoice } from "./values.ts";

type Rows = readonly (readonly [name: string, summary: string])[];
/** What each list has in it. */
const ROWS = {
  scenarios: async () => Object.entries(SCENARIO_SUMMARIES),
  races: async () => exploredRows("races"),
  litmus: async () => exploredRows("litmus"),
  strategies: async () => Object.entries((await import("./explore/strategy_names.ts")).STRATEGY_SUMMARIES),
  config: async () => (await import("./config_option.ts")).configRows(),
  variants: async () => Object.entries(VARIANT_SUMMARIES),
  hooks: async () => (await import("./report/hook_table.ts")).hookTable().map((line) => [line, ""] as const),
  bugs: async () =>
    (await import("../shared/layout/known_bugs.ts")).KNOWN_BUGS.map(
      ({ number, name, summary }) => [name, `${number}: ${summary}`] as const,
    ),
  points: async () => POINT_NAMES.slice(1).map((name) => [name, ""] as const),
} satisfies Record<string, () => Promise<Rows>>;
const LISTS = Object.keys(ROWS) as readonly (keyof typeof ROWS)[];

async function exploredRows(folder: Folder): Promise<Rows> {
  const { catalogued } = await import("./explore/catalogue.ts"); // Brings the whole kernel along.
  return (await catalogued(folder)).map(({ name, scenario }) => [name, scenario.summary ?? ""]);
}

export const list: Command = {
  usage: LISTS.join("|"),
  description: `scenarios: what \`sheaf torture --scenario\` can run.
races, litmus: what \`sheaf explore\` can search.
strategies: how it can search.
config: words of \`--config\`.
variants: forms of kfree_rcu_nolock() (\`--variant\`).
hooks: debugging facilities (\`--hooks\`), and where in the allocator each of them runs.
bugs: known bugs that a machine may be given back (\`--bug\`); \`sheaf explain\` says more of each.
points: the named places in kernel code at which interrupts are aimed and counted.`,
  options: [],
  maxPositionals: 1,
  async run(options, output) {
    const [what] = options.positionals;
    if (what === undefined) throw new UsageError(`list needs a word: ${either(LISTS)}`);
    const rows: Rows = await ROWS[parseChoice("the list", what, LISTS)]();
    const width = Math.max(...rows.map(([name]) => name.length));
    for (const [name, summary] of rows) output.out(summary === "" ? name : `${name.padEnd(width)}  ${summary}`);
    return EXIT_SUCCESS;
  },
};
