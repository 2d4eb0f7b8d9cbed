/** Known bugs of a machine: each bit of the two words, and no other. */
import { expect, test } from "vitest";
import { has_bug } from "../../../src/shared/cpu/bugs.ts";
import { Globals } from "../../../src/shared/layout/globals.ts";
import { sequentialMachine } from "../../machine.ts";

test.each([
  [0, 1, 0],
  [10, 1 << 10, 0],
  [31, 1 << 31, 0],
  [32, 0, 1],
  [36, 0, 1 << 4],
])("bit %i", (bug, low, high) => {
  const [cpu] = sequentialMachine().cpus;
  expect(has_bug(cpu, bug)).toBe(false);
  cpu.mem.poke(cpu.globals, Globals.offset.bugs, low);
  cpu.mem.poke(cpu.globals, Globals.offset.bugs_high, high);
  for (let other = 0; other < 64; other++) expect(has_bug(cpu, other), `bit ${other}`).toBe(other === bug);
});
