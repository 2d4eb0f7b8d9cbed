/**
 * kfree_rcu(): free an object after a grace period, without a callback of its own. Two forms of head will do: struct
 * rcu_head (16 bytes) and struct kvfree_rcu_head (8), since only its first word is used. mm/slab_common.c; spec rcu 1.3.
 *
 *   kfree_rcu() --> kvfree_call_rcu() --> rcu_free sheaf of this CPU and cache (kfree_rcu_sheaf.ts)
 *                                    \--> kfree_rcu_cpu of this CPU: a bnode   (krc_bulk.ts)
 *                                    \--> the same: the list through the head  (krc.ts)
 *   kfree_rcu_mightsleep(), which needs no head, has synchronize_rcu() in place of the last one.
 *
 * kvfree_rcu() is kfree_rcu(): each takes objects of kmalloc(), of caches and of vmalloc(). From NMI, and from a context
 * that may have interrupted this code: kfree_rcu_nolock().
 */
import { KvfreeCounters, KVFREE_RCU_OFFSET_LIMIT } from "../../../layout/kvfree_rcu.ts";
import { BUG_RT_RCU_SHEAF } from "../../../layout/bugs.ts";
import { PerCpu } from "../../../layout/percpu.ts";
import { NULL, type Inner, type Ptr } from "../../../mem/struct.ts";
import { bug } from "../../../cpu/bug.ts";
import { has_bug } from "../../../cpu/bugs.ts";
import { describe_context, in_nmi, local_irq_save, might_sleep } from "../../../cpu/context.ts";
import { this_cpu_ptr, type Cpu } from "../../../cpu/cpu.ts";
import { oracle_grace_period_begin, oracle_issued } from "../../../cpu/oracle.ts";
import { EV_KFREE_RCU, trace } from "../../../cpu/trace.ts";
import { RCU_QUEUE, RCU_QUEUED, RCU_UNQUEUE, run_rcu_hooks } from "../debug/facilities.ts";
import { PATH } from "../debug/facility.ts";
import { kfree_rcu_sheaf } from "./kfree_rcu_sheaf.ts";
import {
  __schedule_delayed_monitor_work,
  krc_link_head,
  krc_this_cpu_lock,
  krc_unlock,
  scheduler_running,
} from "./krc.ts";
import { add_ptr_to_bulk_krc_lock } from "./krc_bulk.ts";
import { run_page_cache_worker } from "./page_cache.ts";
import { is_unbatched, kvfree_call_rcu_unbatched, synchronize_rcu_and_kvfree } from "./unbatched.ts";

const { kvfree: KVFREE } = PerCpu.offset;
const { kfree_rcu: N_CALLS, kfree_rcu_mightsleep: N_MIGHTSLEEP, kfree_rcu_sheaf: N_SHEAF } = KvfreeCounters.offset;

/** Offset of the head that kfree_rcu() needs in a struct S. */
export type KvfreeRcuField<S extends string> = Inner<S, "rcu_head" | "kvfree_rcu_head" | "rcu_ptr">;

/**
 * kfree_rcu() - free `ptr` once every reader that may have found it has finished.
 *
 * @kernel  include/linux/rcupdate.h
 * @param   field  offset of the head inside the object, below 4096. From now on the head belongs to RCU.
 * @context Any but NMI; raw locks may be held. Not on top of call_rcu(), or of the locks named in kvfree_call_rcu().
 */
export function kfree_rcu<S extends string>(cpu: Cpu, ptr: Ptr<S>, field: KvfreeRcuField<NoInfer<S>>): void {
  const head = kvfree_rcu_head_of(cpu, "kfree_rcu", ptr, field);
  if (head === NULL) return;
  cpu.mem.count(this_cpu_ptr(cpu, KVFREE), N_CALLS, 1);
  kvfree_call_rcu(cpu, head, ptr);
  oracle_issued(cpu, ptr);
}

/** What kfree_rcu() and kfree_rcu_nolock() begin with. @returns the head, or NULL if `ptr` is. @context Any */
export function kvfree_rcu_head_of<S extends string>(
  cpu: Cpu,
  caller: string,
  ptr: Ptr<S>,
  field: KvfreeRcuField<S>,
): Ptr<"kvfree_rcu_head"> {
  // An absent field, which the types forbid, is not below the limit either.
  if (!(field >= 0 && field < KVFREE_RCU_OFFSET_LIMIT)) {
    bug(cpu, `${caller}(): needs the offset of a head in the object, below ${KVFREE_RCU_OFFSET_LIMIT}, not ${field}`);
  }
  if (ptr === NULL) return NULL;
  oracle_grace_period_begin(cpu, ptr);
  const head = (ptr + field) as Ptr<"kvfree_rcu_head">;
  trace(cpu, EV_KFREE_RCU, ptr, head);
  return head;
}

/**
 * kfree_rcu_mightsleep() - the same for an object without a head. It waits for the grace period itself if there is
 * neither a sheaf nor memory to note the object down: the object is free when it returns.
 *
 * @kernel  include/linux/rcupdate.h
 * @context Task, may sleep.
 */
export function kfree_rcu_mightsleep(cpu: Cpu, ptr: Ptr): void {
  if (ptr === NULL) return;
  oracle_grace_period_begin(cpu, ptr);
  trace(cpu, EV_KFREE_RCU, ptr, NULL);
  const counters = this_cpu_ptr(cpu, KVFREE);
  cpu.mem.count(counters, N_CALLS, 1);
  cpu.mem.count(counters, N_MIGHTSLEEP, 1);
  kvfree_call_rcu(cpu, NULL, ptr);
  oracle_issued(cpu, ptr);
}
export { kfree_rcu as kvfree_rcu, kfree_rcu_mightsleep as kvfree_rcu_mightsleep };

/**
 * kvfree_call_rcu() - what kfree_rcu() does, and what the handler of deferred objects does in its place.
 *
 * An object in a sheaf is seen by none of the debug facilities until its grace period is over (docs/HOOKS.md).
 *
 * @kernel  mm/slab_common.c
 * @param   head  of the object; NULL: it has none, and the caller may sleep.
 * @context Any but NMI; raw locks of the caller may be held. Spins on barn locks and on krc->lock.
 */
export function kvfree_call_rcu(cpu: Cpu, head: Ptr<"kvfree_rcu_head">, ptr: Ptr): void {
  if (in_nmi(cpu)) bug(cpu, `kfree_rcu() in NMI, where only kfree_rcu_nolock() may be used (${describe_context(cpu)})`);
  if (head === NULL) might_sleep(cpu, "kfree_rcu_mightsleep");
  if (is_unbatched(cpu)) {
    kvfree_call_rcu_unbatched(cpu, head, ptr);
    return;
  }
  // Why: with PREEMPT_RT the caller may hold pi_lock, which the lock of the sheaves would take.
  if ((!cpu.rt || has_bug(cpu, BUG_RT_RCU_SHEAF)) && kfree_rcu_sheaf(cpu, ptr)) {
    cpu.mem.count(this_cpu_ptr(cpu, KVFREE), N_SHEAF, 1);
    return;
  }
  if (!run_rcu_hooks(cpu, RCU_QUEUE, PATH.kfree_rcu, ptr)) return; // Freed twice: the second free leaks it.
  const flags = local_irq_save(cpu);
  const krcp = krc_this_cpu_lock(cpu);
  let success = add_ptr_to_bulk_krc_lock(cpu, krcp, flags, ptr, head === NULL);
  if (!success) {
    run_page_cache_worker(cpu, krcp);
    if (head !== NULL) {
      krc_link_head(cpu, krcp, head, ptr);
      success = true;
    }
  }
  if (success) {
    run_rcu_hooks(cpu, RCU_QUEUED, PATH.kfree_rcu, ptr);
    // Why: under the lock. Nobody else may arm the monitor's timer at the same time.
    if (scheduler_running(cpu)) __schedule_delayed_monitor_work(cpu, krcp);
  }
  krc_unlock(cpu, krcp, flags);
  if (!success) {
    run_rcu_hooks(cpu, RCU_UNQUEUE, PATH.kfree_rcu, ptr);
    synchronize_rcu_and_kvfree(cpu, ptr);
  }
}
