/**
 * The test run. A test that waits on shared memory bounds its wait: one that blocks its thread for ever is beyond
 * testTimeout, and only the timeout around the whole run (package.json) ends it.
 */
import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";

const onCi = process.env["CI"] !== undefined;

export default defineConfig({
  test: {
    pool: "forks",
    // Two at a time on a machine with two cores: most tests use one. Those with threads of their own bear company.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    include: ["test/**/*.test.ts"],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    reporters: onCi ? ["default", "json"] : ["default"],
    outputFile: { json: "test-results/vitest.json" },
  },
});
