/**
 * kfree_rcu_cpu ("krc"): objects of kfree_rcu() that found no sheaf wait here, linked through their heads, for the
 * monitor, which gives them to a batch, which waits for its grace period (krc_batch.ts). mm/slab_common.c; spec rcu 1.
 *
 *   head --kvfree_rcu_queue_batch()--> krw_arr[i].head_free --grace period--> kfree_rcu_work() --> kfree()
 *   head --monitor, if the grace period of the newest object happens to be over--> kfree()
 *
 * Everything is under krcp->lock: raw, IRQs off, so not callable from NMI. Under it only what takes raw locks of its own:
 * cookies, delayed work, queue_rcu_work(). Never allocation, never kfree().
 *
 * If `head` is not empty, the monitor is pending or running, or a lock holder is about to queue it: otherwise a batch is
 * stranded until the next kfree_rcu() of the CPU.
 */
import { CB } from "../../../layout/callbacks.ts";
import { Globals } from "../../../layout/globals.ts";
import {
  KFREE_DRAIN_JIFFIES,
  KFREE_N_BATCHES,
  KfreeRcuCpu,
  KfreeRcuCpuWork,
  KVFREE_BULK_MAX_ENTR,
  KvfreeCounters,
  KvfreeGlobals,
} from "../../../layout/kvfree_rcu.ts";
import { PerCpu } from "../../../layout/percpu.ts";
import { TimerList } from "../../../layout/timer.ts";
import { KvfreeRcuHead } from "../../../layout/types.ts";
import { DelayedWork, WORK_STRUCT_PENDING, WorkStruct } from "../../../layout/workqueue.ts";
import { O_DEFERRED_RCU, O_KRC, O_USER } from "../../../mem/oracle.ts";
import { embedded, embedded_at, NULL, type Ptr } from "../../../mem/struct.ts";
import { local_irq_restore, local_irq_save } from "../../../cpu/context.ts";
import { per_cpu_ptr, this_cpu_ptr, type Cpu } from "../../../cpu/cpu.ts";
import { oracle_move } from "../../../cpu/oracle.ts";
import { init_delayed_work, mod_delayed_work, queue_delayed_work } from "../../kernel/workqueue.ts";
import { get_state_synchronize_rcu } from "../../rcu/poll.ts";
import { init_rcu_work } from "../../rcu/rcu_work.ts";
import { LC } from "../../sync/lockdep.ts";
import { raw_spin_lock, raw_spin_unlock, spin_lock_init } from "../../sync/spinlock.ts";

const { krc: KRC, kvfree: KVFREE } = PerCpu.offset;
const {
  lock: LOCK,
  head: HEAD,
  head_gp_snap: HEAD_GP_SNAP,
  head_count: HEAD_COUNT,
  krw_arr: KRW_ARR,
  monitor_work: MONITOR_WORK,
} = KfreeRcuCpu.offset;
const { rcu_work: RCU_WORK, krcp: KRCP } = KfreeRcuCpuWork.offset;
const { next: NEXT } = KvfreeRcuHead.offset;
const { kvfree: KVFREE_GLOBALS, jiffies: JIFFIES } = Globals.offset;
const { drain_jiffies: DRAIN_JIFFIES, bulk_max_entr: BULK_MAX_ENTR } = KvfreeGlobals.offset;
const { work: WORK, timer: TIMER } = DelayedWork.offset;
const { data: DATA } = WorkStruct.offset;
const { expires: EXPIRES } = TimerList.offset;
const { kfree_rcu_krc: N_KRC } = KvfreeCounters.offset;

/** Slot `i` of a CPU's batches. */
export function krwp_of(krcp: Ptr<"kfree_rcu_cpu">, i: number): Ptr<"kfree_rcu_cpu_work"> {
  return embedded_at(krcp, KRW_ARR, i, KfreeRcuCpuWork.size);
}

/** Makes every CPU's krc usable. @kernel mm/slab_common.c: kvfree_rcu_init() @context Task, at boot */
export function krc_init(cpu: Cpu): void {
  const globals = embedded(cpu.globals, KVFREE_GLOBALS);
  cpu.mem.init(globals, DRAIN_JIFFIES, KFREE_DRAIN_JIFFIES);
  cpu.mem.init(globals, BULK_MAX_ENTR, KVFREE_BULK_MAX_ENTR);
  for (let id = 0; id < cpu.map.shape.cpus; id++) {
    const krcp = per_cpu_ptr(cpu, KRC, id);
    spin_lock_init(cpu, embedded(krcp, LOCK), LC.krc);
    init_delayed_work(cpu, embedded(krcp, MONITOR_WORK), CB.kfree_rcu_monitor);
    for (let i = 0; i < KFREE_N_BATCHES; i++) {
      init_rcu_work(cpu, embedded(krwp_of(krcp, i), RCU_WORK), CB.kfree_rcu_work);
      cpu.mem.init(krwp_of(krcp, i), KRCP, krcp);
    }
  }
}

/** Takes a krc's lock with IRQs off. @returns what krc_unlock() takes. @context Any but NMI */
export function krc_lock(cpu: Cpu, krcp: Ptr<"kfree_rcu_cpu">): number {
  const flags = local_irq_save(cpu);
  raw_spin_lock(cpu, embedded(krcp, LOCK));
  return flags;
}
/** @context The holder of the lock. */
export function krc_unlock(cpu: Cpu, krcp: Ptr<"kfree_rcu_cpu">, flags: number): void {
  raw_spin_unlock(cpu, embedded(krcp, LOCK));
  local_irq_restore(cpu, flags);
}

/**
 * Adds an object to this CPU's list and sees to it that the monitor comes.
 *
 * @kernel  mm/slab_common.c, in kvfree_call_rcu()
 * @context Any but NMI; raw locks of the caller may be held.
 */
export function add_ptr_to_krc(cpu: Cpu, head: Ptr<"kvfree_rcu_head">, object: Ptr): void {
  const mem = cpu.mem;
  const flags = local_irq_save(cpu); // First, so that this stays the CPU whose krc it is.
  const krcp = this_cpu_ptr(cpu, KRC);
  krc_lock(cpu, krcp);
  oracle_move(cpu, object, O_USER | O_DEFERRED_RCU, O_KRC);
  mem.write(head, NEXT, mem.read_once(krcp, HEAD));
  mem.write_once(krcp, HEAD, head);
  mem.write_once(krcp, HEAD_COUNT, mem.read_once(krcp, HEAD_COUNT) + 1);
  mem.write(krcp, HEAD_GP_SNAP, get_state_synchronize_rcu(cpu)); // Of the newest object, so it covers all.
  mem.count(this_cpu_ptr(cpu, KVFREE), N_KRC, 1);
  // Why: under the lock. Nobody else may arm the monitor's timer at the same time.
  __schedule_delayed_monitor_work(cpu, krcp);
  krc_unlock(cpu, krcp, flags);
}

/** Is there anything that no batch has taken yet? @kernel mm/slab_common.c @context Any: a probe without the lock */
export function need_offload_krc(cpu: Cpu, krcp: Ptr<"kfree_rcu_cpu">): boolean {
  return cpu.mem.read_once(krcp, HEAD) !== NULL;
}

/**
 * __schedule_delayed_monitor_work() - let the monitor come in KFREE_DRAIN_JIFFIES, or at the next tick if much is
 * pending. An armed monitor is only ever made to come earlier.
 *
 * @kernel  mm/slab_common.c
 * @context Any but NMI, krcp->lock held.
 */
export function __schedule_delayed_monitor_work(cpu: Cpu, krcp: Ptr<"kfree_rcu_cpu">): void {
  const mem = cpu.mem;
  const globals = embedded(cpu.globals, KVFREE_GLOBALS);
  const monitor = embedded(krcp, MONITOR_WORK);
  const many = mem.read_once(krcp, HEAD_COUNT) >= mem.read(globals, BULK_MAX_ENTR);
  const delay = many ? 1 : mem.read(globals, DRAIN_JIFFIES);
  if ((mem.read_once(embedded(monitor, WORK), DATA) & WORK_STRUCT_PENDING) === 0) {
    queue_delayed_work(cpu, monitor, delay);
    return;
  }
  // Race: the timer may fire meanwhile. Then a time of the past is read here, and nothing is left to be shortened.
  const left = (mem.data_race_read(embedded(monitor, TIMER), EXPIRES) - mem.read_once(cpu.globals, JIFFIES)) | 0;
  if (delay < left) mod_delayed_work(cpu, monitor, delay);
}
