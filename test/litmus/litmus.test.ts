/** Runs every litmus test of this folder under the explorer. */
import { readdirSync } from "node:fs";
import { expect, test } from "vitest";
import { Explorer } from "../../src/main/explore/explore.ts";
import type { Litmus } from "./kit.ts";

const files = readdirSync(new URL(".", import.meta.url)).filter((f) => f.endsWith(".ts") && !/^(kit|litmus)/.test(f));

for (const file of files) {
  const { default: litmus } = (await import(new URL(file, import.meta.url).href)) as { default: Litmus };
  test(`${file.slice(0, -3)}: ${litmus.scenario.name}: ${litmus.result}`, () => {
    const { bound, random = 200, exhaustive = 20_000 } = litmus;
    const run = new Explorer(litmus.scenario).explore({ bound, random, exhaustive });
    if (litmus.result === "Sometimes") {
      expect(run.failure?.message ?? "not observed").toContain("observed");
    } else {
      expect(run.failure).toBeUndefined();
      expect(run.exhausted, "preemption bound that was exhausted").toBe(bound);
    }
  });
}
