/**
 * Quiescent states of normal grace periods: noticed by a CPU, carried from its leaf to the root. kernel/rcu/tree.c;
 * spec rcu 4.6.
 *
 *   note_gp_changes()      a CPU learns from its leaf that a grace period has begun or ended
 *   rcu_qs()               the CPU is in a quiescent state now
 *   rcu_report_qs_rdp()    tells the leaf of a quiescent state that came after the beginning was noticed
 *   rcu_report_qs_rnp()    clears a bit, and climbs while nodes become empty
 *
 * Quiescent states from before a grace period do not count for it: noticing its beginning sets cpu_no_qs.
 * Each lock on the way up orders what the readers below did before what happens above, up to the root and the engine.
 */
import { assert } from "../../cpu/bug.ts";
import { local_irq_restore, local_irq_save } from "../../cpu/context.ts";
import type { Cpu } from "../../cpu/cpu.ts";
import { EV_QS, trace } from "../../cpu/trace.ts";
import { CpuCounters } from "../../layout/cpu.ts";
import { RCU_GP_FLAG_FQS, RcuData, RcuNode, RcuState } from "../../layout/rcu.ts";
import { embedded, NULL, type Ptr } from "../../mem/struct.ts";
import { assert_spin_locked, raw_spin_lock, raw_spin_trylock, raw_spin_unlock } from "../sync/spinlock.ts";
import {
  lock_rcu_node,
  rcu_cpu_mask,
  rcu_grpmask,
  rcu_mynode,
  rcu_parent,
  rcu_preempt_blocked_readers_cgp,
  rcu_state,
  this_rcu_data,
  unlock_rcu_node,
} from "./rcu_node.ts";
import { rcu_seq_completed_gp, rcu_seq_new_gp, ULONG_CMP_LT } from "./rcu_seq.ts";
import { rcu_report_exp_rdp } from "./tree_exp_qs.ts";
import { rcu_accelerate_cbs, rcu_advance_cbs, rcu_gp_in_progress, rcu_gp_kthread_wake } from "./tree_request.ts";

const {
  lock: LOCK,
  gp_seq: GP_SEQ,
  gp_seq_needed: GP_SEQ_NEEDED,
  qsmask: QSMASK,
  qsmaskinit: QSMASKINIT,
} = RcuNode.offset;
const { gp_flags: GP_FLAGS } = RcuState.offset;
const {
  gp_seq: RDP_GP_SEQ,
  gp_seq_needed: RDP_GP_SEQ_NEEDED,
  cpu_no_qs_norm: CPU_NO_QS_NORM,
  cpu_no_qs_exp: CPU_NO_QS_EXP,
  core_needs_qs: CORE_NEEDS_QS,
  gpwrap: GPWRAP,
  ticks_this_gp: TICKS_THIS_GP,
  softirq_snap: SOFTIRQ_SNAP,
  n_qs: N_QS,
} = RcuData.offset;
const { softirqs: SOFTIRQS } = CpuCounters.offset;

/**
 * __note_gp_changes() - bring this CPU up to what its leaf knows.
 * @returns true if the caller owes a rcu_gp_kthread_wake().
 * @context IRQs off, the lock of rnp, this CPU's leaf, held.
 */
export function __note_gp_changes(cpu: Cpu, rnp: Ptr<"rcu_node">, rdp: Ptr<"rcu_data">): boolean {
  const { mem } = cpu;
  assert_spin_locked(cpu, embedded(rnp, LOCK));
  const seen = mem.read(rdp, RDP_GP_SEQ);
  const gp_seq = mem.read_once(rnp, GP_SEQ);
  const wrapped = mem.read(rdp, GPWRAP) !== 0;
  if (seen === gp_seq && !wrapped) return false;

  let needwake: boolean;
  if (rcu_seq_completed_gp(seen, gp_seq) || wrapped) {
    needwake = rcu_advance_cbs(cpu, rnp, rdp);
    mem.write(rdp, CORE_NEEDS_QS, 0);
  } else {
    needwake = rcu_accelerate_cbs(cpu, rnp, rdp);
  }
  if (rcu_seq_new_gp(seen, gp_seq) || wrapped) {
    const need = (mem.read(rnp, QSMASK) & rcu_cpu_mask(cpu, rdp)) !== 0 ? 1 : 0;
    mem.write(rdp, CPU_NO_QS_NORM, need); // Only what comes from here on is a quiescent state of this grace period.
    mem.write(rdp, CORE_NEEDS_QS, need);
    mem.write(rdp, TICKS_THIS_GP, 0);
    mem.count(rdp, SOFTIRQ_SNAP, mem.peek(cpu.counters, SOFTIRQS) - mem.peek(rdp, SOFTIRQ_SNAP));
  }
  mem.write(rdp, RDP_GP_SEQ, gp_seq);
  const needed = mem.read(rnp, GP_SEQ_NEEDED);
  if (ULONG_CMP_LT(mem.read(rdp, RDP_GP_SEQ_NEEDED), needed) || wrapped) mem.write(rdp, RDP_GP_SEQ_NEEDED, needed);
  mem.write(rdp, GPWRAP, 0);
  return needwake;
}
/**
 * note_gp_changes()
 * @param spin  wait for the leaf's lock if it is taken. A tick tries again; a CPU that may sleep next must know now.
 * @context Any but NMI, no rcu_node lock held.
 */
export function note_gp_changes(cpu: Cpu, rdp: Ptr<"rcu_data">, spin: boolean): void {
  const { mem } = cpu;
  const rnp = rcu_mynode(cpu, rdp);
  const flags = local_irq_save(cpu);
  if (mem.read(rdp, RDP_GP_SEQ) === mem.read_once(rnp, GP_SEQ) && mem.data_race_read(rdp, GPWRAP) === 0) {
    local_irq_restore(cpu, flags);
    return;
  }
  if (spin) {
    raw_spin_lock(cpu, embedded(rnp, LOCK));
  } else if (!raw_spin_trylock(cpu, embedded(rnp, LOCK))) {
    local_irq_restore(cpu, flags);
    return;
  }
  const needwake = __note_gp_changes(cpu, rnp, rdp);
  raw_spin_unlock(cpu, embedded(rnp, LOCK));
  local_irq_restore(cpu, flags);
  if (needwake) rcu_gp_kthread_wake(cpu);
}

/**
 * rcu_qs() - this CPU is in a quiescent state. Only noted; rcu_report_qs_rdp() tells the leaf. An expedited grace period
 * is told at once.
 * @context Any but NMI, and not a reader: its caller has made sure.
 */
export function rcu_qs(cpu: Cpu, rdp: Ptr<"rcu_data">): void {
  const { mem } = cpu;
  if (mem.read(rdp, CPU_NO_QS_NORM) !== 0) mem.write(rdp, CPU_NO_QS_NORM, 0);
  if (mem.read(rdp, CPU_NO_QS_EXP) !== 0) rcu_report_exp_rdp(cpu, rdp);
}

/**
 * rcu_report_qs_rsp() - all CPUs have been quiescent: the grace period can end.
 * @context IRQs off, the root's lock held; it is released.
 */
function rcu_report_qs_rsp(cpu: Cpu, root: Ptr<"rcu_node">, flags: number): void {
  assert(cpu, rcu_gp_in_progress(cpu), "all quiescent states reported, but no grace period is in progress");
  cpu.mem.fetch_or(rcu_state(cpu), GP_FLAGS, RCU_GP_FLAG_FQS);
  unlock_rcu_node(cpu, root, flags);
  rcu_gp_kthread_wake(cpu);
}
/**
 * rcu_report_qs_rnp() - clear `bits` in a node, and climb while nodes become empty.
 * @param gps    the grace period that the report is for: a late one for an earlier grace period changes nothing.
 * @param flags  of the lock of `start`, which the caller holds; it is released.
 * @context IRQs off
 */
export function rcu_report_qs_rnp(cpu: Cpu, start: Ptr<"rcu_node">, bits: number, gps: number, flags: number): void {
  const { mem } = cpu;
  let rnp = start;
  let mask = bits;
  let irqs = flags;
  for (;;) {
    const qsmask = mem.read(rnp, QSMASK);
    if ((qsmask & mask) === 0 || mem.read_once(rnp, GP_SEQ) !== gps) {
      unlock_rcu_node(cpu, rnp, irqs);
      return;
    }
    assert(cpu, (qsmask & ~mem.read(rnp, QSMASKINIT)) === 0, "I-RCU-1: qsmask names a CPU that was offline");
    const left = qsmask & ~mask;
    mem.write(rnp, QSMASK, left);
    if (left !== 0 || rcu_preempt_blocked_readers_cgp(cpu, rnp)) {
      unlock_rcu_node(cpu, rnp, irqs);
      return;
    }
    const parent = rcu_parent(cpu, rnp);
    if (parent === NULL) {
      rcu_report_qs_rsp(cpu, rnp, irqs);
      return;
    }
    mask = rcu_grpmask(cpu, rnp);
    unlock_rcu_node(cpu, rnp, irqs);
    rnp = parent;
    irqs = lock_rcu_node(cpu, rnp);
  }
}
/**
 * rcu_report_qs_rdp() - tell the leaf that this CPU has been quiescent, unless that is out of date.
 * @context Any but NMI, no rcu_node lock held.
 */
export function rcu_report_qs_rdp(cpu: Cpu, rdp: Ptr<"rcu_data">): void {
  const { mem } = cpu;
  const rnp = rcu_mynode(cpu, rdp);
  const flags = lock_rcu_node(cpu, rnp);
  const gp_seq = mem.read_once(rnp, GP_SEQ);
  if (mem.read(rdp, CPU_NO_QS_NORM) !== 0 || mem.read(rdp, RDP_GP_SEQ) !== gp_seq || mem.read(rdp, GPWRAP) !== 0) {
    mem.write(rdp, CPU_NO_QS_NORM, 1); // The grace period that it was for is over; the next one needs another.
    unlock_rcu_node(cpu, rnp, flags);
    return;
  }
  const mask = rcu_cpu_mask(cpu, rdp);
  mem.write(rdp, CORE_NEEDS_QS, 0);
  if ((mem.read(rnp, QSMASK) & mask) === 0) {
    unlock_rcu_node(cpu, rnp, flags);
    return;
  }
  // Why here: the grace period cannot end before this report, so the numbers given now cannot be too small.
  const needwake = rcu_accelerate_cbs(cpu, rnp, rdp);
  mem.count(rdp, N_QS, 1);
  trace(cpu, EV_QS, gp_seq, mask);
  rcu_report_qs_rnp(cpu, rnp, mask, gp_seq, flags);
  if (needwake) rcu_gp_kthread_wake(cpu);
}
/** The same, if a quiescent state is owed and there was one. @context as there */
export function rcu_report_qs_rdp_if_due(cpu: Cpu, rdp: Ptr<"rcu_data">): void {
  const { mem } = cpu;
  if (mem.read(rdp, CORE_NEEDS_QS) !== 0 && mem.read(rdp, CPU_NO_QS_NORM) === 0) rcu_report_qs_rdp(cpu, rdp);
}
/**
 * rcu_report_unblock_qs_rnp() - the last task that blocked the grace period in a leaf does so no longer.
 * @param flags  of the leaf's lock, which the caller holds; it is released.
 * @context IRQs off
 */
export function rcu_report_unblock_qs_rnp(cpu: Cpu, rnp: Ptr<"rcu_node">, flags: number): void {
  const { mem } = cpu;
  if (mem.read(rnp, QSMASK) !== 0) {
    unlock_rcu_node(cpu, rnp, flags); // It still waits for CPUs.
    return;
  }
  const parent = rcu_parent(cpu, rnp);
  if (parent === NULL) {
    rcu_report_qs_rsp(cpu, rnp, flags);
    return;
  }
  const gps = mem.read_once(rnp, GP_SEQ);
  const mask = rcu_grpmask(cpu, rnp);
  unlock_rcu_node(cpu, rnp, flags);
  const irqs = lock_rcu_node(cpu, parent);
  rcu_report_qs_rnp(cpu, parent, mask, gps, irqs);
}
/** rcu_check_quiescent_state(): notice what changed, and report a quiescent state if one is owed. @context Softirq */
export function rcu_check_quiescent_state(cpu: Cpu): void {
  const rdp = this_rcu_data(cpu);
  note_gp_changes(cpu, rdp, false);
  if (cpu.mem.read(rdp, CORE_NEEDS_QS) === 0 || cpu.mem.read(rdp, CPU_NO_QS_NORM) !== 0) return;
  rcu_report_qs_rdp(cpu, rdp);
}
