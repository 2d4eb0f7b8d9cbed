/**
 * kfree_rcu_cpu ("krc"): objects of kfree_rcu() that found no sheaf wait here for the monitor, which gives them to a
 * batch, which waits for its grace period (krc_batch.ts). mm/slab_common.c; spec rcu 1.
 *
 *   bulk_head[]  pages of pointers ("bnodes", krc_bulk.ts), from the page cache (page_cache.ts)
 *   head         objects for which there was no page, linked through their heads
 *
 * Everything is under krcp->lock: raw, IRQs off, so not callable from NMI. Under it only what takes raw locks of its own:
 * cookies, delayed work, hrtimers, queue_rcu_work(). Never allocation, never kfree(): zone->lock comes before it.
 *
 * If anything is here, the monitor is pending or running, or a lock holder is about to queue it: otherwise it is
 * stranded until the next kfree_rcu() of the CPU.
 */
import { Globals } from "../../../layout/globals.ts";
import {
  FREE_N_CHANNELS,
  KfreeRcuCpu,
  KfreeRcuCpuWork,
  KvfreeCounters,
  KvfreeGlobals,
} from "../../../layout/kvfree_rcu.ts";
import { PerCpu } from "../../../layout/percpu.ts";
import { TimerList } from "../../../layout/timer.ts";
import { KvfreeRcuHead, ListHead } from "../../../layout/types.ts";
import { DelayedWork } from "../../../layout/workqueue.ts";
import { O_DEFERRED_RCU, O_KRC, O_USER } from "../../../mem/oracle.ts";
import { element, embedded, embedded_at, NULL, type Ptr } from "../../../mem/struct.ts";
import { bug } from "../../../cpu/bug.ts";
import { irqs_disabled, local_irq_restore, local_irq_save } from "../../../cpu/context.ts";
import { this_cpu_ptr, type Cpu } from "../../../cpu/cpu.ts";
import { oracle_move } from "../../../cpu/oracle.ts";
import { mod_delayed_work, queue_delayed_work, work_pending } from "../../kernel/workqueue.ts";
import { list_empty_careless, type ListPtr } from "../../lib/list.ts";
import { get_state_synchronize_rcu } from "../../rcu/poll.ts";
import { raw_spin_lock, raw_spin_unlock } from "../../sync/spinlock.ts";

const { krc: KRC, kvfree: KVFREE } = PerCpu.offset;
const {
  lock: LOCK,
  head: HEAD,
  head_gp_snap: HEAD_GP_SNAP,
  head_count: HEAD_COUNT,
  bulk_head: BULK_HEAD,
  bulk_count: BULK_COUNT,
  krw_arr: KRW_ARR,
  monitor_work: MONITOR_WORK,
} = KfreeRcuCpu.offset;
const { next: NEXT } = KvfreeRcuHead.offset;
const { kvfree: KVFREE_GLOBALS, jiffies: JIFFIES } = Globals.offset;
const { drain_jiffies: DRAIN_JIFFIES, bulk_max_entr: BULK_MAX_ENTR } = KvfreeGlobals.offset;
const { scheduler_running: SCHEDULER_RUNNING } = KvfreeGlobals.offset;
const { work: WORK, timer: TIMER } = DelayedWork.offset;
const { expires: EXPIRES } = TimerList.offset;
const { kfree_rcu_krc: N_KRC } = KvfreeCounters.offset;

type Krc = Ptr<"kfree_rcu_cpu">;

/** Slot `i` of a CPU's batches. */
export function krwp_of(krcp: Krc, i: number): Ptr<"kfree_rcu_cpu_work"> {
  return embedded_at(krcp, KRW_ARR, i, KfreeRcuCpuWork.size);
}
/** The list of bnodes of channel `idx`. */
export function bulk_head_of(krcp: Krc, idx: number): ListPtr {
  return embedded_at(krcp, BULK_HEAD, idx, ListHead.size);
}
/** Records of a full bnode. @context Any */
export function bulk_max_entr(cpu: Cpu): number {
  return cpu.mem.peek(embedded(cpu.globals, KVFREE_GLOBALS), BULK_MAX_ENTR);
}
/** rcu_scheduler_active == RCU_SCHEDULER_RUNNING: works and timers may be used. @context Any */
export function scheduler_running(cpu: Cpu): boolean {
  return cpu.mem.peek(embedded(cpu.globals, KVFREE_GLOBALS), SCHEDULER_RUNNING) !== 0;
}

/** Takes a krc's lock with IRQs off. @returns what krc_unlock() takes. @context Any but NMI */
export function krc_lock(cpu: Cpu, krcp: Krc): number {
  const flags = local_irq_save(cpu);
  raw_spin_lock(cpu, embedded(krcp, LOCK));
  return flags;
}
/** @context The holder of the lock. */
export function krc_unlock(cpu: Cpu, krcp: Krc, flags: number): void {
  raw_spin_unlock(cpu, embedded(krcp, LOCK));
  local_irq_restore(cpu, flags);
}
/**
 * krc_this_cpu_lock() - lock this CPU's krc.
 *
 * Differs: the caller has turned IRQs off, and keeps the flags. They come first: with IRQs on this could be another CPU
 * by the time the lock is held.
 *
 * @kernel  mm/slab_common.c
 * @context Any but NMI, IRQs off.
 */
export function krc_this_cpu_lock(cpu: Cpu): Krc {
  if (!irqs_disabled(cpu)) bug(cpu, "krc_this_cpu_lock() with IRQs on");
  const krcp = this_cpu_ptr(cpu, KRC);
  raw_spin_lock(cpu, embedded(krcp, LOCK));
  return krcp;
}

/**
 * Links an object through its head, in kvfree_call_rcu(): for want of a place in a bnode.
 *
 * @kernel  mm/slab_common.c
 * @context Any, krcp->lock held.
 */
export function krc_link_head(cpu: Cpu, krcp: Krc, head: Ptr<"kvfree_rcu_head">, object: Ptr): void {
  const mem = cpu.mem;
  oracle_move(cpu, object, O_USER | O_DEFERRED_RCU, O_KRC);
  mem.write(head, NEXT, mem.read_once(krcp, HEAD));
  mem.write_once(krcp, HEAD, head);
  mem.write_once(krcp, HEAD_COUNT, mem.read_once(krcp, HEAD_COUNT) + 1);
  mem.write(krcp, HEAD_GP_SNAP, get_state_synchronize_rcu(cpu)); // Of the newest object, so it covers all.
  mem.count(this_cpu_ptr(cpu, KVFREE), N_KRC, 1);
}

/** Is there anything that no batch has taken yet? @kernel mm/slab_common.c @context Any: a probe without the lock */
export function need_offload_krc(cpu: Cpu, krcp: Krc): boolean {
  for (let idx = 0; idx < FREE_N_CHANNELS; idx++) {
    if (!list_empty_careless(cpu, bulk_head_of(krcp, idx))) return true;
  }
  return cpu.mem.read_once(krcp, HEAD) !== NULL;
}
/**
 * krc_count() - how many objects no batch has taken yet.
 *
 * Race: without the lock this is a sum of numbers of different moments. It decides about haste, and about what a shrinker
 * says.
 *
 * @kernel  mm/slab_common.c
 * @context Any
 */
export function krc_count(cpu: Cpu, krcp: Krc): number {
  let sum = cpu.mem.read_once(krcp, HEAD_COUNT);
  for (let idx = 0; idx < FREE_N_CHANNELS; idx++) sum += cpu.mem.read_once(krcp, element(BULK_COUNT, idx));
  return sum;
}

/**
 * __schedule_delayed_monitor_work() - let the monitor come in KFREE_DRAIN_JIFFIES, or at the next tick if much is
 * pending. An armed monitor is only ever made to come earlier.
 *
 * @kernel  mm/slab_common.c
 * @context Any but NMI, krcp->lock held.
 */
export function __schedule_delayed_monitor_work(cpu: Cpu, krcp: Krc): void {
  const mem = cpu.mem;
  const monitor = embedded(krcp, MONITOR_WORK);
  const many = krc_count(cpu, krcp) >= bulk_max_entr(cpu);
  const delay = many ? 1 : mem.peek(embedded(cpu.globals, KVFREE_GLOBALS), DRAIN_JIFFIES);
  if (!work_pending(cpu, embedded(monitor, WORK))) {
    queue_delayed_work(cpu, monitor, delay);
    return;
  }
  // Race: the timer may fire meanwhile. Then a time of the past is read here, and nothing is left to be shortened.
  const left = (mem.data_race_read(embedded(monitor, TIMER), EXPIRES) - mem.read_once(cpu.globals, JIFFIES)) | 0;
  if (delay < left) mod_delayed_work(cpu, monitor, delay);
}
/**
 * schedule_delayed_monitor_work() - see to it that the monitor comes for what is pending, if anything is. Without it that
 * would wait for the next kfree_rcu() of the CPU, which may never come.
 *
 * Differs: the kernel leaves the look to the caller, without the lock. Here it is repeated under it: somebody may have
 * taken all meanwhile, and the monitor would come for nothing.
 *
 * @kernel  mm/slab_common.c
 * @context Task, Softirq, Hardirq.
 */
export function schedule_delayed_monitor_work(cpu: Cpu, krcp: Krc): void {
  if (!need_offload_krc(cpu, krcp)) return;
  const flags = krc_lock(cpu, krcp);
  if (need_offload_krc(cpu, krcp)) __schedule_delayed_monitor_work(cpu, krcp);
  krc_unlock(cpu, krcp, flags);
}
