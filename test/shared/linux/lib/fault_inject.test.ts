/** Fault injection: nothing fails before it is armed, then about as many as asked for, from the CPU's seed. */
import { expect, test } from "vitest";
import type { Cpu } from "../../../../src/shared/cpu/cpu.ts";
import { HOOK_FAILSLAB } from "../../../../src/shared/layout/debug.ts";
import { FaultInject } from "../../../../src/shared/layout/fault_inject.ts";
import { Globals } from "../../../../src/shared/layout/globals.ts";
import { PerCpu } from "../../../../src/shared/layout/percpu.ts";
import { arm_fault_injection, should_fail } from "../../../../src/shared/linux/lib/fault_inject.ts";
import { embedded } from "../../../../src/shared/mem/struct.ts";
import { boot } from "../layer.ts";

const { failslab: FAILSLAB, hooks: HOOKS } = Globals.offset;
const QUARTER = 2 ** 30;
const counted = (cpu: Cpu): number =>
  cpu.mem.peek(embedded(cpu.section, PerCpu.offset.fault_inject), FaultInject.offset.fail_page_alloc);
const failures = (cpu: Cpu, probability: number, times = 1000): number =>
  Array.from({ length: times }, () => should_fail(cpu, probability, "fail_page_alloc")).filter(Boolean).length;

test("not before it is armed", () => {
  const [cpu] = boot(1);
  expect(failures(cpu, -1)).toBe(0);
  arm_fault_injection(cpu);
  expect(failures(cpu, -1)).toBe(1000);
  expect(counted(cpu)).toBe(1000);
});
test("as often as asked for, and the same ones again from the same seed", () => {
  const runs = [boot(2), boot(2)].map(([a, b]) => {
    arm_fault_injection(a);
    return [failures(a, QUARTER), failures(b, QUARTER), failures(a, 0)];
  });
  expect(runs[0]).toEqual(runs[1]);
  const [first, second, none] = runs[0];
  expect(first).toBeGreaterThan(200);
  expect(first).toBeLessThan(300);
  expect(second).not.toBe(first);
  expect(none).toBe(0);
});
test("failslab sets the bit that allocations look at, and only if it is on", () => {
  for (const probability of [0, QUARTER]) {
    const [cpu] = boot(1);
    cpu.mem.poke(cpu.globals, FAILSLAB, probability);
    arm_fault_injection(cpu);
    expect((cpu.mem.peek(cpu.globals, HOOKS) & HOOK_FAILSLAB) !== 0).toBe(probability !== 0);
  }
});
