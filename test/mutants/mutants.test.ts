/** The explorer notices the quick planted bugs; all still fit the sources. `npm run mutants` runs the whole list. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { FOLDERS, catalogued } from "../../src/main/explore/catalogue.ts";
import { explore } from "./drivers.ts";
import { MUTANTS } from "./mutants.ts";

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

test("names are unique, and each mutant names a scenario of ours", async () => {
  const names = MUTANTS.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  const scenarios = (await Promise.all(FOLDERS.map(catalogued))).flat().map(({ name }) => name);
  for (const {
    name,
    explore: [scenario],
  } of MUTANTS)
    expect(scenarios, name).toContain(scenario);
});

for (const mutant of MUTANTS.filter(({ quick }) => quick)) {
  test(`${mutant.name}: ${mutant.what}`, { timeout: 90_000 }, () => {
    expect(explore(mutant)).toMatchObject({ caught: true });
  });
}
