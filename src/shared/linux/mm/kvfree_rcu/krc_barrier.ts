/**
 * __kvfree_rcu_barrier(): the stage K of kvfree_rcu_barrier() (barrier.ts). mm/slab_common.c; spec rcu 1.10.
 *
 * After the first pass an object that was in a krc before the call is freed, or in a batch whose work is queued, or in the
 * hands of a monitor, which runs as work item or in a shrinker. The second pass waits for each of the three.
 *
 * Differs, three times: (1) is the repair that spec rcu 1.10 proposes, (2) is for the gap it names beside it, (3) follows
 * from its test E22. globals.kernel_behaviour switches them off.
 *
 * (1) K-1. The kernel cancels the monitor and leaves it so. Objects that another CPU queued since the first pass, and that
 *     rely on it, are stranded. Here it is armed again, if there are any: a kfree_rcu() that found it armed has put its
 *     object where we see it, since the cookie that it took in between is a full barrier.
 * (2) K-2. The kernel waits for the monitor's work item, not for a shrinker that runs the monitor itself. Here a shrinker
 *     holds krcp->shrink_mutex from before it takes anything off a list until all that is freed, and we lock it once.
 *     A shrinker that has one of our objects took it before our first pass looked; so it locked the mutex before that,
 *     and our lock waits for its unlock. It never waits itself, and skips a krc whose mutex is held.
 * (3) K-3. The kernel looks at lists and works of batches without the lock. A barrier that comes while another one, or a
 *     monitor, is inside kvfree_rcu_queue_batch() finds the lists taken and no work queued, or queued before its callback
 *     is: it returns early. Here it takes the lock in between: whoever has taken a list has queued the work by then.
 */
import { Globals, KB_K1, KB_K2, KB_K3 } from "../../../layout/globals.ts";
import { KFREE_N_BATCHES, KfreeRcuCpu, KfreeRcuCpuWork } from "../../../layout/kvfree_rcu.ts";
import { PerCpu } from "../../../layout/percpu.ts";
import { embedded, type Ptr } from "../../../mem/struct.ts";
import { might_sleep } from "../../../cpu/context.ts";
import { per_cpu_ptr, type Cpu } from "../../../cpu/cpu.ts";
import { cancel_delayed_work_sync } from "../../kernel/workqueue.ts";
import { flush_rcu_work } from "../../rcu/rcu_work.ts";
import { mutex_lock, mutex_unlock } from "../../sync/mutex.ts";
import { krc_lock, krc_unlock, krwp_of, need_offload_krc, schedule_delayed_monitor_work } from "./krc.ts";
import { kvfree_rcu_queue_batch } from "./krc_batch.ts";

const { krc: KRC } = PerCpu.offset;
const { monitor_work: MONITOR_WORK, shrink_mutex: SHRINK_MUTEX } = KfreeRcuCpu.offset;
const { rcu_work: RCU_WORK } = KfreeRcuCpuWork.offset;
const { kernel_behaviour: KERNEL_BEHAVIOUR } = Globals.offset;

/** Waits for the grace periods and works of both batches. */
function flush_batches(cpu: Cpu, krcp: Ptr<"kfree_rcu_cpu">): void {
  for (let i = 0; i < KFREE_N_BATCHES; i++) flush_rcu_work(cpu, embedded(krwp_of(krcp, i), RCU_WORK));
}
/** Waits until nobody is between taking a list and asking for its grace period. */
function krc_sync(cpu: Cpu, krcp: Ptr<"kfree_rcu_cpu">): void {
  krc_unlock(cpu, krcp, krc_lock(cpu, krcp));
}
/** Waits until a shrinker that runs the monitor now has freed what it took. */
function shrinker_sync(cpu: Cpu, krcp: Ptr<"kfree_rcu_cpu">): void {
  mutex_lock(cpu, embedded(krcp, SHRINK_MUTEX));
  mutex_unlock(cpu, embedded(krcp, SHRINK_MUTEX));
}

/**
 * __kvfree_rcu_barrier() - wait until every object that was in any krc before the call is freed.
 *
 * @kernel  mm/slab_common.c
 * @context Task, may sleep. Not in a work item that a krc needs.
 */
export function __kvfree_rcu_barrier(cpu: Cpu): void {
  might_sleep(cpu, "__kvfree_rcu_barrier");
  const kernel_behaviour = cpu.mem.peek(cpu.globals, KERNEL_BEHAVIOUR);
  for (let id = 0; id < cpu.map.shape.cpus; id++) {
    const krcp = per_cpu_ptr(cpu, KRC, id);
    // One batch takes all that is pending, so one is enough.
    while (need_offload_krc(cpu, krcp) && !kvfree_rcu_queue_batch(cpu, krcp)) flush_batches(cpu, krcp);
  }
  for (let id = 0; id < cpu.map.shape.cpus; id++) {
    const krcp = per_cpu_ptr(cpu, KRC, id);
    // Why: a monitor that runs may have detached objects and be freeing them, in no batch.
    cancel_delayed_work_sync(cpu, embedded(krcp, MONITOR_WORK));
    if ((kernel_behaviour & KB_K1) === 0) schedule_delayed_monitor_work(cpu, krcp);
    if ((kernel_behaviour & KB_K2) === 0) shrinker_sync(cpu, krcp);
    if ((kernel_behaviour & KB_K3) === 0) krc_sync(cpu, krcp);
    flush_batches(cpu, krcp);
  }
}
