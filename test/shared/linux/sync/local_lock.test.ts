import { describe, expect, test } from "vitest";
import { irqs_disabled, preempt_count } from "../../../../src/shared/cpu/context.ts";
import type { Cpu } from "../../../../src/shared/cpu/cpu.ts";
import { CpuCounters, P_IRQ } from "../../../../src/shared/layout/cpu.ts";
import { Globals } from "../../../../src/shared/layout/globals.ts";
import { POINT } from "../../../../src/shared/layout/points.ts";
import { LocalTrylock } from "../../../../src/shared/layout/types.ts";
import {
  local_lock,
  local_lock_init,
  local_trylock,
  local_unlock,
} from "../../../../src/shared/linux/sync/local_lock.ts";
import { LC } from "../../../../src/shared/linux/sync/lockdep.ts";
import { spin_lock, spin_lock_init } from "../../../../src/shared/linux/sync/spinlock.ts";
import { element, type Ptr } from "../../../../src/shared/mem/struct.ts";
import { boot, exploreLayer, inHardirq, inNmi, inSoftirq, room } from "../layer.ts";

const { acquired: ACQUIRED } = LocalTrylock.offset;
function fresh(): { cpu: Cpu; lock: Ptr<"local_trylock"> } {
  const [cpu] = boot(1) as [Cpu];
  const lock = room<"local_trylock">(cpu, 0);
  local_lock_init(cpu, lock, LC.pcs);
  return { cpu, lock };
}

test.each([
  ["local_lock", (cpu: Cpu, l: Ptr<"local_trylock">): boolean => (local_lock(cpu, l), true)],
  ["local_trylock", local_trylock],
] as const)("%s: acquired, preemption off, IRQs as before", (_, take) => {
  const { cpu, lock } = fresh();
  expect(take(cpu, lock)).toBe(true);
  expect(cpu.mem.read(lock, ACQUIRED)).toBe(1);
  expect(preempt_count(cpu)).toBe(1);
  expect(irqs_disabled(cpu)).toBe(false);
  local_unlock(cpu, lock);
  expect(cpu.mem.read(lock, ACQUIRED)).toBe(0);
  expect(preempt_count(cpu)).toBe(0);
  const visits = (point: number): number =>
    cpu.mem.peek(cpu.counters, element(CpuCounters.offset.points_visited, point));
  expect(visits(POINT.local_trylock_acquired)).toBe(1);
  expect(visits(POINT.local_unlock)).toBe(1);
});

describe.each([
  ["softirq", inSoftirq],
  ["hardirq", inHardirq],
  ["NMI", inNmi],
] as const)("in %s", (_, run) => {
  test("local_trylock fails on top of a holder, and works otherwise", () => {
    const { cpu, lock } = fresh();
    local_lock(cpu, lock);
    run(cpu, () => expect(local_trylock(cpu, lock)).toBe(false));
    expect(preempt_count(cpu)).toBe(1);
    local_unlock(cpu, lock);
    run(cpu, () => {
      expect(local_trylock(cpu, lock)).toBe(true);
      local_unlock(cpu, lock);
    });
    expect(preempt_count(cpu)).toBe(0);
  });
  test("local_lock is a bug", () => {
    const { cpu, lock } = fresh();
    expect(() => run(cpu, () => local_lock(cpu, lock))).toThrow("outside task context");
  });
});

test("taking it twice is a bug", () => {
  const { cpu, lock } = fresh();
  local_lock(cpu, lock);
  expect(() => local_lock(cpu, lock)).toThrow("which this task holds");
});
test("a failed trylock leaves preemption as it was, and so does a second one", () => {
  const { cpu, lock } = fresh();
  local_lock(cpu, lock);
  expect(local_trylock(cpu, lock)).toBe(false);
  expect(preempt_count(cpu)).toBe(1);
});
test("releasing what is not held is a bug", () => {
  const { cpu, lock } = fresh();
  expect(() => local_unlock(cpu, lock)).toThrow("not held");
});
test("local_lock under a lock that comes after it is a bug", () => {
  const { cpu, lock } = fresh();
  spin_lock_init(cpu, room(cpu, 1), LC.barn);
  spin_lock(cpu, room(cpu, 1));
  expect(() => local_lock(cpu, lock)).toThrow("lock order");
});
test("local_trylock fails for no reason when told to", () => {
  const { cpu, lock } = fresh();
  cpu.mem.poke(cpu.globals, Globals.offset.spurious, -1);
  expect(local_trylock(cpu, lock)).toBe(false);
  expect(preempt_count(cpu)).toBe(0);
});

test("task, IRQ and NMI of one CPU: never two inside, always released", () => {
  const section = (cpu: Cpu): void => {
    const lock = room<"local_trylock">(cpu, 0);
    if (!local_trylock(cpu, lock)) return;
    const inside = room(cpu, 1);
    const before = cpu.mem.load_word(inside);
    cpu.mem.store_word(inside, before + 1);
    if (before !== 0 || cpu.mem.load_word(inside) !== 1) cpu.mem.store_word(room(cpu, 2), 1);
    cpu.mem.store_word(inside, 0);
    local_unlock(cpu, lock);
  };
  const { failure, exhausted } = exploreLayer(
    {
      name: "nesting",
      setup: (cpu) => local_lock_init(cpu, room(cpu, 0), LC.pcs),
      cpus: [[(cpu) => cpu.mem.raise(cpu.pending, P_IRQ), section, section]],
      irq: section,
      nmi: section,
      nmis: 1,
      final: (cpu) => {
        local_lock(cpu, room(cpu, 0));
        local_unlock(cpu, room(cpu, 0));
      },
      check: (cpu) => (cpu.mem.load_word(room(cpu, 2)) === 0 ? undefined : "two inside"),
    },
    { bound: 2, exhaustive: 40_000 },
  );
  expect(failure).toBeUndefined();
  expect(exhausted).toBe(2);
});
