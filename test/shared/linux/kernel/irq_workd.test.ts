/** irq_work with PREEMPT_RT: the thread irq_work/N, which may wait, and what stays in hardirq. */
import { expect, test } from "vitest";
import { get, result, resultOf, set, type Operation, type Scenario } from "../../../../src/main/explore/scenario.ts";
import { in_hardirq, irqs_disabled, local_irq_disable, local_irq_enable } from "../../../../src/shared/cpu/context.ts";
import type { Cpu } from "../../../../src/shared/cpu/cpu.ts";
import { KB_RCUWAIT_SHARED } from "../../../../src/shared/layout/globals.ts";
import { IRQ_WORK_HARD_IRQ } from "../../../../src/shared/layout/irq_work.ts";
import {
  init_irq_work,
  irq_work_is_busy,
  irq_work_queue,
  irq_work_queue_on,
  irq_work_sync,
} from "../../../../src/shared/linux/kernel/irq_work.ts";
import { LC } from "../../../../src/shared/linux/sync/lockdep.ts";
import { spin_lock, spin_lock_init, spin_unlock } from "../../../../src/shared/linux/sync/spinlock.ts";
import type { Ptr } from "../../../../src/shared/mem/struct.ts";
import { callbackOf, exploreLayer, room } from "../layer.ts";

const RUNS = 0;
const COUNT = 1;
const work = (cpu: Cpu): Ptr<"irq_work"> => room(cpu, 0);
const lock = (cpu: Cpu): Ptr<"spinlock"> => room(cpu, 1);
const increment: Operation = (cpu) => {
  spin_lock(cpu, lock(cpu));
  set(cpu, COUNT, get(cpu, COUNT) + 1);
  spin_unlock(cpu, lock(cpu));
};
/** What runs as the work; 1: in hardirq, 2: with IRQs on. */
const func = (cpu: Cpu): void => {
  set(cpu, RUNS, get(cpu, RUNS) + 1);
  result(cpu, cpu.id, (in_hardirq(cpu) ? 1 : 0) | (irqs_disabled(cpu) ? 0 : 2));
  if (!in_hardirq(cpu)) increment(cpu);
};
function scenario(of: Omit<Scenario, "name" | "setup">, flags = 0): Scenario {
  const id = callbackOf(0, func);
  return {
    name: "irq_workd",
    globals: { rt: 1 },
    setup: (cpu) => {
      init_irq_work(cpu, work(cpu), id, flags);
      spin_lock_init(cpu, lock(cpu), LC.barn);
    },
    ...of,
  };
}
const queue: Operation = (cpu) => void irq_work_queue(cpu, work(cpu));
const sync: Operation = (cpu) => irq_work_sync(cpu, work(cpu));
const ran = (where: number, on: number) => (cpu: Cpu) => {
  if (irq_work_is_busy(cpu, work(cpu))) return "still busy";
  if (get(cpu, RUNS) !== 1) return `ran ${get(cpu, RUNS)} times`;
  return resultOf(cpu, on) === where ? undefined : `ran in ${resultOf(cpu, on)}`;
};

test("a work runs in its CPU's thread, IRQs on, where it may wait for a lock of a task that it preempts", () => {
  const one = scenario({ cpus: [[queue, increment], [increment]], final: sync, check: ran(2, 0) });
  const { failure, exhausted } = exploreLayer(one, { random: 100, bound: 0 });
  expect([failure?.message, exhausted]).toEqual([undefined, 0]);
});
test("one that is marked IRQ_WORK_HARD_IRQ runs in hardirq as ever", () => {
  const hard = scenario({ cpus: [[queue]], final: sync, check: ran(1, 0) }, IRQ_WORK_HARD_IRQ);
  expect(exploreLayer(hard, { random: 50 }).failure?.message).toBeUndefined();
});
test("another CPU's is run by that CPU's thread", () => {
  const remote = scenario({
    cpus: [[(cpu) => void irq_work_queue_on(cpu, work(cpu), 1)], [increment]],
    final: sync,
    check: ran(2, 1),
  });
  expect(exploreLayer(remote, { random: 100 }).failure?.message).toBeUndefined();
});
test("that IRQs are on again does not say that it has run", () => {
  const late = scenario({
    cpus: [
      [
        (cpu) => {
          local_irq_disable(cpu);
          queue(cpu);
          local_irq_enable(cpu);
          if (get(cpu, RUNS) === 0) result(cpu, 2, 1);
        },
      ],
    ],
    final: sync,
    check: (cpu) => (resultOf(cpu, 2) === 1 ? "late" : undefined),
  });
  expect(exploreLayer(late, { random: 50 }).failure?.message).toBe("late");
  expect(exploreLayer({ ...late, globals: {} }, { random: 50 }).failure).toBeUndefined();
});
test("two irq_work_sync() both end, unless they share the room for one sleeper", () => {
  const two = scenario({ cpus: [[queue, sync], [sync]], check: ran(2, 0) });
  expect(exploreLayer(two, { random: 100 }).failure?.message).toBeUndefined();
  const shared = { ...two, globals: { rt: 1, kernel_behaviour: KB_RCUWAIT_SHARED } };
  expect(exploreLayer(shared, { random: 300 }).failure?.message).toContain("deadlock");
});
