/**
 * Waking kswapd when an allocation finds no page. mm/vmscan.c; spec slub 2.8, B31.
 *
 * Differs: nothing is reclaimed, so kswapd is only woken. What matters here is what that costs: a wake-up takes the pi_lock
 * of the task. Somebody who holds that lock, and frees, must not come here: a free must not allocate with GFP_NOWAIT.
 *
 * Lock order: pi_lock is outside all locks of the allocator: frees happen under it. No lock of the allocator is held here.
 */
import type { Cpu } from "../../../cpu/cpu.ts";
import { Globals } from "../../../layout/globals.ts";
import { Kswapd } from "../../../layout/vmscan.ts";
import { embedded, embedded_at, type Ptr } from "../../../mem/struct.ts";
import { LC } from "../../sync/lockdep.ts";
import { raw_spin_lock_init, raw_spin_lock_irqsave, raw_spin_unlock_irqrestore } from "../../sync/spinlock.ts";

const { kswapd: KSWAPD } = Globals.offset;
const { pi_lock: PI_LOCK, wakeups: WAKEUPS } = Kswapd.offset;

/** The kswapd of a node. */
function kswapd_of(cpu: Cpu, node: number): Ptr<"kswapd"> {
  return embedded_at(cpu.globals, KSWAPD, node, Kswapd.size);
}
/** @kernel mm/vmscan.c @context Task, at boot, alone: with the zones */
export function kswapd_init(cpu: Cpu): void {
  for (let node = 0; node < cpu.map.shape.nodes; node++) {
    raw_spin_lock_init(cpu, embedded(kswapd_of(cpu, node), PI_LOCK), LC.pi_lock);
  }
}

/** wakeup_kswapd() @kernel mm/vmscan.c @context Hardirq. Spins on pi_lock of the node's kswapd. */
export function wakeup_kswapd(cpu: Cpu, node: number): void {
  const kswapd = kswapd_of(cpu, node);
  const flags = raw_spin_lock_irqsave(cpu, embedded(kswapd, PI_LOCK));
  cpu.mem.fetch_add(kswapd, WAKEUPS, 1);
  raw_spin_unlock_irqrestore(cpu, embedded(kswapd, PI_LOCK), flags);
}

/**
 * Changes something about a node's kswapd that its pi_lock protects, such as the CPUs that it may run on: the scheduler
 * then frees the old mask under that lock.
 * @kernel kernel/sched/core.c, __set_cpus_allowed_ptr() @context Task
 */
export function change_kswapd(cpu: Cpu, node: number, change: (cpu: Cpu) => void): void {
  const lock = embedded(kswapd_of(cpu, node), PI_LOCK);
  const flags = raw_spin_lock_irqsave(cpu, lock);
  change(cpu);
  raw_spin_unlock_irqrestore(cpu, lock, flags);
}
