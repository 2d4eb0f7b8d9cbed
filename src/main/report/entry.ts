/** The functions that rows name: the entry of what a frame runs, the calls below it, and where steps were left out. */
import type { Step } from "./trace.ts";

/** Begin something of their own, whoever called them. */
const ENTRIES = new Set(["process_one_work", "irq_work_single", "rcu_core"]);

/** The entry, as it is shown, and the functions below it. The brackets of an interrupt say already what its entry is. */
export function pathOf({ path, frame }: Step): readonly [entry: string, ...calls: string[]] {
  const start = path.findLastIndex((name, i) => ENTRIES.has(name) || (i === 0 && name !== frame.name.toLowerCase()));
  const [entry, ...calls] = path.slice(start === -1 ? 1 : start);
  if (entry !== undefined) return [`${entry}()`, ...calls];
  return [frame.outer === undefined ? frame.name : ""];
}

/** The innermost function that all these steps are in; if that is the entry, at most two functions below it. */
export function inFunctions(steps: readonly Step[]): readonly string[] {
  const paths = steps.map(({ path, frame }) => (path[0] === frame.name.toLowerCase() ? path.slice(1) : path));
  const [path] = paths;
  let depth = 0;
  while (depth < path.length && paths.every((other) => other[depth] === path[depth])) depth++;
  const common = path.slice(0, depth).slice(-1);
  const below = [...new Set(paths.flatMap((other) => other.slice(depth, depth + 1)))];
  const isPrecise = depth > 1 || below.length === 0 || (depth === 1 && below.length > 2);
  const names = (isPrecise ? common : below).map((name) => `${name}()`);
  return names.length === 0 ? [] : [`in ${names.slice(0, 2).join(", ")}${names.length > 2 ? ", ..." : ""}`];
}
