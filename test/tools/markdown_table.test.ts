/** Tables in Markdown: what is written is read back as it was. */
import { expect, test } from "vitest";
import { cellOf, markdownTable, rowsByFirst, secondsOf } from "../../tools/markdown_table.ts";

test("a column is as wide as its widest cell; a row may be short", () => {
  expect(markdownTable(["bug", "s"], [["B1", "not run"], ["B2"]]).split("\n")).toEqual([
    "| bug | s       |",
    "| --- | ------- |",
    "| B1  | not run |",
    "| B2  |         |",
  ]);
});
test("rows are read back by their first cells, bars in them too; other lines of the page are none", () => {
  const rows = [
    ["B1", "", cellOf("a | b", 20)],
    ["B2", "1.0", cellOf("|", 20)],
  ];
  const page = ["# Bugs", "B3 | is no row", markdownTable(["bug", "s", "it says"], rows), "| other | table |"];
  expect([...rowsByFirst(page.join("\n\n"), "B").values()]).toEqual(rows);
  expect(rowsByFirst(page.join("\n"), "B").get("B2")).toEqual(rows[1]);
});
test("a message is cut, and its bars do not end the cell", () => {
  expect(cellOf("a|b", 20)).toBe(String.raw`a\|b`);
  expect(cellOf("abc def", 4)).toBe("abc");
});
test("seconds, or why there are none", () => {
  expect(secondsOf({ caught: true, seconds: 1.26, message: "a|b" }, 20)).toBe("1.3");
  expect(secondsOf({ caught: false, seconds: 60, message: "no report: a|b" }, 20)).toBe(String.raw`no report: a\|b`);
});
