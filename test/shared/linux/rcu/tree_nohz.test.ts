/** RCU on a machine whose idle CPUs do without ticks (globals.nohz): whose tick it needs, and that nothing is left waiting. */
import { describe, expect, test } from "vitest";
import { get, result, resultOf, set, type Operation, type Scenario } from "../../../../src/main/explore/scenario.ts";
import type { Cpu } from "../../../../src/shared/cpu/cpu.ts";
import { RcuData } from "../../../../src/shared/layout/rcu.ts";
import { jiffies, schedule_timeout } from "../../../../src/shared/linux/kernel/timer.ts";
import { poll_state_synchronize_rcu, start_poll_synchronize_rcu } from "../../../../src/shared/linux/rcu/poll.ts";
import { per_rcu_data } from "../../../../src/shared/linux/rcu/rcu_node.ts";
import { call_rcu, rcu_needs_cpu, synchronize_rcu } from "../../../../src/shared/linux/rcu/tree.ts";
import { rcu_barrier } from "../../../../src/shared/linux/rcu/tree_barrier.ts";
import { synchronize_rcu_expedited } from "../../../../src/shared/linux/rcu/tree_exp.ts";
import { rcu_read_lock, rcu_read_unlock } from "../../../../src/shared/linux/rcu/update.ts";
import { bootRcu, callbackOf, exploreRcu, head, settle, tick } from "./rcu_machine.ts";

const nothing = callbackOf(0, () => undefined);

describe("rcu_needs_cpu", () => {
  test("a CPU with callbacks, and any CPU while a grace period is in progress", () => {
    const [cpu, other] = bootRcu(2) as [Cpu, Cpu];
    expect([rcu_needs_cpu(cpu), rcu_needs_cpu(other)]).toEqual([false, false]);
    call_rcu(cpu, head(cpu, 1), nothing);
    expect([rcu_needs_cpu(cpu), rcu_needs_cpu(other)]).toEqual([true, false]);
    tick(cpu); // It asks for a grace period.
    expect([rcu_needs_cpu(cpu), rcu_needs_cpu(other)]).toEqual([true, true]);
    for (let i = 0; i < 8; i++) {
      tick(cpu);
      tick(other);
      settle([cpu, other]);
    }
    expect([rcu_needs_cpu(cpu), rcu_needs_cpu(other)]).toEqual([false, false]);
  });
  test("a CPU from which an expedited grace period still waits to hear", () => {
    const [cpu] = bootRcu(1) as [Cpu];
    cpu.mem.poke(per_rcu_data(cpu, 0), RcuData.offset.cpu_no_qs_exp, 1);
    expect(rcu_needs_cpu(cpu)).toBe(true);
  });
  test("a grace period that is asked for by a cookie", () => {
    const [cpu, other] = bootRcu(2) as [Cpu, Cpu];
    start_poll_synchronize_rcu(cpu);
    expect(rcu_needs_cpu(other)).toBe(true);
  });
});

describe("explored: each ends although all the others sleep without ticks", () => {
  const reader: Operation = (cpu) => {
    rcu_read_lock(cpu);
    void get(cpu, 0);
    rcu_read_unlock(cpu);
  };
  const nohz = (name: string, cpus: Scenario["cpus"], more: Partial<Scenario> = {}): Scenario => ({
    name,
    cpus,
    globals: { nohz: 1 },
    ...more,
  });
  test.each([
    ["synchronize_rcu", synchronize_rcu],
    ["synchronize_rcu_expedited", synchronize_rcu_expedited],
    ["rcu_barrier", rcu_barrier],
  ])("%s", (name, wait) => {
    const program: Operation = (cpu) => {
      if (wait === rcu_barrier) call_rcu(cpu, head(cpu, 1), nothing);
      wait(cpu);
    };
    expect(exploreRcu(nohz(name, [[program], [reader], []]), { bound: 0 })).toMatchObject({
      failure: undefined,
      exhausted: 0,
    });
  });
  test.each<[string, Operation]>([
    [
      "a callback",
      (cpu) =>
        call_rcu(
          cpu,
          head(cpu, 1),
          callbackOf(1, (c) => set(c, 1, 1)),
        ),
    ],
    ["a cookie", (cpu) => set(cpu, 2, start_poll_synchronize_rcu(cpu))],
  ])("%s", (name, ask) => {
    const ENOUGH = 40;
    const wait: Operation = (cpu) => {
      const until = jiffies(cpu) + ENOUGH;
      while (jiffies(cpu) < until) schedule_timeout(cpu, until - jiffies(cpu));
      const asked = get(cpu, 3);
      const cookie = get(cpu, 2);
      const over = get(cpu, 1) === 1 || (cookie !== 0 && poll_state_synchronize_rcu(cpu, cookie));
      result(cpu, 0, asked !== 0 && jiffies(cpu) - asked >= ENOUGH / 2 && !over ? 1 : 0);
    };
    const program: Operation = (cpu) => {
      ask(cpu);
      set(cpu, 3, jiffies(cpu) + 1);
    };
    const check = (cpu: Cpu): string | undefined => (resultOf(cpu, 0) === 0 ? undefined : `${name} waits for ever`);
    expect(exploreRcu(nohz(name, [[program], [wait]], { check }), { bound: 1 })).toMatchObject({
      failure: undefined,
      exhausted: 1,
    });
  });
});
