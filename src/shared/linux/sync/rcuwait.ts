/**
 * struct rcuwait: room for one sleeping task. include/linux/rcuwait.h, kernel/exit.c.
 *
 * A second waiter overwrites the first, which then may sleep for ever; the first to finish clears the other's entry.
 * That is the kernel's behaviour, and what issue B25 of irq_work_sync() is about: users have to exclude each other.
 *
 * A single waiter is never lost: it publishes itself and then looks at the condition; the waker makes the condition true
 * and then looks for a waiter.
 */
import { NR_CPUS } from "../../base/limits.ts";
import { bug } from "../../cpu/bug.ts";
import { might_sleep } from "../../cpu/context.ts";
import type { Cpu } from "../../cpu/cpu.ts";
import { kick, schedule_until_woken } from "../../cpu/sched.ts";
import { finish_sleep, prepare_to_sleep } from "../../cpu/task.ts";
import { MAX_TASKS, P_KICK } from "../../layout/cpu.ts";
import { Rcuwait } from "../../layout/types.ts";
import type { Ptr } from "../../mem/struct.ts";

const { task: TASK } = Rcuwait.offset;

/** Nobody waits. @context Any; nobody else can see it */
export function rcuwait_init(cpu: Cpu, w: Ptr<"rcuwait">): void {
  cpu.mem.init(w, TASK, 0);
}
/** rcuwait_wait_event() - sleep until condition(cpu, arg) holds. @context Task, may sleep. @pairs rcuwait_wake_up() */
export function rcuwait_wait_event(
  cpu: Cpu,
  w: Ptr<"rcuwait">,
  condition: (cpu: Cpu, arg: Ptr<never>) => boolean,
  arg: Ptr,
): void {
  might_sleep(cpu, "rcuwait_wait_event");
  for (;;) {
    if (cpu.preempt) prepare_to_sleep(cpu);
    cpu.mem.take_pending(P_KICK);
    cpu.mem.write_once(w, TASK, cpu.task_id + 1);
    cpu.mem.smp_mb(); // Either the waker sees us, or we see the condition.
    if (condition(cpu, arg as Ptr<never>)) break;
    do schedule_until_woken(cpu);
    while (!cpu.preempt && (cpu.mem.pending() & P_KICK) === 0);
  }
  if (cpu.preempt) finish_sleep(cpu);
  cpu.mem.write_once(w, TASK, 0);
}
/**
 * rcuwait_wake_up() - end the sleep of the task that waits, if any.
 * The waiter may return as soon as the condition is true, before this call. So the caller runs where RCU waits for it,
 * and who wants to free the rcuwait first waits for a grace period.
 * @returns whether there was one. @context Any but NMI, as an RCU reader
 */
export function rcuwait_wake_up(cpu: Cpu, w: Ptr<"rcuwait">): boolean {
  cpu.mem.smp_mb(); // As there.
  const task = cpu.mem.read_once(w, TASK);
  if (task === 0) return false;
  if (task < 0 || task > MAX_TASKS * NR_CPUS) bug(cpu, `rcuwait ${w} names task ${task}: it is no rcuwait any more`);
  kick(cpu, task - 1);
  return true;
}
