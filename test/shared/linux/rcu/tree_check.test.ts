/** The walkers find what they are for: spec rcu 4.13. */
import { beforeEach, describe, expect, test } from "vitest";
import { local_irq_disable } from "../../../../src/shared/cpu/context.ts";
import type { Cpu } from "../../../../src/shared/cpu/cpu.ts";
import { RcuData, RcuNode, RcuSegcblist, RcuState } from "../../../../src/shared/layout/rcu.ts";
import { Spinlock } from "../../../../src/shared/layout/types.ts";
import { per_rcu_data, rcu_node, rcu_state } from "../../../../src/shared/linux/rcu/rcu_node.ts";
import { call_rcu } from "../../../../src/shared/linux/rcu/tree.ts";
import { check_rcu_locked, check_rcu_quiescent } from "../../../../src/shared/linux/rcu/tree_check.ts";
import { element, embedded, type Ptr } from "../../../../src/shared/mem/struct.ts";
import { bootRcu, gpSeq, head, recordingCallback, settle } from "./rcu_machine.ts";

const S = RcuState.offset;
const N = RcuNode.offset;
const L = RcuSegcblist.offset;

let cpus: readonly Cpu[];
let cpu: Cpu;
let list: Ptr<"rcu_segcblist">;
beforeEach(() => {
  cpus = bootRcu(4);
  [cpu] = cpus;
  list = embedded(per_rcu_data(cpu, 0), RcuData.offset.cblist);
});

test("a machine at rest, and one at work, are fine", () => {
  expect(check_rcu_quiescent(cpu)).toEqual([]);
  for (let i = 0; i < 5; i++) call_rcu(cpu, head(cpu, i), recordingCallback().id);
  expect(check_rcu_locked(cpu)).toEqual([]);
  expect(check_rcu_quiescent(cpu)).toEqual(["I-RCU-14: CPU 0 has 5 callbacks"]);
  settle(cpus);
  expect(check_rcu_quiescent(cpu)).toEqual([]);
});

describe("nodes", () => {
  const spoil = (i: number, field: (typeof N)["qsmask"] | (typeof N)["gp_seq"], value: number): void =>
    cpu.mem.poke(rcu_node(cpu, i), field, value);
  const inProgress = (): void => {
    cpu.mem.poke(rcu_state(cpu), S.gp_seq, gpSeq(cpu) + 1);
    for (let i = 0; i < 3; i++) spoil(i, N.gp_seq, gpSeq(cpu));
  };

  test("I-RCU-1: waits for a CPU that is offline", () => {
    inProgress();
    spoil(0, N.qsmask, 7);
    expect(check_rcu_locked(cpu)).toEqual(["I-RCU-1: node 0 waits for a CPU that is offline"]);
  });
  test("I-RCU-1: a leaf waits, but its parent does not wait for it", () => {
    inProgress();
    spoil(2, N.qsmask, 1);
    expect(check_rcu_locked(cpu)).toEqual(["I-RCU-1: node 2 waits (1), but its parent does not wait for it"]);
    spoil(0, N.qsmask, 2);
    expect(check_rcu_locked(cpu)).toEqual([]);
  });
  test("I-RCU-2: shows a grace period that is not", () => {
    for (const off of [4, -4, 1]) {
      spoil(1, N.gp_seq, gpSeq(cpu) + off);
      expect(check_rcu_locked(cpu)[0]).toMatch(/^I-RCU-2: node 1/);
    }
    inProgress();
    spoil(1, N.gp_seq, gpSeq(cpu) - 1); // Not initialised yet.
    expect(check_rcu_locked(cpu)).toEqual([]);
    spoil(1, N.gp_seq, gpSeq(cpu) + 3); // Cleaned up already.
    expect(check_rcu_locked(cpu)).toEqual([]);
  });
  test("I-RCU-4: a state that is not", () => {
    cpu.mem.poke(rcu_state(cpu), S.gp_seq, gpSeq(cpu) + 2);
    expect(check_rcu_locked(cpu)[0]).toMatch(/^I-RCU-4/);
  });
  test("waits outside a grace period", () => {
    spoil(0, N.qsmask, 1);
    expect(check_rcu_locked(cpu)).toEqual(["node 0 waits (1) outside a grace period"]);
  });
  test("not while its lock is held", () => {
    spoil(0, N.qsmask, 7);
    cpu.mem.poke(embedded(rcu_node(cpu, 0), N.lock), Spinlock.offset.val, 1);
    expect(check_rcu_locked(cpu)).toEqual([]);
  });
});

describe("I-RCU-5: callback lists", () => {
  beforeEach(() => {
    for (let i = 0; i < 3; i++) call_rcu(cpu, head(cpu, i), recordingCallback().id);
  });
  const found = (): string | undefined => check_rcu_locked(cpu)[0];

  test("a segment that does not have what it says", () => {
    cpu.mem.poke(list, element(L.seglen, 3), 2);
    expect(found()).toMatch(/segment 3 has 3, not seglen/);
  });
  test("more linked than counted", () => {
    cpu.mem.poke(list, L.len, 2);
    expect(found()).toMatch(/3 are linked, but only 2 are counted/);
  });
  test("a tail that is not on the list; a list that goes on behind its tail", () => {
    cpu.mem.poke(list, element(L.tails, 3), head(cpu, 9));
    expect(found()).toMatch(/ends before segment 3 does/);
    cpu.mem.poke(list, element(L.tails, 3), head(cpu, 1));
    expect(check_rcu_locked(cpu).join()).toMatch(/goes on behind its tail/);
  });
  test("labels out of order, or too far ahead", () => {
    const tails = [1, 2].map((i) => element(L.tails, i));
    cpu.mem.poke(list, tails[0], head(cpu, 0));
    cpu.mem.poke(list, tails[1], head(cpu, 1));
    for (const i of [1, 2, 3]) cpu.mem.poke(list, element(L.seglen, i), 1);
    const label = (i: number, seq: number): void => cpu.mem.poke(list, element(L.gp_seq, i), seq);
    label(1, gpSeq(cpu));
    label(2, gpSeq(cpu) + 4);
    expect(found()).toBeUndefined();
    label(1, gpSeq(cpu) + 4);
    expect(found()).toMatch(/out of order/);
    label(1, gpSeq(cpu));
    label(2, gpSeq(cpu) + 8);
    expect(found()).toMatch(/too far ahead/);
  });
  test("not while its CPU has IRQs off: it may be in the middle of a change", () => {
    cpu.mem.poke(list, L.len, 2);
    local_irq_disable(cpu);
    expect(found()).toBeUndefined();
  });
});
