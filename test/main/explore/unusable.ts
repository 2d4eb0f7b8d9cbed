/** Scenarios that break the rules for their functions: each is to be refused with one line. */
import assert from "node:assert/strict";
import { BARE_KERNEL } from "../../../src/main/explore/kernel.ts";
import { get, type Operation, scenario, set } from "../../../src/main/explore/scenario.ts";
import type { Cpu } from "../../../src/shared/cpu/cpu.ts";

const add: Operation = (cpu) => set(cpu, 0, get(cpu, 0) + 1);
const common = { kernel: BARE_KERNEL, cpus: [[add], [add]] } as const;
/** What somebody writes who has no compiler. */
const unchecked = (fn: (cpu: Cpu) => unknown): ((cpu: Cpu) => undefined) => fn as (cpu: Cpu) => undefined;
const later = async (cpu: Cpu): Promise<void> => {
  add(cpu);
  await Promise.resolve();
  throw new Error("nobody hears this");
};

export const setupThrows = scenario({
  ...common,
  name: "setup-throws",
  setup: () => {
    throw new TypeError("no such table\nsecond line");
  },
});
export const setupAsserts = scenario({ ...common, name: "setup-asserts", setup: () => assert.equal(1, 2) });
export const setupLater = scenario({ ...common, name: "setup-later", setup: unchecked(later) });
export const checkNumber = scenario({ ...common, name: "check-number", check: unchecked(() => 42) });
export const checkNull = scenario({ ...common, name: "check-null", check: unchecked(() => null) });
export const checkLater = scenario({ ...common, name: "check-later", check: unchecked(later) });
export const invariantNumber = scenario({ ...common, name: "invariant-number", invariant: unchecked(() => 42) });
export const operationLater = scenario({
  ...common,
  name: "operation-later",
  cpus: [[unchecked(later)], [later, add]],
});
export const nmiLater = scenario({ ...common, name: "nmi-later", nmi: unchecked(later) });
