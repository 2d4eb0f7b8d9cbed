import { beforeEach, describe, expect, test } from "vitest";
import { get, set, type Operation } from "../../../../src/main/explore/scenario.ts";
import { bug } from "../../../../src/shared/cpu/bug.ts";
import type { Cpu } from "../../../../src/shared/cpu/cpu.ts";
import { PercpuRwSemaphore } from "../../../../src/shared/layout/types.ts";
import { LC, lockdep_assert_held } from "../../../../src/shared/linux/sync/lockdep.ts";
import {
  percpu_down_read,
  percpu_down_write,
  percpu_init_rwsem,
  percpu_up_read,
  percpu_up_write,
} from "../../../../src/shared/linux/sync/percpu_rwsem.ts";
import type { Ptr } from "../../../../src/shared/mem/struct.ts";
import { boot, exploreLayer, inHardirq, room } from "../layer.ts";

const { readers: READERS, block: BLOCK } = PercpuRwSemaphore.offset;
const sem = (cpu: Cpu): Ptr<"percpu_rw_semaphore"> => room(cpu, 0);

describe("alone", () => {
  let cpu: Cpu;
  let other: Cpu;
  beforeEach(() => {
    [cpu, other] = boot(2) as [Cpu, Cpu];
    percpu_init_rwsem(cpu, sem(cpu), LC.cpu_hotplug_lock);
  });
  test("readers do not exclude each other, and all leave", () => {
    for (const c of [cpu, other]) percpu_down_read(c, sem(c));
    expect(cpu.mem.peek(sem(cpu), READERS)).toBe(2);
    lockdep_assert_held(other, sem(other));
    for (const c of [cpu, other]) percpu_up_read(c, sem(c));
    expect(cpu.mem.peek(sem(cpu), READERS)).toBe(0);
  });
  test("a writer, then a reader", () => {
    percpu_down_write(cpu, sem(cpu));
    expect(cpu.mem.peek(sem(cpu), BLOCK)).toBe(1);
    percpu_up_write(cpu, sem(cpu));
    percpu_down_read(cpu, sem(cpu));
    percpu_up_read(cpu, sem(cpu));
  });
  test("twice, as a second writer, or in an interrupt it is a bug", () => {
    percpu_down_read(cpu, sem(cpu));
    expect(() => percpu_down_read(cpu, sem(cpu))).toThrow("taken twice");
    percpu_up_read(cpu, sem(cpu));
    percpu_down_write(cpu, sem(cpu));
    expect(() => percpu_down_write(other, sem(other))).toThrow("two writers");
    expect(() => inHardirq(other, (c) => percpu_down_read(c, sem(c)))).toThrow("atomic context");
    percpu_up_write(cpu, sem(cpu));
    expect(() => percpu_up_read(cpu, sem(cpu))).toThrow("does not hold");
  });
});

const INSIDE = 0;
const WRITING = 1;
const read: Operation = (cpu) => {
  percpu_down_read(cpu, sem(cpu));
  set(cpu, INSIDE + 2 + cpu.id, 1);
  if (get(cpu, WRITING) !== 0) bug(cpu, "a reader beside the writer");
  set(cpu, INSIDE + 2 + cpu.id, 0);
  percpu_up_read(cpu, sem(cpu));
};
const write: Operation = (cpu) => {
  percpu_down_write(cpu, sem(cpu));
  set(cpu, WRITING, 1);
  for (let id = 0; id < cpu.map.shape.cpus; id++) {
    if (get(cpu, INSIDE + 2 + id) !== 0) bug(cpu, "the writer beside a reader");
  }
  set(cpu, WRITING, 0);
  percpu_up_write(cpu, sem(cpu));
};
test.each([
  ["a reader", [[read], [write]], 2],
  ["two readers", [[read], [write], [read]], 1],
  [
    "a reader and two rounds",
    [
      [read, read],
      [write, write],
    ],
    1,
  ],
] as const)("a writer excludes %s, and nobody sleeps for ever", (_, cpus, bound) => {
  const run = exploreLayer(
    { name: "rwsem", setup: (cpu) => percpu_init_rwsem(cpu, sem(cpu), LC.cpu_hotplug_lock), cpus },
    { bound, random: 100 },
  );
  expect(run).toMatchObject({ failure: undefined, exhausted: bound });
});
