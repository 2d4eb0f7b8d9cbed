/** The timers of a CPU that is gone. kernel/time/timer.c. */
import { assert } from "../../cpu/bug.ts";
import { local_irq_restore, local_irq_save } from "../../cpu/context.ts";
import { per_cpu_ptr, this_cpu_ptr, type Cpu } from "../../cpu/cpu.ts";
import { PerCpu } from "../../layout/percpu.ts";
import { TIMER_MIGRATING, TimerBase, TimerList } from "../../layout/timer.ts";
import { container_of, embedded, NULL, type Ptr } from "../../mem/struct.ts";
import { list_first } from "../lib/list.ts";
import { spin_lock, spin_unlock } from "../sync/spinlock.ts";
import { detach_if_pending, enqueue } from "./timer.ts";

const { timers: BASES } = PerCpu.offset;
const { lock: LOCK, timers: TIMERS, running: RUNNING } = TimerBase.offset;
const { entry: ENTRY, expires: EXPIRES, flags: FLAGS } = TimerList.offset;

/**
 * timers_dead_cpu() - take over the armed timers of CPU `dead`, with their times.
 *
 * One at a time, by the same steps as mod_timer(): while a timer is on neither base it says TIMER_MIGRATING, so whoever
 * wants to change it waits those few steps. Differs: the kernel holds both bases' locks meanwhile.
 *
 * @kernel  kernel/time/timer.c
 * @context Task, after the CPU is dead.
 */
export function timers_dead_cpu(cpu: Cpu, dead: number): void {
  const from = per_cpu_ptr(cpu, BASES, dead);
  assert(cpu, cpu.mem.read_once(from, RUNNING) === NULL, `CPU ${dead} died in the function of a timer`);
  const flags = local_irq_save(cpu);
  while (move_first(cpu, from, this_cpu_ptr(cpu, BASES)));
  local_irq_restore(cpu, flags);
}
/** @returns false: there was none. @context IRQs off */
function move_first(cpu: Cpu, from: Ptr<"timer_base">, to: Ptr<"timer_base">): boolean {
  spin_lock(cpu, embedded(from, LOCK));
  const first = list_first(cpu, embedded(from, TIMERS));
  if (first === NULL) {
    spin_unlock(cpu, embedded(from, LOCK));
    return false;
  }
  const timer = container_of(first, ENTRY);
  const expires = cpu.mem.read(timer, EXPIRES);
  detach_if_pending(cpu, timer);
  cpu.mem.fetch_or(timer, FLAGS, TIMER_MIGRATING);
  spin_unlock(cpu, embedded(from, LOCK));
  spin_lock(cpu, embedded(to, LOCK));
  enqueue(cpu, to, timer, cpu.id, expires);
  spin_unlock(cpu, embedded(to, LOCK));
  return true;
}
