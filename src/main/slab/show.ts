/** Prints what `sheaf sysfs` is asked for: all caches, all files of one, or one file; as text or as JSON. */
import type { Output } from "../command.ts";
import { ATTRIBUTE_NAMES, readAttribute, type Value, valueJson, valueText } from "./attributes.ts";
import { entriesOf } from "./directory.ts";
import { type Cache, readCache, type Seen } from "./seen.ts";
import { isTraceName, type TraceName } from "./trace_names.ts";
import { traces, tracesJson, tracesText } from "./traces.ts";

export interface Path {
  readonly cache: string | undefined;
  readonly file: string | undefined;
}

/** @returns why there is nothing to print. */
export function show(seen: Seen, { cache, file }: Path, json: boolean, output: Output): string | undefined {
  if (cache === undefined) {
    showDirectory(seen, json, output);
    return undefined;
  }
  const entry = entriesOf(seen).find(({ name }) => name === cache);
  if (entry === undefined) return `there is no cache '${cache}': 'sheaf sysfs' lists them`;
  if (file !== undefined && isTraceName(file)) return showTraces(seen, entry.cache, cache, file, json, output);
  const names = file === undefined ? ATTRIBUTE_NAMES : [file];
  const values = readCache(seen, entry.cache, (s) =>
    names.map((name) => [name, readAttribute(seen, s, name)] as const),
  );
  if (values === undefined) return "the cache has gone away";
  if (json) {
    output.out(JSON.stringify({ cache, files: Object.fromEntries(values.map(([name, v]) => [name, valueJson(v)])) }));
  } else if (file === undefined) {
    showFiles(values, output);
  } else {
    const text = valueText(values[0][1]);
    if (text !== "") output.out(text);
  }
  return undefined;
}

function showDirectory(seen: Seen, json: boolean, output: Output): void {
  const lines = new Map(entriesOf(seen).map(({ name, link }) => [name, link]));
  if (json)
    output.out(JSON.stringify([...lines].map(([name, link]) => ({ name, ...(link !== undefined && { link }) }))));
  else for (const [name, link] of lines) output.out(link === undefined ? name : `${name} -> ${link}`);
}
function showFiles(values: readonly (readonly [name: string, value: Value])[], output: Output): void {
  const width = Math.max(...values.map(([name]) => name.length));
  for (const [name, value] of values) output.out(`${name.padEnd(width)}  ${valueText(value)}`.trimEnd());
}
function showTraces(
  seen: Seen,
  s: Cache,
  cache: string,
  file: TraceName,
  json: boolean,
  output: Output,
): string | undefined {
  const locations = traces(seen, s, file);
  if (locations === undefined) return "the cache keeps no tracks: give --config debug=U";
  if (json) output.out(JSON.stringify({ cache, files: { [file]: tracesJson(locations) } }));
  else for (const line of tracesText(seen, locations)) output.out(line);
  return undefined;
}
