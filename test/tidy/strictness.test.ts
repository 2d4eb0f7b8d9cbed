/**
 * Nothing in src turns the type checker off, and nothing in src is a note to do it later.
 */
import { describe, expect, test } from "vitest";
import { at, nodes, parse, type Source, sourcesIn } from "./sources.ts";

/** Where reads of typed arrays are wrapped. */
const MAY_ASSERT_NON_NULL = /^src\/shared\/mem\/memory[^/]*\.ts$/;
const IN_COMMENTS = /@ts-(?:ignore|nocheck|expect-error)|\b(?:TODO|FIXME)\b/g;

function loopholes(source: Source): string[] {
  const violations: string[] = [];
  for (const node of nodes(source.program)) {
    if (node.type === "TSAnyKeyword") violations.push(at(source, node, "any"));
    const assertsNonNull = node.type === "TSNonNullExpression" || ("definite" in node && node.definite);
    if (assertsNonNull && !MAY_ASSERT_NON_NULL.test(source.path)) violations.push(at(source, node, "!"));
  }
  for (const comment of source.comments) {
    for (const [found] of comment.value.matchAll(IN_COMMENTS)) violations.push(at(source, comment, found));
  }
  return violations;
}

test("src has no any, no non-null assertion, no switched-off check, no TODO", () => {
  expect(sourcesIn("src").flatMap(loopholes)).toEqual([]);
});

describe("the rule", () => {
  const check = (text: string, path = "src/main/a.ts"): string[] => loopholes(parse(path, text));

  test.each([
    ["let a: any;", "any"],
    ["const a = b as any[];", "any"],
    ["function f<T = any>(x: T) {}", "any"],
    ["a!.b;", "!"],
    ["f(a[0]!);", "!"],
    ["let a!: number;", "!"],
    ["class A { b!: number; }", "!"],
    ["// @ts-ignore", "@ts-ignore"],
    ["/* @ts-nocheck */", "@ts-nocheck"],
    ["// @ts-expect-error", "@ts-expect-error"],
    ["// TODO: the rest", "TODO"],
    ["/** FIXME */", "FIXME"],
  ])("finds %s", (text, what) => {
    expect(check(text)).toEqual([`src/main/a.ts:1: ${what}`]);
  });

  test.each(["// any, and !", 'const any = "TODO";', "if (!a) b();", "a !== b;", "let a: unknown;"])(
    "allows %s",
    (text) => {
      expect(check(text)).toEqual([]);
    },
  );

  test("allows a non-null assertion in memory*.ts only", () => {
    expect(check("a!.b;", "src/shared/mem/memory_torture.ts")).toEqual([]);
    expect(check("a!.b;", "src/shared/mem/struct.ts")).toEqual(["src/shared/mem/struct.ts:1: !"]);
  });
});
