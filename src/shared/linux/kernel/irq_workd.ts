/**
 * irq_work/N: with PREEMPT_RT the thread of each CPU that runs what irq_work does not do in hardirq. It is the CPU's
 * second task (cpu/task.ts), runs with IRQs on, may be preempted and may wait for locks. kernel/irq_work.c.
 *
 * It is ksoftirqd and kworker, too: woken for a softirq it finds its list empty, and on the way back to sleep runs
 * what the CPU owes (__schedule()).
 *
 * Each turn is one RCU read section: irq_work_sync() wakes up as soon as a work is not busy any more, and then waits
 * for a grace period before the work may be freed, which its last user may still be looking at.
 */
import { invoke } from "../../cpu/callback_table.ts";
import { this_cpu_ptr, type Cpu } from "../../cpu/cpu.ts";
import { __schedule } from "../../cpu/sched.ts";
import { finish_sleep, prepare_to_sleep } from "../../cpu/task.ts";
import { CB } from "../../layout/callbacks.ts";
import { IrqWorkCpu } from "../../layout/irq_work.ts";
import { PerCpu } from "../../layout/percpu.ts";
import { embedded, NULL } from "../../mem/struct.ts";
import { llist_empty } from "../lib/llist.ts";
import { irq_work_run_list, wake_irq_workd } from "./irq_work.ts";

const { irq_work: IRQ_WORK } = PerCpu.offset;
const { lazy_list: LAZY_LIST } = IrqWorkCpu.offset;

/**
 * run_irq_workd() - one turn of the thread's loop: sleeps until there is work, and does it.
 * @kernel  kernel/irq_work.c
 * @param until  another reason to end the sleep, if there is one.
 * @context Task, nothing disabled: the second task of a CPU
 */
export function run_irq_workd(cpu: Cpu, until?: (cpu: Cpu) => boolean): void {
  const list = embedded(this_cpu_ptr(cpu, IRQ_WORK), LAZY_LIST);
  for (;;) {
    prepare_to_sleep(cpu); // Before the look: who queues after it wakes us.
    if (!llist_empty(cpu, list) || until?.(cpu) === true) break;
    __schedule(cpu, true);
  }
  finish_sleep(cpu);
  invoke(cpu, CB.rcu_read_lock, NULL);
  irq_work_run_list(cpu, list);
  invoke(cpu, CB.rcu_read_unlock, NULL);
}
/**
 * irq_work_wake() - another CPU has queued something for our thread.
 * @kernel kernel/irq_work.c
 * @context Hardirq (irq_work)
 */
export function irq_work_wake(cpu: Cpu): void {
  wake_irq_workd(cpu);
}
