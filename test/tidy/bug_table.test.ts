/** docs/BUGS.md has the known bugs as src/shared/layout has them; what was measured stays. Else: npm run bug-table. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { bugPage } from "../../tools/bug_table.ts";

const PAGE = readFileSync(new URL("../../docs/BUGS.md", import.meta.url), "utf8");

test("docs/BUGS.md is current", () => {
  expect(PAGE).toBe(bugPage(PAGE, new Map()));
});
test("a measurement replaces its row's numbers, and no other row's", () => {
  const explored = { caught: true, message: "a | b", seconds: 1.26, schedules: 12_345 };
  const tortured = { caught: false, message: "not within 60 s", seconds: 60 };
  const before = PAGE.split("\n");
  const after = bugPage(PAGE, new Map([["refill-leak", { explored, tortured }]])).split("\n");
  const cells = (lines: readonly string[]): readonly (readonly string[])[] =>
    lines
      .filter((line) => line.startsWith("| B"))
      .map((line) => line.split(" | ").map((cell) => cell.replace(/\s*\|?$/, "")));
  const changed = cells(after).filter((row, i) => JSON.stringify(row) !== JSON.stringify(cells(before)[i]));
  expect(changed).toHaveLength(1);
  expect(changed[0]).toEqual([
    "| B11",
    "`refill-leak`",
    "`refill-no-memory`",
    "12,345",
    "1.3",
    "`--memory 2MiB`",
    "not within 60 s",
    "a \\| b",
  ]);
});
