/** docs/HOOKS.md is what npm run hook-table would write. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { expectedHooks } from "../../tools/hook_table.ts";

test("the hook table is current", () => {
  const present = readFileSync(new URL("../../docs/HOOKS.md", import.meta.url), "utf8");
  expect(present).toBe(expectedHooks(present));
});
