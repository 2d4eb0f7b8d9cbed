import { beforeEach, describe, expect, test } from "vitest";
import { bind_callback } from "../../../../src/shared/cpu/callback_table.ts";
import {
  in_serving_softirq,
  irqs_disabled,
  local_bh_disable,
  local_bh_enable,
  local_irq_disable,
  local_irq_save,
  preempt_disable,
} from "../../../../src/shared/cpu/context.ts";
import type { Cpu } from "../../../../src/shared/cpu/cpu.ts";
import { run_items } from "../../../../src/shared/cpu/sched.ts";
import { CB } from "../../../../src/shared/layout/callbacks.ts";
import { P_IRQ, P_KICK } from "../../../../src/shared/layout/cpu.ts";
import { Globals } from "../../../../src/shared/layout/globals.ts";
import {
  do_softirq,
  local_softirq_pending,
  MAX_SOFTIRQ_RESTART,
  raise_softirq,
  raise_softirq_irqoff,
  RCU_SOFTIRQ,
  run_leftover_softirqs,
  TIMER_SOFTIRQ,
} from "../../../../src/shared/linux/kernel/softirq.ts";
import { spin_lock, spin_lock_init } from "../../../../src/shared/linux/sync/spinlock.ts";
import { LC } from "../../../../src/shared/linux/sync/lockdep.ts";
import { boot, callbackOf, inHardirq, inNmi, room } from "../layer.ts";

let cpu: Cpu;
let log: string[];
beforeEach(() => {
  [cpu] = boot() as [Cpu];
  log = [];
  bind_callback(CB.rcu_core, (c) => log.push(`rcu ${in_serving_softirq(c)} ${irqs_disabled(c)}`));
  bind_callback(CB.run_timer_softirq, () => log.push("timer"));
});

test("raised in task context: waits for the next place, lower numbers first", () => {
  raise_softirq(cpu, RCU_SOFTIRQ);
  raise_softirq(cpu, TIMER_SOFTIRQ);
  expect(log).toEqual([]);
  expect(local_softirq_pending(cpu)).toBe((1 << RCU_SOFTIRQ) | (1 << TIMER_SOFTIRQ));
  expect(run_leftover_softirqs(cpu)).toBe(true);
  expect(log).toEqual(["timer", "rcu true false"]);
  expect(in_serving_softirq(cpu)).toBe(false);
  expect(run_leftover_softirqs(cpu)).toBe(false);
});
test("raised in hardirq: runs on its way out, with IRQs on", () => {
  inHardirq(cpu, () => {
    raise_softirq(cpu, RCU_SOFTIRQ);
    expect(log).toEqual([]);
  });
  expect(log).toEqual(["rcu true false"]);
  expect(irqs_disabled(cpu)).toBe(false);
});
test("softirqs disabled: runs at local_bh_enable()", () => {
  local_bh_disable(cpu);
  inHardirq(cpu, () => raise_softirq(cpu, RCU_SOFTIRQ));
  expect(log).toEqual([]);
  local_bh_enable(cpu);
  expect(log).toHaveLength(1);
});
test("between operations and in sleeping waits: run_items()", () => {
  raise_softirq(cpu, RCU_SOFTIRQ);
  expect(run_items(cpu)).toBe(true);
  expect(log).toHaveLength(1);
  expect(run_items(cpu)).toBe(false);
});
test("hardirqs interrupt a softirq; what they raise runs in the next round", () => {
  cpu.mem.poke(
    cpu.globals,
    Globals.offset.irq_handler,
    callbackOf(91, (c) => {
      log.push("irq");
      raise_softirq(c, TIMER_SOFTIRQ);
    }),
  );
  bind_callback(CB.rcu_core, (c) => {
    log.push("rcu begins");
    c.mem.raise(c.pending, P_IRQ);
    c.mem.poll(0);
    log.push("rcu ends");
  });
  raise_softirq(cpu, RCU_SOFTIRQ);
  do_softirq(cpu);
  expect(log).toEqual(["rcu begins", "irq", "rcu ends", "timer"]);
});
test("what an interrupt raises as soon as do_softirq() turns IRQs on is not lost", () => {
  local_irq_disable(cpu);
  raise_softirq(cpu, RCU_SOFTIRQ);
  cpu.mem.poke(
    cpu.globals,
    Globals.offset.irq_handler,
    callbackOf(91, (c) => raise_softirq(c, TIMER_SOFTIRQ)),
  );
  cpu.mem.raise(cpu.pending, P_IRQ);
  do_softirq(cpu);
  expect(log).toEqual(["rcu true false", "timer"]);
});
test("a softirq that raises itself for ever is left to run_items() after some rounds, with a kick", () => {
  bind_callback(CB.rcu_core, (c) => {
    log.push("rcu");
    raise_softirq(c, RCU_SOFTIRQ);
  });
  inHardirq(cpu, () => raise_softirq(cpu, RCU_SOFTIRQ));
  expect(log).toHaveLength(MAX_SOFTIRQ_RESTART);
  expect(local_softirq_pending(cpu)).toBe(1 << RCU_SOFTIRQ);
  expect(cpu.mem.pending() & P_KICK).toBe(P_KICK);
  run_items(cpu);
  expect(log).toHaveLength(2 * MAX_SOFTIRQ_RESTART);
});

describe("bugs", () => {
  test("raising with IRQs on, or in NMI", () => {
    expect(() => raise_softirq_irqoff(cpu, RCU_SOFTIRQ)).toThrow("raise_softirq_irqoff(9)");
    expect(() => inNmi(cpu, () => raise_softirq(cpu, RCU_SOFTIRQ))).toThrow("raise_softirq_irqoff(9)");
  });
  test("a number that nobody opened", () => {
    raise_softirq(cpu, 3);
    expect(() => do_softirq(cpu)).toThrow("never opened");
  });
  test.each([
    [
      "a lock",
      /softirq 9 returns: holds test/,
      (c: Cpu): void => {
        spin_lock_init(c, room(c, 0), LC.test);
        spin_lock(c, room(c, 0));
      },
    ],
    ["preemption off", "changed preempt_count", preempt_disable],
    ["IRQs off", "returns with IRQs off", local_irq_disable],
  ] as const)("returning with %s", (_, message, action) => {
    bind_callback(CB.rcu_core, action);
    raise_softirq(cpu, RCU_SOFTIRQ);
    expect(() => do_softirq(cpu)).toThrow(message);
  });
  test("do_softirq() in an interrupt", () => {
    raise_softirq(cpu, RCU_SOFTIRQ);
    expect(() => inHardirq(cpu, do_softirq)).toThrow("do_softirq() in");
  });
});
test("do_softirq() puts the IRQ flag back", () => {
  raise_softirq(cpu, RCU_SOFTIRQ);
  local_irq_save(cpu);
  do_softirq(cpu);
  expect(log).toEqual(["rcu true false"]);
  expect(irqs_disabled(cpu)).toBe(true);
});
