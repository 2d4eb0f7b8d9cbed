/**
 * Which CPUs are up, and cpu_hotplug_lock: its readers keep the set of CPUs as it is, its writer changes it. kernel/cpu.c.
 * Who does change it: linux/kernel/cpu.ts.
 *
 * Without globals.hotplug, as without CONFIG_HOTPLUG_CPU, no CPU ever goes: then the read side excludes nobody, and only
 * its context and its place in the lock order are checked.
 */
import { might_sleep } from "../../cpu/context.ts";
import type { Cpu } from "../../cpu/cpu.ts";
import { CpuhpGlobals } from "../../layout/cpuhp.ts";
import { Globals } from "../../layout/globals.ts";
import { embedded, type Ptr } from "../../mem/struct.ts";
import { LC, lock_acquire, lock_release, lockdep_assert_held } from "./lockdep.ts";
import {
  percpu_down_read,
  percpu_down_write,
  percpu_init_rwsem,
  percpu_up_read,
  percpu_up_write,
} from "./percpu_rwsem.ts";

const { online: ONLINE, cpuhp: CPUHP, hotplug: HOTPLUG } = Globals.offset;
const { cpu_hotplug_lock: LOCK } = CpuhpGlobals.offset;

const cpu_hotplug_lock = (cpu: Cpu): Ptr<"percpu_rw_semaphore"> => embedded(embedded(cpu.globals, CPUHP), LOCK);

/** Do CPUs come and go in this machine? CONFIG_HOTPLUG_CPU. @context Any */
export function hotplug_is_configured(cpu: Cpu): boolean {
  return cpu.mem.peek(cpu.globals, HOTPLUG) !== 0;
}
/** @context boot */
export function cpu_hotplug_lock_init(cpu: Cpu): void {
  percpu_init_rwsem(cpu, cpu_hotplug_lock(cpu), LC.cpu_hotplug_lock);
}

/** No CPU goes up or down until cpus_read_unlock(). @context Task, may sleep. Outermost of all locks. */
export function cpus_read_lock(cpu: Cpu): void {
  if (hotplug_is_configured(cpu)) {
    percpu_down_read(cpu, cpu_hotplug_lock(cpu));
    return;
  }
  might_sleep(cpu, "cpus_read_lock");
  lock_acquire(cpu, cpu_hotplug_lock(cpu), LC.cpu_hotplug_lock, false);
}
/** @context Task, the holder */
export function cpus_read_unlock(cpu: Cpu): void {
  if (hotplug_is_configured(cpu)) percpu_up_read(cpu, cpu_hotplug_lock(cpu));
  else lock_release(cpu, cpu_hotplug_lock(cpu));
}
/** The caller is about to bring a CPU up or down. @context Task, may sleep; owner of cpu_add_remove */
export function cpus_write_lock(cpu: Cpu): void {
  percpu_down_write(cpu, cpu_hotplug_lock(cpu));
}
/** @context Task, the holder */
export function cpus_write_unlock(cpu: Cpu): void {
  percpu_up_write(cpu, cpu_hotplug_lock(cpu));
}
/** A bug unless the caller holds either side. @context Any */
export function lockdep_assert_cpus_held(cpu: Cpu): void {
  lockdep_assert_held(cpu, cpu_hotplug_lock(cpu));
}

/** Race: stable only under cpus_read_lock(). @context Any */
export function cpu_online(cpu: Cpu, id: number): boolean {
  return (cpu.mem.read_once(cpu.globals, ONLINE) & (1 << id)) !== 0;
}
/** @context Any */
export function num_online_cpus(cpu: Cpu): number {
  let count = 0;
  for (let mask = cpu.mem.read_once(cpu.globals, ONLINE); mask !== 0; mask &= mask - 1) count++;
  return count;
}
