/** `sheaf explain`: a known bug of the kernel in words, and the commands that show it. */
import type { KnownBug } from "../shared/layout/bugs.ts";
import { bugNamed } from "./bugs.ts";
import type { Command } from "./command.ts";
import { UsageError } from "./errors.ts";
import { EXIT_SUCCESS } from "./exit_code.ts";
import { programName } from "./program_name.ts";

export const explain: Command = {
  usage: "BUG",
  description:
    "Says what was wrong, what was done about it, and how to see it. BUG is a name or number of `sheaf list bugs`.",
  options: [],
  maxPositionals: 1,
  async run(options, output) {
    const [word] = options.positionals;
    if (word === undefined) throw new UsageError("explain needs a bug: see `sheaf list bugs`");
    for (const line of explanation(bugNamed(word))) output.out(line);
    return EXIT_SUCCESS;
  },
};

/** The commands that show a bug. */
function commandsFor({ name, explore, torture }: KnownBug): readonly string[] {
  const lines: string[] = [];
  if (explore !== undefined) lines.push([`${programName()} explore`, ...explore, "--bug", name].join(" "));
  if (torture !== undefined) lines.push([`${programName()} torture`, ...torture, "--bug", name].join(" "));
  return lines;
}
/** Some lines. */
function explanation(bug: KnownBug): readonly string[] {
  const commands = commandsFor(bug);
  return [
    `${bug.number} ${bug.name}`,
    `wrong:  ${bug.summary}`,
    `right:  ${bug.fix}`,
    ...commands.map((command, i) => `${i === 0 ? "see:    " : "        "}${command}`),
    ...(bug.hidden === undefined ? [] : [`hidden: ${bug.hidden}`]),
  ];
}
