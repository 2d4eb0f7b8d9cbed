/** docs/KERNEL_MAP.md is what npm run kernel-map would write. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { expectedMap } from "../../tools/kernel_map.ts";

test("the kernel map is current", () => {
  const present = readFileSync(new URL("../../docs/KERNEL_MAP.md", import.meta.url), "utf8");
  expect(present).toBe(expectedMap(present));
});
