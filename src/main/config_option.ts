/** The option `--config`: words of the table (config_words.ts), taken from the command line or a file, or drawn. */
import { readFileSync } from "node:fs";
import { CONFIG_WORDS, type ConfigCommand, type ConfigWordEntry, type Draw } from "./config_words.ts";
import { UnsupportedError, UsageError } from "./errors.ts";
import { near, type OptionSpec } from "./options.ts";
import type { ConfigWord, GlobalsWords, Settings } from "./settings.ts";
import { either } from "./values.ts";

/** Has words drawn. */
export const RANDOM = "random";
export const CONFIG_OPTION: OptionSpec = {
  name: "config",
  value: "WORDS",
  summary: "how the kernel is built and equipped: words of 'sheaf list config', or @FILE with one on each line",
};

/** As on the command line: "spurious=P". */
function shape({ name, value }: ConfigWordEntry): string {
  return value === undefined ? name : `${name}=${value}`;
}
function wordsOf(command: ConfigCommand): readonly ConfigWordEntry[] {
  return CONFIG_WORDS.filter(({ only }) => only === undefined || only === command);
}
/** Each word that is there, and what it does. */
export function configRows(): readonly (readonly [word: string, summary: string])[] {
  const there = CONFIG_WORDS.filter(({ planned }) => planned === undefined);
  return there.map((word) => [shape(word), word.summary + (word.only === undefined ? "" : ` (${word.only} only)`)]);
}

/**
 * The words of an option's text: "tiny,numa=2", or of a file: "@FILE", one word per line, from "#" on a comment.
 * @throws UsageError  there is no such file
 */
export function splitWords(text: string): readonly string[] {
  if (!text.startsWith("@")) return text.split(",");
  const path = text.slice(1);
  let lines: string;
  try {
    lines = readFileSync(path, "utf8");
  } catch {
    throw new UsageError(`--config: there is no file '${path}' to read`);
  }
  const words = lines.split("\n").map((line) => line.replace(/#.*/, "").trim());
  return words.filter((word) => word !== "");
}

/** @throws UsageError, UnsupportedError */
export function parseConfigWords(command: ConfigCommand, words: readonly string[]): Settings {
  const seen = new Map<string, ConfigWordEntry>();
  let settings: Settings = {};
  for (const word of words) {
    const [entry, value] = findWord(command, word);
    if (seen.has(entry.name)) throw new UsageError(`--config names '${entry.name}' twice: name it once`);
    seen.set(entry.name, entry);
    if (entry.planned) throw new UnsupportedError(`--config ${entry.name}: this version does not have it`);
    settings = merged(settings, entry.parse(value, command));
  }
  for (const { name, excludes = [] } of seen.values()) {
    const other = excludes.find((each) => seen.has(each));
    if (other !== undefined) throw new UsageError(`--config ${name} and ${other} exclude each other: leave one out`);
  }
  return settings;
}
/**
 * Two words that exclude each other in words of globals, which may come from a scenario and from a command line.
 * @returns undefined: there are none
 */
export function clashOf(globals: GlobalsWords): readonly [word: string, other: string] | undefined {
  const on = CONFIG_WORDS.filter(({ value, parse }) => {
    const own = value === undefined ? (parse("", "explore").globals ?? {}) : {};
    return Object.keys(own).some((word) => (globals[word as ConfigWord] ?? 0) !== 0);
  });
  for (const { name, excludes = [] } of on) {
    const other = on.find((each) => excludes.includes(each.name));
    if (other !== undefined) return [name, other.name];
  }
  return undefined;
}
function merged(a: Settings, b: Settings): Settings {
  return { ...a, ...b, ...((a.globals ?? b.globals) && { globals: { ...a.globals, ...b.globals } }) };
}
/** The entry of a word, and its value. */
function findWord(command: ConfigCommand, word: string): readonly [entry: ConfigWordEntry, value: string] {
  const [name = "", ...values] = word.split("=");
  if (name === RANDOM) {
    const drawing = command === "torture" ? "stands alone, and draws words" : "is for torture, and draws words";
    throw new UsageError(`--config random ${drawing}; a random freelist is --config shuffle`);
  }
  const words = wordsOf(command);
  const entry = words.find((each) => each.name === name || each.alias === name);
  if (entry === undefined) throw new UsageError(`unknown word '${name}' in --config: ${suggestion(name, words)}`);
  if (entry.value === undefined && values.length > 0) throw new UsageError(`--config ${name} takes no value`);
  if (entry.value !== undefined && values.length === 0) {
    throw new UsageError(`--config ${name} needs a value: ${shape(entry)}`);
  }
  return [entry, values.join("=")];
}
function suggestion(name: string, words: readonly ConfigWordEntry[]): string {
  const all = words.map((each) => each.name);
  const names = name.length < 3 ? [] : near(name, all);
  return names.length === 0 ? "see 'sheaf list config'" : `did you mean ${either(names)}?`;
}

/**
 * The words that `--config random` stands for: about a third of those that can be drawn.
 * @param fits  whether a machine can be built with such words
 */
export function drawWords(
  command: ConfigCommand,
  draw: Draw,
  fits: (words: readonly string[]) => boolean,
): readonly string[] {
  let words: readonly string[] = [];
  for (const entry of wordsOf(command)) {
    if (entry.draw === undefined || entry.planned) continue;
    // Both are drawn in any case: a word that does not fit changes nothing about the others.
    const [wanted, word] = [draw(3) === 0, entry.draw(draw)];
    if (wanted && fits([...words, word])) words = [...words, word];
  }
  return words;
}
