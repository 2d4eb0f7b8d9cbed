/** call_rcu() and the invocation of callbacks: spec rcu 4.5, 4.7, I-RCU-6, 7, 12, 13. */
import { beforeEach, describe, expect, test } from "vitest";
import { bind_callback } from "../../../../src/shared/cpu/callback_table.ts";
import {
  in_serving_softirq,
  irqs_disabled,
  local_irq_restore,
  local_irq_save,
} from "../../../../src/shared/cpu/context.ts";
import type { Cpu } from "../../../../src/shared/cpu/cpu.ts";
import { CB } from "../../../../src/shared/layout/callbacks.ts";
import { RcuData, RcuNode, RcuSegcblist, RcuState } from "../../../../src/shared/layout/rcu.ts";
import { RcuHead } from "../../../../src/shared/layout/types.ts";
import { do_softirq, raise_softirq, TIMER_SOFTIRQ } from "../../../../src/shared/linux/kernel/softirq.ts";
import { per_rcu_data, rcu_get_root, rcu_state } from "../../../../src/shared/linux/rcu/rcu_node.ts";
import { call_rcu, call_rcu_hurry, rcu_all_qs, rcu_core } from "../../../../src/shared/linux/rcu/tree.ts";
import { rcu_do_batch, rcu_throttle } from "../../../../src/shared/linux/rcu/tree_cb.ts";
import { check_rcu_quiescent } from "../../../../src/shared/linux/rcu/tree_check.ts";
import { rcu_read_lock, rcu_read_unlock } from "../../../../src/shared/linux/rcu/update.ts";
import { NULL_ORACLE, type Oracle } from "../../../../src/shared/mem/oracle.ts";
import { SharedOracle } from "../../../../src/shared/mem/shared_oracle.ts";
import { element, embedded, type Ptr } from "../../../../src/shared/mem/struct.ts";
import {
  bootRcu,
  callbackOf,
  drive,
  gpSeq,
  head,
  idleEnter,
  inHardirq,
  inNmi,
  qlen,
  recordingCallback,
  settle,
  softirqsPending,
  tick,
} from "./rcu_machine.ts";

const { qhimark: QHIMARK, blimit: STATE_BLIMIT, n_force_qs: N_FORCE_QS } = RcuState.offset;
const D = RcuData.offset;
const { func: FUNC } = RcuHead.offset;

let cpus: readonly Cpu[];
let cpu: Cpu;
beforeEach(() => {
  cpus = bootRcu(2);
  [cpu] = cpus;
});
const rdpWord = (field: (typeof D)["blimit"], c = cpu): number => c.mem.peek(per_rcu_data(c, c.id), field);
const limit = (field: (typeof RcuState.offset)["qhimark"], n: number): void => cpu.mem.poke(rcu_state(cpu), field, n);

describe("a callback", () => {
  test("runs once, after a grace period, in softirq with IRQs on", () => {
    const places: boolean[] = [];
    const id = callbackOf(0, (c) => void places.push(in_serving_softirq(c), irqs_disabled(c)));
    call_rcu(cpu, head(cpu, 0), id);
    expect(places).toEqual([]);
    settle(cpus);
    expect(places).toEqual([true, false]);
    expect(qlen(cpu)).toBe(0);
    expect(check_rcu_quiescent(cpu)).toEqual([]);
  });
  test("runs on the CPU that queued it", () => {
    const where: number[] = [];
    const id = callbackOf(0, (c) => void where.push(c.id));
    call_rcu(cpus[1], head(cpu, 0), id);
    settle(cpus);
    expect(where).toEqual([1]);
  });
  test("I-RCU-13: those of a CPU run in order", () => {
    const { ran, id } = recordingCallback();
    for (let i = 0; i < 50; i++) {
      call_rcu(cpu, head(cpu, i), id);
      if (i % 7 === 0) settle(cpus, 1);
    }
    settle(cpus, 30);
    expect(ran).toEqual(Array.from({ length: 50 }, (_, i) => i));
  });
  test("may queue itself again, and is called each time after a further grace period", () => {
    const seqs: number[] = [];
    const id = callbackOf(0, (c, rhp) => {
      seqs.push(gpSeq(c) >> 2);
      if (seqs.length < 4) call_rcu(c, rhp, id);
    });
    call_rcu(cpu, head(cpu, 0), id);
    settle(cpus, 40);
    expect(seqs.length).toBe(4);
    expect(new Set(seqs).size).toBe(4);
  });
  test("may free its head: nothing of it is read afterwards", () => {
    const order: number[] = [];
    const id = callbackOf(0, (c, rhp) => {
      order.push((rhp - c.map.pages) / 256);
      c.mem.fill(rhp, 16, 0x6b);
    });
    for (let i = 0; i < 5; i++) call_rcu(cpu, head(cpu, i), id);
    settle(cpus);
    expect(order).toEqual([0, 1, 2, 3, 4]);
  });
  test("has no function any more while it runs", () => {
    let func: number | undefined;
    const id = callbackOf(0, (c, rhp) => void (func = c.mem.peek(rhp, FUNC)));
    call_rcu(cpu, head(cpu, 0), id);
    settle(cpus);
    expect(func).toBe(0);
  });
  test("waits for a reader that was there", () => {
    const { ran, id } = recordingCallback();
    rcu_read_lock(cpus[1]);
    call_rcu_hurry(cpu, head(cpu, 0), id);
    for (let i = 0; i < 6; i++) {
      settle([cpu], 2);
      tick(cpu);
      tick(cpus[1]);
    }
    expect(ran).toEqual([]);
    rcu_read_unlock(cpus[1]);
    settle(cpus);
    expect(ran).toEqual([0]);
  });
});

describe("contexts", () => {
  test("I-RCU-12: from NMI it is a bug", () => {
    const { id } = recordingCallback();
    expect(() => inNmi(cpu, (c) => call_rcu(c, head(c, 0), id))).toThrow(/call_rcu from NMI/);
  });
  test.each<[string, (c: Cpu, fn: (c: Cpu) => void) => void]>([
    ["task", (c, fn) => fn(c)],
    ["a reader", (c, fn) => (rcu_read_lock(c), fn(c), rcu_read_unlock(c))],
    [
      "IRQs off",
      (c, fn) => {
        const flags = local_irq_save(c);
        fn(c);
        local_irq_restore(c, flags);
      },
    ],
    ["hardirq", inHardirq],
    [
      "softirq",
      (c, fn) => {
        bind_callback(CB.run_timer_softirq, fn);
        raise_softirq(c, TIMER_SOFTIRQ);
        do_softirq(c);
      },
    ],
  ])("from %s it is fine", (_, run) => {
    const { ran, id } = recordingCallback();
    run(cpu, (c) => call_rcu(c, head(c, 0), id));
    settle(cpus);
    expect(ran).toEqual([0]);
  });
  test("a misaligned head is a warning", () => {
    expect(() => call_rcu(cpu, (head(cpu, 0) + 2) as Ptr<"rcu_head">, recordingCallback().id)).toThrow(/misaligned/);
  });
  test("an NMI may hit the middle of the enqueue, as long as it does not call call_rcu", () => {
    const { ran, id } = recordingCallback();
    call_rcu(cpu, head(cpu, 0), id);
    inNmi(cpu, () => undefined);
    settle(cpus);
    expect(ran).toEqual([0]);
  });
});

describe("who asks for the grace period", () => {
  test("call_rcu alone does not; a CPU that goes on does not either; its tick does", () => {
    const { ran, id } = recordingCallback();
    const from = gpSeq(cpu);
    call_rcu(cpu, head(cpu, 0), id);
    for (let i = 0; i < 5; i++) {
      rcu_all_qs(cpu);
      drive(cpu);
    }
    expect(gpSeq(cpu)).toBe(from);
    for (let i = 0; i < 4; i++) cpus.forEach(tick);
    expect(ran).toEqual([0]);
  });
  test("call_rcu_hurry does at once", () => {
    const from = gpSeq(cpu);
    call_rcu_hurry(cpu, head(cpu, 0), recordingCallback().id);
    drive(cpu);
    expect(gpSeq(cpu)).toBe(from + 1);
  });
  test("an interrupt sees to it in its softirq: the CPU may be on its way to sleep", () => {
    idleEnter(cpu);
    const from = gpSeq(cpu);
    inHardirq(cpu, (c) => call_rcu(c, head(c, 0), recordingCallback().id));
    expect(gpSeq(cpu)).toBeGreaterThan(from);
  });
});

describe("batches", () => {
  test("blimit callbacks at a time; the softirq is raised for the rest", () => {
    const { ran, id } = recordingCallback();
    for (let i = 0; i < 25; i++) call_rcu(cpu, head(cpu, i), id);
    const blimit = cpu.mem.peek(rcu_state(cpu), STATE_BLIMIT);
    expect(blimit).toBe(10);
    const sizes: number[] = [];
    bind_callback(CB.rcu_core, (c) => {
      const before = ran.length;
      rcu_core(c);
      sizes.push(ran.length - before);
    });
    settle(cpus);
    expect(sizes.filter((n) => n > 0)).toEqual([10, 10, 5]);
  });
  test("more when many are ready: one in 128", () => {
    const { ran, id } = recordingCallback();
    for (let i = 0; i < 2000; i++) call_rcu(cpu, head(cpu, i), id);
    const sizes: number[] = [];
    bind_callback(CB.rcu_core, (c) => {
      const before = ran.length;
      rcu_core(c);
      if (ran.length !== before) sizes.push(ran.length - before);
    });
    settle(cpus, 60);
    expect(sizes[0]).toBe(2000 >> 7);
    expect(sizes.at(-1)).toBeLessThanOrEqual(10);
    expect(ran.length).toBe(2000);
  });
  test("len counts a callback until it has returned", () => {
    let during: number | undefined;
    const id = callbackOf(0, (c) => void (during = qlen(c)));
    call_rcu(cpu, head(cpu, 0), id);
    settle(cpus);
    expect(during).toBe(1);
    expect(qlen(cpu)).toBe(0);
  });
  test("I-RCU-6: ready before its grace period has ended", () => {
    const { id } = recordingCallback();
    call_rcu_hurry(cpu, head(cpu, 0), id);
    const list = embedded(per_rcu_data(cpu, 0), D.cblist);
    const tails = RcuSegcblist.offset.tails;
    cpu.mem.poke(list, element(tails, 0), head(cpu, 0));
    cpu.mem.poke(list, element(RcuSegcblist.offset.gp_seq, 0), gpSeq(cpu) + 4);
    cpu.mem.poke(list, element(RcuSegcblist.offset.seglen, 0), 1);
    expect(() => rcu_do_batch(cpu)).toThrow(/I-RCU-6/);
    cpu.mem.poke(rcu_get_root(cpu), RcuNode.offset.gp_seq, gpSeq(cpu) + 4);
  });
});

describe("backlog", () => {
  beforeEach(() => limit(QHIMARK, 20));

  test("at qhimark the producer asks for a grace period and serves softirqs", () => {
    idleEnter(cpus[1]);
    const { id } = recordingCallback();
    const from = gpSeq(cpu);
    for (let i = 0; i < 20; i++) call_rcu(cpu, head(cpu, i), id);
    expect(gpSeq(cpu)).toBe(from);
    call_rcu(cpu, head(cpu, 20), id);
    expect(gpSeq(cpu)).toBe(from + 1);
    expect(softirqsPending(cpu)).toBe(0);
  });
  test("not with IRQs off, nor in an interrupt: it is left for later", () => {
    const { id } = recordingCallback();
    const from = gpSeq(cpu);
    const flags = local_irq_save(cpu);
    for (let i = 0; i < 30; i++) call_rcu(cpu, head(cpu, i), id);
    local_irq_restore(cpu, flags);
    expect(gpSeq(cpu)).toBe(from);
  });
  test("during a grace period it is pressed once, blimit is lifted, and both go back when the backlog is gone", () => {
    const { ran, id } = recordingCallback();
    rcu_read_lock(cpus[1]);
    call_rcu_hurry(cpu, head(cpu, 0), id);
    drive(cpu);
    const passes = cpu.mem.peek(rcu_state(cpu), N_FORCE_QS);
    for (let i = 1; i < 25; i++) call_rcu(cpu, head(cpu, i), id);
    expect(cpu.mem.peek(rcu_state(cpu), N_FORCE_QS)).toBe(passes); // The grace period's own look was just now.
    for (let i = 25; i < 60; i++) call_rcu(cpu, head(cpu, i), id);
    expect(cpu.mem.peek(rcu_state(cpu), N_FORCE_QS)).toBe(passes + 1);
    expect(rdpWord(D.blimit)).toBe(10000);
    expect(rdpWord(D.qlen_last_fqs_check)).toBeGreaterThan(0);
    rcu_read_unlock(cpus[1]);
    settle(cpus, 20);
    expect(ran.length).toBe(60);
    expect(rdpWord(D.blimit)).toBe(10);
    expect(rdpWord(D.qlen_last_fqs_check)).toBe(0);
  });
  test("rcu_throttle waits until it is below twice qhimark", () => {
    idleEnter(cpus[1]);
    const { ran, id } = recordingCallback();
    const flags = local_irq_save(cpu);
    for (let i = 0; i < 100; i++) call_rcu(cpu, head(cpu, i), id);
    local_irq_restore(cpu, flags);
    rcu_throttle(cpu);
    expect(qlen(cpu)).toBeLessThanOrEqual(40);
    expect(ran.length).toBeGreaterThanOrEqual(60);
    rcu_read_lock(cpu);
    expect(() => rcu_throttle(cpu)).toThrow(/atomic/);
  });
  test("the largest backlog is remembered", () => {
    const { id } = recordingCallback();
    for (let i = 0; i < 15; i++) call_rcu(cpu, head(cpu, i), id);
    settle(cpus);
    call_rcu(cpu, head(cpu, 0), id);
    settle(cpus);
    expect(rdpWord(D.max_qlen)).toBe(15);
    expect(rdpWord(D.n_cbs_queued)).toBe(16);
    expect(rdpWord(D.n_cbs_invoked)).toBe(16);
  });
});

describe("oracles", () => {
  test("a callback is a promise kept: begin on entry, end before the function", () => {
    const events: string[] = [];
    const oracle: Oracle = {
      ...NULL_ORACLE,
      active: true,
      grace_period_begin: (_, key) => void events.push(`begin ${key}`),
      grace_period_end: (_, key) => void events.push(`end ${key}`),
    };
    cpus = bootRcu(2, oracle);
    [cpu] = cpus;
    const id = callbackOf(0, () => void events.push("callback"));
    call_rcu(cpu, head(cpu, 0), id);
    settle(cpus);
    expect(events).toEqual([`begin ${head(cpu, 0)}`, `end ${head(cpu, 0)}`, "callback"]);
  });
  test("I-RCU-7: a grace period that ends too early is found", () => {
    cpus = bootRcu(2, SharedOracle.create(4 << 20, 2));
    [cpu] = cpus;
    const { ran, id } = recordingCallback();
    call_rcu(cpu, head(cpu, 1), id);
    settle(cpus);
    ran.length = 0;
    rcu_read_lock(cpus[1]);
    call_rcu_hurry(cpu, head(cpu, 0), id);
    drive(cpu);
    // Reported for a reader: what no caller of it may do.
    rcu_all_qs(cpus[1]);
    expect(() => settle([cpu])).toThrow(/too short/);
    expect(ran).toEqual([]);
  });
});
