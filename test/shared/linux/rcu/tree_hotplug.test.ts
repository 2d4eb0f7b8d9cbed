/** CPUs that come and go: spec rcu 4.6 step 2, 4.8. */
import { beforeEach, describe, expect, test } from "vitest";
import { local_irq_restore, local_irq_save } from "../../../../src/shared/cpu/context.ts";
import type { Cpu } from "../../../../src/shared/cpu/cpu.ts";
import { Globals } from "../../../../src/shared/layout/globals.ts";
import { RcuNode } from "../../../../src/shared/layout/rcu.ts";
import { rcu_node } from "../../../../src/shared/linux/rcu/rcu_node.ts";
import { call_rcu, call_rcu_hurry, rcu_barrier, synchronize_rcu } from "../../../../src/shared/linux/rcu/tree.ts";
import { check_rcu_quiescent } from "../../../../src/shared/linux/rcu/tree_check.ts";
import { synchronize_rcu_expedited } from "../../../../src/shared/linux/rcu/tree_exp.ts";
import {
  rcutree_migrate_callbacks,
  rcutree_report_cpu_dead,
  rcutree_report_cpu_starting,
} from "../../../../src/shared/linux/rcu/tree_hotplug.ts";
import { bootRcu, drive, head, idleEnter, qlen, recordingCallback, settle } from "./rcu_machine.ts";

const N = RcuNode.offset;
const { online: ONLINE } = Globals.offset;

let cpus: readonly Cpu[];
let cpu: Cpu;
beforeEach(() => {
  cpus = bootRcu(4);
  [cpu] = cpus;
});
function irqsOff(c: Cpu, fn: (c: Cpu) => void): void {
  const flags = local_irq_save(c);
  fn(c);
  local_irq_restore(c, flags);
}
function offline(c: Cpu): void {
  irqsOff(c, rcutree_report_cpu_dead);
  c.mem.fetch_and(c.globals, ONLINE, ~(1 << c.id));
}
function online(c: Cpu): void {
  irqsOff(c, rcutree_report_cpu_starting);
  c.mem.fetch_or(c.globals, ONLINE, 1 << c.id);
}
const word = (i: number, field: (typeof N)["qsmask"]): number => cpu.mem.peek(rcu_node(cpu, i), field);

test("an offline CPU is not waited for, though it never says idle", () => {
  offline(cpus[1]);
  const { ran, id } = recordingCallback();
  call_rcu_hurry(cpu, head(cpu, 0), id);
  settle([cpu, cpus[2], cpus[3]]);
  expect(ran).toEqual([0]);
  expect(word(1, N.qsmaskinit)).toBe(1);
});
test("a leaf without CPUs leaves its parent; it comes back with the first of them", () => {
  offline(cpus[2]);
  offline(cpus[3]);
  const { ran, id } = recordingCallback();
  call_rcu_hurry(cpu, head(cpu, 0), id);
  settle([cpu, cpus[1]]);
  expect(ran).toEqual([0]);
  expect([word(2, N.qsmaskinit), word(0, N.qsmaskinit)]).toEqual([0, 1]);
  online(cpus[3]);
  expect(word(0, N.qsmaskinit)).toBe(1); // Not before the next grace period begins.
  call_rcu_hurry(cpu, head(cpu, 1), id);
  settle([cpu, cpus[1]]);
  expect(ran).toEqual([0]);
  expect([word(2, N.qsmaskinit), word(0, N.qsmaskinit)]).toEqual([2, 3]);
  settle([cpu, cpus[1], cpus[3]]);
  expect(ran).toEqual([0, 1]);
});
test("going during a grace period is a quiescent state", () => {
  const { ran, id } = recordingCallback();
  call_rcu_hurry(cpu, head(cpu, 0), id);
  drive(cpu);
  settle([cpu, cpus[1], cpus[2]]);
  expect(ran).toEqual([]);
  offline(cpus[3]);
  settle([cpu, cpus[1], cpus[2]]);
  expect(ran).toEqual([0]);
});
test("coming during one that does not count it: it is not waited for", () => {
  offline(cpus[1]);
  const { ran, id } = recordingCallback();
  call_rcu_hurry(cpu, head(cpu, 0), id);
  drive(cpu);
  online(cpus[1]);
  settle([cpu, cpus[2], cpus[3]]);
  expect(ran).toEqual([0]);
  settle(cpus);
  expect(check_rcu_quiescent(cpu)).toEqual([]);
});
test("its callbacks go to another CPU, in order, and run there after a grace period", () => {
  const { ran, id } = recordingCallback();
  const [, , , leaving] = cpus;
  for (let i = 0; i < 3; i++) call_rcu(leaving, head(cpu, i), id);
  call_rcu(cpu, head(cpu, 3), id);
  offline(leaving);
  rcutree_migrate_callbacks(cpu, leaving.id);
  expect([qlen(leaving), qlen(cpu)]).toEqual([0, 4]);
  settle(cpus.slice(0, 3));
  expect(ran).toEqual([3, 0, 1, 2]);
});
test("rcu_barrier waits for the callbacks of a CPU that is gone, but not migrated yet", () => {
  const { ran, id } = recordingCallback();
  const [, , , leaving] = cpus;
  for (const c of cpus.slice(1, 3)) idleEnter(c);
  call_rcu(leaving, head(cpu, 0), id);
  offline(leaving);
  rcutree_migrate_callbacks(cpu, leaving.id);
  rcu_barrier(cpu);
  expect(ran).toEqual([0]);
});
test("expedited grace periods leave it out", () => {
  offline(cpus[3]);
  for (const c of cpus.slice(1, 3)) idleEnter(c);
  synchronize_rcu_expedited(cpu);
  synchronize_rcu(cpu);
  expect(check_rcu_quiescent(cpu)).toEqual([]);
});
describe("contexts", () => {
  test("IRQs on is a bug", () => {
    expect(() => rcutree_report_cpu_dead(cpu)).toThrow(/IRQs on/);
    expect(() => rcutree_report_cpu_starting(cpu)).toThrow(/IRQs on/);
    expect(() => rcutree_migrate_callbacks(cpu, 0)).toThrow(/its own/);
  });
});
