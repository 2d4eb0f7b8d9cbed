/** Breaking of text in a column. */
import { expect, test } from "vitest";
import { toAscii, wrap } from "../../../src/main/report/wrap.ts";

test.each([
  ["one two three", 9, 0, ["one two", "  three"]],
  ["one", 9, 4, ["    one"]],
  ["", 9, 2, ["  "]],
  ["read cpu0.krc.work.data = 0", 20, 0, ["read cpu0.krc.work.", "  data = 0"]],
  ["abcdefghijkl", 5, 0, ["abcde", "  fgh", "  ijk", "  l"]],
])("%j at %i", (text, width, indent, lines) => {
  expect(wrap(text, width, indent, 2)).toEqual(lines);
});

test("no line is wider than the column", () => {
  const text = "a bb ccc.dddd.eeeee ffffffffffffffffffff -> g.h.i.jjjjjjjjjjjjjjjjjj";
  for (let width = 4; width < 40; width++) {
    const lines = wrap(text, width, 1, 2);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(width);
    expect(lines.join("").replaceAll(" ", "")).toBe(text.replaceAll(" ", ""));
  }
});

test("only plain ASCII is left", () => expect(toAscii("a\u00e9\n\u2192b")).toBe("a???b"));
