/**
 * The test run. A test that waits on shared memory bounds its wait: one that blocks its thread for ever is beyond
 * testTimeout, and only the timeout around the whole run (package.json) ends it.
 */
import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

const onCi = process.env["CI"] !== undefined;

/** Files that take a minute or two, the longest first: one that began last would run alone at the end. */
const LONG = [
  "races/races.test.ts",
  "explore/hand_over.test.ts",
  "mutants/mutants.test.ts",
  "litmus/litmus.test.ts",
  "torture/run.test.ts",
  "bench/main.test.ts",
];
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const at = LONG.findIndex((name) => moduleId.endsWith(name));
      return at < 0 ? LONG.length : at;
    };
    // oxlint-disable-next-line unicorn/no-array-sort -- it is the sequencer's, not an array's.
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b));
  }
}

export default defineConfig({
  test: {
    pool: "forks",
    // Two at a time on a machine with two cores: most tests use one. Those with threads of their own bear company.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    include: ["test/**/*.test.ts"],
    sequence: { sequencer: LongestFirst },
    testTimeout: 60_000,
    hookTimeout: 60_000,
    reporters: onCi ? ["default", "json"] : ["default"],
    outputFile: { json: "test-results/vitest.json" },
  },
});
