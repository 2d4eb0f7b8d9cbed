/** kstrtouint(): whole numbers, and the errors for others. */
import { expect, test } from "vitest";
import { kstrtouint } from "../../../../src/shared/linux/lib/kstrtox.ts";

test.each([
  ["0", 0],
  ["007", 7],
  ["+12", 12],
  ["5\n", 5],
  ["4294967295", 4294967295],
  ["4294967296", -34],
  ["99999999999999999999", -34],
  ["", -22],
  ["-1", -22],
  ["0x10", -22],
  ["1 ", -22],
  ["1\n\n", -22],
  ["ten", -22],
])("%j is %i", (text, value) => {
  expect(kstrtouint(text)).toBe(value);
});
