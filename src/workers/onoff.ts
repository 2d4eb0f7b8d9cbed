/**
 * Takes CPUs offline and back, at random, while a machine runs (globals.hotplug). rcutorture's onoff kthread in spirit:
 * kernel/torture.c. Here every CPU does it now and then, between two operations, as it lets itself be taken there.
 */
import type { Cpu } from "../shared/cpu/cpu.ts";
import { random_below } from "../shared/cpu/random.ts";
import { cpu_down, cpu_up } from "../shared/linux/api.ts";
import { cpuhp_should_run, cpuhp_thread_fun } from "../shared/linux/kernel/cpu.ts";
import { cpu_online } from "../shared/linux/sync/cpu_hotplug.ts";

/** A CPU changes another one once in so many operations; an offline one comes back sooner than an online one goes. */
const DOWN_ONE_IN = 256;
const UP_ONE_IN = 64;

/** Between two operations of this CPU. CPU 0 never goes. @context Task, may sleep */
export function torture_onoff(cpu: Cpu): void {
  if (cpuhp_should_run(cpu)) cpuhp_thread_fun(cpu);
  if (random_below(cpu, UP_ONE_IN) !== 0) return;
  const id = random_below(cpu, cpu.map.shape.cpus);
  if (id === 0 || id === cpu.id) return;
  // That another CPU goes or comes just now, or comes to rest, is no failure.
  if (!cpu_online(cpu, id)) cpu_up(cpu, id);
  else if (random_below(cpu, DOWN_ONE_IN / UP_ONE_IN) === 0) cpu_down(cpu, id);
}
