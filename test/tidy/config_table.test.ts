/** docs/CONFIGURATIONS.md has a row for each word of --config, and says which command has it. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { CONFIG_WORDS } from "../../src/main/config_words.ts";

const page = readFileSync(new URL("../../docs/CONFIGURATIONS.md", import.meta.url), "utf8");
const rows = page.split("\n").filter((line) => line.startsWith("| `"));
const documented = new Map(
  rows.map((row) => {
    const [, word = "", explore = ""] = row.split("|").map((cell) => cell.trim());
    return [word.replaceAll("`", "").replace(/[=:].*/, ""), explore] as const;
  }),
);

test("words and rows are the same", () => {
  const there = CONFIG_WORDS.filter(({ planned }) => planned === undefined);
  expect([...documented.keys()].toSorted()).toEqual(there.map(({ name }) => name).toSorted());
});
test("the commands are right", () => {
  for (const { name, only, planned } of CONFIG_WORDS) {
    if (planned === undefined) expect([name, documented.get(name)]).toEqual([name, only === "torture" ? "" : "x"]);
  }
});
