import { describe, expect, test } from "vitest";
import { preempt_disable } from "../../../../src/shared/cpu/context.ts";
import type { Cpu } from "../../../../src/shared/cpu/cpu.ts";
import { Mutex } from "../../../../src/shared/layout/types.ts";
import { LC, lockdep_assert_held } from "../../../../src/shared/linux/sync/lockdep.ts";
import {
  mutex_init,
  mutex_is_locked,
  mutex_lock,
  mutex_trylock,
  mutex_unlock,
} from "../../../../src/shared/linux/sync/mutex.ts";
import { init_work, queue_work } from "../../../../src/shared/linux/kernel/workqueue.ts";
import type { Ptr } from "../../../../src/shared/mem/struct.ts";
import { run_items } from "../../../../src/shared/cpu/sched.ts";
import { boot, callbackOf, exploreLayer, inHardirq, inNmi, inSoftirq, room } from "../layer.ts";

function fresh(): { cpu: Cpu; other: Cpu; m: Ptr<"mutex"> } {
  const [cpu, other] = boot() as [Cpu, Cpu];
  mutex_init(cpu, room(cpu, 0), LC.test_mutex);
  return { cpu, other, m: room(cpu, 0) };
}

test("lock, trylock, unlock", () => {
  const { cpu, other, m } = fresh();
  mutex_lock(other, m);
  expect(cpu.mem.read_once(m, Mutex.offset.owner)).toBe(other.id + 1);
  expect(mutex_is_locked(cpu, m)).toBe(true);
  lockdep_assert_held(other, m);
  expect(mutex_trylock(cpu, m)).toBe(false);
  mutex_unlock(other, m);
  expect(mutex_is_locked(cpu, m)).toBe(false);
  expect(mutex_trylock(cpu, m)).toBe(true);
  mutex_unlock(cpu, m);
});

test("the holder may sleep: items run meanwhile, but may not take it", () => {
  const { cpu, m } = fresh();
  mutex_lock(cpu, m);
  const func = callbackOf(0, (c) => expect(mutex_trylock(c, m)).toBe(false));
  init_work(cpu, room(cpu, 1), func);
  queue_work(cpu, room(cpu, 1));
  expect(run_items(cpu)).toBe(true);
  init_work(
    cpu,
    room(cpu, 1),
    callbackOf(0, (c) => mutex_lock(c, m)),
  );
  queue_work(cpu, room(cpu, 1));
  expect(() => run_items(cpu)).toThrow(/mutex_lock\(test_mutex\): sleeps in atomic context.*item/);
});

describe("bugs", () => {
  test.each([
    ["softirq", inSoftirq],
    ["hardirq", inHardirq],
    ["NMI", inNmi],
  ] as const)("in %s", (_, run) => {
    const { cpu, m } = fresh();
    expect(() => run(cpu, () => mutex_lock(cpu, m))).toThrow("sleeps in atomic context");
    const second = fresh();
    expect(() => run(second.cpu, () => mutex_trylock(second.cpu, second.m))).toThrow("mutex_trylock() in");
  });
  test("with preemption off", () => {
    const { cpu, m } = fresh();
    preempt_disable(cpu);
    expect(() => mutex_lock(cpu, m)).toThrow("sleeps in atomic context");
  });
  test("self-deadlock", () => {
    const { cpu, m } = fresh();
    mutex_lock(cpu, m);
    expect(() => mutex_lock(cpu, m)).toThrow("self-deadlock: mutex test_mutex");
  });
  test("order", () => {
    const { cpu, m } = fresh();
    mutex_init(cpu, room(cpu, 1), LC.test_mutex_inner);
    mutex_lock(cpu, room(cpu, 1));
    expect(() => mutex_lock(cpu, m)).toThrow("lock order");
  });
  test("unlock of another task's mutex", () => {
    const { cpu, other, m } = fresh();
    mutex_lock(other, m);
    expect(() => mutex_unlock(cpu, m)).toThrow("does not hold");
  });
});

test("three CPUs exclude each other, and every sleeper wakes up", () => {
  const COUNT = 5;
  const locked = (cpu: Cpu): void => {
    const m = room<"mutex">(cpu, 0);
    mutex_lock(cpu, m);
    const before = cpu.mem.load_word(room(cpu, COUNT));
    cpu.mem.store_word(room(cpu, COUNT), before + 1);
    mutex_unlock(cpu, m);
  };
  const { failure, exhausted } = exploreLayer(
    {
      name: "mutex",
      setup: (cpu) => mutex_init(cpu, room(cpu, 0), LC.test_mutex),
      cpus: [[locked, locked], [locked], [locked]],
      check: (cpu) => (cpu.mem.load_word(room(cpu, COUNT)) === 4 ? undefined : "an update was lost"),
    },
    { bound: 1, exhaustive: 40_000 },
  );
  expect(failure).toBeUndefined();
  expect(exhausted).toBe(1);
});
