import { beforeEach, describe, expect, test } from "vitest";
import { local_bh_disable, local_irq_save, preempt_disable, push_context } from "../../../src/shared/cpu/context.ts";
import type { Cpu } from "../../../src/shared/cpu/cpu.ts";
import { can_migrate, migration_point } from "../../../src/shared/cpu/migrate.ts";
import { CpuCounters, CpuSlot, CTX_ITEM, PF_MEMALLOC, Task } from "../../../src/shared/layout/cpu.ts";
import { sequentialMachine } from "../../machine.ts";

let cpu: Cpu;
beforeEach(() => {
  [cpu] = sequentialMachine({ cpus: 2 }).cpus;
});
const task = (c: Cpu) => c.mem.peek(c.slot, CpuSlot.offset.current);

describe("a task can migrate", () => {
  test("where it could be preempted and owns nothing of the slot", () => {
    expect(can_migrate(cpu)).toBe(true);
  });
  test.each<[string, (c: Cpu) => void]>([
    ["with IRQs off", (c) => void local_irq_save(c)],
    ["with preemption disabled", preempt_disable],
    ["with softirqs disabled", local_bh_disable],
    ["in an item", (c) => push_context(c, CTX_ITEM, 0)],
    ["in a reader", (c) => c.mem.poke(task(c), Task.offset.rcu_read_lock_nesting, 1)],
    ["with migration disabled", (c) => c.mem.poke(task(c), Task.offset.migration_disabled, 1)],
    ["with reserves", (c) => c.mem.poke(task(c), Task.offset.flags, PF_MEMALLOC)],
    ["with a lock", (c) => c.mem.poke(c.slot, CpuSlot.offset.held_depth, 1)],
    ["with a list on its kernel stack", (c) => c.mem.poke(c.slot, CpuSlot.offset.pc_depth, 1)],
    ["in a nested free of a vector", (c) => c.mem.poke(c.slot, CpuSlot.offset.obj_exts_depth, 1)],
  ])("but not %s", (_, pin) => {
    pin(cpu);
    expect(can_migrate(cpu)).toBe(false);
  });
});

describe("a migration point", () => {
  /** A driver that offers CPU 1. */
  const offering = (asked: boolean[]): Cpu => {
    const mem = Object.create(cpu.mem, {
      migrate: {
        value: (in_operation: boolean) => {
          asked.push(in_operation);
          return 1;
        },
      },
    }) as Cpu["mem"];
    return Object.assign(Object.create(Object.getPrototypeOf(cpu) as object), cpu, { mem }) as Cpu;
  };
  test("makes the object stand for the other CPU; what is the program's own stays", () => {
    const asked: boolean[] = [];
    const moved = offering(asked);
    migration_point(moved, true);
    expect(asked).toEqual([true]);
    expect([moved.id, moved.task_id, moved.home_id]).toEqual([1, 1, 0]);
    expect(moved.section).toBe(cpu.map.section(1));
    expect(moved.home).toBe(cpu.map.section(0));
    expect(cpu.mem.peek(moved.slot, CpuSlot.offset.id)).toBe(1);
    expect(cpu.mem.peek(moved.counters, CpuCounters.offset.migrations)).toBe(1);
  });
  test("asks nobody where the task cannot migrate", () => {
    const asked: boolean[] = [];
    const pinned = offering(asked);
    preempt_disable(pinned);
    migration_point(pinned, true);
    expect([asked, pinned.id]).toEqual([[], 0]);
  });
  test("without anybody to exchange with the task stays", () => {
    migration_point(cpu, false);
    expect(cpu.id).toBe(0);
  });
});
