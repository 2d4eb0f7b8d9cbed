/**
 * Kernel code keeps no JavaScript-side state and asks nobody outside the machine: that is what lets the explorer
 * suspend, rebuild and replay a CPU at any access. It also swallows no exception, since one may be the explorer's.
 */
import type { Node } from "oxc-parser";
import { describe, expect, test } from "vitest";
import { at, nodes, parse, type Source, sourcesIn } from "./sources.ts";

const FOLDERS = ["src/shared/cpu", "src/shared/linux", "src/nmi"];

/** Clocks and chance. */
const OUTSIDE = new Set(["Date", "performance", "process", "crypto"]);
const COLLECTIONS = new Set(["Map", "Set", "WeakMap", "WeakSet"]);

const isMath = (node: Node): boolean => node.type === "Identifier" && node.name === "Math";

function impurities(source: Source): string[] {
  const violations: string[] = [];
  const knownUses = new Set<Node>();
  const complain = (node: Node, what: string): number => violations.push(at(source, node, what));

  for (const node of nodes(source.program)) {
    if (node.type === "CatchClause") complain(node, "catch");
    if (node.type === "TryStatement" && node.finalizer) complain(node.finalizer, "finally");
    if (node.type === "VariableDeclaration" && node.kind.endsWith("using")) complain(node, "using");
    if (node.type === "Identifier" && OUTSIDE.has(node.name)) complain(node, node.name);
    if (node.type === "MemberExpression" && isMath(node.object)) {
      knownUses.add(node.object);
      if (node.computed || node.property.name === "random") complain(node, "Math.random");
    }
    // Passed on or taken apart, it may be asked for anything.
    if (isMath(node) && !knownUses.has(node)) complain(node, "Math, as a value");
  }

  for (const node of nodes(source.program, { insideFunctions: false })) {
    if (node.type === "VariableDeclaration" && (node.kind === "let" || node.kind === "var")) {
      complain(node, `module-level ${node.kind}`);
    }
    if (node.type === "NewExpression" && node.callee.type === "Identifier" && COLLECTIONS.has(node.callee.name)) {
      complain(node, `module-level new ${node.callee.name}`);
    }
  }
  return violations;
}

test("cpu, linux and nmi are pure", () => {
  expect(sourcesIn(...FOLDERS).flatMap(impurities)).toEqual([]);
});

describe("the rule", () => {
  const check = (text: string): string[] => impurities(parse("src/nmi/a.ts", text));

  test.each([
    ["try { f(); } catch { g(); }", ["catch"]],
    ["function h() { try { f(); } finally { g(); } }", ["finally"]],
    ["function h() { using lock = f(); }", ["using"]],
    ["async function h() { await using lock = f(); }", ["using"]],
    ["const t = () => Date.now();", ["Date"]],
    ["const t = () => new Date();", ["Date"]],
    ["const t = () => performance.now();", ["performance"]],
    ["const t = () => process.hrtime.bigint();", ["process"]],
    ["const r = () => Math.random();", ["Math.random"]],
    ['const r = () => Math["random"]();', ["Math.random"]],
    ["const { random } = Math;", ["Math, as a value"]],
    ["let count = 0;", ["module-level let"]],
    ["export let count = 0;", ["module-level let"]],
    ["var count = 0;", ["module-level var"]],
    ["{ let count = 0; }", ["module-level let"]],
    ["const cache = new Map();", ["module-level new Map"]],
    ["export const seen = { by: new Set() };", ["module-level new Set"]],
    ["class A { static seen = new WeakMap(); }", ["module-level new WeakMap"]],
    ["class A { static { f(new Map()); } }", ["module-level new Map"]],
  ])("finds %s", (text, what) => {
    expect(check(text)).toEqual(what.map((each) => `src/nmi/a.ts:1: ${each}`));
  });

  test.each([
    "function f() { let i = 0; return new Map([[i, i]]); }",
    "const f = () => Math.max(1, 2);",
    "class A { seen = new Map(); }",
    "// let, catch, Date.now(), Math.random()",
    'bug(cpu, "catch { Date }");',
    "const table = [1, 2, 3];",
  ])("allows %s", (text) => {
    expect(check(text)).toEqual([]);
  });
});
