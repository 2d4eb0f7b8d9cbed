/** The catalogue: what is found by which name, and what is said of files that cannot be used. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { catalogued, findScenarios, FOLDERS } from "../../../src/main/explore/catalogue.ts";
import { scenarioProblem } from "../../../src/main/explore/declaration.ts";
import * as subjects from "./subjects.ts";

const FILE = "test/main/explore/subjects.ts";
const names = async (...words: string[]): Promise<readonly string[]> =>
  (await findScenarios(words)).map(({ name }) => name);

describe("ours", () => {
  test("every folder has some, and no name is used twice", async () => {
    const all = (await Promise.all(FOLDERS.map(catalogued))).map((entries) => entries.map(({ name }) => name));
    for (const found of all) expect(found.length).toBeGreaterThan(0);
    expect(new Set(all.flat()).size).toBe(all.flat().length);
  });
  test("all of them, but for those that show what does happen", async () => {
    const all = (await Promise.all(FOLDERS.map(catalogued))).flat();
    expect(await names()).toEqual(all.filter(({ happens }) => !happens).map(({ name }) => name));
  });
  test("by name, each once, in the order given", async () => {
    expect(await names("T9", "T4", "T9")).toEqual(["T9", "T4"]);
  });
  test("near misses of a name", async () => {
    await expect(names("spinlock-exclusion")).rejects.toThrow(
      /^unknown scenario 'spinlock-exclusion': did you mean .*spinlock/,
    );
    await expect(names("zzz")).rejects.toThrow(
      "unknown scenario 'zzz': see sheaf list races or sheaf list litmus; a file is named as ./zzz.ts",
    );
  });
});

test("what is expected to happen is known", async () => {
  const happens = async (name: string): Promise<boolean | undefined> => (await findScenarios([name]))[0].happens;
  expect(await happens("T4")).toBe(false);
  expect(await happens("K-1")).toBe(false);
  expect(await happens("K-1-off")).toBe(true);
});

describe("a user's file", () => {
  test("has all its scenarios, or the one behind #", async () => {
    const expected = Object.values(subjects).map(({ name }) => `${FILE}#${name}`);
    expect((await names(FILE)).toSorted()).toEqual(expected.toSorted());
    const [entry, ...more] = await findScenarios([`${FILE}#lost-update`]);
    expect(more).toEqual([]);
    expect(entry).toMatchObject({ name: `${FILE}#lost-update`, scenario: subjects.lostUpdate, happens: false });
  });
  test("without the one behind #", async () => {
    await expect(names(`${FILE}#nothing`)).rejects.toThrow(`${FILE} has no scenario 'nothing': it has `);
  });
});

describe("a file that cannot be used", () => {
  let folder = "";
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "sheaf-"));
  });
  afterAll(() => rmSync(folder, { recursive: true }));
  const said = async (name: string, text: string): Promise<string> => {
    const path = join(folder, name);
    writeFileSync(path, text);
    const message = await names(path).then(
      (found) => `found ${found.join()}`,
      (error: unknown) => String(error),
    );
    expect(message).not.toContain("\n");
    return message.replaceAll(path, "FILE");
  };

  test("one scenario is named by the file alone", async () => {
    expect(await said("good.mjs", "export const a = { name: 'a', cpus: [[]] };")).toBe("found FILE");
    expect(await said("both.mjs", "export const a = { name: 'a', cpus: [[]] }; export default a;")).toBe("found FILE");
    expect(await said("list.mjs", "export default [1, 2].map((i) => ({ name: `a${i}`, cpus: [[]] }));")).toBe(
      "found FILE#a1,FILE#a2",
    );
  });
  test.each([
    ["empty.mjs", "export {};", "UsageError: FILE exports no scenario: export one that"],
    ["number.mjs", "export default 7;", "UsageError: FILE exports no scenario: export one that"],
    ["throws.mjs", "throw new Error('no luck\\ntoday');", "UsageError: cannot load FILE: Error: no luck (line 1)"],
    ["null.mjs", "throw null;", "UsageError: cannot load FILE: null"],
    ["syntax.mjs", "\n\nexport default {;", "UsageError: cannot load FILE: "],
    ["import.mjs", "import './nothing.mjs';", "UsageError: cannot load FILE: "],
    [
      "twice.mjs",
      "const a = () => ({ name: 'a', cpus: [[]] }); export default [a(), a()];",
      "UsageError: FILE has two scenarios named 'a': rename one",
    ],
    ["name.mjs", "export default { name: 'a b', cpus: [[]] };", "UsageError: name.mjs: a scenario's name is made of"],
  ])("%s", async (name, text, message) => {
    expect(await said(name, text)).toContain(message);
  });
  test("is not there", async () => {
    await expect(names("./nothing.ts")).rejects.toThrow("there is no file ./nothing.ts");
  });
});

describe("what is wrong with a scenario", () => {
  const { lostUpdate } = subjects;
  test.each<[object, string]>([
    [{ name: "" }, "a scenario's name is made of letters"],
    [{ name: 7 }, "a scenario's name is made of letters"],
    [{ cpus: [] }, "cpus must be a list of lists of functions"],
    [{ cpus: [[1]] }, "cpus must be a list of lists of functions"],
    [{ tasks: [{ cpu: 0 }] }, "tasks must be a list of { cpu, program }"],
    [{ cpus: "none" }, "cpus must be a list of lists of functions"],
    [{ nmis: -1 }, "nmis must be an integer from 0 up, not -1"],
    [{ ticks: NaN }, "ticks must be an integer from 0 up, not NaN"],
    [{ steps: 0 }, "steps must be an integer from 1 up, not 0"],
    [{ check: true }, "check must be a function"],
    [{ config: "tiny" }, "config must be a list of words of --config"],
    [{ bugs: [1] }, "bugs must be a list of words of --bug"],
    [{ bugs: ["refill-laek"] }, "unknown bug 'refill-laek': did you mean refill-leak?"],
    [{ config: ["tiny", "huge"] }, "unknown word 'huge' in --config: see 'sheaf list config'"],
    [{ config: ["tiny", "tiny"] }, "--config names 'tiny' twice"],
  ])("%j", (change, problem) => {
    expect(scenarioProblem({ ...lostUpdate, ...change })).toContain(problem);
  });
  test("nothing", () => {
    for (const subject of Object.values(subjects)) expect(scenarioProblem(subject)).toBeUndefined();
  });
});
