/** Known bugs by name, as options and scenarios give them: which there are, and which words of globals they set. */
import type { BugWords, KnownBug } from "../shared/layout/bugs.ts";
import { KNOWN_BUGS } from "../shared/layout/known_bugs.ts";
import { keysOf } from "./behaviour.ts";
import { UsageError } from "./errors.ts";
import { near, type Options, type OptionSpec } from "./options.ts";
import { parseChoice } from "./values.ts";

export const BUG_OPTION: OptionSpec = {
  name: "bug",
  value: "NAMES",
  summary: "give known bugs of the kernel back ('sheaf list bugs'; 'sheaf explain NAME')",
};

/** By its name or its number. @throws UsageError  there is none */
export function bugNamed(word: string): KnownBug {
  const wanted = word.toLowerCase();
  const bug = KNOWN_BUGS.find(({ name, number }) => name === wanted || number.toLowerCase() === wanted);
  if (bug !== undefined) return bug;
  const names = near(
    wanted,
    KNOWN_BUGS.map(({ name }) => name),
  );
  throw new UsageError(
    `unknown bug '${word}': ${names.length === 0 ? "see `sheaf list bugs`" : `did you mean ${names.join(" or ")}?`}`,
  );
}

/** Names, separated by commas. @throws UsageError  no such bug, one given twice, or one that cannot be had */
export function parseBugs(text: string): readonly KnownBug[] {
  const bugs = text.split(",").map(bugNamed);
  const twice = bugs.find((bug, i) => bugs.indexOf(bug) !== i);
  if (twice !== undefined) throw new UsageError(`--bug names '${twice.name}' twice: name it once`);
  const absent = bugs.find(({ words }) => words === undefined);
  if (absent !== undefined) {
    throw new UsageError(`--bug ${absent.name}: this machine cannot have it: see \`sheaf explain ${absent.name}\``);
  }
  return bugs;
}

/** Words that hold bits. */
const BIT_WORDS: readonly string[] = ["bugs", "bugs_high", "kernel_behaviour"] satisfies (keyof BugWords)[];
/** What they set together: bits are or'ed, also with those of `others`; the rest is set. */
export function wordsOf(bugs: readonly KnownBug[], others: BugWords = {}): BugWords {
  const together: { -readonly [W in keyof BugWords]: number } = { ...others };
  for (const { words = {} } of bugs) {
    for (const [word, value] of Object.entries(words) as [keyof BugWords, number][]) {
      const before = BIT_WORDS.includes(word) ? (together[word] ?? 0) : 0;
      together[word] = (before | value) >>> 0;
    }
  }
  return together;
}
/**
 * One of the choices of an option that bugs may set, too.
 * @param wanted  value that they set it to; undefined: none does.
 * @throws UsageError  another one is given
 */
export function choiceWithBugs<K extends string>(
  options: Options,
  option: string,
  choices: Readonly<Record<K, number>>,
  wanted: number | undefined,
): K {
  const chosen = parseChoice(`--${option}`, options.text(option) ?? "", keysOf(choices));
  const theirs = keysOf(choices).find((name) => choices[name] === wanted);
  if (theirs === undefined || theirs === chosen) return chosen;
  if (options.on(option)) throw new UsageError(`--bug sets --${option} ${theirs}: leave out --${option} ${chosen}`);
  return theirs;
}
