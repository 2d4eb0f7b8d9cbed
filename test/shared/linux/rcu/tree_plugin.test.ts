/** Readers that are preempted: grace periods of both kinds wait for their tasks, and for nothing else. */
import { describe, expect, test } from "vitest";
import { get, resultOf, set, type Operation, type Scenario } from "../../../../src/main/explore/scenario.ts";
import { reader, sawSpan, updater, X, Y } from "../../../../src/main/litmus/kit_grace_period.ts";
import { local_irq_disable, local_irq_enable } from "../../../../src/shared/cpu/context.ts";
import type { Cpu } from "../../../../src/shared/cpu/cpu.ts";
import { cond_resched } from "../../../../src/shared/cpu/sched.ts";
import { PREEMPT_FORGETS_READERS } from "../../../../src/shared/layout/globals.ts";
import { rcu_barrier } from "../../../../src/shared/linux/rcu/tree_barrier.ts";
import { synchronize_rcu } from "../../../../src/shared/linux/rcu/tree.ts";
import { check_rcu_locked } from "../../../../src/shared/linux/rcu/tree_check.ts";
import { synchronize_rcu_expedited } from "../../../../src/shared/linux/rcu/tree_exp.ts";
import { rcu_read_lock, rcu_read_unlock } from "../../../../src/shared/linux/rcu/update.ts";
import { LC } from "../../../../src/shared/linux/sync/lockdep.ts";
import { spin_lock, spin_lock_init } from "../../../../src/shared/linux/sync/spinlock.ts";
import { rcu_state } from "../../../../src/shared/linux/rcu/rcu_node.ts";
import { RcuState } from "../../../../src/shared/layout/rcu.ts";
import type { Ptr } from "../../../../src/shared/mem/struct.ts";
import { exploreRcu, room } from "./rcu_machine.ts";

/** The section outlasts the unlock: IRQs are off until the second look is over. */
const deferred: Operation = (cpu) => {
  rcu_read_lock(cpu);
  const r0 = get(cpu, Y);
  local_irq_disable(cpu);
  rcu_read_unlock(cpu);
  const r1 = get(cpu, X);
  local_irq_enable(cpu);
  sawSpan(cpu, r0, r1);
};
const other: Operation = (cpu) => {
  reader(cpu);
  cond_resched(cpu);
};
function preempted(cpus: Scenario["cpus"], on: readonly number[], preempt = 1): Scenario {
  return {
    name: "preempted-readers",
    cpus,
    tasks: on.map((cpu) => ({ cpu, program: [other] })),
    globals: { preempt },
    oracle: true,
    check: (cpu) => (resultOf(cpu, 0) === 1 ? "a section spans a grace period" : undefined),
  };
}

describe.each([
  ["synchronize_rcu()", synchronize_rcu],
  ["synchronize_rcu_expedited()", synchronize_rcu_expedited],
])("%s", (_, wait) => {
  test.each([
    ["one leaf", [[reader], [updater(wait)]], [0]],
    ["readers on both tasks of the updater's CPU", [[reader], [updater(wait)]], [0, 1]],
    ["a leaf and a root", [[reader], [], [updater(wait)]], [0]],
    ["a reader whose end is deferred", [[deferred], [updater(wait)]], [0]],
    [
      "two grace periods",
      [
        [reader, reader],
        [updater(wait), updater(wait)],
      ],
      [0],
    ],
    ["two updaters on one CPU", [[reader], [updater(wait), updater(wait)]], [0, 1]],
  ] as const)("%s", (_name, cpus, on) => {
    const { failure } = exploreRcu(preempted(cpus, on), { random: 60 });
    expect(failure?.message).toBeUndefined();
    const forgotten = exploreRcu(preempted(cpus, on, PREEMPT_FORGETS_READERS), { random: 1200 });
    expect(forgotten.failure?.message).toMatch(/too short|spans/);
  });
});

test("a reader that does not get on is named by the stall warning, though its CPU is quiescent", () => {
  const lock = (cpu: Cpu): Ptr<"spinlock"> => room(cpu, 0);
  const stuck: Scenario = {
    name: "stuck-reader",
    globals: { rt: 1 },
    setup: (cpu) => {
      spin_lock_init(cpu, lock(cpu), LC.barn);
      cpu.mem.poke(rcu_state(cpu), RcuState.offset.stall_timeout, 8);
    },
    cpus: [
      [
        (cpu) => {
          spin_lock(cpu, lock(cpu));
          set(cpu, Y, 1);
          while (get(cpu, X) === 0) cpu.mem.relax(); // For ever.
        },
      ],
      [
        (cpu) => {
          while (get(cpu, Y) === 0) cpu.mem.relax();
          rcu_read_lock(cpu);
          spin_lock(cpu, lock(cpu));
        },
      ],
      [synchronize_rcu],
    ],
  };
  const { failure } = exploreRcu(stuck, { random: 30 });
  expect(failure?.message).toMatch(/rcu_preempt detected stalls on CPUs\/tasks:\n(.*\n)*.*Tasks blocked .*P2/);
});
test("what is on the lists is right after each step", () => {
  const scenario = preempted([[reader], [updater(synchronize_rcu), updater(synchronize_rcu_expedited)]], [0]);
  const watched = { ...scenario, invariant: (cpu: Cpu): string | undefined => check_rcu_locked(cpu)[0] };
  expect(exploreRcu(watched, { random: 8 }).failure?.message).toBeUndefined();
});
test("two tasks of one CPU wait for grace periods at the same time", () => {
  const both: Scenario = {
    ...preempted([[synchronize_rcu, synchronize_rcu_expedited], [reader]], []),
    tasks: [{ cpu: 0, program: [synchronize_rcu_expedited, synchronize_rcu] }],
    final: rcu_barrier,
  };
  expect(exploreRcu(both, { random: 100 }).failure?.message).toBeUndefined();
});
test("a task that spins for ever on what comes after the grace period is preempted by the tick", () => {
  const spins: Operation = (cpu) => {
    while (get(cpu, X) === 0) cpu.mem.relax();
  };
  const scenario: Scenario = {
    ...preempted([[reader], [updater(synchronize_rcu)]], []),
    tasks: [{ cpu: 0, program: [spins] }],
  };
  expect(exploreRcu(scenario, { random: 60 }).failure?.message).toBeUndefined();
});
