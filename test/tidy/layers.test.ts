/**
 * A file imports from its own folder and from lower rows of the layer table (docs/ARCHITECTURE.md), types included.
 */
import { posix } from "node:path";
import { describe, expect, test } from "vitest";
import { at, nodes, parse, type Source, sourcesIn } from "./sources.ts";

/** Lowest first. Folders of one row do not import each other. */
const ROWS: readonly (readonly string[])[] = [
  ["src/shared/base/"],
  ["src/shared/mem/", "src/shared/sync/"],
  ["src/shared/layout/"],
  ["src/shared/cpu/"],
  ["src/shared/linux/sync/"],
  ["src/shared/linux/lib/"],
  ["src/shared/linux/kernel/"],
  ["src/shared/linux/rcu/"],
  ["src/shared/linux/mm/page_alloc/"],
  ["src/shared/linux/mm/debug/"],
  ["src/shared/linux/mm/slub/"],
  ["src/shared/linux/mm/vmalloc.ts", "src/shared/linux/mm/util.ts", "src/shared/linux/mm/kvrealloc.ts"],
  ["src/shared/linux/mm/kvfree_rcu/"],
  ["src/shared/linux/mm/buckets.ts"],
  ["src/shared/linux/init.ts", "src/shared/linux/api.ts"],
  ["src/nmi/"],
  ["src/workers/"],
  ["src/main/"],
];

/** Primitives of the host: kernel code has its own, under src/shared/linux/sync/. */
const HOST_ONLY = "src/shared/sync/";
const HOST = ["src/workers/", "src/main/"];

interface Layer {
  readonly row: number;
  readonly folder: string;
}

function layerOf(path: string): Layer | undefined {
  for (const [row, folders] of ROWS.entries()) {
    for (const folder of folders) {
      if (path === folder || (folder.endsWith("/") && path.startsWith(folder))) {
        return { row, folder: folder.endsWith("/") ? folder : posix.dirname(folder) + "/" };
      }
    }
  }
  return undefined;
}

/** What a file imports, re-exports, names in a type import or loads by import(). */
function* importsOf(source: Source): Generator<{ readonly start: number; readonly specifier: string | undefined }> {
  for (const node of nodes(source.program)) {
    switch (node.type) {
      case "ImportDeclaration":
      case "ExportAllDeclaration":
      case "ExportNamedDeclaration":
      case "ImportExpression":
      case "TSImportType": {
        if (!node.source) break; // export { local }
        const { start } = node;
        const { source: from } = node;
        yield { start, specifier: from.type === "Literal" && typeof from.value === "string" ? from.value : undefined };
        break;
      }
      default:
    }
  }
}

function upwardImports(source: Source): string[] {
  const from = layerOf(source.path);
  if (from === undefined) return [`${source.path}:1: lies in no row of the layer table`];
  const violations: string[] = [];
  for (const { start, specifier } of importsOf(source)) {
    const complain = (what: string): number => violations.push(at(source, { start }, what));
    if (specifier === undefined) {
      if (from.row < ROWS.length - 1) complain("import() of a path that is computed");
      continue;
    }
    if (specifier === "sheaf" || specifier.startsWith("sheaf/")) complain("imports its own package by name");
    if (!specifier.startsWith(".")) continue; // A package.
    const target = posix.join(posix.dirname(source.path), specifier);
    const to = layerOf(target);
    if (to === undefined) complain(`imports ${target}, which lies in no row of the layer table`);
    else if (to.folder === from.folder) continue;
    else if (to.row >= from.row) complain(`row ${from.row} imports ${target} of row ${to.row}`);
    else if (to.folder === HOST_ONLY && !HOST.includes(from.folder))
      complain(`imports ${target}, which is for the host`);
  }
  return violations;
}

test("src imports from its own folder and from lower rows", () => {
  expect(sourcesIn("src").flatMap(upwardImports)).toEqual([]);
});

describe("the rule", () => {
  const check = (path: string, text: string): string[] => upwardImports(parse(path, text));

  test.each([
    ["src/shared/mem/a.ts", 'import { b } from "./b.ts";'],
    ["src/shared/mem/a.ts", 'import { b } from "../base/b.ts";'],
    ["src/shared/linux/mm/slub/a.ts", 'import { b } from "../page_alloc/b.ts"; import { c } from "../../rcu/c.ts";'],
    ["src/shared/linux/init.ts", 'import { b } from "./api.ts"; import { c } from "./mm/kvfree_rcu/c.ts";'],
    ["src/workers/a.ts", 'import { b } from "../shared/sync/index.ts"; import { c } from "piscina";'],
    ["src/main/explore/a.ts", 'import { b } from "../cli.ts"; await import(name);'],
  ])("allows %s: %s", (path, text) => {
    expect(check(path, text)).toEqual([]);
  });

  test.each([
    ["src/shared/mem/a.ts", 'import { b } from "../layout/b.ts";', "row 1 imports src/shared/layout/b.ts of row 2"],
    ["src/shared/mem/a.ts", 'import type { B } from "../cpu/b.ts";', "row 1 imports src/shared/cpu/b.ts of row 3"],
    ["src/shared/mem/a.ts", 'import { b } from "../sync/b.ts";', "row 1 imports src/shared/sync/b.ts of row 1"],
    ["src/shared/mem/a.ts", 'export { b } from "../cpu/b.ts";', "row 1 imports src/shared/cpu/b.ts of row 3"],
    ["src/shared/mem/a.ts", 'export * from "../cpu/b.ts";', "row 1 imports src/shared/cpu/b.ts of row 3"],
    ["src/shared/mem/a.ts", 'let a: import("../cpu/b.ts").B;', "row 1 imports src/shared/cpu/b.ts of row 3"],
    ["src/shared/mem/a.ts", 'await import("../cpu/b.ts");', "row 1 imports src/shared/cpu/b.ts of row 3"],
    ["src/shared/mem/a.ts", "await import(name);", "import() of a path that is computed"],
    ["src/shared/linux/rcu/a.ts", 'import { b } from "../api.ts";', "row 7 imports src/shared/linux/api.ts of row 14"],
    [
      "src/shared/linux/mm/slub/a.ts",
      'import "../kvfree_rcu/b.ts";',
      "row 10 imports src/shared/linux/mm/kvfree_rcu/b.ts of row 12",
    ],
    ["src/nmi/a.ts", 'import { b } from "../workers/b.ts";', "row 15 imports src/workers/b.ts of row 16"],
    ["src/nmi/a.ts", 'import "../shared/sync/b.ts";', "imports src/shared/sync/b.ts, which is for the host"],
    ["src/workers/a.ts", 'import "../main/b.ts";', "row 16 imports src/main/b.ts of row 17"],
    ["src/main/a.ts", 'import "../../test/b.ts";', "imports test/b.ts, which lies in no row of the layer table"],
    ["src/main/a.ts", 'import "sheaf/sync";', "imports its own package by name"],
    ["src/shared/helpers.ts", "export {};", "lies in no row of the layer table"],
    ["src/shared/linux/other.ts", "export {};", "lies in no row of the layer table"],
  ])("finds %s: %s", (path, text, what) => {
    expect(check(path, text)).toEqual([`${path}:1: ${what}`]);
  });
});
