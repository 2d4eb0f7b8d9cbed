/**
 * kfree_rcu_nolock() as first posted in February 2026 (RFC), to be compared with what was merged. Spec rcu 2.3, slub 13.
 *
 *   1  rcu_free sheaf, unless the object would fill it: a full one must be submitted, and call_rcu() is illegal here
 *   2  krcp->head under a trylock: no bnode, no page cache; the monitor is armed by a lazy irq_work, with the next tick
 *   3  a list of its own, whose irq_work calls kvfree_call_rcu()
 *
 * Always 3: with kmemleak or debugobjects, whose locks spin, and in a machine without batching. The series refused
 * PREEMPT_RT, and so does a machine of that variant.
 *
 * If krcp->head is not empty and nobody holds the lock, the monitor is pending or running, or monitor_work is: who links
 * queues the work before the unlock. Until the work has run, what came last may rely on it alone, which its author was not
 * happy with; NolockRfcCounters say how often that is so, and for how long (docs/VARIANTS.md).
 *
 * Barriers: deferred_work_barrier() waits for both works (nolock_rfc_barrier()); what they leave is in a sheaf or in krc.
 */
import { CB } from "../../../layout/callbacks.ts";
import { HOOK_DEBUGOBJECTS, HOOK_KMEMLEAK } from "../../../layout/debug.ts";
import { Globals, VARIANT_RFC } from "../../../layout/globals.ts";
import { IRQ_WORK_LAZY } from "../../../layout/irq_work.ts";
import { KfreeRcuCpu, KvfreeCounters } from "../../../layout/kvfree_rcu.ts";
import { NolockRfc, NolockRfcCounters } from "../../../layout/nolock_rfc.ts";
import { PerCpu } from "../../../layout/percpu.ts";
import { SLAB_FREE_KEEP_ROOM, SLAB_FREE_NOLOCK } from "../../../layout/slab_flags.ts";
import { DelayedWork } from "../../../layout/workqueue.ts";
import { O_DEFERRED_RCU, O_USER } from "../../../mem/oracle.ts";
import { container_of, embedded, type Ptr } from "../../../mem/struct.ts";
import { bug } from "../../../cpu/bug.ts";
import {
  describe_context,
  in_nmi,
  local_irq_restore,
  local_irq_save,
  preempt_disable,
  preempt_enable,
} from "../../../cpu/context.ts";
import { per_cpu_ptr, this_cpu_ptr, type Cpu } from "../../../cpu/cpu.ts";
import { oracle_move } from "../../../cpu/oracle.ts";
import { tick_nohz_tick_stopped } from "../../../cpu/sched.ts";
import { init_irq_work, irq_work_is_busy, irq_work_queue, irq_work_sync } from "../../kernel/irq_work.ts";
import { work_pending } from "../../kernel/workqueue.ts";
import { init_llist_head, llist_del_all } from "../../lib/llist.ts";
import { raw_spin_trylock } from "../../sync/spinlock.ts";
import { defer } from "./deferred.ts";
import { free_objects_by_rcu } from "./deferred_work.ts";
import { kfree_rcu_sheaf } from "./kfree_rcu_sheaf.ts";
import {
  __schedule_delayed_monitor_work,
  krc_count,
  krc_link_head,
  krc_lock,
  krc_unlock,
  need_offload_krc,
} from "./krc.ts";
import { is_unbatched } from "./unbatched.ts";

const { krc: KRC, kvfree: KVFREE, nolock_rfc: NOLOCK_RFC, nolock_rfc_counters: COUNTERS } = PerCpu.offset;
const { kfree_rcu_nolock_sheaf: N_SHEAF, kfree_rcu_nolock_deferred: N_DEFERRED } = KvfreeCounters.offset;
const {
  deferred: DEFERRED,
  deferred_work: DEFERRED_WORK,
  monitor_work: MONITOR_WORK,
  linked: LINKED,
  linked_at: LINKED_AT,
} = NolockRfc.offset;
const {
  linked: N_LINKED,
  trylock_failed: N_TRYLOCK_FAILED,
  monitor_queued: N_QUEUED,
  monitor_raised: N_RAISED,
  monitor_runs: N_RUNS,
  monitor_empty: N_EMPTY,
  monitor_needless: N_NEEDLESS,
  monitor_armed: N_ARMED,
  stranded_objects: N_STRANDED,
  waited_jiffies: N_WAITED,
  monitor_late: N_LATE,
} = NolockRfcCounters.offset;
const { lock: KRC_LOCK, monitor_work: KRC_MONITOR_WORK } = KfreeRcuCpu.offset;
const { work: DELAYED_WORK } = DelayedWork.offset;
const { nolock_variant: NOLOCK_VARIANT, hooks: HOOKS, jiffies: JIFFIES } = Globals.offset;

/** Makes list and works of every CPU usable. @context Task, at boot */
export function nolock_rfc_init(cpu: Cpu): void {
  for (let id = 0; id < cpu.map.shape.cpus; id++) {
    const rfc = per_cpu_ptr(cpu, NOLOCK_RFC, id);
    init_llist_head(cpu, embedded(rfc, DEFERRED));
    init_irq_work(cpu, embedded(rfc, DEFERRED_WORK), CB.nolock_rfc_deferred_fn);
    init_irq_work(cpu, embedded(rfc, MONITOR_WORK), CB.nolock_rfc_monitor_fn, IRQ_WORK_LAZY);
  }
}

/**
 * kfree_call_rcu_nolock() - see above.
 *
 * @kernel  mm/slab_common.c, February 2026
 * @context Any, NMI included.
 */
export function kfree_call_rcu_nolock(cpu: Cpu, head: Ptr<"kvfree_rcu_head">, ptr: Ptr): void {
  if (may_not_batch(cpu)) defer_to_irq_work(cpu, head, ptr);
  else if (kfree_rcu_sheaf(cpu, ptr, SLAB_FREE_NOLOCK | SLAB_FREE_KEEP_ROOM)) count_sheaf(cpu);
  else if (!link_to_krc(cpu, head, ptr)) defer_to_irq_work(cpu, head, ptr);
}
function may_not_batch(cpu: Cpu): boolean {
  return is_unbatched(cpu) || (cpu.mem.peek(cpu.globals, HOOKS) & (HOOK_KMEMLEAK | HOOK_DEBUGOBJECTS)) !== 0;
}
function count_sheaf(cpu: Cpu): void {
  cpu.mem.count(this_cpu_ptr(cpu, KVFREE), N_SHEAF, 1);
}

/** Onto krcp->head. @returns false if somebody has the lock: on this CPU, whom we interrupted, or on another one. */
function link_to_krc(cpu: Cpu, head: Ptr<"kvfree_rcu_head">, ptr: Ptr): boolean {
  const counters = this_cpu_ptr(cpu, COUNTERS);
  const flags = local_irq_save(cpu);
  const krcp = this_cpu_ptr(cpu, KRC);
  const locked = raw_spin_trylock(cpu, embedded(krcp, KRC_LOCK));
  if (locked) {
    krc_link_head(cpu, krcp, head, ptr);
    cpu.mem.count(counters, N_LINKED, 1);
    queue_monitor_work(cpu);
    krc_unlock(cpu, krcp, flags);
  } else {
    cpu.mem.count(counters, N_TRYLOCK_FAILED, 1);
    local_irq_restore(cpu, flags);
  }
  return locked;
}
/** krcp->lock is held. Neither timers nor work queues may be touched here: their locks spin. */
function queue_monitor_work(cpu: Cpu): void {
  const { mem } = cpu;
  const rfc = this_cpu_ptr(cpu, NOLOCK_RFC);
  if (mem.peek(rfc, LINKED) === 0) mem.poke(rfc, LINKED_AT, mem.peek(cpu.globals, JIFFIES));
  mem.count(rfc, LINKED, 1);
  if (!irq_work_queue(cpu, embedded(rfc, MONITOR_WORK))) return;
  mem.count(this_cpu_ptr(cpu, COUNTERS), N_QUEUED, 1);
  if (tick_nohz_tick_stopped(cpu)) mem.count(this_cpu_ptr(cpu, COUNTERS), N_RAISED, 1);
}
function defer_to_irq_work(cpu: Cpu, head: Ptr<"kvfree_rcu_head">, ptr: Ptr): void {
  oracle_move(cpu, ptr, O_USER, O_DEFERRED_RCU);
  preempt_disable(cpu);
  const rfc = this_cpu_ptr(cpu, NOLOCK_RFC);
  cpu.mem.count(this_cpu_ptr(cpu, KVFREE), N_DEFERRED, 1);
  defer(cpu, head as Ptr as Ptr<"llist_node">, embedded(rfc, DEFERRED), embedded(rfc, DEFERRED_WORK));
  preempt_enable(cpu);
}

/** The handler of `deferred`. @context Hardirq, with no irqsave lock of this CPU held below. @pairs defer_to_irq_work() */
export function nolock_rfc_deferred_fn(cpu: Cpu, work: Ptr<"irq_work">): void {
  if (in_nmi(cpu)) bug(cpu, `deferred work in ${describe_context(cpu)}`);
  free_objects_by_rcu(cpu, llist_del_all(cpu, embedded(container_of(work, DEFERRED_WORK), DEFERRED)));
}

/**
 * The lazy irq_work: arms the monitor of this CPU's krc for what link_to_krc() has put there.
 *
 * @context Hardirq, with no irqsave lock of this CPU held below.
 * @pairs   queue_monitor_work(): links, then queues. If that found this work pending, it is covered by this run.
 */
export function nolock_rfc_monitor_fn(cpu: Cpu, work: Ptr<"irq_work">): void {
  const krcp = this_cpu_ptr(cpu, KRC);
  const flags = krc_lock(cpu, krcp);
  count_run(cpu, container_of(work, MONITOR_WORK), krcp);
  if (need_offload_krc(cpu, krcp)) __schedule_delayed_monitor_work(cpu, krcp);
  krc_unlock(cpu, krcp, flags);
}
/** krcp->lock is held. */
function count_run(cpu: Cpu, rfc: Ptr<"nolock_rfc">, krcp: Ptr<"kfree_rcu_cpu">): void {
  const { mem } = cpu;
  const counters = this_cpu_ptr(cpu, COUNTERS);
  mem.count(counters, N_RUNS, 1);
  if (mem.peek(rfc, LINKED) !== 0) {
    const waited = (mem.peek(cpu.globals, JIFFIES) - mem.peek(rfc, LINKED_AT)) | 0;
    mem.count(counters, N_WAITED, waited);
    if (waited > 1) mem.count(counters, N_LATE, 1);
  }
  mem.poke(rfc, LINKED, 0);
  const objects = krc_count(cpu, krcp);
  const pending = work_pending(cpu, embedded(embedded(krcp, KRC_MONITOR_WORK), DELAYED_WORK));
  if (objects === 0) mem.count(counters, N_EMPTY, 1);
  else if (pending) mem.count(counters, N_NEEDLESS, 1);
  else {
    mem.count(counters, N_ARMED, 1);
    mem.count(counters, N_STRANDED, objects);
  }
}

/**
 * This variant's part of deferred_work_barrier(): what was on `deferred` before the call has been given to
 * kvfree_call_rcu(), and what was in krc has its monitor. Nothing to do in machines with another variant.
 *
 * @context Task, may sleep, IRQs on.
 */
export function nolock_rfc_barrier(cpu: Cpu): void {
  if (cpu.mem.peek(cpu.globals, NOLOCK_VARIANT) !== VARIANT_RFC) return;
  for (let id = 0; id < cpu.map.shape.cpus; id++) {
    const rfc = per_cpu_ptr(cpu, NOLOCK_RFC, id);
    sync_if_busy(cpu, embedded(rfc, DEFERRED_WORK));
    sync_if_busy(cpu, embedded(rfc, MONITOR_WORK));
  }
}
/** Why the look: where irq_work_sync() sleeps it ends with a grace period, for those who free the work. Nobody does. */
function sync_if_busy(cpu: Cpu, work: Ptr<"irq_work">): void {
  if (irq_work_is_busy(cpu, work)) irq_work_sync(cpu, work);
}
