/** The tree and the grace-period engine: spec rcu 4.6, I-RCU-1 to 4. */
import { describe, expect, test } from "vitest";
import { this_cpu_ptr, type Cpu } from "../../../../src/shared/cpu/cpu.ts";
import { cond_resched } from "../../../../src/shared/cpu/sched.ts";
import { IrqStat, P_KICK } from "../../../../src/shared/layout/cpu.ts";
import { PerCpu } from "../../../../src/shared/layout/percpu.ts";
import {
  RCU_GP_CLEANED,
  RCU_GP_CLEANUP,
  RCU_GP_FLAG_INIT,
  RCU_GP_IDLE,
  RCU_GP_INIT,
  RCU_GP_ONOFF,
  RCU_GP_WAIT_FQS,
  RcuData,
  RcuNode,
  RcuState,
} from "../../../../src/shared/layout/rcu.ts";
import { WaitQueue } from "../../../../src/shared/layout/types.ts";
import {
  per_rcu_data,
  rcu_get_root,
  rcu_mynode,
  rcu_node,
  rcu_num_nodes,
  rcu_state,
} from "../../../../src/shared/linux/rcu/rcu_node.ts";
import { check_rcu_locked, check_rcu_quiescent } from "../../../../src/shared/linux/rcu/tree_check.ts";
import { rcu_force_quiescent_state } from "../../../../src/shared/linux/rcu/tree_fqs.ts";
import { rcu_gp_runnable, rcu_gp_step } from "../../../../src/shared/linux/rcu/tree_gp.ts";
import { call_rcu_hurry, rcu_all_qs, rcu_note_context_switch } from "../../../../src/shared/linux/rcu/tree.ts";
import { rcu_read_lock, rcu_read_unlock } from "../../../../src/shared/linux/rcu/update.ts";
import { NULL } from "../../../../src/shared/mem/struct.ts";
import {
  bootRcu,
  drive,
  gpsBetween,
  gpSeq,
  head,
  idleEnter,
  idleExit,
  inNmi,
  recordingCallback,
  settle,
  softirqsPending,
  tick,
  until,
} from "./rcu_machine.ts";

const {
  gp_state: GP_STATE,
  gp_flags: GP_FLAGS,
  gp_leader: GP_LEADER,
  n_gps: N_GPS,
  n_force_qs: N_FORCE_QS,
} = RcuState.offset;
const N = RcuNode.offset;
const { gp_seq: RDP_GP_SEQ, gpwrap: GPWRAP } = RcuData.offset;

const stateOf = (cpu: Cpu): number => cpu.mem.peek(rcu_state(cpu), GP_STATE);
const nodeWord = (cpu: Cpu, i: number, field: (typeof N)["qsmask"] | (typeof N)["gp_seq"]): number =>
  cpu.mem.peek(rcu_node(cpu, i), field);
const request = (cpu: Cpu, room = 0): ReturnType<typeof recordingCallback> => {
  const callback = recordingCallback();
  call_rcu_hurry(cpu, head(cpu, room), callback.id);
  return callback;
};

describe("the tree", () => {
  test.each([
    [1, [1]],
    [2, [1]],
    [3, [1, 2]],
    [4, [1, 2]],
    [8, [1, 4]],
    [9, [1, 2, 5]],
    [16, [1, 2, 8]],
    [31, [1, 4, 16]],
  ])("%d CPUs: levels of %j nodes", (nr, levels) => {
    const [cpu] = bootRcu(nr);
    const found: number[] = [];
    for (let i = 0; i < rcu_num_nodes(cpu); i++) {
      const level = cpu.mem.peek(rcu_node(cpu, i), N.level);
      found[level] = (found[level] ?? 0) + 1;
    }
    expect(found).toEqual(levels);
  });
  test.each([1, 4, 7, 31])("%d CPUs: each belongs to its leaf, each node to its parent", (nr) => {
    const cpus = bootRcu(nr);
    const [cpu] = cpus;
    for (const { id } of cpus) {
      let mask = cpu.mem.peek(per_rcu_data(cpu, id), RcuData.offset.grpmask);
      for (let rnp = rcu_mynode(cpu, per_rcu_data(cpu, id)); rnp !== NULL; rnp = cpu.mem.peek(rnp, N.parent)) {
        expect(cpu.mem.peek(rnp, N.qsmaskinit) & mask).toBe(mask);
        expect(cpu.mem.peek(rnp, N.grplo)).toBeLessThanOrEqual(id);
        expect(cpu.mem.peek(rnp, N.grphi)).toBeGreaterThanOrEqual(id);
        mask = cpu.mem.peek(rnp, N.grpmask);
      }
    }
    expect(check_rcu_quiescent(cpu)).toEqual([]);
  });
});

describe("a grace period, piece by piece", () => {
  test("its stages, and the order in which numbers change", () => {
    const cpus = bootRcu(4);
    const [cpu] = cpus;
    request(cpu);
    const from = gpSeq(cpu);
    const stages = [stateOf(cpu)];
    const rootFirst: string[] = [];
    for (let i = 0; i < 100; i++) {
      const before = [0, 1, 2].map((i) => nodeWord(cpu, i, N.gp_seq));
      if (!rcu_gp_step(cpu)) {
        if (gpSeq(cpu) === from + 4) break;
        for (const c of cpus) cond_resched(c);
        continue;
      }
      for (const [i, old] of before.entries())
        if (nodeWord(cpu, i, N.gp_seq) !== old) rootFirst.push(`${i}: ${gpSeq(cpu) - from}`);
      if (stages.at(-1) !== stateOf(cpu)) stages.push(stateOf(cpu));
      expect(check_rcu_locked(cpu)).toEqual([]);
      if (stateOf(cpu) === RCU_GP_IDLE && gpSeq(cpu) === from + 4) break;
    }
    expect(stages.slice(0, 4)).toEqual([RCU_GP_IDLE, RCU_GP_ONOFF, RCU_GP_INIT, RCU_GP_WAIT_FQS]);
    // rcu_state first at the start, last at the end; the root before the leaves.
    expect(rootFirst.slice(0, 3)).toEqual(["0: 1", "1: 1", "2: 1"]);
    settle(cpus);
    expect(check_rcu_quiescent(cpu)).toEqual([]);
  });
  test("cleanup: root first, rcu_state last", () => {
    const cpus = bootRcu(4);
    const [cpu] = cpus;
    request(cpu);
    until(
      () => stateOf(cpu) === RCU_GP_WAIT_FQS,
      () => rcu_gp_step(cpu),
    );
    for (const c of cpus.slice(1)) idleEnter(c);
    rcu_read_lock(cpu); // Our own report is made by hand.
    rcu_gp_step(cpu);
    rcu_read_unlock(cpu);
    cpu.mem.poke(rcu_get_root(cpu), N.qsmask, 0);
    cpu.mem.poke(rcu_mynode(cpu, per_rcu_data(cpu, 0)), N.qsmask, 0);
    rcu_force_quiescent_state(cpu);
    const from = gpSeq(cpu);
    const order: string[] = [];
    const look = (): number[] => [...[0, 1, 2].map((i) => nodeWord(cpu, i, N.gp_seq)), gpSeq(cpu)];
    for (let i = 0; stateOf(cpu) !== RCU_GP_IDLE && i < 100; i++) {
      const before = look();
      rcu_gp_step(cpu);
      const after = look();
      for (const [i, old] of before.entries()) if (after[i] !== old) order.push(i === 3 ? "state" : `node ${i}`);
      expect([RCU_GP_CLEANUP, RCU_GP_CLEANED, RCU_GP_IDLE]).toContain(stateOf(cpu));
    }
    expect(order).toEqual(["node 0", "node 1", "node 2", "state"]);
    expect(gpsBetween(from, gpSeq(cpu))).toBe(1);
  });
  test("idle CPUs are reported for; the one that does not pass holds it up", () => {
    const [cpu, busy, ...idle] = bootRcu(4);
    for (const c of idle) idleEnter(c);
    const { ran } = request(cpu);
    drive(cpu);
    settle([cpu], 6);
    expect(ran).toEqual([]);
    expect(nodeWord(cpu, 0, N.qsmask)).toBe(1); // The leaf of CPUs 0 and 1.
    expect(nodeWord(cpu, 1, N.qsmask)).toBe(2);
    expect(nodeWord(cpu, 2, N.qsmask)).toBe(0);
    cond_resched(busy);
    settle([cpu], 6);
    expect(ran).toEqual([0]);
  });
  test("a CPU that was idle in between is reported for at the next look", () => {
    const [cpu, busy] = bootRcu(2);
    const { ran } = request(cpu);
    drive(cpu);
    idleEnter(busy);
    idleExit(busy);
    settle([cpu], 4);
    expect(ran).toEqual([]); // Nobody has looked since.
    tick(cpu);
    settle([cpu], 4);
    expect(ran).toEqual([0]);
  });
  test("a holdout is kicked, so that it looks once more before it sleeps; the driver and idle CPUs are not", () => {
    const [cpu, busy, asleep] = bootRcu(3);
    idleEnter(asleep);
    request(cpu);
    drive(cpu);
    expect(busy.mem.pending() & P_KICK).toBe(P_KICK);
    expect(asleep.mem.pending() & P_KICK).toBe(0);
    expect(cpu.mem.pending() & P_KICK).toBe(0);
  });
  test("a CPU that waits with callbacks is kicked when the grace period has ended at its leaf", () => {
    const [cpu, driver] = bootRcu(2);
    const { ran } = request(cpu);
    cond_resched(cpu); // Publishes itself.
    drive(driver);
    cpu.mem.take_pending(P_KICK);
    idleEnter(cpu);
    tick(driver);
    settle([driver], 4);
    expect(cpu.mem.pending() & P_KICK).toBe(P_KICK);
    idleExit(cpu);
    settle([cpu], 2);
    expect(ran).toEqual([0]);
  });
});

describe("the engine", () => {
  test("has nothing to do until it is asked", () => {
    const [cpu] = bootRcu(2);
    expect(rcu_gp_runnable(cpu)).toBe(false);
    expect(rcu_gp_step(cpu)).toBe(false);
    request(cpu);
    expect(cpu.mem.peek(rcu_state(cpu), GP_FLAGS)).toBe(RCU_GP_FLAG_INIT);
    expect(rcu_gp_runnable(cpu)).toBe(true);
    expect(softirqsPending(cpu)).not.toBe(0); // Whoever asks sees to it that it is driven.
  });
  test("any CPU drives it, but one at a time", () => {
    const [cpu, other] = bootRcu(2);
    request(cpu);
    cpu.mem.poke(rcu_state(cpu), GP_LEADER, cpu.id + 1);
    expect(rcu_gp_step(other)).toBe(false);
    cpu.mem.poke(rcu_state(cpu), GP_LEADER, 0);
    expect(rcu_gp_step(other)).toBe(true);
    expect(stateOf(cpu)).toBe(RCU_GP_ONOFF);
    expect(rcu_gp_step(cpu)).toBe(true);
  });
  test("a driver that does one piece and leaves has raised its softirq for the rest", () => {
    const [cpu, other] = bootRcu(2);
    request(cpu);
    rcu_gp_step(other);
    expect(softirqsPending(other)).not.toBe(0);
  });
  test("in NMI it is a bug", () => {
    const [cpu] = bootRcu(1);
    expect(() => inNmi(cpu, rcu_gp_step)).toThrow(/in NMI/);
  });
  test("ticks alone get everything done", () => {
    const cpus = bootRcu(3);
    const { ran } = request(cpus[0]);
    for (let i = 0; i < 6; i++) cpus.forEach(tick);
    expect(ran).toEqual([0]);
  });
  test("a request during a grace period starts the next one", () => {
    const cpus = bootRcu(2);
    const [cpu] = cpus;
    const first = request(cpu, 0);
    drive(cpu);
    const from = gpSeq(cpu);
    expect(from & 3).toBe(1);
    const second = request(cpus[1], 1);
    settle(cpus);
    expect(first.ran.concat(second.ran).length).toBe(2);
    expect(gpsBetween(from, gpSeq(cpu))).toBeGreaterThanOrEqual(2);
    expect(cpu.mem.peek(rcu_state(cpu), N_GPS)).toBeGreaterThanOrEqual(2);
  });
  test("requests of many CPUs share one grace period", () => {
    const cpus = bootRcu(8);
    const callbacks = cpus.map((c) => request(c, c.id));
    settle(cpus);
    expect(callbacks.at(-1)?.ran.length).toBe(8);
    expect(cpus[0].mem.peek(rcu_state(cpus[0]), N_GPS)).toBe(1);
  });
  test("force_quiescent_state looks again without a tick", () => {
    const [cpu, busy] = bootRcu(2);
    request(cpu);
    drive(cpu);
    const passes = cpu.mem.peek(rcu_state(cpu), N_FORCE_QS);
    rcu_force_quiescent_state(cpu);
    drive(cpu);
    expect(cpu.mem.peek(rcu_state(cpu), N_FORCE_QS)).toBe(passes + 1);
    settle([cpu, busy]);
    rcu_force_quiescent_state(cpu);
    expect(cpu.mem.peek(rcu_state(cpu), GP_FLAGS)).toBe(0); // Nothing to look at.
  });
  test("300 grace periods take the numbers over the wrap", () => {
    const cpus = bootRcu(3);
    const [cpu] = cpus;
    const { ran, id } = recordingCallback();
    for (let i = 0; i < 310; i++) {
      call_rcu_hurry(cpu, head(cpu, 0), id);
      settle(cpus, 4);
    }
    expect(ran.length).toBe(310);
    expect(gpSeq(cpu)).toBeGreaterThan(0);
    expect(check_rcu_quiescent(cpu)).toEqual([]);
  });
  test("a CPU that slept through a quarter of the range starts afresh", () => {
    const cpus = bootRcu(2);
    const [cpu, sleeper] = cpus;
    idleEnter(sleeper);
    const rdp = per_rcu_data(cpu, 1);
    cpu.mem.poke(rdp, RDP_GP_SEQ, (gpSeq(cpu) - (1 << 30) - 8) | 0);
    request(cpu);
    drive(cpu);
    expect(cpu.mem.peek(rdp, GPWRAP)).toBe(1);
    idleExit(sleeper);
    settle(cpus);
    expect(cpu.mem.peek(rdp, GPWRAP)).toBe(0);
    expect(cpu.mem.peek(rdp, RDP_GP_SEQ)).toBe(gpSeq(cpu));
    expect(check_rcu_quiescent(cpu)).toEqual([]);
  });
  test("a CPU whose old number looks like the future is waited for all the same, and reports", () => {
    const [cpu, other] = bootRcu(2);
    const rdp = per_rcu_data(cpu, 1);
    cpu.mem.poke(rdp, RDP_GP_SEQ, (gpSeq(cpu) + (1 << 30)) | 0);
    cpu.mem.poke(rdp, GPWRAP, 1);
    request(cpu);
    drive(cpu);
    expect(nodeWord(cpu, 0, N.qsmask)).toBe(3);
    rcu_all_qs(other);
    expect(nodeWord(cpu, 0, N.qsmask)).toBe(1);
  });
  test("what is asked for while one is in progress would be a warning", () => {
    const [cpu] = bootRcu(2);
    request(cpu);
    rcu_gp_step(cpu);
    cpu.mem.poke(rcu_state(cpu), GP_STATE, RCU_GP_IDLE);
    cpu.mem.poke(rcu_state(cpu), GP_FLAGS, RCU_GP_FLAG_INIT);
    expect(() => rcu_gp_step(cpu)).toThrow(/I-RCU-4/);
  });
});

describe("races, played by hand at the step where they matter", () => {
  test("who finds the engine taken may leave: the leader looks again after it has let go", () => {
    const [cpu, other] = bootRcu(2);
    const state = rcu_state(cpu);
    request(cpu);
    const { mem } = cpu;
    const cmpxchg = mem.cmpxchg.bind(mem);
    const write_once = mem.write_once.bind(mem);
    let taken = 0;
    // Another leader has done the work by the time we have the word, so there is none; and while we give it back, CPU 1
    // asks, and finds it taken.
    mem.cmpxchg = (p, f, expected, v) => {
      if (p === state && f === GP_LEADER && taken++ === 0) mem.poke(state, GP_FLAGS, 0);
      return cmpxchg(p, f, expected, v);
    };
    mem.write_once = (p, f, v) => {
      if (p === state && f === GP_LEADER && taken === 1) {
        other.mem.poke(state, GP_FLAGS, RCU_GP_FLAG_INIT);
        expect(rcu_gp_step(other)).toBe(false);
      }
      write_once(p, f, v);
    };
    expect(rcu_gp_step(cpu)).toBe(true);
    expect(stateOf(cpu)).toBe(RCU_GP_ONOFF);
  });
  test("a grace period that ends while a CPU goes to sleep with callbacks is not missed", () => {
    const [cpu, driver, last] = bootRcu(3);
    request(cpu);
    drive(driver);
    rcu_all_qs(driver);
    cpu.mem.poke(this_cpu_ptr(cpu, PerCpu.offset.irq_stat), IrqStat.offset.softirq_pending, 0);
    cpu.mem.take_pending(P_KICK);
    const { mem } = cpu;
    const fetch_or = mem.fetch_or.bind(mem);
    let ended = false;
    mem.fetch_or = (p, f, bits) => {
      if (f === WaitQueue.offset.cpus && !ended) {
        ended = true;
        settle([last, driver], 3);
        expect(stateOf(cpu)).toBe(RCU_GP_IDLE);
      }
      return fetch_or(p, f, bits);
    };
    rcu_note_context_switch(cpu);
    expect(ended).toBe(true);
    expect(softirqsPending(cpu) !== 0 || (cpu.mem.pending() & P_KICK) !== 0).toBe(true);
  });
});
