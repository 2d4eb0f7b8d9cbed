/**
 * Failures that were found once, as tokens: each must show itself again, whatever has become of the code since. A token
 * that is refused because its scenario is configured otherwise now must be found anew, or the failure is forgotten.
 */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { main } from "../../src/main/cli.ts";
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

test.each(failures.map(([, token]) => [token]))("%s, on real threads", async (token) => {
  const err: string[] = [];
  const out: string[] = [];
  const output = { out: (line: string) => void out.push(line), err: (line: string) => void err.push(line) };
  expect(await main(["replay", "--workers", token], { ...output, progress: undefined })).toBe(1);
  expect(err.at(-1)).toMatch(/^sheaf: on \d worker threads: the same \d+ steps and the same verdict$/);
  expect(out[0]).toMatch(/^FAILURE of /);
});
