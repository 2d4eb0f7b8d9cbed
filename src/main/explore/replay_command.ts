/** `sheaf replay`: runs the execution that a token names, and makes sure that it is that one. */
import type { Command, Output } from "../command.ts";
import { UsageError } from "../errors.ts";
import { EXIT_FAILURE, EXIT_INCONCLUSIVE, EXIT_SUCCESS } from "../exit_code.ts";
import type { OptionSpec } from "../options.ts";
import { JSON_OPTION } from "./options.ts";
import type { Reproduction } from "./reproduce.ts";

const DIAGRAM_OPTION: OptionSpec = {
  name: "ascii-diagram",
  summary: "print the interleaving in columns, as commit messages do",
};

export const replay: Command = {
  usage: "TOKEN",
  description: `Runs the execution of a token twice, makes sure that it is the one that the token was printed for, and says what it
shows. If the code has changed since, that is said, and it is tried nevertheless.`,
  options: [
    JSON_OPTION,
    DIAGRAM_OPTION,
    { name: "workers", summary: "run it on real threads that take turns, instead of on one thread" },
  ],
  maxPositionals: 1,
  async run(options, output) {
    const [text] = options.positionals;
    if (text === undefined) throw new UsageError("replay needs a token: sheaf replay TOKEN");
    const { reproduce } = await import("./reproduce.ts"); // Brings the whole kernel along.
    const reproduction = await reproduce(text);
    if (!isSame(reproduction, output)) return EXIT_INCONCLUSIVE;
    if (options.on("workers") && !(await isSameOnWorkers(reproduction, output))) return EXIT_INCONCLUSIVE;
    const { describeFinding, findingOf, jsonFinding, traceOf } = await import("./finding.ts");
    const finding = findingOf(reproduction.subject, reproduction.execution);
    if (finding === undefined) {
      output.out(options.on(JSON_OPTION.name) ? JSON.stringify({ failure: null }) : "clean, as it was");
      return EXIT_SUCCESS;
    }
    const { asciiDiagram } = await import("../report/ascii_diagram.ts");
    if (options.on(JSON_OPTION.name)) output.out(JSON.stringify(jsonFinding(finding)));
    else if (options.on(DIAGRAM_OPTION.name)) for (const line of asciiDiagram(traceOf(finding))) output.out(line);
    else for (const line of describeFinding(finding)) output.out(line);
    return EXIT_FAILURE;
  },
};

/** Is it the execution of the token? Says so on stderr if not, or if that is more than could be expected. */
export function isSame(
  reproduction: Reproduction,
  output: Output,
): reproduction is Reproduction & { readonly execution: NonNullable<Reproduction["execution"]> } {
  const { divergence, isOtherCode, execution } = reproduction;
  if (isOtherCode) output.err("sheaf: warning: the code has changed since the token was made");
  if (divergence !== undefined) output.err(`sheaf: this is not the execution of the token: ${divergence}`);
  return divergence === undefined && execution !== undefined;
}

/** Says on stderr what real threads did with the same schedule. */
async function isSameOnWorkers(
  { subject, execution }: Reproduction & { readonly execution: NonNullable<Reproduction["execution"]> },
  output: Output,
): Promise<boolean> {
  const { confirmOnWorkers } = await import("./hand_over/confirm.ts");
  const { threads, steps, difference } = await confirmOnWorkers(subject, execution.picks);
  const same = `the same ${steps} steps and the same verdict`;
  output.err(`sheaf: on ${threads} worker threads: ${difference ?? same}`);
  return difference === undefined;
}
