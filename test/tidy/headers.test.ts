/**
 * Each source file opens with a comment that says what it provides.
 */
import { describe, expect, test } from "vitest";
import { parse, type Source, sourcesIn } from "./sources.ts";

/** Shorter ones say no more than the path does. */
const SHORTEST = 20;

function missingHeader(source: Source): string[] {
  const [first] = source.comments;
  const start = source.text.startsWith("#!") ? source.text.indexOf("\n") + 1 : 0;
  if (first === undefined || source.text.slice(start, first.start).trim() !== "") {
    return [`${source.path}:1: does not start with a comment`];
  }
  return first.value.trim().length < SHORTEST ? [`${source.path}:1: its header says nothing`] : [];
}

test("each file of src starts with a header", () => {
  expect(sourcesIn("src").flatMap(missingHeader)).toEqual([]);
});

describe("the rule", () => {
  const check = (text: string): string[] => missingHeader(parse("src/main/a.ts", text));

  test.each([
    ["", "does not start with a comment"],
    ["export const a = 1;\n/** Too late to be a header. */", "does not start with a comment"],
    ["/** */\nexport const a = 1;", "its header says nothing"],
  ])("finds %j", (text, what) => {
    expect(check(text)).toEqual([`src/main/a.ts:1: ${what}`]);
  });

  test.each([
    "/**\n * What this file provides.\n */\nexport const a = 1;",
    "// src/shared/layout/irq_work.ts: structs only\nexport const a = 1;",
  ])("allows %j", (text) => {
    expect(check(text)).toEqual([]);
  });
});
