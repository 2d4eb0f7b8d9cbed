/** Lanes that exchange their CPUs: schedules repeat, and a lane that is rebuilt finds its slots as they were. */
import { expect, test } from "vitest";
import { Explorer } from "../../../../src/main/explore/explore.ts";
import { BARE_KERNEL } from "../../../../src/main/explore/kernel.ts";
import { get, set, type Operation, type Scenario } from "../../../../src/main/explore/scenario.ts";
import { MIGRATE } from "../../../../src/main/explore/strategy.ts";
import { bug } from "../../../../src/shared/cpu/bug.ts";
import type { Cpu } from "../../../../src/shared/cpu/cpu.ts";
import { preempt_disable, preempt_enable } from "../../../../src/shared/cpu/context.ts";
import { migration_point } from "../../../../src/shared/cpu/migrate.ts";
import { CpuSlot, Task } from "../../../../src/shared/layout/cpu.ts";

const slotId = (cpu: Cpu): number => cpu.mem.peek(cpu.slot, CpuSlot.offset.id);
/** Of the slot of the CPU that it is on: what this operation has changed there, and what the code on other CPUs must not see. */
const count = (cpu: Cpu): number =>
  cpu.mem.peek(cpu.mem.peek(cpu.slot, CpuSlot.offset.current), Task.offset.preempt_count);
function expectCount(cpu: Cpu, expected: number): void {
  if (count(cpu) !== expected) bug(cpu, `preempt_count is ${count(cpu)}, not ${expected}`);
  if (slotId(cpu) !== cpu.id) bug(cpu, `the slot of CPU ${slotId(cpu)} is taken for that of CPU ${cpu.id}`);
}
/** Steps before and after a migration point, with preemption disabled for some of them. */
const wander: Operation = (cpu) => {
  for (let round = 0; round < 2; round++) {
    preempt_disable(cpu);
    set(cpu, 0, get(cpu, 0) + 1);
    expectCount(cpu, 1);
    preempt_enable(cpu);
    migration_point(cpu, true);
    expectCount(cpu, 0);
    preempt_disable(cpu);
    set(cpu, 1 + cpu.id, get(cpu, 1 + cpu.id) + 1);
    expectCount(cpu, 1);
    preempt_enable(cpu);
  }
};
const scenario = (cpus: Scenario["cpus"], migrate: number): Scenario => ({
  name: "wander",
  globals: { migrate },
  kernel: BARE_KERNEL,
  cpus,
});

test.each([
  [
    "two lanes",
    [
      [wander, wander],
      [wander, wander],
    ],
    2,
  ],
  ["three lanes", [[wander], [wander, wander], [wander]], 3],
] as const)("%s: every slot is as its lane left it, however lanes are suspended and rebuilt", (_, cpus, migrate) => {
  const explorer = new Explorer(scenario(cpus, migrate));
  expect(explorer.explore({ random: 300, bound: 1, exhaustive: 3000 }).failure).toBeUndefined();
});
test("without globals.migrate nobody moves", () => {
  const explorer = new Explorer({
    ...scenario([[wander], [wander]], 0),
    check: (cpu) => (get(cpu, 1) === 2 && get(cpu, 2) === 2 ? undefined : "somebody has moved"),
  });
  expect(explorer.explore({ random: 100, bound: 1 })).toMatchObject({ failure: undefined, exhausted: 1 });
});
test("a schedule that has a migration shows the same again", () => {
  const stay: Operation = (cpu) => {
    migration_point(cpu, true);
    if (cpu.id !== cpu.home_id) bug(cpu, "moved");
  };
  const explorer = new Explorer(scenario([[stay], [wander]], 1));
  const { failure } = explorer.explore({ random: 100 });
  expect(failure?.message).toContain("moved");
  expect(failure?.schedule.some(({ choice }) => choice === MIGRATE + 1)).toBe(true);
  expect(explorer.replay(failure?.schedule ?? [])?.message).toBe(failure?.message);
  expect(new Set(explorer.engine.cpus.map(({ id }) => id))).toEqual(new Set([0, 1]));
});
