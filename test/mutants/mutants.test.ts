/** The quick planted bugs are caught; all of them still apply to the sources. `npm run mutants` runs the whole list. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { MUTANTS } from "./mutants.ts";
import { runMutant } from "./run.ts";

test("every edit of every mutant finds the code that it replaces, once", () => {
  for (const { name, edits } of MUTANTS) {
    expect(edits.length, name).toBeGreaterThan(0);
    for (const { file, find, replace } of edits) {
      const source = readFileSync(new URL(`../../${file}`, import.meta.url), "utf8");
      expect(source.split(find).length - 1, `${name}: ${file}`).toBe(1);
      expect(replace, name).not.toBe(find);
    }
  }
});

for (const mutant of MUTANTS.filter((m) => m.quick)) {
  test(`${mutant.name}: ${mutant.what}`, { timeout: 90_000 }, () => {
    expect(runMutant(mutant)).toMatchObject({ caught: true });
  });
}
