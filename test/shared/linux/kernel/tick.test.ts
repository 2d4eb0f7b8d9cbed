import { expect, test } from "vitest";
import { bind_callback } from "../../../../src/shared/cpu/callback_table.ts";
import type { Cpu } from "../../../../src/shared/cpu/cpu.ts";
import { run_interrupt } from "../../../../src/shared/cpu/interrupt.ts";
import { CB } from "../../../../src/shared/layout/callbacks.ts";
import { P_TICK } from "../../../../src/shared/layout/cpu.ts";
import { IRQ_WORK_LAZY } from "../../../../src/shared/layout/irq_work.ts";
import { init_irq_work, irq_work_queue } from "../../../../src/shared/linux/kernel/irq_work.ts";
import { tick_handler } from "../../../../src/shared/linux/kernel/tick.ts";
import { mod_timer, timer_setup } from "../../../../src/shared/linux/kernel/timer.ts";
import { LC } from "../../../../src/shared/linux/sync/lockdep.ts";
import { spin_lock, spin_lock_init } from "../../../../src/shared/linux/sync/spinlock.ts";
import { boot, callbackOf, room } from "../layer.ts";

test("lazy irq_work, then RCU, then on the way out the timers", () => {
  const [cpu] = boot(1) as [Cpu];
  const log: string[] = [];
  bind_callback(CB.rcu_sched_clock_irq, () => log.push("rcu"));
  const say = (i: number, what: string) => callbackOf(i, () => log.push(what));
  init_irq_work(cpu, room(cpu, 0), say(0, "irq_work"), IRQ_WORK_LAZY);
  irq_work_queue(cpu, room(cpu, 0));
  timer_setup(cpu, room(cpu, 1), say(1, "timer"));
  mod_timer(cpu, room(cpu, 1), 0);
  run_interrupt(cpu, P_TICK);
  expect(log).toEqual(["irq_work", "rcu", "timer"]);
  run_interrupt(cpu, P_TICK);
  expect(log).toEqual(["irq_work", "rcu", "timer", "rcu"]);
});
test("outside hardirq, or returning with a lock, it is a bug", () => {
  const [cpu] = boot(1) as [Cpu];
  expect(() => tick_handler(cpu)).toThrow("tick in task");
  spin_lock_init(cpu, room(cpu, 0), LC.test);
  bind_callback(CB.rcu_sched_clock_irq, (c) => spin_lock(c, room(c, 0)));
  expect(() => run_interrupt(cpu, P_TICK)).toThrow(/the tick returns: holds test/);
});
