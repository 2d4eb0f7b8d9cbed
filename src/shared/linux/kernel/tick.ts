/** The timer interrupt of a CPU. kernel/time/tick-common.c, update_process_times(). */
import { bug } from "../../cpu/bug.ts";
import { invoke } from "../../cpu/callback_table.ts";
import { describe_context, in_hardirq } from "../../cpu/context.ts";
import type { Cpu } from "../../cpu/cpu.ts";
import { CB } from "../../layout/callbacks.ts";
import { NULL } from "../../mem/struct.ts";
import { lockdep_check_no_locks } from "../sync/lockdep.ts";
import { irq_work_tick } from "./irq_work.ts";
import { run_local_timers } from "./timer.ts";

/** tick_handler() - irq_work that waits for a tick, timers that are due, RCU's bookkeeping. @context Hardirq */
export function tick_handler(cpu: Cpu): void {
  if (!in_hardirq(cpu)) bug(cpu, `tick in ${describe_context(cpu)}`);
  irq_work_tick(cpu);
  run_local_timers(cpu);
  invoke(cpu, CB.rcu_sched_clock_irq, NULL);
  lockdep_check_no_locks(cpu, "the tick returns");
}
