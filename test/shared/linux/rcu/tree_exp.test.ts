/** Expedited grace periods: spec rcu 4.9, litmus T28. */
import { beforeEach, describe, expect, test } from "vitest";
import { get, resultOf, set, type Scenario } from "../../../../src/main/explore/scenario.ts";
import { reader, sawSpan, updater, X, Y } from "../../../../src/main/litmus/kit_grace_period.ts";
import { bind_callback } from "../../../../src/shared/cpu/callback_table.ts";
import {
  local_bh_disable,
  local_bh_enable,
  local_irq_restore,
  local_irq_save,
  preempt_disable,
  preempt_enable,
} from "../../../../src/shared/cpu/context.ts";
import type { Cpu } from "../../../../src/shared/cpu/cpu.ts";
import { run_interrupt } from "../../../../src/shared/cpu/interrupt.ts";
import { CallQueue, CpuSlot, P_IPI_CALL, Task } from "../../../../src/shared/layout/cpu.ts";
import { PerCpu } from "../../../../src/shared/layout/percpu.ts";
import { CB, FIRST_IPI } from "../../../../src/shared/layout/callbacks.ts";
import { RcuData, RcuNode, RcuState } from "../../../../src/shared/layout/rcu.ts";
import { do_softirq, raise_softirq, TIMER_SOFTIRQ } from "../../../../src/shared/linux/kernel/softirq.ts";
import {
  per_rcu_data,
  rcu_get_root,
  rcu_mynode,
  rcu_node,
  rcu_num_nodes,
  rcu_state,
} from "../../../../src/shared/linux/rcu/rcu_node.ts";
import { rcu_all_qs, synchronize_rcu } from "../../../../src/shared/linux/rcu/tree.ts";
import { check_rcu_quiescent } from "../../../../src/shared/linux/rcu/tree_check.ts";
import { synchronize_rcu_expedited } from "../../../../src/shared/linux/rcu/tree_exp.ts";
import { rcu_read_lock, rcu_read_unlock } from "../../../../src/shared/linux/rcu/update.ts";
import { per_cpu_ptr } from "../../../../src/shared/cpu/cpu.ts";
import { element } from "../../../../src/shared/mem/struct.ts";
import { bootRcu, exploreRcu, gpSeq, idleEnter, inHardirq, inNmi, tick } from "./rcu_machine.ts";

const N = RcuNode.offset;
const S = RcuState.offset;
const { cpu_no_qs_exp: CPU_NO_QS_EXP } = RcuData.offset;
const { rcu_read_unlock_special: SPECIAL } = Task.offset;

let cpus: readonly Cpu[];
let cpu: Cpu;
let other: Cpu;
beforeEach(() => {
  cpus = bootRcu(2);
  [cpu, other] = cpus;
});

const rootMask = (): number => cpu.mem.peek(rcu_get_root(cpu), N.expmask);
/** As if an expedited grace period waited for `c` alone. */
function awaitCpu(c: Cpu): void {
  const leaf = rcu_mynode(c, per_rcu_data(c, c.id));
  c.mem.poke(leaf, N.expmask, 1 << (c.id % 2));
}
/** The IPI hits CPU `c` now. */
function ipi(c: Cpu): void {
  const calls = per_cpu_ptr(c, PerCpu.offset.calls, c.id);
  c.mem.fetch_add(calls, element(CallQueue.offset.request, CB.ipi_rcu_exp_handler - FIRST_IPI), 1);
  run_interrupt(c, P_IPI_CALL);
}
const special = (c: Cpu): number => c.mem.peek(c.mem.peek(c.slot, CpuSlot.offset.current), SPECIAL);

describe("synchronize_rcu_expedited", () => {
  test("with the others idle: nobody is disturbed", () => {
    idleEnter(other);
    synchronize_rcu_expedited(cpu);
    expect(other.mem.pending()).toBe(0);
    expect(cpu.mem.peek(rcu_state(cpu), S.n_exp_gps)).toBe(1);
    expect(check_rcu_quiescent(cpu)).toEqual([]);
  });
  test("needs no normal grace period", () => {
    idleEnter(other);
    const from = gpSeq(cpu);
    for (let i = 0; i < 310; i++) synchronize_rcu_expedited(cpu);
    expect(gpSeq(cpu)).toBe(from);
    expect(cpu.mem.peek(rcu_state(cpu), S.expedited_sequence)).toBeGreaterThan(0);
  });
  test("one CPU, many CPUs", () => {
    for (const nr of [1, 9, 31]) {
      const all = bootRcu(nr);
      for (const c of all.slice(1)) idleEnter(c);
      synchronize_rcu_expedited(all[0]);
      expect(check_rcu_quiescent(all[0])).toEqual([]);
    }
  });
  test("T20: in a reader, or where it may not sleep, it is a bug", () => {
    rcu_read_lock(cpu);
    expect(() => synchronize_rcu_expedited(cpu)).toThrow(/in a reader/);
    expect(() => synchronize_rcu(cpu)).toThrow(/in a reader/);
    rcu_read_unlock(cpu);
    preempt_disable(cpu);
    expect(() => synchronize_rcu_expedited(cpu)).toThrow(/atomic/);
    expect(() => synchronize_rcu(cpu)).toThrow(/atomic/);
    preempt_enable(cpu);
    expect(() => inHardirq(cpu, synchronize_rcu_expedited)).toThrow(/atomic/);
  });
});

describe("the handler", () => {
  test("a task outside readers, and idle: reported at once", () => {
    awaitCpu(other);
    ipi(other);
    expect(rootMask()).toBe(0);
    idleEnter(other);
    awaitCpu(other);
    ipi(other);
    expect(rootMask()).toBe(0);
  });
  test("in rcu_read_lock: the outermost unlock reports", () => {
    rcu_read_lock(other);
    rcu_read_lock(other);
    awaitCpu(other);
    ipi(other);
    expect([rootMask(), special(other)]).toEqual([2, 1]);
    rcu_read_unlock(other);
    expect(rootMask()).toBe(2);
    rcu_read_unlock(other);
    expect([rootMask(), special(other)]).toEqual([0, 0]);
  });
  test("a reader that begins after it is not waited for", () => {
    awaitCpu(other);
    ipi(other);
    rcu_read_lock(other);
    expect(rootMask()).toBe(0);
    rcu_read_unlock(other);
  });
  test("T26: unlocked with IRQs off: not before they are on again", () => {
    rcu_read_lock(other);
    awaitCpu(other);
    ipi(other);
    const flags = local_irq_save(other);
    rcu_read_unlock(other);
    expect(rootMask()).toBe(2);
    inNmi(other, (c) => {
      rcu_read_lock(c);
      rcu_read_unlock(c); // An outermost unlock, but in NMI.
    });
    expect(rootMask()).toBe(2);
    local_irq_restore(other, flags);
    tick(other); // Its softirq, or the next context switch.
    expect(rootMask()).toBe(0);
  });
  test.each<[string, (c: Cpu) => void, (c: Cpu) => void]>([
    ["preemption off", preempt_disable, preempt_enable],
    ["softirqs off", local_bh_disable, local_bh_enable],
  ])("%s: reported at the next tick or context switch after it", (_, enter, leave) => {
    for (const report of [tick, rcu_all_qs]) {
      enter(other);
      awaitCpu(other);
      ipi(other);
      tick(other);
      expect(rootMask()).toBe(2);
      leave(other);
      report(other);
      expect(rootMask()).toBe(0);
    }
  });
  test("a softirq: not while it runs, nor at a tick inside it", () => {
    let during: number[] = [];
    bind_callback(CB.run_timer_softirq, (c) => {
      if (c !== other) return;
      awaitCpu(c);
      ipi(c);
      const asked = rootMask();
      tick(c);
      during = [asked, rootMask()];
    });
    raise_softirq(other, TIMER_SOFTIRQ);
    do_softirq(other);
    expect(during).toEqual([2, 2]);
    expect(rootMask()).toBe(0); // The next softirq was ours.
  });
  test("a softirq on the way back to idle: the next softirq reports, since no context switch may follow", () => {
    idleEnter(other);
    bind_callback(CB.run_timer_softirq, (c) => {
      if (c !== other) return;
      awaitCpu(c);
      ipi(c);
    });
    inHardirq(other, (c) => raise_softirq(c, TIMER_SOFTIRQ));
    expect(rootMask()).toBe(0);
  });
  test("unlock inside a region with preemption off: deferred to its end", () => {
    rcu_read_lock(other);
    awaitCpu(other);
    ipi(other);
    preempt_disable(other);
    rcu_read_unlock(other);
    expect(rootMask()).toBe(2);
    preempt_enable(other);
    rcu_all_qs(other);
    expect([rootMask(), special(other)]).toEqual([0, 0]);
  });
  test("not asked, or asked twice: nothing", () => {
    ipi(other);
    expect(other.mem.peek(per_rcu_data(other, 1), CPU_NO_QS_EXP)).toBe(0);
    rcu_read_lock(other);
    awaitCpu(other);
    ipi(other);
    ipi(other);
    rcu_read_unlock(other);
    expect(rootMask()).toBe(0);
  });
});

test("reports climb when a node becomes empty", () => {
  const all = bootRcu(9);
  const [first] = all;
  const last = all[8];
  for (let i = 0; i < rcu_num_nodes(first); i++) first.mem.poke(rcu_node(first, i), N.expmask, 0);
  // CPU 8 alone: leaf 4 (node 7), under node 2, under the root.
  first.mem.poke(rcu_node(first, 7), N.expmask, 1);
  first.mem.poke(rcu_node(first, 2), N.expmask, 1);
  first.mem.poke(rcu_node(first, 0), N.expmask, 2);
  ipi(last);
  for (const i of [7, 2, 0]) expect(first.mem.peek(rcu_node(first, i), N.expmask)).toBe(0);
});

describe("explored", () => {
  const section =
    (enter: (c: Cpu) => void, leave: (c: Cpu) => void) =>
    (c: Cpu): void => {
      enter(c);
      const r0 = get(c, Y);
      const r1 = get(c, X);
      leave(c);
      sawSpan(c, r0, r1);
    };
  const check = (c: Cpu): string | undefined =>
    resultOf(c, 0) ? "a section spans the grace period" : check_rcu_quiescent(c)[0];
  const irqsOff = (c: Cpu): void => {
    const flags = local_irq_save(c);
    reader(c);
    local_irq_restore(c, flags);
  };
  const unlockedInside = (c: Cpu): void => {
    rcu_read_lock(c);
    preempt_disable(c);
    const r0 = get(c, Y);
    rcu_read_unlock(c);
    const r1 = get(c, X);
    preempt_enable(c);
    sawSpan(c, r0, r1);
  };
  const exp = updater(synchronize_rcu_expedited);
  const scenarios: Scenario[] = [
    { name: "two readers", cpus: [[exp], [reader], [reader]], check },
    { name: "a reader with IRQs off", cpus: [[exp], [irqsOff]], check },
    { name: "unlocked inside preemption off", cpus: [[exp], [unlockedInside]], check },
    { name: "preemption off", cpus: [[exp], [section(preempt_disable, preempt_enable)]], check },
    { name: "softirqs off", cpus: [[exp], [section(local_bh_disable, local_bh_enable)]], check },
    { name: "a reader in NMI", cpus: [[exp], [(c) => set(c, 2, 1)]], nmi: reader, nmis: 1, check },
    {
      name: "two at a time, two leaves",
      cpus: [[exp], [synchronize_rcu_expedited], [reader], [synchronize_rcu_expedited]],
      check,
    },
    { name: "with a normal one", cpus: [[exp], [synchronize_rcu, reader], [reader]], check },
  ];
  test.each(scenarios.map((s) => [s.name, s] as const))("%s", (_, scenario) => {
    expect(exploreRcu(scenario).failure).toBeUndefined();
  });
});
