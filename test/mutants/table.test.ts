/** What was measured once is kept when the page is written anew. */
import { expect, test } from "vitest";
import { MUTANTS } from "./mutants.ts";
import { table } from "./table.ts";

test("a row is read back as it was written, bars in what a program says too", () => {
  const [mutant] = MUTANTS;
  const silent = { caught: false, seconds: 60 };
  const measured = {
    mutant,
    explored: { ...silent, message: "no report: explorer | lost", schedules: 12_345 },
    tortured: { ...silent, message: "no report: torture | lost" },
  };
  const page = table([measured], "");
  expect(page).toContain(String.raw`| no report: torture \| lost |`);
  expect(table([{ mutant, explored: undefined, tortured: undefined }], page)).toBe(page);
});
