/**
 * RCU: boot, and what the rest of the machine calls. kernel/rcu/tree.c; spec rcu 4.
 *
 *   rcu_note_context_switch()   before a task sleeps, and at cond_resched(): a quiescent state
 *   rcu_sched_clock_irq()       each tick: was what it interrupted quiescent? is there anything to do?
 *   rcu_core()                  the softirq: quiescent states, grace periods, callbacks
 *
 * How a grace period ends though nobody waits actively, and no tick comes: a CPU that has callbacks and may sleep has asked
 * for a grace period and put itself on its leaf's queue before it looked at the leaf for the last time, so it is kicked
 * when the number there changes. A CPU that is awaited and does not report is idle, and reported for; or it is kicked,
 * and comes by rcu_note_context_switch() before it sleeps. Whoever makes the engine runnable has raised its own softirq.
 */
import { bind_callback } from "../../cpu/callback_table.ts";
import { local_irq_restore, local_irq_save } from "../../cpu/context.ts";
import type { Cpu } from "../../cpu/cpu.ts";
import { CB } from "../../layout/callbacks.ts";
import { Globals } from "../../layout/globals.ts";
import { IRQ_WORK_HARD_IRQ } from "../../layout/irq_work.ts";
import { RCU_CPU_STALL_TIMEOUT, RCU_GP_FLAG_INIT, RcuData, RcuNode, RcuSegcblist, RcuState } from "../../layout/rcu.ts";
import { WaitQueue } from "../../layout/types.ts";
import { embedded, type Ptr } from "../../mem/struct.ts";
import { init_irq_work } from "../kernel/irq_work.ts";
import { raise_softirq, raise_softirq_irqoff, RCU_SOFTIRQ } from "../kernel/softirq.ts";
import { LC } from "../sync/lockdep.ts";
import { mutex_init } from "../sync/mutex.ts";
import { spin_lock_init } from "../sync/spinlock.ts";
import { rcu_leak_callback } from "./debug_rcu_head.ts";
import { per_rcu_data, rcu_init_one, rcu_mynode, rcu_state, this_rcu_data } from "./rcu_node.ts";
import {
  rcu_segcblist_init,
  rcu_segcblist_n_cbs,
  rcu_segcblist_ready_cbs,
  rcu_segcblist_unassigned_cbs,
} from "./rcu_segcblist.ts";
import { RCU_INITIAL_GP_SEQ } from "./rcu_seq.ts";
import { rcu_note_preemption, rcu_preempt_deferred_qs, rcu_preempt_need_deferred_qs } from "./tree_plugin.ts";
import { rcu_work_rcufn } from "./rcu_work.ts";
import { rcu_barrier_callback, rcu_barrier_handler } from "./tree_barrier.ts";
import { rcu_do_batch } from "./tree_cb.ts";
import { rcu_exp_handler } from "./tree_exp.ts";
import { rcu_report_exp_rdp } from "./tree_exp_qs.ts";
import { bind_rcu_hotplug } from "./tree_hotplug.ts";
import { rcu_iw_handler } from "./tree_fqs.ts";
import { rcu_gp_kthread, rcu_gp_runnable } from "./tree_gp.ts";
import { note_gp_changes, rcu_check_quiescent_state, rcu_qs, rcu_report_qs_rdp } from "./tree_qs.ts";
import { rcu_accelerate_cbs_unlocked, rcu_gp_in_progress } from "./tree_request.ts";
import { check_cpu_stall } from "./tree_stall.ts";
import { synchronize_rcu, wakeme_after_rcu } from "./tree_sync.ts";
import { rcu_interrupted_reader, rcu_read_lock, rcu_read_unlock, rcu_softirq_over_reader } from "./update.ts";

export { rcu_barrier } from "./tree_barrier.ts";
export { call_rcu, call_rcu_hurry } from "./tree_cb.ts";
export { rcu_gp_step } from "./tree_gp.ts";
export { synchronize_rcu } from "./tree_sync.ts";

const {
  gp_seq: STATE_GP_SEQ,
  gp_flags: GP_FLAGS,
  gp_seq_polled: GP_SEQ_POLLED,
  barrier_mutex: BARRIER_MUTEX,
  barrier_lock: BARRIER_LOCK,
  barrier_sequence: BARRIER_SEQUENCE,
  exp_mutex: EXP_MUTEX,
  expedited_sequence: EXPEDITED_SEQUENCE,
  qhimark: QHIMARK,
  qlowmark: QLOWMARK,
  blimit: STATE_BLIMIT,
  stall_timeout: STALL_TIMEOUT,
} = RcuState.offset;
const { gp_seq: GP_SEQ, gp_wq: GP_WQ } = RcuNode.offset;
const {
  gp_seq: RDP_GP_SEQ,
  gp_seq_needed: RDP_GP_SEQ_NEEDED,
  cpu_no_qs_norm: CPU_NO_QS_NORM,
  cpu_no_qs_exp: CPU_NO_QS_EXP,
  core_needs_qs: CORE_NEEDS_QS,
  gpwrap: GPWRAP,
  ticks_this_gp: TICKS_THIS_GP,
  cblist: CBLIST,
  blimit: BLIMIT,
  barrier_seq_snap: BARRIER_SEQ_SNAP,
  rcu_iw: RCU_IW,
  rcu_iw_gp_seq: RCU_IW_GP_SEQ,
} = RcuData.offset;
const { len: LEN } = RcuSegcblist.offset;
const { cpus: CPUS } = WaitQueue.offset;
const { online: ONLINE, tiny: TINY } = Globals.offset;

/** rcu_init() @context boot: on one CPU, the others stopped. globals.online and globals.tiny are set. */
export function rcu_init(cpu: Cpu): void {
  const { mem } = cpu;
  const state = rcu_state(cpu);
  const tiny = mem.peek(cpu.globals, TINY) !== 0;
  mem.poke(state, QHIMARK, tiny ? 8 : 10000);
  mem.poke(state, QLOWMARK, tiny ? 2 : 100);
  mem.poke(state, STATE_BLIMIT, tiny ? 2 : 10);
  mem.poke(state, STALL_TIMEOUT, RCU_CPU_STALL_TIMEOUT);
  for (const number of [STATE_GP_SEQ, GP_SEQ_POLLED, BARRIER_SEQUENCE, EXPEDITED_SEQUENCE]) {
    mem.write_once(state, number, RCU_INITIAL_GP_SEQ);
  }
  mutex_init(cpu, embedded(state, BARRIER_MUTEX), LC.rcu_barrier_mutex);
  mutex_init(cpu, embedded(state, EXP_MUTEX), LC.rcu_exp_mutex);
  spin_lock_init(cpu, embedded(state, BARRIER_LOCK), LC.rcu_barrier_lock);
  rcu_init_one(cpu, mem.read_once(cpu.globals, ONLINE));
  for (let id = 0; id < cpu.map.shape.cpus; id++) rcu_init_data(cpu, per_rcu_data(cpu, id));
}
function rcu_init_data(cpu: Cpu, rdp: Ptr<"rcu_data">): void {
  const { mem } = cpu;
  mem.write(rdp, RDP_GP_SEQ, RCU_INITIAL_GP_SEQ);
  mem.write(rdp, RDP_GP_SEQ_NEEDED, RCU_INITIAL_GP_SEQ);
  mem.write(rdp, RCU_IW_GP_SEQ, RCU_INITIAL_GP_SEQ);
  mem.write_once(rdp, BARRIER_SEQ_SNAP, RCU_INITIAL_GP_SEQ);
  mem.write(rdp, BLIMIT, mem.peek(rcu_state(cpu), STATE_BLIMIT));
  rcu_segcblist_init(cpu, embedded(rdp, CBLIST));
  init_irq_work(cpu, embedded(rdp, RCU_IW), CB.rcu_iw_handler, IRQ_WORK_HARD_IRQ);
}

/** Binds this layer's callback numbers. Once per thread. */
export function bind_rcu(): void {
  bind_callback(CB.rcu_note_context_switch, rcu_note_context_switch);
  bind_callback(CB.rcu_note_preemption, rcu_note_preemption);
  bind_callback(CB.rcu_all_qs, rcu_all_qs);
  bind_callback(CB.rcu_sched_clock_irq, rcu_sched_clock_irq);
  bind_callback(CB.rcu_core, rcu_core);
  bind_callback(CB.rcu_iw_handler, rcu_iw_handler);
  bind_callback(CB.rcu_needs_cpu, rcu_needs_cpu);
  bind_callback(CB.ipi_rcu_barrier_handler, rcu_barrier_handler);
  bind_callback(CB.ipi_rcu_exp_handler, rcu_exp_handler);
  bind_callback(CB.wakeme_after_rcu, wakeme_after_rcu);
  bind_callback(CB.rcu_barrier_callback, rcu_barrier_callback);
  bind_callback(CB.rcu_leak_callback, rcu_leak_callback);
  bind_callback(CB.rcu_work_rcufn, rcu_work_rcufn);
  bind_callback(CB.synchronize_rcu, synchronize_rcu);
  bind_callback(CB.rcu_read_lock, rcu_read_lock);
  bind_callback(CB.rcu_read_unlock, rcu_read_unlock);
  bind_rcu_hotplug();
}

/**
 * rcu_all_qs() - cond_resched()'s quiescent state: the CPU goes on, so its callbacks can wait for a tick, or for more of
 * them, before they ask for a grace period.
 * @context Task, may sleep: no reader of any kind.
 */
export function rcu_all_qs(cpu: Cpu): void {
  const { mem } = cpu;
  const rdp = this_rcu_data(cpu);
  note_gp_changes(cpu, rdp, true);
  rcu_qs(cpu, rdp);
  if (mem.read(rdp, CORE_NEEDS_QS) !== 0) rcu_report_qs_rdp(cpu, rdp);
  if (rcu_segcblist_ready_cbs(cpu, embedded(rdp, CBLIST))) raise_softirq(cpu, RCU_SOFTIRQ);
}
/**
 * rcu_note_context_switch() - this CPU gives itself up: a quiescent state.
 *
 * Differs: the kernel leaves the report to the softirq. Here a CPU that goes to sleep tells its leaf first, so that no
 * grace period waits for the next look at idle CPUs; and it asks for the grace period that its callbacks need.
 *
 * @context Task, may sleep: no reader of any kind.
 */
export function rcu_note_context_switch(cpu: Cpu): void {
  if (cpu.preempt) rcu_preempt_deferred_qs(cpu);
  rcu_all_qs(cpu);
  const rdp = this_rcu_data(cpu);
  // Race: our own interrupts may queue callbacks; each of them raises the softirq then.
  if (cpu.mem.data_race_read(embedded(rdp, CBLIST), LEN) !== 0) settle_callbacks(cpu, rdp);
}

/**
 * This CPU may sleep next, and has callbacks: they get a grace period, and whoever ends one here wakes us. Published first,
 * then looked: what the leaf shows after that is ours to see, what it shows later comes with a kick.
 */
function settle_callbacks(cpu: Cpu, rdp: Ptr<"rcu_data">): void {
  const { mem } = cpu;
  const flags = local_irq_save(cpu);
  const cblist = embedded(rdp, CBLIST);
  if (rcu_segcblist_unassigned_cbs(cpu, cblist)) rcu_accelerate_cbs_unlocked(cpu, rdp);
  if (rcu_segcblist_n_cbs(cpu, cblist) !== 0) {
    const leaf = rcu_mynode(cpu, rdp);
    const queue = embedded(leaf, GP_WQ);
    const bit = 1 << cpu.id;
    // Race: our bit is cleared by who will kick us. If we still see it, that is yet to come.
    if ((mem.data_race_read(queue, CPUS) & bit) === 0) mem.fetch_or(queue, CPUS, bit);
    const changed = mem.read_once(leaf, GP_SEQ) !== mem.read(rdp, RDP_GP_SEQ);
    if (changed || rcu_segcblist_ready_cbs(cpu, cblist)) raise_softirq_irqoff(cpu, RCU_SOFTIRQ);
  }
  local_irq_restore(cpu, flags);
}

/** rcu_sched_clock_irq(): RCU's part of the tick. @context Hardirq, as its outermost function. */
export function rcu_sched_clock_irq(cpu: Cpu): void {
  const rdp = this_rcu_data(cpu);
  cpu.mem.write(rdp, TICKS_THIS_GP, cpu.mem.read(rdp, TICKS_THIS_GP) + 1);
  if (!rcu_interrupted_reader(cpu)) rcu_qs(cpu, rdp);
  check_cpu_stall(cpu);
  if (rcu_pending(cpu, rdp)) raise_softirq(cpu, RCU_SOFTIRQ);
}
/**
 * rcu_needs_cpu() - does RCU need the ticks of this CPU, which goes idle? For its callbacks; and, where a grace period is
 * asked for or in progress, because no thread of its own drives it. A CPU that starts one later is not idle without ticks.
 *
 * @kernel  kernel/rcu/tree.c
 * @context IRQs off
 */
export function rcu_needs_cpu(cpu: Cpu): boolean {
  const { mem } = cpu;
  const rdp = this_rcu_data(cpu);
  if (rcu_segcblist_n_cbs(cpu, embedded(rdp, CBLIST)) !== 0 || mem.read(rdp, CPU_NO_QS_EXP) !== 0) return true;
  return rcu_gp_in_progress(cpu) || (mem.read_once(rcu_state(cpu), GP_FLAGS) & RCU_GP_FLAG_INIT) !== 0;
}
/** rcu_pending(): is there anything for rcu_core() to do? IRQs off. */
function rcu_pending(cpu: Cpu, rdp: Ptr<"rcu_data">): boolean {
  const { mem } = cpu;
  const cblist = embedded(rdp, CBLIST);
  if (mem.read(rdp, CORE_NEEDS_QS) !== 0 && mem.read(rdp, CPU_NO_QS_NORM) === 0) return true;
  if (mem.read(rdp, CPU_NO_QS_EXP) !== 0) return true;
  if (rcu_segcblist_ready_cbs(cpu, cblist)) return true;
  if (rcu_segcblist_unassigned_cbs(cpu, cblist) && !rcu_gp_in_progress(cpu)) return true;
  if (mem.read_once(rcu_mynode(cpu, rdp), GP_SEQ) !== mem.read(rdp, RDP_GP_SEQ)) return true;
  if (cpu.preempt && rcu_preempt_need_deferred_qs(cpu)) return true;
  return mem.data_race_read(rdp, GPWRAP) !== 0 || rcu_gp_runnable(cpu);
}

/**
 * rcu_core() - the softirq.
 * @context Softirq, IRQs on.
 */
export function rcu_core(cpu: Cpu): void {
  const { mem } = cpu;
  const rdp = this_rcu_data(cpu);
  report_deferred_qs(cpu, rdp);
  rcu_check_quiescent_state(cpu);
  request_grace_period(cpu, rdp);
  if (rcu_gp_kthread(cpu)) rcu_check_quiescent_state(cpu); // It may have ended what our callbacks wait for.
  if (rcu_segcblist_ready_cbs(cpu, embedded(rdp, CBLIST))) rcu_do_batch(cpu);
  // Callbacks may have been queued by an interrupt, or by a callback, behind this CPU's last look before it sleeps.
  if (mem.data_race_read(embedded(rdp, CBLIST), LEN) !== 0) settle_callbacks(cpu, rdp);
}
/** Callbacks without a number, and no grace period in progress whose end would give them one. */
function request_grace_period(cpu: Cpu, rdp: Ptr<"rcu_data">): void {
  const flags = local_irq_save(cpu);
  const unassigned = rcu_segcblist_unassigned_cbs(cpu, embedded(rdp, CBLIST));
  if (unassigned && !rcu_gp_in_progress(cpu)) rcu_accelerate_cbs_unlocked(cpu, rdp);
  local_irq_restore(cpu, flags);
}
/** An expedited grace period waits for a reader to end, which it may have done by now. */
function report_deferred_qs(cpu: Cpu, rdp: Ptr<"rcu_data">): void {
  if (cpu.preempt && rcu_preempt_need_deferred_qs(cpu) && !rcu_softirq_over_reader(cpu)) rcu_preempt_deferred_qs(cpu);
  if (cpu.mem.read(rdp, CPU_NO_QS_EXP) === 0) return;
  if (!rcu_softirq_over_reader(cpu)) rcu_report_exp_rdp(cpu, rdp);
}
