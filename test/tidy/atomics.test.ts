/**
 * Under src/shared only mem/ and sync/ name Atomics: elsewhere an atomic access is a Memory method, which is a step.
 */
import { describe, expect, test } from "vitest";
import { at, nodes, parse, type Source, sourcesIn } from "./sources.ts";

const ALLOWED = ["src/shared/mem/", "src/shared/sync/"];

function atomicsOutsideMemory(source: Source): string[] {
  if (ALLOWED.some((folder) => source.path.startsWith(folder))) return [];
  return [...nodes(source.program)]
    .filter((node) => node.type === "Identifier" && node.name === "Atomics")
    .map((node) => at(source, node, "names Atomics"));
}

test("only mem and sync name Atomics", () => {
  expect(sourcesIn("src/shared").flatMap(atomicsOutsideMemory)).toEqual([]);
});

describe("the rule", () => {
  const check = (path: string, text: string): string[] => atomicsOutsideMemory(parse(path, text));

  test.each([
    "Atomics.load(words, 0);",
    "globalThis.Atomics.load(words, 0);",
    "const { add } = Atomics;",
    "f(Atomics);",
  ])("finds %s", (text) => {
    expect(check("src/shared/cpu/a.ts", `\n${text}`)).toEqual(["src/shared/cpu/a.ts:2: names Atomics"]);
  });

  test("allows it in mem and sync, and in a comment or a string anywhere", () => {
    expect(check("src/shared/mem/a.ts", "Atomics.load(words, 0);")).toEqual([]);
    expect(check("src/shared/sync/a.ts", "Atomics.load(words, 0);")).toEqual([]);
    expect(check("src/shared/cpu/a.ts", '// Atomics.load\nf("Atomics");')).toEqual([]);
  });
});
