/**
 * summary.js RESULTS STATUS: prints "N passed, N failed" for a result file of vitest's json reporter and the exit
 * status of the run that wrote it; exits 1 unless tests ran and all passed.
 *
 * Plain JavaScript: it runs on whatever Node the machine has.
 */
import { existsSync, readFileSync } from "node:fs";

const [path = "test-results/vitest.json", status = "0"] = process.argv.slice(2);
if (!existsSync(path)) {
  console.error(`no ${path}: the run ended before the tests did`);
  process.exit(1);
}

/** @type {{ testResults: { status: string, assertionResults: { status: string }[] }[] }} */
const { testResults } = JSON.parse(readFileSync(path, "utf8"));
let passed = 0;
let failed = 0;
for (const file of testResults) {
  const failedHere = file.assertionResults.filter((test) => test.status === "failed").length;
  passed += file.assertionResults.filter((test) => test.status === "passed").length;
  // A file that fails without a failed test did not load, or a hook of it threw.
  failed += file.status === "failed" && failedHere === 0 ? 1 : failedHere;
}
// An error outside of every test, such as a rejection that nobody handled.
if (failed === 0 && status !== "0") failed = 1;

console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);
