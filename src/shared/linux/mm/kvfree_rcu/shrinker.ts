/**
 * The shrinker "slab-kvfree-rcu": what kfree_rcu() can give back when memory is short. mm/slab_common.c; spec rcu 1.11.
 *
 *   kfree_rcu_shrink_count   how much there is; and no CPU fills its page cache for a while
 *   kfree_rcu_shrink_scan    give the page caches back, and run the monitors
 *
 * The monitors run here, not through their works: so one may run beside its own work item, and beside barriers. Two
 * shrinkers do not run the same one (krcp->shrink_mutex, see krc_barrier.ts); as the kernel does it (KB_K2) they do.
 */
import { Globals, KB_K2 } from "../../../layout/globals.ts";
import { KfreeRcuCpu, KvfreeCounters } from "../../../layout/kvfree_rcu.ts";
import { PerCpu } from "../../../layout/percpu.ts";
import { DelayedWork } from "../../../layout/workqueue.ts";
import { embedded, type Ptr } from "../../../mem/struct.ts";
import { per_cpu_ptr, this_cpu_ptr, type Cpu } from "../../../cpu/cpu.ts";
import { mutex_trylock, mutex_unlock } from "../../sync/mutex.ts";
import { krc_count } from "./krc.ts";
import { kfree_rcu_monitor } from "./krc_batch.ts";
import { drain_page_cache } from "./page_cache.ts";

const { krc: KRC, kvfree: KVFREE } = PerCpu.offset;
const {
  monitor_work: MONITOR_WORK,
  nr_bkv_objs: NR_BKV_OBJS,
  backoff_page_cache_fill: BACKOFF_PAGE_CACHE_FILL,
  shrink_mutex: SHRINK_MUTEX,
} = KfreeRcuCpu.offset;
const { work: WORK } = DelayedWork.offset;
const { kernel_behaviour: KERNEL_BEHAVIOUR } = Globals.offset;
const { krc_shrinks: N_SHRINKS } = KvfreeCounters.offset;

/** Nothing could be freed: do not ask again. */
export const SHRINK_STOP = -1;
/** There is nothing. */
export const SHRINK_EMPTY = -2;

/**
 * kfree_rcu_shrink_count() - objects and cached pages of all CPUs. Whoever asks is short of memory, so page caches are
 * not to be filled up soon.
 *
 * @kernel  mm/slab_common.c
 * @returns SHRINK_EMPTY for 0. @context Task
 */
export function kfree_rcu_shrink_count(cpu: Cpu): number {
  let count = 0;
  for (let id = 0; id < cpu.map.shape.cpus; id++) {
    const krcp = per_cpu_ptr(cpu, KRC, id);
    // Race: a sum of numbers of different moments; an estimate is what is asked for.
    count += krc_count(cpu, krcp) + cpu.mem.data_race_read(krcp, NR_BKV_OBJS);
    cpu.mem.write_once(krcp, BACKOFF_PAGE_CACHE_FILL, 1);
  }
  return count === 0 ? SHRINK_EMPTY : count;
}

/**
 * kfree_rcu_shrink_scan() - free cached pages, and objects whose grace period is over; ask for that of the others.
 *
 * @kernel  mm/slab_common.c
 * @param   nr_to_scan  stop after so many.
 * @returns how many, those that only wait now among them; SHRINK_STOP for 0.
 * @context Task, may sleep (for vfree()); no locks but sleeping ones.
 */
export function kfree_rcu_shrink_scan(cpu: Cpu, nr_to_scan: number): number {
  let freed = 0;
  for (let id = 0; id < cpu.map.shape.cpus && freed < nr_to_scan; id++) {
    const krcp = per_cpu_ptr(cpu, KRC, id);
    const count = krc_count(cpu, krcp);
    freed += count + drain_page_cache(cpu, krcp);
    run_monitor(cpu, krcp);
  }
  cpu.mem.count(this_cpu_ptr(cpu, KVFREE), N_SHRINKS, 1);
  return freed === 0 ? SHRINK_STOP : freed;
}
/** If another shrinker or a barrier holds the mutex, this one goes on: who holds it is at work on the same. */
function run_monitor(cpu: Cpu, krcp: Ptr<"kfree_rcu_cpu">): void {
  const monitor = embedded(embedded(krcp, MONITOR_WORK), WORK);
  const mutex = embedded(krcp, SHRINK_MUTEX);
  if ((cpu.mem.peek(cpu.globals, KERNEL_BEHAVIOUR) & KB_K2) !== 0) {
    kfree_rcu_monitor(cpu, monitor);
  } else if (mutex_trylock(cpu, mutex)) {
    kfree_rcu_monitor(cpu, monitor);
    mutex_unlock(cpu, mutex);
  }
}

/**
 * shrink_kvfree_rcu() - what do_shrink_slab() does for this shrinker alone, with all that there is to scan.
 *
 * @kernel  mm/shrinker.c, in place of do_shrink_slab()
 * @returns how much was freed, or waits now for its grace period.
 * @context Task, may sleep; no locks but sleeping ones.
 */
export function shrink_kvfree_rcu(cpu: Cpu): number {
  const count = kfree_rcu_shrink_count(cpu);
  if (count === SHRINK_EMPTY) return 0;
  const freed = kfree_rcu_shrink_scan(cpu, count);
  return freed === SHRINK_STOP ? 0 : freed;
}
