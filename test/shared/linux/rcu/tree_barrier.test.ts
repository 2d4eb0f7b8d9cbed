/** rcu_barrier(): spec rcu 4.8, litmus E1 to E5, I-RCU-10. Cross-CPU calls are served by hand: one thread plays all CPUs. */
import { beforeEach, describe, expect, test } from "vitest";
import { cond_resched } from "../../../../src/shared/cpu/sched.ts";
import { callbackId, resultOf, type Scenario } from "../../../../src/main/explore/scenario.ts";
import { get, result, set } from "../../../../src/main/explore/scenario.ts";
import { local_irq_restore, local_irq_save } from "../../../../src/shared/cpu/context.ts";
import type { Cpu } from "../../../../src/shared/cpu/cpu.ts";
import { Globals } from "../../../../src/shared/layout/globals.ts";
import { RcuData, RcuState } from "../../../../src/shared/layout/rcu.ts";
import { per_rcu_data, rcu_state } from "../../../../src/shared/linux/rcu/rcu_node.ts";
import { call_rcu, rcu_barrier, synchronize_rcu } from "../../../../src/shared/linux/rcu/tree.ts";
import {
  rcu_barrier_callback,
  rcu_barrier_entrain,
  rcu_barrier_handler,
} from "../../../../src/shared/linux/rcu/tree_barrier.ts";
import { check_rcu_quiescent } from "../../../../src/shared/linux/rcu/tree_check.ts";
import { rcu_read_lock, rcu_read_unlock } from "../../../../src/shared/linux/rcu/update.ts";
import { element, offsetof, type Ptr } from "../../../../src/shared/mem/struct.ts";
import {
  bootRcu,
  callbackOf,
  exploreRcu,
  gpSeq,
  head,
  idleEnter,
  qlen,
  recordingCallback,
  softirqsPending,
} from "./rcu_machine.ts";

const S = RcuState.offset;
const { scenario: WORDS } = Globals.offset;

let cpus: readonly Cpu[];
let cpu: Cpu;
beforeEach(() => {
  cpus = bootRcu(2);
  [cpu] = cpus;
});

describe("on one CPU, the other idle", () => {
  beforeEach(() => idleEnter(cpus[1]));

  test("every callback queued before has returned", () => {
    const { ran, id } = recordingCallback();
    for (let i = 0; i < 30; i++) call_rcu(cpu, head(cpu, i), id);
    rcu_barrier(cpu);
    expect(ran.length).toBe(30);
    expect(qlen(cpu)).toBe(0);
    expect(cpu.mem.peek(rcu_state(cpu), S.n_barriers)).toBe(1);
    expect(check_rcu_quiescent(cpu)).toEqual([]);
  });
  test("it is no grace period: with empty lists it returns at once", () => {
    const from = gpSeq(cpu);
    rcu_barrier(cpu);
    expect(gpSeq(cpu)).toBe(from);
  });
  test("E3: synchronize_rcu runs no callbacks of others; E4: a barrier does not wait for what callbacks queue", () => {
    const order: string[] = [];
    const second = callbackOf(1, () => void order.push("second"));
    const first = callbackOf(0, (c) => {
      order.push("first");
      call_rcu(c, head(c, 1), second);
    });
    call_rcu(cpu, head(cpu, 0), first);
    rcu_barrier(cpu);
    expect(order).toEqual(["first"]);
    rcu_barrier(cpu);
    expect(order).toEqual(["first", "second"]);
  });
  test("again and again, over the wrap of its sequence", () => {
    const { ran, id } = recordingCallback();
    for (let i = 0; i < 310; i++) {
      call_rcu(cpu, head(cpu, 0), id);
      rcu_barrier(cpu);
      expect(ran.length).toBe(i + 1);
    }
    expect(cpu.mem.peek(rcu_state(cpu), S.barrier_sequence)).toBeGreaterThan(0);
  });
});

test("a callback that runs is waited for, though nothing is on the list any more", () => {
  const outcome: string[] = [];
  const id = callbackOf(0, () => {
    try {
      rcu_barrier(cpu);
      outcome.push("returned");
    } catch (e) {
      outcome.push(String(e)); // One thread plays both CPUs: a barrier that waits for CPU 1 cannot return.
    }
  });
  call_rcu(cpus[1], head(cpu, 0), id);
  for (let i = 0; i < 24 && outcome.length === 0; i++) cond_resched(cpus[i % 2]);
  expect(outcome).toEqual(["Error: CPU 0 sleeps, and there is nobody to wake it"]);
});

describe("contexts", () => {
  test("in a reader, with IRQs off, in a callback it is a bug", () => {
    rcu_read_lock(cpu);
    expect(() => rcu_barrier(cpu)).toThrow(/atomic context/);
    rcu_read_unlock(cpu);
    const flags = local_irq_save(cpu);
    expect(() => rcu_barrier(cpu)).toThrow(/atomic context/);
    local_irq_restore(cpu, flags);
    idleEnter(cpus[1]);
    call_rcu(cpu, head(cpu, 0), callbackOf(0, rcu_barrier));
    expect(() => rcu_barrier(cpu)).toThrow(/atomic context/);
  });
});

describe("entrain", () => {
  const start = (): number => {
    const state = rcu_state(cpu);
    const gseq = cpu.mem.peek(state, S.barrier_sequence) + 1;
    cpu.mem.poke(state, S.barrier_sequence, gseq);
    cpu.mem.poke(state, S.barrier_cpu_count, 2);
    return gseq;
  };
  const count = (): number => cpu.mem.peek(rcu_state(cpu), S.barrier_cpu_count);
  const snap = (c: Cpu): number => cpu.mem.peek(per_rcu_data(cpu, c.id), RcuData.offset.barrier_seq_snap);

  test("counts a CPU once, and only while a barrier is in progress", () => {
    const { id } = recordingCallback();
    call_rcu(cpu, head(cpu, 0), id);
    rcu_barrier_handler(cpu);
    expect(qlen(cpu)).toBe(1);
    const gseq = start();
    rcu_barrier_handler(cpu);
    expect([qlen(cpu), count(), snap(cpu)]).toEqual([2, 3, gseq]);
    rcu_barrier_handler(cpu);
    expect([qlen(cpu), count()]).toEqual([2, 3]);
  });
  test("somebody waits: the CPU's next softirq asks for the grace period", () => {
    call_rcu(cpu, head(cpu, 0), recordingCallback().id);
    expect(softirqsPending(cpu)).toBe(0);
    start();
    rcu_barrier_handler(cpu);
    expect(softirqsPending(cpu)).not.toBe(0);
  });
  test("a CPU without callbacks is not counted", () => {
    const gseq = start();
    rcu_barrier_handler(cpu);
    expect([qlen(cpu), count(), snap(cpu)]).toEqual([0, 2, gseq]);
  });
  test("I-RCU-10: counted after the end, or below 0", () => {
    expect(() => rcu_barrier_callback(cpu)).toThrow(/I-RCU-10/);
    start();
    cpu.mem.poke(rcu_state(cpu), S.barrier_cpu_count, 0);
    call_rcu(cpu, head(cpu, 0), recordingCallback().id);
    const flags = local_irq_save(cpu);
    expect(() => rcu_barrier_entrain(cpu, per_rcu_data(cpu, 0))).toThrow(/I-RCU-10/);
    local_irq_restore(cpu, flags);
  });
});

describe("explored", () => {
  const wordHead = (c: Cpu, i: number): Ptr<"rcu_head"> =>
    (c.globals + offsetof(element(WORDS, 32 + 4 * i))) as Ptr<"rcu_head">;
  const queue = (i: number) => (c: Cpu) => {
    call_rcu(c, wordHead(c, i), callbackId(0));
    c.mem.fetch_add(c.globals, element(WORDS, 1), 1);
  };
  const barrier = (c: Cpu): void => {
    const queued = get(c, 1);
    rcu_barrier(c);
    if (get(c, 0) < queued) result(c, 0, 1);
  };
  const base = {
    callbacks: [(k: Cpu): void => void k.mem.fetch_add(k.globals, element(WORDS, 0), 1)],
    check: (c: Cpu): string | undefined => (resultOf(c, 0) ? "a callback had not run" : check_rcu_quiescent(c)[0]),
    final: (c: Cpu): void => rcu_barrier(c),
  };
  const scenarios: Scenario[] = [
    { ...base, name: "two CPUs queue, a third waits", cpus: [[queue(0)], [queue(1)], [barrier]] },
    {
      ...base,
      name: "two barriers",
      cpus: [
        [queue(0), barrier],
        [queue(1), barrier],
      ],
    },
    {
      ...base,
      name: "barrier and synchronize_rcu",
      cpus: [
        [queue(0), barrier],
        [synchronize_rcu, queue(1), barrier],
      ],
    },
    {
      ...base,
      name: "callbacks from interrupts, on the way to idle too",
      cpus: [[barrier, barrier], [(c) => set(c, 2, 1)]],
      irq: (c) => {
        if (get(c, 3 + c.id) === 0) {
          set(c, 3 + c.id, 1);
          queue(c.id)(c);
        }
      },
      ticks: 2,
    },
  ];
  test.each(scenarios.map((s) => [s.name, s] as const))("%s", (_, scenario) => {
    expect(exploreRcu(scenario, { random: 80 }).failure).toBeUndefined();
  });
});
