import { expect, test } from "vitest";
import type { Cpu } from "../../../../src/shared/cpu/cpu.ts";
import { Globals } from "../../../../src/shared/layout/globals.ts";
import {
  cpu_online,
  cpus_read_lock,
  cpus_read_unlock,
  cpus_write_lock,
  cpus_write_unlock,
  lockdep_assert_cpus_held,
  num_online_cpus,
} from "../../../../src/shared/linux/sync/cpu_hotplug.ts";
import { LC } from "../../../../src/shared/linux/sync/lockdep.ts";
import { mutex_init, mutex_lock } from "../../../../src/shared/linux/sync/mutex.ts";
import { boot, inHardirq, room } from "../layer.ts";

test("readers do not exclude each other", () => {
  const [cpu, other] = boot() as [Cpu, Cpu];
  cpus_read_lock(cpu);
  cpus_read_lock(other);
  lockdep_assert_cpus_held(cpu);
  cpus_read_unlock(cpu);
  cpus_read_unlock(other);
  expect(() => lockdep_assert_cpus_held(cpu)).toThrow("not held");
  expect(() => cpus_read_unlock(cpu)).toThrow("does not hold");
});
test("it is the outermost lock, and may sleep", () => {
  const [cpu] = boot(1) as [Cpu];
  expect(() => inHardirq(cpu, cpus_read_lock)).toThrow("sleeps in atomic context");
  const [again] = boot(1) as [Cpu];
  mutex_init(again, room(again, 0), LC.slab_mutex);
  mutex_lock(again, room(again, 0));
  expect(() => cpus_read_lock(again)).toThrow("lock order");
});
test("online CPUs", () => {
  const [cpu] = boot(3) as [Cpu];
  expect(num_online_cpus(cpu)).toBe(3);
  cpu.mem.fetch_and(cpu.globals, Globals.offset.online, ~2);
  expect(num_online_cpus(cpu)).toBe(2);
  expect([0, 1, 2].map((id) => cpu_online(cpu, id))).toEqual([true, false, true]);
});
test("where CPUs come and go, who changes them waits for readers", () => {
  const [cpu, other] = boot() as [Cpu, Cpu];
  cpu.mem.poke(cpu.globals, Globals.offset.hotplug, 1);
  cpus_write_lock(cpu);
  lockdep_assert_cpus_held(cpu);
  cpus_write_unlock(cpu);
  cpus_read_lock(other);
  lockdep_assert_cpus_held(other);
  expect(() => lockdep_assert_cpus_held(cpu)).toThrow("not held");
  cpus_read_unlock(other);
});
