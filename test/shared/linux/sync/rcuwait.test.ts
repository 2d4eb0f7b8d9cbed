import { expect, test } from "vitest";
import type { Cpu } from "../../../../src/shared/cpu/cpu.ts";
import { rcuwait_init, rcuwait_wait_event, rcuwait_wake_up } from "../../../../src/shared/linux/sync/rcuwait.ts";
import { boot, exploreLayer, inSoftirq, room } from "../layer.ts";

const done = (cpu: Cpu): boolean => cpu.mem.load_word(room(cpu, 1)) !== 0;
const wait = (cpu: Cpu): void => rcuwait_wait_event(cpu, room(cpu, 0), done, room(cpu, 1));
const wake = (cpu: Cpu): void => {
  cpu.mem.store_word(room(cpu, 1), 1);
  rcuwait_wake_up(cpu, room(cpu, 0));
};
const setup = (cpu: Cpu): void => rcuwait_init(cpu, room(cpu, 0));

test("nobody waits: nobody is woken", () => {
  const [cpu] = boot(1) as [Cpu];
  setup(cpu);
  expect(rcuwait_wake_up(cpu, room(cpu, 0))).toBe(false);
  wake(cpu);
  wait(cpu);
  expect(cpu.mem.load_word(room(cpu, 0))).toBe(0);
});
test("waiting in softirq is a bug", () => {
  const [cpu] = boot(1) as [Cpu];
  setup(cpu);
  expect(() => inSoftirq(cpu, wait)).toThrow("sleeps in atomic context");
});
test.each(["sc", "tso"] as const)("one waiter is never lost (%s)", (model) => {
  const scenario = { name: "one waiter", setup, cpus: [[wait], [wake]] };
  const { failure, exhausted } = exploreLayer(scenario, { bound: 3 }, { model });
  expect(failure).toBeUndefined();
  expect(exhausted).toBe(3);
});
test("of two waiters one may be lost, as in the kernel", () => {
  const { failure } = exploreLayer({ name: "two waiters", setup, cpus: [[wait], [wait], [wake]] });
  expect(failure?.message).toContain("deadlock");
});
