/** What a command of `sheaf` is, and where it writes. cli.ts has the list of them. */
import type { Options, OptionSpec } from "./options.ts";

/** Where a command writes: the process's streams, or a test's arrays. */
export interface Output {
  /** A line of the answer. */
  out(line: string): void;
  /** A line about the answer: errors, progress. */
  err(line: string): void;
  /** Whether lines of the answer go to a terminal, where control sequences mean something. */
  readonly onTerminal?: boolean;
  /** Replaces the present progress line; undefined if what lines about the answer go to is no terminal. */
  readonly progress: ((line: string) => void) | undefined;
  /** What a view that fills the screen needs; absent: output and input are no terminal. */
  readonly terminal?: Terminal | undefined;
}

export interface Terminal {
  columns(): number;
  rows(): number;
  /** Text as it is, control sequences included. */
  write(text: string): void;
  /** From now on each key comes here, and is not shown; Ctrl-C is one of them. @returns ends that. */
  onKey(listener: (key: string) => void): () => void;
}

export interface Command {
  /** Words after the name in the usage line: "scenarios|points", or "". */
  readonly usage: string;
  /** What it does, in a paragraph. */
  readonly description: string;
  readonly options: readonly OptionSpec[];
  /** How many words it takes besides options. */
  readonly maxPositionals: number;
  /** @returns the exit code. @throws UsageError, UnsupportedError */
  run(options: Options, output: Output): Promise<number>;
}

/** An entry of the table of commands: enough for the help; the rest is loaded when the command is run. */
export interface CommandEntry {
  readonly name: string;
  readonly summary: string;
  load(): Promise<Command>;
}
