/**
 * The catalogue: every scenario by the name that command lines and tokens use. Those of ours are in the modules of
 * src/main/races and src/main/litmus, as default exports; those of a user in any file, named by its path, with "#name"
 * behind it where the file has several.
 */
import { existsSync, globSync } from "node:fs";
import { basename, extname } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { UsageError } from "../errors.ts";
import { either } from "../values.ts";
import { type Declaration, declaration, scenarioProblem } from "./declaration.ts";
import type { Scenario } from "./scenario.ts";
import { firstLine } from "./user_code.ts";

export const FOLDERS = ["races", "litmus"] as const;
export type Folder = (typeof FOLDERS)[number];

export interface CatalogueEntry extends Declaration {
  /** Names it on a command line and in a token. */
  readonly name: string;
  readonly file: URL;
}

/** All scenarios of one of our folders, by name. */
export async function catalogued(folder: Folder): Promise<readonly CatalogueEntry[]> {
  const place = new URL(`../${folder}/`, import.meta.url);
  const extension = extname(import.meta.url); // Sources lie beside sources, and dist has .d.ts files too.
  const files = globSync(`*${extension}`, { cwd: place }).map((path) => new URL(path, place));
  const found = await Promise.all(files.map(async (file) => entriesOf(file, ["default"])));
  return found.flat().toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

/**
 * The scenarios that the words name, each once; without words all of ours, but for those that show what does happen.
 * @throws UsageError  no such scenario or file, or a file that cannot be used
 */
export async function findScenarios(words: readonly string[]): Promise<readonly CatalogueEntry[]> {
  const ours = words.every(isFile) && words.length > 0 ? [] : (await Promise.all(FOLDERS.map(catalogued))).flat();
  if (words.length === 0) return ours.filter(({ happens }) => !happens);
  const found: CatalogueEntry[] = [];
  for (const word of new Set(words)) found.push(...(isFile(word) ? await fromFile(word) : [named(word, ours)]));
  return found;
}

/** The scenario of that name in a module: what other threads look up again. */
export async function scenarioOf(file: URL, name: string): Promise<Scenario> {
  const entry = (await entriesOf(file)).find(({ scenario }) => scenario.name === name);
  if (entry === undefined) throw new UsageError(`${fileURLToPath(file)} has no scenario '${name}'`);
  return entry.scenario;
}

function named(word: string, ours: readonly CatalogueEntry[]): CatalogueEntry {
  const entry = ours.find(({ name }) => name === word);
  if (entry !== undefined) return entry;
  const parts = word.toLowerCase().split(/[^a-z0-9]+/);
  const near = ours.map(({ name }) => name).filter((name) => parts.some((part) => part !== "" && name.includes(part)));
  const advice =
    near.length > 0 && near.length <= 6
      ? `did you mean ${either(near)}?`
      : `see ${either(FOLDERS.map((folder) => `sheaf list ${folder}`))}; a file is named as ./${word}.ts`;
  throw new UsageError(`unknown scenario '${word}': ${advice}`);
}

/** A path: no scenario's name has a slash or a dot. */
function isFile(word: string): boolean {
  return /[/\\.]/.test(word);
}

async function fromFile(word: string): Promise<readonly CatalogueEntry[]> {
  const [, path, wanted] = /^(.*?)(?:#([^#/\\]*))?$/s.exec(word) ?? [word, word];
  const file = pathToFileURL(path);
  if (!existsSync(file)) throw new UsageError(`there is no file ${path}`);
  const entries = await entriesOf(file);
  if (entries.length === 0) {
    throw new UsageError(
      `${path} exports no scenario: export one that scenario({ name, cpus }) of sheaf/test returned`,
    );
  }
  const names = entries.map(({ name }) => name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) throw new UsageError(`${path} has two scenarios named '${twice}': rename one`);
  const chosen = wanted === undefined ? entries : entries.filter(({ name }) => name === wanted);
  if (chosen.length === 0) throw new UsageError(`${path} has no scenario '${wanted}': it has ${names.join(", ")}`);
  return chosen.map((entry) => ({ ...entry, name: entries.length === 1 ? path : `${path}#${entry.name}` }));
}

/** @param exported  names of the exports that count; default: all. */
async function entriesOf(file: URL, exported?: readonly string[]): Promise<readonly CatalogueEntry[]> {
  const module = await load(file);
  const values = new Set((exported ?? Object.keys(module)).flatMap((name) => module[name]));
  const entries: CatalogueEntry[] = [];
  for (const value of values) {
    const declared = declaration(value);
    if (declared === undefined) continue;
    const problem = scenarioProblem(declared.scenario);
    if (problem !== undefined) throw new UsageError(`${basename(file.pathname)}: ${problem}`);
    entries.push({ name: declared.scenario.name, file, ...declared });
  }
  return entries;
}
async function load(file: URL): Promise<Readonly<Record<string, unknown>>> {
  try {
    return (await import(file.href)) as Record<string, unknown>;
  } catch (error) {
    throw new UsageError(`cannot load ${fileURLToPath(file)}: ${reason(error, file)}`);
  }
}
/** "SyntaxError: Unexpected token (line 7)" */
function reason(error: unknown, file: URL): string {
  if (!(error instanceof Error)) return firstLine(String(error));
  const place = (error.stack ?? "").split(`${basename(file.pathname)}:`).at(1);
  const line = place === undefined ? undefined : /^\d+/.exec(place)?.[0];
  return `${error.name}: ${firstLine(error.message)}${line === undefined ? "" : ` (line ${line})`}`;
}
