/**
 * Which CPUs are up, and the read side of cpu_hotplug_lock. kernel/cpu.c.
 *
 * Differs: CPUs do not come and go yet, so the read side excludes nobody; its context and its place in the lock order
 * are checked, and globals.online says which CPUs there are.
 */
import { might_sleep } from "../../cpu/context.ts";
import type { Cpu } from "../../cpu/cpu.ts";
import { Globals } from "../../layout/globals.ts";
import { SlabGlobals } from "../../layout/slab.ts";
import { embedded } from "../../mem/struct.ts";
import { LC, lock_acquire, lock_release, lockdep_assert_held } from "./lockdep.ts";

const { online: ONLINE, slab: SLAB } = Globals.offset;
const { cpu_hotplug_lock: LOCK } = SlabGlobals.offset;

/** No CPU goes up or down until cpus_read_unlock(). @context Task, may sleep. Outermost of all locks. */
export function cpus_read_lock(cpu: Cpu): void {
  might_sleep(cpu, "cpus_read_lock");
  lock_acquire(cpu, embedded(embedded(cpu.globals, SLAB), LOCK), LC.cpu_hotplug_lock, false);
}
/** @context Task, the holder */
export function cpus_read_unlock(cpu: Cpu): void {
  lock_release(cpu, embedded(embedded(cpu.globals, SLAB), LOCK));
}
/** A bug unless the caller holds the read side. @context Any */
export function lockdep_assert_cpus_held(cpu: Cpu): void {
  lockdep_assert_held(cpu, embedded(embedded(cpu.globals, SLAB), LOCK));
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
