/** Steps that belong to decisive ones: on the same variables, or on what becomes of the objects that those move. */
import type { Step } from "./trace.ts";

export function onSameVariables(decisive: readonly Step[], story: ReadonlySet<Step>): readonly Step[] {
  const variables = new Set(decisive.map(({ word }) => variableOf(word)));
  return [...story].filter(({ word }) => variables.has(variableOf(word)));
}
/** "cpu0.krc" of "cpu0.krc.krw_arr[0].head_free"; "things#2" of "things#2+8". */
const variableOf = (word: string): string => /^[^.+>]*(?:(?:\.|->)[^.>+-]*)?/.exec(word)?.[0] ?? word;

/** Where the objects go that these steps move, and what happens to the pointer to that place. */
export function whereObjectsGo(decisive: readonly Step[], story: ReadonlySet<Step>): readonly Step[] {
  const moved = new Set(decisive.flatMap(({ writes, before }) => (writes ? objectsIn(before) : [])));
  const moves = new Set(
    [...story].filter(({ writes, after }) => writes && objectsIn(after).some((name) => moved.has(name))),
  );
  const places = new Set([...moves].flatMap(({ word }) => (word.includes("->") ? [word.replace(/->.*/, "")] : [])));
  return [...story].filter((step) => moves.has(step) || places.has(step.word));
}
/** "things#2" in "things#2+8". */
const objectsIn = (value: string): readonly string[] => value.match(/[\w-]+#\d+/g) ?? [];
