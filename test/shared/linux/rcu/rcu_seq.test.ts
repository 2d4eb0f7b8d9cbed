/** Sequence numbers: spec rcu 4.1. */
import { describe, expect, test } from "vitest";
import type { Cpu } from "../../../../src/shared/cpu/cpu.ts";
import { RcuState } from "../../../../src/shared/layout/rcu.ts";
import { rcu_state } from "../../../../src/shared/linux/rcu/rcu_node.ts";
import {
  RCU_INITIAL_GP_SEQ,
  rcu_seq_completed_gp,
  rcu_seq_done,
  rcu_seq_done_exact_value,
  rcu_seq_end,
  rcu_seq_endval,
  rcu_seq_new_gp,
  rcu_seq_snap,
  rcu_seq_snap_value,
  rcu_seq_start,
  rcu_seq_started_value,
  ULONG_CMP_GE,
  ULONG_CMP_LT,
} from "../../../../src/shared/linux/rcu/rcu_seq.ts";
import { bootRcu } from "./rcu_machine.ts";

const { gp_seq: GP_SEQ } = RcuState.offset;
const MAX = 0x7fffffff;
const MIN = -0x80000000;

test("numbers begin 300 grace periods before the wrap", () => {
  expect(RCU_INITIAL_GP_SEQ).toBe(-1200);
});

describe("modular comparison", () => {
  test.each([
    [0, 0, true],
    [4, 0, true],
    [0, 4, false],
    [MIN, MAX, true], // one step past the wrap of the sign
    [MAX, MIN, false],
    [4, -4, true],
    [MAX, 0, true], // exactly half the range is still ahead
    [MIN, 0, false],
  ])("%d >= %d: %s", (a, b, ge) => {
    expect(ULONG_CMP_GE(a, b)).toBe(ge);
    expect(ULONG_CMP_LT(a, b)).toBe(!ge);
  });
});

describe("snapshot", () => {
  test.each([
    [4, 8], // idle: the end of the next one
    [5, 12], // in progress: it does not count
    [-4, 0], // over the wrap
    [-3, 4],
    [MAX - 3, MIN],
  ])("of %d is %d", (s, snap) => {
    expect(rcu_seq_snap_value(s)).toBe(snap);
  });

  test("a cookie is done exactly when a full grace period has gone by", () => {
    for (const first of [-8, MAX - 7, 0]) {
      let s = first;
      for (const inProgress of [false, true]) {
        if (inProgress) s = (s + 1) | 0;
        const cookie = rcu_seq_snap_value(s);
        let full = 0;
        let at = s;
        while (!ULONG_CMP_GE(at, cookie)) {
          const starts = (at & 3) === 0;
          if (starts) full++;
          at = starts ? (at + 1) | 0 : rcu_seq_endval(at);
        }
        expect(full).toBe(1);
      }
    }
  });
});

describe("what a CPU missed", () => {
  test.each([
    [0, 0, false, false],
    [0, 1, false, true], // one began
    [1, 4, true, false], // one ended
    [1, 5, true, true], // one ended, the next began
    [0, 4, true, true], // one came and went
    [0, 5, true, true],
    [-3, 0, true, false],
    [-3, 1, true, true],
  ])("from %d to %d: one ended %s, one began %s", (old, now, completed, began) => {
    expect(rcu_seq_completed_gp(old, now)).toBe(completed);
    expect(rcu_seq_new_gp(old, now)).toBe(began);
  });

  test.each([
    [4, 8, false], // idle before the grace period that ends at 8
    [5, 8, true],
    [8, 8, true],
    [1, 8, false],
  ])("at %d the grace period that ends at %d has begun: %s", (now, s, started) => {
    expect(rcu_seq_started_value(now, s)).toBe(started);
  });
});

describe("exact", () => {
  test("a fresh cookie is not done, even if the number lags by the grace period in progress", () => {
    for (const state of [-3, 1, 5, MAX - 2]) {
      const cookie = rcu_seq_snap_value(state); // from rcu_state, in progress
      expect(rcu_seq_done_exact_value((state - 1) | 0, cookie)).toBe(false); // against the root, which lags
      expect(rcu_seq_done_exact_value(state, cookie)).toBe(false);
    }
  });
  test("a cookie from half the range ago is done", () => {
    const cookie = rcu_seq_snap_value(0);
    expect(ULONG_CMP_GE((cookie + MIN) | 0, cookie)).toBe(false); // E19: the plain comparison would say never
    expect(rcu_seq_done_exact_value((cookie + MIN) | 0, cookie)).toBe(true);
    expect(rcu_seq_done_exact_value(cookie - 11, cookie)).toBe(true);
    expect(rcu_seq_done_exact_value(cookie - 10, cookie)).toBe(false);
  });
});

describe("in memory", () => {
  const words = (cpu: Cpu): number => cpu.mem.peek(rcu_state(cpu), GP_SEQ);

  test("start and end count through the states, over the wrap", () => {
    const [cpu] = bootRcu(1);
    const state = rcu_state(cpu);
    cpu.mem.poke(state, GP_SEQ, -4);
    const cookie = rcu_seq_snap(cpu, state, GP_SEQ);
    rcu_seq_start(cpu, state, GP_SEQ);
    expect(words(cpu)).toBe(-3);
    expect(rcu_seq_done(cpu, state, GP_SEQ, cookie)).toBe(false);
    rcu_seq_end(cpu, state, GP_SEQ);
    expect(words(cpu)).toBe(0);
    expect(rcu_seq_done(cpu, state, GP_SEQ, cookie)).toBe(true);
  });
  test("I-RCU-4: a start inside a grace period, or an end outside, is a warning", () => {
    const [cpu] = bootRcu(1);
    const state = rcu_state(cpu);
    expect(() => rcu_seq_end(cpu, state, GP_SEQ)).toThrow(/ends that has not begun/);
    rcu_seq_start(cpu, state, GP_SEQ);
    expect(() => rcu_seq_start(cpu, state, GP_SEQ)).toThrow(/begins inside another/);
  });
});
