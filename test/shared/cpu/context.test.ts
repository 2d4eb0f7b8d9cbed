/** Contexts of a CPU: IRQ flag, preempt count, softirq disabling, the context stack, and who may sleep. */
import { beforeAll, expect, test } from "vitest";
import { MachineBug } from "../../../src/shared/base/verdict.ts";
import {
  describe_context,
  in_hardirq,
  in_nmi,
  in_task,
  irqs_disabled,
  local_bh_disable,
  local_bh_enable,
  local_irq_disable,
  local_irq_enable,
  local_irq_restore,
  local_irq_save,
  may_sleep,
  might_sleep,
  pop_context,
  preempt_count,
  preempt_disable,
  preempt_enable,
  push_context,
} from "../../../src/shared/cpu/context.ts";
import type { Cpu } from "../../../src/shared/cpu/cpu.ts";
import { CTX_HARDIRQ, CTX_NMI, CTX_SOFTIRQ } from "../../../src/shared/layout/cpu.ts";
import { BARE_KERNEL } from "../../../src/main/explore/kernel.ts";
import { sequentialMachine } from "../../machine.ts";

beforeAll(() => BARE_KERNEL.bind());
const newCpu = (): Cpu => sequentialMachine({ cpus: 1 }).cpus[0];

test("IRQ flag: save and restore nest", () => {
  const cpu = newCpu();
  expect(irqs_disabled(cpu)).toBe(false);
  const outer = local_irq_save(cpu);
  const inner = local_irq_save(cpu);
  local_irq_restore(cpu, inner);
  expect(irqs_disabled(cpu)).toBe(true);
  local_irq_restore(cpu, outer);
  expect(irqs_disabled(cpu)).toBe(false);
  local_irq_disable(cpu);
  expect(irqs_disabled(cpu)).toBe(true);
  local_irq_enable(cpu);
  expect(irqs_disabled(cpu)).toBe(false);
});

test("preempt_enable and local_bh_enable without their disable are bugs", () => {
  const cpu = newCpu();
  preempt_disable(cpu);
  preempt_disable(cpu);
  expect(preempt_count(cpu)).toBe(2);
  preempt_enable(cpu);
  preempt_enable(cpu);
  expect(() => preempt_enable(cpu)).toThrow(MachineBug);
  expect(() => local_bh_enable(cpu)).toThrow(MachineBug);
});

test("may_sleep: yes in a plain task, no with anything disabled", () => {
  const cpu = newCpu();
  expect(may_sleep(cpu)).toBe(true);
  might_sleep(cpu, "test");
  const cases: [(c: Cpu) => void, (c: Cpu) => void][] = [
    [local_irq_disable, local_irq_enable],
    [preempt_disable, preempt_enable],
    [local_bh_disable, local_bh_enable],
  ];
  for (const [off, on] of cases) {
    off(cpu);
    expect(may_sleep(cpu)).toBe(false);
    expect(() => might_sleep(cpu, "test")).toThrow("test: sleeps in atomic context");
    on(cpu);
    expect(may_sleep(cpu)).toBe(true);
  }
});

test("the context stack describes itself, and refuses to leave what it is not in", () => {
  const cpu = newCpu();
  push_context(cpu, CTX_SOFTIRQ, 0);
  push_context(cpu, CTX_NMI, 4);
  expect(describe_context(cpu)).toBe("task > softirq > nmi, IRQs on, preempt 0, readers 0");
  expect(() => pop_context(cpu, CTX_HARDIRQ)).toThrow("leaves hardirq context, but is in task > softirq > nmi");
  pop_context(cpu, CTX_NMI);
  pop_context(cpu, CTX_SOFTIRQ);
  expect(() => pop_context(cpu, CTX_SOFTIRQ)).toThrow(MachineBug);
  for (let i = 0; i < 12; i++) push_context(cpu, CTX_SOFTIRQ, 0);
  expect(() => push_context(cpu, CTX_SOFTIRQ, 0)).toThrow("contexts nest deeper");
  expect([in_task(cpu), in_hardirq(cpu), in_nmi(cpu)]).toEqual([true, false, false]);
});
