/**
 * The command `sheaf`: finds the command that is meant, and turns what it throws into one line and an exit code.
 * Without a command name it is `torture`: `sheaf --cpus 2` is `sheaf torture --cpus 2`.
 */
import type { Command, CommandEntry, Output, Terminal } from "./command.ts";
import { UsageError } from "./errors.ts";
import { EXIT_SUCCESS, exitCodeOfError } from "./exit_code.ts";
import { type OptionSpec, parseOptions } from "./options.ts";
import { versionLine } from "./version.ts";

const COMMANDS: readonly CommandEntry[] = [
  {
    name: "torture",
    summary: "boot a machine, run it under NMIs and IRQs, say whether anything broke (the default)",
    load: async () => (await import("./torture/command.ts")).torture,
  },
  {
    name: "explore",
    summary: "search the interleavings of scenarios, yours or ours, under a scheduler that chooses each step",
    load: async () => (await import("./explore/explore_command.ts")).explore,
  },
  {
    name: "replay",
    summary: "show the failure of a token again",
    load: async () => (await import("./explore/replay_command.ts")).replay,
  },
  {
    name: "shrink",
    summary: "make the failure of a token smaller",
    load: async () => (await import("./explore/shrink_command.ts")).shrinkCommand,
  },
  {
    name: "litmus",
    summary: "say of each litmus test whether its outcome was observed, as herd does",
    load: async () => (await import("./litmus_command.ts")).litmus,
  },
  {
    name: "rcuscale",
    summary: "measure kfree_rcu() and its relatives; hold published shapes against it",
    load: async () => (await import("./rcuscale/command.ts")).rcuscale,
  },
  {
    name: "profile",
    summary: "sample every CPU while it runs: the hottest functions, flame graphs",
    load: async () => (await import("./profile/command.ts")).profile,
  },
  {
    name: "kunit",
    summary: "run the KUnit suite of SLUB, print KTAP",
    load: async () => (await import("./kunit/command.ts")).kunit,
  },
  {
    name: "slabinfo",
    summary: "print /proc/slabinfo of a machine under torture",
    load: async () => (await import("./slab/slabinfo_command.ts")).slabinfoCommand,
  },
  {
    name: "sysfs",
    summary: "print and write files under /sys/kernel/slab of a machine under torture",
    load: async () => (await import("./slab/sysfs_command.ts")).sysfsCommand,
  },
  {
    name: "layout",
    summary: "print every struct with offsets, sizes and holes, and the map of the machine's memory",
    load: async () => (await import("./layout_command.ts")).layout,
  },
  {
    name: "list",
    summary: "list scenarios, strategies, variants of kfree_rcu_nolock, debugging facilities, known bugs, points",
    load: async () => (await import("./list_command.ts")).list,
  },
  {
    name: "explain",
    summary: "say of a known bug what was wrong, and how to see it",
    load: async () => (await import("./explain_command.ts")).explain,
  },
];
const DEFAULT_COMMAND = "torture";
const HELP: OptionSpec = { name: "help", short: "h", summary: "print this help" };
const VERSION: OptionSpec = { name: "version", summary: "print the version and the kernel it follows" };

/** Runs a command line. @returns the exit code (exit_code.ts). */
export async function main(argv: readonly string[], output: Output = processOutput()): Promise<number> {
  try {
    return await dispatch(argv, output);
  } catch (error) {
    return exitCodeOfError(error, (message) => output.err(`sheaf: ${message}`));
  }
}

async function dispatch(argv: readonly string[], output: Output): Promise<number> {
  const [first] = argv;
  if (first === "--help" || first === "-h" || first === "help") return showOverview(output);
  if (first === "--version") {
    output.out(versionLine());
    return EXIT_SUCCESS;
  }
  const named = first !== undefined && !first.startsWith("-");
  const name = named ? first : DEFAULT_COMMAND;
  const entry = COMMANDS.find((each) => each.name === name);
  if (entry === undefined) {
    throw new UsageError(`unknown command '${name}': use ${COMMANDS.map((each) => each.name).join(", ")}, or --help`);
  }
  const command = await entry.load();
  const options = parseOptions(named ? argv.slice(1) : argv, [...command.options, HELP], command.maxPositionals);
  if (options.on(HELP.name)) return showHelp(name, command, output);
  return command.run(options, output);
}

function showOverview(output: Output): number {
  const rows: [string, string][] = COMMANDS.map(({ name, summary }) => [name, summary]);
  output.out("Usage: sheaf [COMMAND] [OPTIONS]\n");
  output.out("Linux's nolock slab free path on real threads, tortured; or every interleaving of it, explored.\n");
  output.out(`Commands:\n${columns(rows)}\n`);
  output.out(`Options:\n${columns([optionRow(HELP), optionRow(VERSION)])}\n`);
  output.out("`sheaf COMMAND --help` tells more about one command.");
  output.out("Exit codes: 0 nothing found, 1 a bug, 2 usage, 3 not available here, 4 inconclusive, 130 interrupted.");
  return EXIT_SUCCESS;
}

function showHelp(name: string, command: Command, output: Output): number {
  const words = command.usage === "" ? "" : ` ${command.usage}`;
  output.out(`Usage: sheaf ${name}${words} [OPTIONS]\n`);
  output.out(`${command.description}\n`);
  output.out(`Options:\n${columns([...command.options, HELP].map(optionRow))}`);
  return EXIT_SUCCESS;
}

function optionRow({ name, short, value, summary, default: text }: OptionSpec): [string, string] {
  const dashes = short === undefined ? `--${name}` : `-${short}, --${name}`;
  return [value === undefined ? dashes : `${dashes} ${value}`, text === undefined ? summary : `${summary} [${text}]`];
}

function columns(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`).join("\n");
}

/** The process's own streams. */
function processOutput(): Output {
  const { stdout, stderr } = process;
  // A reader that has seen enough (`sheaf layout | head`) is no error of ours.
  stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
  });
  return {
    out: (line) => void stdout.write(`${line}\n`),
    err: (line) => void stderr.write(`${line}\n`),
    onTerminal: stdout.isTTY,
    progress: stderr.isTTY ? (line) => void stderr.write(`\r\u001b[2K${line}`) : undefined,
    terminal: stdout.isTTY && process.stdin.isTTY ? processTerminal(process.stdin, stdout) : undefined,
  };
}

function processTerminal(stdin: NodeJS.ReadStream, stdout: NodeJS.WriteStream): Terminal {
  return {
    columns: () => stdout.columns,
    rows: () => stdout.rows,
    write: (text) => void stdout.write(text),
    onKey(listener) {
      const onData = (keys: Buffer): void => keys.forEach((code) => listener(String.fromCharCode(code)));
      stdin.setRawMode(true).on("data", onData).resume();
      return () => void stdin.off("data", onData).setRawMode(false).pause();
    },
  };
}
