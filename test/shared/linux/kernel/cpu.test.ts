/** CPUs that go and come. What must not be lost on the way: test/races (hotplug-*). */
import { beforeEach, describe, expect, test } from "vitest";
import { Explorer } from "../../../../src/main/explore/explore.ts";
import { result, resultOf, type Operation, type Scenario } from "../../../../src/main/explore/scenario.ts";
import { deliverable, describe_context, local_irq_save } from "../../../../src/shared/cpu/context.ts";
import type { Cpu } from "../../../../src/shared/cpu/cpu.ts";
import { ENXIO, smp_call_function_single } from "../../../../src/shared/cpu/smp.ts";
import { bind_callback } from "../../../../src/shared/cpu/callback_table.ts";
import { CB } from "../../../../src/shared/layout/callbacks.ts";
import { CpuCounters, CpuSlot, P_KICK, P_NMI, P_TICK } from "../../../../src/shared/layout/cpu.ts";
import {
  CpuhpCpuState,
  CpuhpGlobals,
  CPUHP_AP_IDLE_DEAD,
  CPUHP_AP_ONLINE,
} from "../../../../src/shared/layout/cpuhp.ts";
import { Globals } from "../../../../src/shared/layout/globals.ts";
import { PerCpu } from "../../../../src/shared/layout/percpu.ts";
import {
  cpu_down,
  cpu_hotplug_disable,
  cpu_up,
  cpuhp_refuse,
  cpuhp_should_run,
  cpuhp_thread_fun,
} from "../../../../src/shared/linux/kernel/cpu.ts";
import { tick_fires } from "../../../../src/shared/linux/kernel/tick_sched.ts";
import { cpu_online, num_online_cpus } from "../../../../src/shared/linux/sync/cpu_hotplug.ts";
import { embedded } from "../../../../src/shared/mem/struct.ts";
import { boot } from "../layer.ts";

const { hotplug: HOTPLUG, online: ONLINE } = Globals.offset;
const { online: SLOT_ONLINE } = CpuSlot.offset;
const { cpuhp: CPUHP, pending: PENDING } = PerCpu.offset;
const { state: STATE } = CpuhpCpuState.offset;
const { cpu_add_remove: CPU_ADD_REMOVE } = CpuhpGlobals.offset;
const EBUSY = 16;
const EINVAL = 22;

const stateOf = (cpu: Cpu, id: number): number => cpu.mem.peek(embedded(cpu.map.section(id), CPUHP), STATE);
function explore(scenario: Omit<Scenario, "name">): ReturnType<Explorer["explore"]> {
  const globals = { hotplug: 1, tiny: 1, ...scenario.globals };
  return new Explorer({ name: "cpu", ...scenario, globals }).explore({ random: 30, bound: 0 });
}
/** Stores what `call` returns as result `i`. */
const keep =
  (i: number, call: (cpu: Cpu) => number): Operation =>
  (cpu) =>
    result(cpu, i, call(cpu));

describe("without another CPU that answers", () => {
  let cpu: Cpu;
  let other: Cpu;
  beforeEach(() => {
    [cpu, other] = boot(2) as [Cpu, Cpu];
    cpu.mem.poke(cpu.globals, HOTPLUG, 1);
  });
  test("neither CPU 0 nor the caller itself goes", () => {
    expect(cpu_down(other, 0)).toBe(-EINVAL);
    expect(cpu_down(other, 1)).toBe(-EINVAL);
    expect(cpu_down(cpu, 0)).toBe(-EINVAL);
  });
  test("a CPU that refuses stays, and goes on", () => {
    cpuhp_refuse(other);
    expect(cpu_down(cpu, 1)).toBe(-EBUSY);
    expect([stateOf(cpu, 1), cpu_online(cpu, 1), cpuhp_should_run(other)]).toEqual([CPUHP_AP_ONLINE, true, false]);
  });
  test("none goes after cpu_hotplug_disable()", () => {
    cpu_hotplug_disable(cpu);
    expect(cpu_down(cpu, 1)).toBe(-EBUSY);
  });
  test("one at a time", () => {
    cpu.mem.write_once(embedded(cpu.globals, Globals.offset.cpuhp), CPU_ADD_REMOVE, 2);
    expect(cpu_down(cpu, 1)).toBe(-EBUSY);
    expect(cpu_up(cpu, 1)).toBe(-EBUSY);
  });
  test("cpu_up() of a CPU that is online does nothing", () => {
    expect(cpu_up(cpu, 1)).toBe(0);
    expect(cpu.mem.pending()).toBe(0);
  });
  test("a CPU that nobody asks goes on", () => {
    cpuhp_thread_fun(other);
    expect(stateOf(cpu, 1)).toBe(CPUHP_AP_ONLINE);
  });
  test("without globals.hotplug it is a bug", () => {
    cpu.mem.poke(cpu.globals, HOTPLUG, 0);
    expect(() => cpu_down(cpu, 1)).toThrow("do not come and go");
  });
  test("no NMI reaches a CPU that is offline, and describe_context() says so", () => {
    expect(deliverable(cpu, P_NMI)).toBe(P_NMI);
    cpu.mem.poke(cpu.slot, SLOT_ONLINE, 0);
    expect(deliverable(cpu, P_NMI)).toBe(0);
    expect(describe_context(cpu)).toContain("offline");
  });
  test("a call to a CPU that is offline fails", () => {
    let calls = 0;
    bind_callback(CB.ipi_test, () => void calls++);
    cpu.mem.fetch_and(cpu.globals, ONLINE, ~2);
    expect(smp_call_function_single(cpu, 1, CB.ipi_test, true)).toBe(-ENXIO);
    expect(smp_call_function_single(cpu, 0, CB.ipi_test, true)).toBe(0);
    expect([calls, other.mem.pending()]).toEqual([1, 0]);
  });
  test("contexts", () => {
    const flags = local_irq_save(cpu);
    for (const fn of [cpu_down, cpu_up]) expect(() => fn(cpu, 1)).toThrow("atomic context");
    expect(() => cpuhp_thread_fun(cpu)).toThrow("atomic context");
    expect(flags).toBe(0);
  });
});

test("down and up again", () => {
  const run = explore({
    cpus: [[keep(0, (cpu) => cpu_down(cpu, 1)), keep(1, num_online_cpus), keep(2, (cpu) => cpu_up(cpu, 1))], []],
    check: (cpu) => {
      const found = [0, 1, 2].map((i) => resultOf(cpu, i)).join(" ");
      if (found !== "0 1 0") return found;
      return num_online_cpus(cpu) === 2 ? undefined : "not online";
    },
  });
  expect(run).toMatchObject({ failure: undefined, exhausted: 0 });
});
test("what is sent to a CPU that is offline is lost, and counted; ticks do not come", () => {
  const run = explore({
    cpus: [
      [
        (cpu) => void cpu_down(cpu, 1),
        (cpu) => {
          const section = cpu.map.section(1);
          for (let i = 0; i < 2; i++) cpu.mem.raise(embedded(section, PENDING), P_NMI | P_TICK | P_KICK);
          result(cpu, 0, tick_fires(cpu.mem, cpu.globals, embedded(section, PerCpu.offset.slot)) ? 1 : 0);
          result(cpu, 1, stateOf(cpu, 1));
        },
        (cpu) => void cpu_up(cpu, 1),
      ],
      [],
    ],
    nmi: (cpu) => {
      if (cpu.id === 1 && stateOf(cpu, 1) === CPUHP_AP_IDLE_DEAD) result(cpu, 2, 1);
    },
    nmis: 0,
    check: (cpu) => {
      const counters = embedded(cpu.map.section(1), PerCpu.offset.counters);
      const { lost_interrupts, offlines } = CpuCounters.offset;
      const found = [cpu.mem.peek(counters, offlines), cpu.mem.peek(counters, lost_interrupts)].join(" ");
      if (found !== "1 2") return `offlines and lost interrupts: ${found}`;
      const results = [0, 1, 2].map((i) => resultOf(cpu, i)).join(" ");
      return results === `0 ${CPUHP_AP_IDLE_DEAD} 0` ? undefined : results;
    },
  });
  expect(run).toMatchObject({ failure: undefined, exhausted: 0 });
});
test("cpu_hotplug_disable() brings all back", () => {
  const run = explore({
    cpus: [[(cpu) => void cpu_down(cpu, 1), (cpu) => void cpu_down(cpu, 2), cpu_hotplug_disable], [], []],
    check: (cpu) => (num_online_cpus(cpu) === 3 ? undefined : "not all are online"),
  });
  expect(run).toMatchObject({ failure: undefined, exhausted: 0 });
});
