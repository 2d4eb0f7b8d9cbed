/** Polled grace periods: spec rcu 4.10, litmus E17 to E19. */
import { beforeEach, describe, expect, test } from "vitest";
import { get, result, resultOf, set, type Scenario } from "../../../../src/main/explore/scenario.ts";
import { reader, X, Y } from "../../../../src/main/litmus/kit_grace_period.ts";
import type { Cpu } from "../../../../src/shared/cpu/cpu.ts";
import { cond_resched } from "../../../../src/shared/cpu/sched.ts";
import { RCU_GP_IDLE, RCU_GP_INIT, RcuGpOldstate, RcuNode, RcuState } from "../../../../src/shared/layout/rcu.ts";
import {
  cond_synchronize_rcu,
  cond_synchronize_rcu_full,
  get_completed_synchronize_rcu,
  get_completed_synchronize_rcu_full,
  get_state_synchronize_rcu,
  get_state_synchronize_rcu_full,
  poll_state_synchronize_rcu,
  poll_state_synchronize_rcu_full,
  RCU_GET_STATE_COMPLETED,
  same_state_synchronize_rcu_full,
  start_poll_synchronize_rcu,
  start_poll_synchronize_rcu_full,
} from "../../../../src/shared/linux/rcu/poll.ts";
import { rcu_poll_gp_seq_end, rcu_poll_gp_seq_start } from "../../../../src/shared/linux/rcu/poll_seq.ts";
import { rcu_get_root, rcu_state } from "../../../../src/shared/linux/rcu/rcu_node.ts";
import { rcu_seq_endval, rcu_seq_start } from "../../../../src/shared/linux/rcu/rcu_seq.ts";
import { call_rcu_hurry, rcu_gp_step, synchronize_rcu } from "../../../../src/shared/linux/rcu/tree.ts";
import { synchronize_rcu_expedited } from "../../../../src/shared/linux/rcu/tree_exp.ts";
import type { Ptr } from "../../../../src/shared/mem/struct.ts";
import {
  bootRcu,
  callbackOf,
  drive,
  exploreRcu,
  gpSeq,
  head,
  idleEnter,
  idleExit,
  inNmi,
  room,
  settle,
  until,
} from "./rcu_machine.ts";

const S = RcuState.offset;
const { norm: NORM, exp: EXP } = RcuGpOldstate.offset;
const { gp_seq: GP_SEQ } = RcuNode.offset;

let cpus: readonly Cpu[];
let cpu: Cpu;
let full: Ptr<"rcu_gp_oldstate">;
beforeEach(() => {
  cpus = bootRcu(2);
  [cpu] = cpus;
  full = room(cpu, 20);
});
const polled = (): number => cpu.mem.peek(rcu_state(cpu), S.gp_seq_polled);
const stateOf = (): number => cpu.mem.peek(rcu_state(cpu), S.gp_state);

describe("plain cookies", () => {
  test("ask for nothing: without a grace period never true", () => {
    const cookie = get_state_synchronize_rcu(cpu);
    settle(cpus);
    expect(poll_state_synchronize_rcu(cpu, cookie)).toBe(false);
  });
  test("true after a normal one; after an expedited one", () => {
    for (const wait of [synchronize_rcu, synchronize_rcu_expedited]) {
      const cookie = get_state_synchronize_rcu(cpu);
      idleEnter(cpus[1]);
      wait(cpu);
      idleExit(cpus[1]);
      expect(poll_state_synchronize_rcu(cpu, cookie)).toBe(true);
    }
  });
  test("start_poll asks", () => {
    const cookie = start_poll_synchronize_rcu(cpu);
    expect(poll_state_synchronize_rcu(cpu, cookie)).toBe(false);
    settle(cpus);
    expect(poll_state_synchronize_rcu(cpu, cookie)).toBe(true);
  });
  test("taken while one is in progress: that one does not count", () => {
    start_poll_synchronize_rcu(cpu);
    drive(cpu);
    expect(gpSeq(cpu) & 3).toBe(1);
    const cookie = get_state_synchronize_rcu(cpu);
    until(
      () => stateOf() === RCU_GP_IDLE,
      () => settle(cpus, 1),
    );
    expect(poll_state_synchronize_rcu(cpu, cookie)).toBe(false);
    start_poll_synchronize_rcu(cpu);
    settle(cpus);
    expect(poll_state_synchronize_rcu(cpu, cookie)).toBe(true);
  });
  test("true is for ever, until half the range has gone by; then it is true again before it could be false for ever", () => {
    const cookie = get_state_synchronize_rcu(cpu);
    const state = rcu_state(cpu);
    for (const [ahead, done] of [
      [4, true],
      [1 << 30, true],
      [-0x80000000, true], // E19
      [-16, true], // nearly all of the range: ancient
      [0, false], // fresh
      [-4, false],
    ] as const) {
      cpu.mem.poke(state, S.gp_seq_polled, (cookie - 4 + ahead) | 0);
      expect(poll_state_synchronize_rcu(cpu, cookie)).toBe(done);
    }
  });
  test("the completed cookie", () => {
    expect(get_completed_synchronize_rcu()).toBe(RCU_GET_STATE_COMPLETED);
    expect(poll_state_synchronize_rcu(cpu, RCU_GET_STATE_COMPLETED)).toBe(true);
  });
  test("from NMI", () => {
    inNmi(cpu, (c) => expect(poll_state_synchronize_rcu(c, get_state_synchronize_rcu(c))).toBe(false));
    expect(() => inNmi(cpu, start_poll_synchronize_rcu)).toThrow(/NMI/);
  });
  test("cond_synchronize waits only if it has to", () => {
    const cookie = get_state_synchronize_rcu(cpu);
    idleEnter(cpus[1]);
    const from = gpSeq(cpu);
    cond_synchronize_rcu(cpu, cookie);
    expect(gpSeq(cpu)).toBe(from + 4);
    cond_synchronize_rcu(cpu, cookie);
    expect(gpSeq(cpu)).toBe(from + 4);
  });
});

describe("normal and expedited ones that overlap", () => {
  test("whoever began the number ends it; the other one leaves it alone", () => {
    const from = polled();
    start_poll_synchronize_rcu(cpu);
    drive(cpu); // Normal, in progress: waits for both CPUs.
    expect(polled()).toBe(from + 1);
    idleEnter(cpus[1]);
    synchronize_rcu_expedited(cpu); // Sees a grace period that began before it, and ends it: it is a full one itself.
    expect(polled()).toBe(from + 4);
    idleExit(cpus[1]);
    settle(cpus);
    expect(gpSeq(cpu) & 3).toBe(0);
    expect(polled()).toBe(from + 4);
  });
  test("one that began before the number's present step may not end it", () => {
    const { gp_seq_polled_snap: NORMAL, gp_seq_polled_exp_snap: EXPEDITED } = S;
    const from = polled();
    rcu_poll_gp_seq_start(cpu, NORMAL);
    rcu_poll_gp_seq_start(cpu, EXPEDITED);
    rcu_poll_gp_seq_end(cpu, EXPEDITED);
    const cookie = get_state_synchronize_rcu(cpu);
    rcu_poll_gp_seq_start(cpu, EXPEDITED);
    rcu_poll_gp_seq_end(cpu, NORMAL); // It began before the cookie was taken.
    expect(polled()).toBe(from + 5);
    expect(poll_state_synchronize_rcu(cpu, cookie)).toBe(false);
    rcu_poll_gp_seq_end(cpu, EXPEDITED);
    expect(poll_state_synchronize_rcu(cpu, cookie)).toBe(true);
  });
});

describe("full cookies", () => {
  test("know both kinds", () => {
    get_state_synchronize_rcu_full(cpu, full);
    expect(poll_state_synchronize_rcu_full(cpu, full)).toBe(false);
    idleEnter(cpus[1]);
    synchronize_rcu_expedited(cpu);
    expect(poll_state_synchronize_rcu_full(cpu, full)).toBe(true);
    get_state_synchronize_rcu_full(cpu, full);
    expect(poll_state_synchronize_rcu_full(cpu, full)).toBe(false);
    synchronize_rcu(cpu);
    expect(poll_state_synchronize_rcu_full(cpu, full)).toBe(true);
  });
  test("start_poll, cond, completed, same", () => {
    const other = room<"rcu_gp_oldstate">(cpu, 21);
    start_poll_synchronize_rcu_full(cpu, full);
    get_state_synchronize_rcu_full(cpu, other);
    expect(same_state_synchronize_rcu_full(cpu, full, other)).toBe(true);
    settle(cpus);
    expect(poll_state_synchronize_rcu_full(cpu, full)).toBe(true);
    get_state_synchronize_rcu_full(cpu, other);
    expect(same_state_synchronize_rcu_full(cpu, full, other)).toBe(false);
    idleEnter(cpus[1]);
    cond_synchronize_rcu_full(cpu, other);
    const from = gpSeq(cpu);
    cond_synchronize_rcu_full(cpu, other);
    expect(gpSeq(cpu)).toBe(from);
    get_completed_synchronize_rcu_full(cpu, other);
    expect(poll_state_synchronize_rcu_full(cpu, other)).toBe(true);
    cpu.mem.write(other, NORM, gpSeq(cpu) + 8);
    expect(poll_state_synchronize_rcu_full(cpu, other)).toBe(true); // The expedited half alone says so.
    cpu.mem.write(other, EXP, cpu.mem.peek(rcu_state(cpu), S.expedited_sequence) + 8);
    expect(poll_state_synchronize_rcu_full(cpu, other)).toBe(false);
  });
  test("E17: taken when rcu_state has begun and the root has not: the one that began does not count", () => {
    start_poll_synchronize_rcu(cpu);
    rcu_gp_step(cpu);
    expect(gpSeq(cpu)).toBe(cpu.mem.peek(rcu_get_root(cpu), GP_SEQ) + 1);
    get_state_synchronize_rcu_full(cpu, full);
    expect(poll_state_synchronize_rcu_full(cpu, full)).toBe(false); // E18: nor does it look ancient.
    until(
      () => stateOf() === RCU_GP_INIT,
      () => rcu_gp_step(cpu),
    );
    for (let i = 0; stateOf() !== RCU_GP_IDLE && i < 100; i++) {
      cpus.forEach(cond_resched);
      if (stateOf() !== RCU_GP_IDLE) expect(poll_state_synchronize_rcu_full(cpu, full)).toBe(false);
    }
    expect(poll_state_synchronize_rcu_full(cpu, full)).toBe(false);
  });
  test("a callback that asks about its own grace period hears yes, also while rcu_state still says in progress", () => {
    const answers: boolean[] = [];
    const states: number[] = [];
    const id = callbackOf(0, (c) => {
      answers.push(poll_state_synchronize_rcu_full(c, full), poll_state_synchronize_rcu(c, cookie));
      states.push(gpSeq(c) & 3);
    });
    get_state_synchronize_rcu_full(cpu, full);
    const cookie = get_state_synchronize_rcu(cpu);
    call_rcu_hurry(cpu, head(cpu, 0), id);
    // CPU 1 drives piece by piece; CPU 0 looks after each.
    for (let i = 0; i < 40 && answers.length === 0; i++) {
      rcu_gp_step(cpus[1]);
      cpus[1].mem.take_pending(-1);
      settle([cpu], 0);
      cond_resched(cpus[1]);
      cond_resched(cpu);
    }
    expect(answers).toEqual([true, true]);
  });
});

describe("explored", () => {
  const poller = (c: Cpu): void => {
    set(c, Y, 1);
    const cookie = get_state_synchronize_rcu(c);
    cond_resched(c);
    if (poll_state_synchronize_rcu(c, cookie)) set(c, X, 1);
    cond_synchronize_rcu(c, cookie);
    set(c, X, 1);
  };
  const fullPoller = (c: Cpu): void => {
    set(c, Y, 1);
    const rgosp = room<"rcu_gp_oldstate">(c, 20);
    get_state_synchronize_rcu_full(c, rgosp);
    for (let i = 0; i < 3; i++) {
      if (poll_state_synchronize_rcu_full(c, rgosp)) set(c, X, 1);
      cond_resched(c);
    }
  };
  const inCallback = (c: Cpu): void => {
    const rgosp = room<"rcu_gp_oldstate">(c, 20);
    const id = callbackOf(40, (k) => {
      if (!poll_state_synchronize_rcu_full(k, rgosp)) result(k, 1, 1);
    });
    get_state_synchronize_rcu_full(c, rgosp);
    call_rcu_hurry(c, head(c, 22), id);
  };
  const check = (c: Cpu): string | undefined => {
    if (resultOf(c, 0)) return "a section spans the grace period";
    return resultOf(c, 1) ? "a callback ran, but its cookie is not done" : undefined;
  };
  const scenarios: Scenario[] = [
    { name: "poll and cond", cpus: [[poller], [reader], [synchronize_rcu]], check },
    { name: "E17, E18: full", cpus: [[fullPoller], [synchronize_rcu], [reader]], check },
    { name: "full, with an expedited one", cpus: [[fullPoller], [synchronize_rcu_expedited], [reader]], check },
    { name: "poll, both kinds", cpus: [[poller], [synchronize_rcu_expedited, reader], [synchronize_rcu]], check },
    {
      name: "a callback polls its own cookie",
      cpus: [[inCallback], [synchronize_rcu], [reader]],
      check,
      final: synchronize_rcu,
    },
  ];
  test.each(scenarios.map((s) => [s.name, s] as const))("%s", (_, scenario) => {
    expect(exploreRcu(scenario, { random: 50 }).failure).toBeUndefined();
  });
});

describe("what is still in a store buffer", () => {
  const X = 0;
  /** Takes something out of sight, and a cookie. */
  const removal = (cookie: (c: Cpu) => number) => (c: Cpu) => {
    set(c, X, 1);
    result(c, 0, cookie(c));
  };
  /** A grace period begins, and then a reader, for which it need not wait. */
  const reader = (number: typeof S.gp_seq_polled) => (c: Cpu) => {
    rcu_seq_start(c, rcu_state(c), number);
    result(c, 1, get(c, X));
  };
  const full_cookie = (c: Cpu): number => {
    const rgosp = room<"rcu_gp_oldstate">(c, 20);
    get_state_synchronize_rcu_full(c, rgosp);
    return c.mem.read(rgosp, NORM);
  };
  test.each([
    ["plain", S.gp_seq_polled, get_state_synchronize_rcu],
    ["full", S.gp_seq, full_cookie],
  ] as const)("no reader that began in the grace period of a %s cookie sees it", (name, number, cookie) => {
    const scenario: Scenario = {
      name,
      cpus: [[removal(cookie)], [reader(number)]],
      check: (c) => {
        const isOfThisOne = resultOf(c, 0) === rcu_seq_endval(c.mem.peek(rcu_state(c), number));
        return isOfThisOne && resultOf(c, 1) === 0 ? "it is as it was" : undefined;
      },
    };
    expect(exploreRcu(scenario, { bound: 2 }, { model: "tso" })).toMatchObject({ failure: undefined, exhausted: 2 });
  });
});
