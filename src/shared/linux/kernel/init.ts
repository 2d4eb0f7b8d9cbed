/** Boot of this layer: initial state of all CPUs' lists, and its callback numbers. */
import { bind_callback } from "../../cpu/callback_table.ts";
import type { Cpu } from "../../cpu/cpu.ts";
import { CB } from "../../layout/callbacks.ts";
import { cpuhp_init } from "./cpu.ts";
import { hrtimer_interrupt, hrtimers_init } from "./hrtimer.ts";
import { irq_work_init, irq_work_run } from "./irq_work.ts";
import { irq_work_wake } from "./irq_workd.ts";
import { do_softirq, softirq_init } from "./softirq.ts";
import { tick_handler } from "./tick.ts";
import { tick_nohz_idle_restart_tick, tick_nohz_idle_stop_tick, tick_nohz_irq_exit } from "./tick_sched.ts";
import { process_timeout, run_timer_softirq, timers_init } from "./timer.ts";
import { delayed_work_timer_fn, workqueue_init, wq_barrier_func } from "./workqueue.ts";

/** Initial state for every CPU. @context boot: once, on one CPU */
export function kernel_init(cpu: Cpu): void {
  irq_work_init(cpu);
  softirq_init(cpu);
  timers_init(cpu);
  hrtimers_init(cpu);
  workqueue_init(cpu);
  cpuhp_init(cpu);
}
/** Binds this layer's callback numbers. Once per thread. */
export function bind_kernel(): void {
  bind_callback(CB.do_softirq, do_softirq);
  bind_callback(CB.tick, tick_handler);
  bind_callback(CB.tick_nohz_idle_stop_tick, tick_nohz_idle_stop_tick);
  bind_callback(CB.tick_nohz_idle_restart_tick, tick_nohz_idle_restart_tick);
  bind_callback(CB.tick_nohz_irq_exit, tick_nohz_irq_exit);
  bind_callback(CB.irq_work_run, irq_work_run);
  bind_callback(CB.irq_work_wake, irq_work_wake);
  bind_callback(CB.hrtimer_interrupt, hrtimer_interrupt);
  bind_callback(CB.run_timer_softirq, run_timer_softirq);
  bind_callback(CB.process_timeout, process_timeout);
  bind_callback(CB.delayed_work_timer_fn, delayed_work_timer_fn);
  bind_callback(CB.wq_barrier_func, wq_barrier_func);
}
