/** queue_rcu_work() and flush_rcu_work(). */
import { beforeEach, describe, expect, test } from "vitest";
import { in_item } from "../../../../src/shared/cpu/context.ts";
import type { Cpu } from "../../../../src/shared/cpu/cpu.ts";
import { flush_rcu_work, init_rcu_work, queue_rcu_work } from "../../../../src/shared/linux/rcu/rcu_work.ts";
import { rcu_read_lock, rcu_read_unlock } from "../../../../src/shared/linux/rcu/update.ts";
import type { Ptr } from "../../../../src/shared/mem/struct.ts";
import { bootRcu, callbackOf, gpSeq, idleEnter, inHardirq, inNmi, room, settle, tick } from "./rcu_machine.ts";

let cpus: readonly Cpu[];
let cpu: Cpu;
let rwork: Ptr<"rcu_work">;
let runs: { readonly item: boolean; readonly cpu: number; readonly gp: number }[];
beforeEach(() => {
  cpus = bootRcu(2);
  [cpu] = cpus;
  rwork = room(cpu, 0);
  runs = [];
  const func = callbackOf(0, (c) => void runs.push({ item: in_item(c), cpu: c.id, gp: gpSeq(c) >> 2 }));
  init_rcu_work(cpu, rwork, func);
});

test("runs as a work item, after a grace period, which is asked for at once", () => {
  const from = gpSeq(cpu) >> 2;
  expect(queue_rcu_work(cpu, rwork)).toBe(true);
  expect(runs).toEqual([]);
  settle(cpus);
  expect(runs).toEqual([{ item: true, cpu: 0, gp: from + 1 }]);
});
test("queued twice it runs once; afterwards it can be queued again", () => {
  expect(queue_rcu_work(cpu, rwork)).toBe(true);
  expect(queue_rcu_work(cpus[1], rwork)).toBe(false);
  settle(cpus);
  expect(runs.length).toBe(1);
  expect(queue_rcu_work(cpus[1], rwork)).toBe(true);
  settle(cpus);
  expect(runs.map((r) => r.cpu)).toEqual([0, 1]);
});
test("does not run while a reader that was there is still there", () => {
  rcu_read_lock(cpus[1]);
  queue_rcu_work(cpu, rwork);
  for (let i = 0; i < 5; i++) {
    settle([cpu], 2);
    tick(cpu);
    tick(cpus[1]);
  }
  expect(runs).toEqual([]);
  rcu_read_unlock(cpus[1]);
  settle(cpus);
  expect(runs.length).toBe(1);
});

describe("flush_rcu_work", () => {
  beforeEach(() => idleEnter(cpus[1]));
  test("waits for the grace period and the work", () => {
    queue_rcu_work(cpu, rwork);
    expect(flush_rcu_work(cpu, rwork)).toBe(true);
    expect(runs.length).toBe(1);
  });
  test("has nothing to wait for when it is idle", () => {
    expect(flush_rcu_work(cpu, rwork)).toBe(false);
    queue_rcu_work(cpu, rwork);
    flush_rcu_work(cpu, rwork);
    expect(flush_rcu_work(cpu, rwork)).toBe(false);
  });
});

test("contexts: hardirq is fine, NMI is a bug", () => {
  inHardirq(cpu, (c) => queue_rcu_work(c, rwork));
  settle(cpus);
  expect(runs.length).toBe(1);
  expect(() => inNmi(cpu, (c) => queue_rcu_work(c, rwork))).toThrow(/NMI/);
});
