/** The timer interrupt of a CPU. kernel/time/tick-common.c, update_process_times(). */
import { bug } from "../../cpu/bug.ts";
import { invoke } from "../../cpu/callback_table.ts";
import { describe_context, in_hardirq } from "../../cpu/context.ts";
import type { Cpu } from "../../cpu/cpu.ts";
import { tick_nohz_tick_stopped } from "../../cpu/sched.ts";
import { scheduler_tick } from "../../cpu/task.ts";
import { CB } from "../../layout/callbacks.ts";
import { NULL } from "../../mem/struct.ts";
import { lockdep_check_no_locks } from "../sync/lockdep.ts";
import { hrtimer_run_queues, next_hrtimer_expiry } from "./hrtimer.ts";
import { irq_work_tick } from "./irq_work.ts";
import { account_idle_ticks } from "./tick_sched.ts";
import { next_timer_expiry, run_local_timers, time_after_eq } from "./timer.ts";

/** tick_handler() - irq_work that waits for a tick, hrtimers and timers that are due, RCU's part. @context Hardirq */
export function tick_handler(cpu: Cpu): void {
  if (!in_hardirq(cpu)) bug(cpu, `tick in ${describe_context(cpu)}`);
  if (tick_nohz_tick_stopped(cpu)) account_idle_ticks(cpu, 1);
  irq_work_tick(cpu);
  hrtimer_run_queues(cpu);
  run_local_timers(cpu);
  invoke(cpu, CB.rcu_sched_clock_irq, NULL);
  if (cpu.preempt) scheduler_tick(cpu);
  lockdep_check_no_locks(cpu, "the tick returns");
}

/**
 * get_next_timer_interrupt() - the jiffies at which the next timer of this CPU expires, of either kind; undefined: none
 * is armed. No step: for a machine that stands still.
 */
export function get_next_timer_interrupt(cpu: Cpu): number | undefined {
  const timer = next_timer_expiry(cpu);
  const hrtimer = next_hrtimer_expiry(cpu);
  if (timer === undefined || hrtimer === undefined) return timer ?? hrtimer;
  return time_after_eq(timer, hrtimer) ? hrtimer : timer;
}
