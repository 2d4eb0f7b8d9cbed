/**
 * kfree_rcu_cpu, batches: how the pending list of a CPU gets its grace period and is freed. mm/slab_common.c; spec rcu
 * 1.7 to 1.10.
 *
 * A CPU has two batches. One that still waits is never filled again: its grace period began before the newcomers
 * (5da7cb193db3). If both wait, the list does, and the monitor tries again.
 *
 * Work items run on any CPU; all of them, and the barrier, synchronise by krcp->lock. Objects are freed without it.
 */
import { Globals, KB_K1, KB_K3 } from "../../../layout/globals.ts";
import { KFREE_N_BATCHES, KfreeRcuCpu, KfreeRcuCpuWork, KvfreeCounters } from "../../../layout/kvfree_rcu.ts";
import { PerCpu } from "../../../layout/percpu.ts";
import { KvfreeRcuHead } from "../../../layout/types.ts";
import { DelayedWork, RcuWork } from "../../../layout/workqueue.ts";
import { O_KRC, O_USER } from "../../../mem/oracle.ts";
import { container_of, embedded, NULL, type Ptr } from "../../../mem/struct.ts";
import { assert, warn } from "../../../cpu/bug.ts";
import { might_sleep } from "../../../cpu/context.ts";
import { per_cpu_ptr, this_cpu_ptr, type Cpu } from "../../../cpu/cpu.ts";
import { oracle_grace_period_end, oracle_move } from "../../../cpu/oracle.ts";
import { cancel_delayed_work_sync } from "../../kernel/workqueue.ts";
import {
  get_state_synchronize_rcu_full,
  poll_state_synchronize_rcu,
  poll_state_synchronize_rcu_full,
} from "../../rcu/poll.ts";
import { flush_rcu_work, queue_rcu_work } from "../../rcu/rcu_work.ts";
import { kfree } from "../slub/kmalloc.ts";
import { __schedule_delayed_monitor_work, krc_lock, krc_unlock, krwp_of, need_offload_krc } from "./krc.ts";
import { kvmalloc_obj_start_addr } from "./object_start.ts";

const { krc: KRC, kvfree: KVFREE } = PerCpu.offset;
const {
  head: HEAD,
  head_gp_snap: HEAD_GP_SNAP,
  head_count: HEAD_COUNT,
  monitor_work: MONITOR_WORK,
} = KfreeRcuCpu.offset;
const {
  rcu_work: RCU_WORK,
  head_free: HEAD_FREE,
  head_free_gp_snap: HEAD_FREE_GP_SNAP,
  krcp: KRCP,
} = KfreeRcuCpuWork.offset;
const { work: DELAYED_WORK } = DelayedWork.offset;
const { work: RCU_WORK_WORK } = RcuWork.offset;
const { next: NEXT } = KvfreeRcuHead.offset;
const { kernel_behaviour: KERNEL_BEHAVIOUR } = Globals.offset;
const { krc_batches: N_BATCHES, krc_polled: N_POLLED, krc_freed: N_FREED } = KvfreeCounters.offset;

/** Takes the pending list. krcp->lock is held. */
function detach_head(cpu: Cpu, krcp: Ptr<"kfree_rcu_cpu">): Ptr<"kvfree_rcu_head"> {
  const head = cpu.mem.read_once(krcp, HEAD);
  cpu.mem.write_once(krcp, HEAD_COUNT, 0);
  cpu.mem.write_once(krcp, HEAD, NULL);
  return head;
}

/** kvfree_rcu_list() - free a private list whose grace period is over. @kernel mm/slab_common.c @returns how many. */
function kvfree_rcu_list(cpu: Cpu, first: Ptr<"kvfree_rcu_head">): number {
  let freed = 0;
  for (let head = first; head !== NULL; freed++) {
    const next = cpu.mem.read(head, NEXT); // Before the free: the link lies in the object.
    const object = kvmalloc_obj_start_addr(cpu, head);
    oracle_grace_period_end(cpu, object);
    oracle_move(cpu, object, O_KRC, O_USER); // Ours now, and kfree() takes it from us.
    kfree(cpu, object);
    head = next;
  }
  return freed;
}

/** kvfree_rcu_drain_ready() - free what needs to wait no longer. @kernel mm/slab_common.c @context Task, work item */
function kvfree_rcu_drain_ready(cpu: Cpu, krcp: Ptr<"kfree_rcu_cpu">): void {
  let ready: Ptr<"kvfree_rcu_head"> = NULL;
  const flags = krc_lock(cpu, krcp);
  if (need_offload_krc(cpu, krcp) && poll_state_synchronize_rcu(cpu, cpu.mem.read(krcp, HEAD_GP_SNAP))) {
    ready = detach_head(cpu, krcp);
  }
  krc_unlock(cpu, krcp, flags);
  cpu.mem.count(this_cpu_ptr(cpu, KVFREE), N_POLLED, kvfree_rcu_list(cpu, ready));
}

/**
 * kvfree_rcu_queue_batch() - give the pending list to a free batch and ask for its grace period.
 *
 * @kernel  mm/slab_common.c
 * @returns false if nothing was pending or every batch still waits.
 * @context Task, work item
 */
function kvfree_rcu_queue_batch(cpu: Cpu, krcp: Ptr<"kfree_rcu_cpu">): boolean {
  let queued = false;
  const flags = krc_lock(cpu, krcp);
  for (let i = 0; i < KFREE_N_BATCHES && !queued && need_offload_krc(cpu, krcp); i++) {
    const krwp = krwp_of(krcp, i);
    if (cpu.mem.read(krwp, HEAD_FREE) !== NULL) continue;
    cpu.mem.write(krwp, HEAD_FREE, detach_head(cpu, krcp));
    get_state_synchronize_rcu_full(cpu, embedded(krwp, HEAD_FREE_GP_SNAP));
    queued = queue_rcu_work(cpu, embedded(krwp, RCU_WORK));
    if (!queued) warn(cpu, `a batch of krc ${krcp} is empty, but its work is queued`);
    cpu.mem.count(this_cpu_ptr(cpu, KVFREE), N_BATCHES, 1);
  }
  krc_unlock(cpu, krcp, flags);
  return queued;
}

/**
 * kfree_rcu_monitor() - look after a krc: free what is ready, put the rest into a batch, and come again if a rest stays.
 *
 * @kernel  mm/slab_common.c
 * @context Task, work item (krcp->monitor_work), any CPU
 */
export function kfree_rcu_monitor(cpu: Cpu, work: Ptr<"work_struct">): void {
  const krcp = container_of(container_of(work, DELAYED_WORK), MONITOR_WORK);
  kvfree_rcu_drain_ready(cpu, krcp);
  kvfree_rcu_queue_batch(cpu, krcp);
  rearm_monitor(cpu, krcp);
}

/** Without it what is pending waits for the next kfree_rcu() of that CPU, which may never come. */
function rearm_monitor(cpu: Cpu, krcp: Ptr<"kfree_rcu_cpu">): void {
  if (!need_offload_krc(cpu, krcp)) return;
  const flags = krc_lock(cpu, krcp);
  if (need_offload_krc(cpu, krcp)) __schedule_delayed_monitor_work(cpu, krcp);
  krc_unlock(cpu, krcp, flags);
}

/** Waits until nobody is between taking the pending list and asking for its grace period. */
function krc_sync(cpu: Cpu, krcp: Ptr<"kfree_rcu_cpu">): void {
  krc_unlock(cpu, krcp, krc_lock(cpu, krcp));
}

/**
 * kfree_rcu_work() - the grace period of a batch is over: free it. The batch may be filled again from here on.
 *
 * @kernel  mm/slab_common.c
 * @context Task, work item (krwp->rcu_work), any CPU
 * @pairs   kvfree_rcu_queue_batch()
 */
export function kfree_rcu_work(cpu: Cpu, work: Ptr<"work_struct">): void {
  const mem = cpu.mem;
  const krwp = container_of(container_of(work, RCU_WORK_WORK), RCU_WORK);
  const krcp = mem.read(krwp, KRCP);
  const flags = krc_lock(cpu, krcp);
  const head = mem.read(krwp, HEAD_FREE);
  mem.write(krwp, HEAD_FREE, NULL);
  // Differs: polled here, where the cookie still is this batch's. The kernel copies it and polls after the unlock.
  const elapsed = poll_state_synchronize_rcu_full(cpu, embedded(krwp, HEAD_FREE_GP_SNAP));
  krc_unlock(cpu, krcp, flags);
  assert(cpu, head !== NULL, "kfree_rcu_work() for an empty batch");
  if (!elapsed) {
    warn(cpu, "kfree_rcu_work() before the grace period of its batch is over; the objects are leaked");
    return;
  }
  mem.count(this_cpu_ptr(cpu, KVFREE), N_FREED, kvfree_rcu_list(cpu, head));
}

function flush_batches(cpu: Cpu, krcp: Ptr<"kfree_rcu_cpu">): void {
  for (let i = 0; i < KFREE_N_BATCHES; i++) flush_rcu_work(cpu, embedded(krwp_of(krcp, i), RCU_WORK));
}

/**
 * __kvfree_rcu_barrier() - wait until every object that was in any krc before the call is freed.
 *
 * Differs, twice; the first repair is the one that spec rcu 1.10 proposes, the second follows from its test E22:
 * (1) The kernel cancels the monitor and leaves it so. Objects that another CPU queued since the first pass, and that rely
 * on it, are stranded (K-1). Here it is armed again. KB_K1 restores the kernel's behaviour.
 * (2) The kernel looks at `head` and at the batches' works without the lock. A second barrier that comes while the first is
 * inside kvfree_rcu_queue_batch() finds `head` taken and no work queued, or queued before its callback is: it returns early.
 * Here it takes the lock in between. KB_K3 restores the kernel's behaviour.
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
    if ((kernel_behaviour & KB_K1) === 0) rearm_monitor(cpu, krcp);
    if ((kernel_behaviour & KB_K3) === 0) krc_sync(cpu, krcp);
    flush_batches(cpu, krcp);
  }
}
