/** `sheaf shrink`: makes the execution of a token smaller while it still fails in the same way. */
import type { Command } from "../command.ts";
import { UsageError } from "../errors.ts";
import { EXIT_FAILURE, EXIT_INCONCLUSIVE } from "../exit_code.ts";
import { listenForInterrupt } from "../interrupt.ts";
import { JSON_OPTION } from "./options.ts";
import { isSame } from "./replay_command.ts";

export const shrinkCommand: Command = {
  usage: "TOKEN",
  description: `Leaves out of the execution of a token what its failure does not need: interrupts first, then preemptions, then
other decisions, then operations. Prints the new token.`,
  options: [JSON_OPTION],
  maxPositionals: 1,
  async run(options, output) {
    const [text] = options.positionals;
    if (text === undefined) throw new UsageError("shrink needs a token: sheaf shrink TOKEN");
    const { reproduce } = await import("./reproduce.ts"); // They bring the whole kernel along.
    const { describeFinding, findingOf, jsonFinding } = await import("./finding.ts");
    const { shrink } = await import("./shrink.ts");
    const reproduction = await reproduce(text);
    if (!isSame(reproduction, output)) return EXIT_INCONCLUSIVE;
    const { subject, execution } = reproduction;
    if (execution.failure === undefined)
      throw new UsageError("the execution of the token does not fail: nothing to shrink");
    const interrupt = listenForInterrupt();
    const shrunk = await shrink(subject, execution, { signal: interrupt.signal });
    interrupt.dispose();
    const finding = findingOf(shrunk.subject, shrunk.execution);
    if (finding === undefined) {
      output.err(
        "sheaf: the smaller execution does not show itself twice: the scenario keeps something outside shared memory",
      );
      return EXIT_INCONCLUSIVE;
    }
    if (options.on(JSON_OPTION.name)) {
      output.out(
        JSON.stringify({ ...jsonFinding(finding), runs: shrunk.runs, ...(shrunk.isCut && { interrupted: true }) }),
      );
    } else {
      const [before, after] = [execution, shrunk.execution].map(({ picks }) => picks.length);
      output.out(
        `decisions: ${before} before, ${after} now; ${shrunk.runs} runs${shrunk.isCut ? ", interrupted" : ""}`,
      );
      for (const line of describeFinding(finding)) output.out(line);
    }
    return EXIT_FAILURE;
  },
};
