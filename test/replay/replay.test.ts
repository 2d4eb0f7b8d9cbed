/**
 * Failures that were found once, as tokens: each must show itself again, whatever has become of the code since. A token
 * that is refused because its scenario is configured otherwise now must be found anew, or the failure is forgotten.
 */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { reproduce } from "../../src/main/explore/reproduce.ts";

/** Lines "TOKEN MESSAGE"; others are comments. */
const failures = readFileSync(new URL("failures.txt", import.meta.url), "utf8")
  .split("\n")
  .map((line) => /^(s\d+\.\S+) (.*)$/.exec(line))
  .filter((line) => line !== null);

test.each(failures.map(([, token, message]) => [token, message]))("%s", async (token, message) => {
  const { execution, divergence } = await reproduce(token);
  expect(divergence).toBeUndefined();
  expect(execution?.failure?.message).toBe(message);
});
