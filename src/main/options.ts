/**
 * The command line as words: which options and positional arguments a command got. What an option's text means is
 * parsed by values.ts.
 *
 * Differs from plain util.parseArgs: an option given twice is an error and not a silent "last one wins", and each
 * message is one line that says what to do.
 */
import { parseArgs } from "node:util";
import { UsageError } from "./errors.ts";

export interface OptionSpec {
  /** Long name, without dashes. */
  readonly name: string;
  readonly short?: string;
  /** What stands for the value in the help; absent: a switch. */
  readonly value?: string;
  readonly summary: string;
  /** Text used when the option is not given; shown in the help. */
  readonly default?: string;
}

export class Options {
  private readonly given: ReadonlyMap<string, string>;
  private readonly specs: readonly OptionSpec[];
  readonly positionals: readonly string[];

  constructor(specs: readonly OptionSpec[], given: ReadonlyMap<string, string>, positionals: readonly string[]) {
    this.specs = specs;
    this.given = given;
    this.positionals = positionals;
  }
  /** The option's text, or its default, or undefined. */
  text(name: string): string | undefined {
    return this.given.get(name) ?? this.specs.find((spec) => spec.name === name)?.default;
  }
  /** Whether a switch is on. */
  on(name: string): boolean {
    return this.given.has(name);
  }
}

/**
 * @throws UsageError  an unknown option, one given twice, a value that is missing or not wanted, too many words
 */
export function parseOptions(args: readonly string[], specs: readonly OptionSpec[], maxPositionals: number): Options {
  const { tokens } = parseArgs({
    args: [...args],
    options: Object.fromEntries(
      specs.map(({ name, short, value }) => [
        name,
        {
          type: value === undefined ? ("boolean" as const) : ("string" as const),
          ...(short !== undefined && { short }),
        },
      ]),
    ),
    strict: false, // Why: its messages are several lines, and it takes the last of duplicates.
    allowPositionals: true,
    tokens: true,
  });
  const given = new Map<string, string>();
  const positionals: string[] = [];
  for (const token of tokens) {
    if (token.kind === "positional") positionals.push(token.value);
    if (token.kind !== "option") continue;
    const { name, rawName, value, inlineValue } = token;
    const spec = specs.find((each) => each.name === name);
    if (spec === undefined) throw new UsageError(`unknown option ${rawName}${suggestion(rawName, specs)}`);
    if (given.has(name)) throw new UsageError(`${rawName} is given twice: give it once`);
    given.set(name, valueOf(spec, rawName, value, inlineValue));
  }
  if (positionals.length > maxPositionals) {
    throw new UsageError(`unexpected argument '${positionals[maxPositionals]}': see --help`);
  }
  return new Options(specs, given, positionals);
}

function valueOf(spec: OptionSpec, rawName: string, value: string | undefined, inline: boolean | undefined): string {
  if (spec.value === undefined) {
    if (value !== undefined) throw new UsageError(`${rawName} takes no value`);
    return "";
  }
  // "--seed --json": the next option was meant as one.
  const swallowed = inline === false && value !== undefined && value.startsWith("--");
  if (value === undefined || value === "" || swallowed) {
    throw new UsageError(`${rawName} needs a value: ${rawName} ${spec.value}`);
  }
  return value;
}

/** The option that was probably meant: one with the same beginning, or with one letter more, less or changed. */
function suggestion(rawName: string, specs: readonly OptionSpec[]): string {
  const name = rawName.replace(/^-+/, "");
  const close = specs.find(
    (spec) => name.length > 1 && (spec.name.startsWith(name) || editDistance(spec.name, name) <= 2),
  );
  return close === undefined ? ": see --help" : `: did you mean --${close.name}?`;
}

/** Those of `names` that were probably meant by `word`: nearly the same; else those that begin alike, or share a part. */
export function near(word: string, names: readonly string[]): readonly string[] {
  const same = names.filter((name) => editDistance(name, word) <= 2);
  if (same.length > 0) return same;
  const parts = word.split(/[^A-Za-z0-9]+/).filter((part) => part.length > 2);
  return names.filter((name) => parts.some((part) => name.includes(part)));
}
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, row[j] + 1, next[j - 1] + 1));
    }
    row = next;
  }
  return row[b.length];
}
