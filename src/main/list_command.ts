/** `sheaf list`: the names that other commands take. */
import { POINT_NAMES } from "../shared/layout/points.ts";
import type { Command } from "./command.ts";
import { UsageError } from "./errors.ts";
import { EXIT_SUCCESS } from "./exit_code.ts";
import { SCENARIO_SUMMARIES } from "./scenarios/catalogue.ts";
import { parseChoice } from "./values.ts";

const LISTS = ["scenarios", "points"] as const;

export const list: Command = {
  usage: LISTS.join("|"),
  description:
    "scenarios: what `sheaf torture --scenario` can run.\npoints: the named places in kernel code at which interrupts are aimed and counted.",
  options: [],
  maxPositionals: 1,
  async run(options, output) {
    const [what] = options.positionals;
    if (what === undefined) throw new UsageError(`list needs a word: ${LISTS.join(" or ")}`);
    if (parseChoice("the list", what, LISTS) === "points") {
      for (const name of POINT_NAMES.slice(1)) output.out(name);
      return EXIT_SUCCESS;
    }
    const width = Math.max(...Object.keys(SCENARIO_SUMMARIES).map((name) => name.length));
    for (const [name, summary] of Object.entries(SCENARIO_SUMMARIES)) output.out(`${name.padEnd(width)}  ${summary}`);
    return EXIT_SUCCESS;
  },
};
