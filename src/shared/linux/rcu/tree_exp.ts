/**
 * synchronize_rcu_expedited(): a grace period that asks every CPU at once. kernel/rcu/tree_exp.h; spec rcu 4.9.
 *
 * 1. The funnel: requests climb the tree; one that meets a request for the same grace period waits there.
 * 2. CPUs that are idle need not be asked; the caller, which may sleep, is quiescent. The others get an IPI.
 * 3. Its handler reports at once if it interrupted no reader; else it leaves word, and the end of the reader reports: the
 *    outermost rcu_read_unlock(), the softirq behind it, a tick, or the next context switch.
 *
 * A reader that begins after the handler ran began after the grace period. So did one on a CPU that was idle at its
 * snapshot: leaving idle is fully ordered.
 *
 * Lock order: exp_mutex, then rcu_node locks. Differs: the wake-ups at the end are made under exp_mutex, not under a
 * mutex of their own; exp_seq_rq is under the node's lock.
 */
import { assert, bug } from "../../cpu/bug.ts";
import { might_sleep } from "../../cpu/context.ts";
import { CT_RCU_WATCHING, ct_rcu_watching_cpu } from "../../cpu/context_tracking.ts";
import type { Cpu } from "../../cpu/cpu.ts";
import { oracle_grace_period_begin, oracle_grace_period_end } from "../../cpu/oracle.ts";
import { wait_event, wake_up } from "../../cpu/sched.ts";
import { smp_call_function_single } from "../../cpu/smp.ts";
import { CB } from "../../layout/callbacks.ts";
import { CpuSlot, Task, UNLOCK_EXP_HINT } from "../../layout/cpu.ts";
import { RcuData, RcuNode, RcuState, RcuSynchronize } from "../../layout/rcu.ts";
import { WaitQueue } from "../../layout/types.ts";
import { embedded, embedded_at, NULL, type Ptr } from "../../mem/struct.ts";
import { raise_softirq, RCU_SOFTIRQ } from "../kernel/softirq.ts";
import { schedule_timeout } from "../kernel/timer.ts";
import { mutex_lock, mutex_trylock, mutex_unlock } from "../sync/mutex.ts";
import { rcu_poll_gp_seq_end, rcu_poll_gp_seq_start } from "./poll_seq.ts";
import {
  lock_rcu_node,
  per_rcu_data,
  rcu_cpu_mask,
  rcu_exp_done,
  rcu_first_leaf,
  rcu_get_root,
  rcu_grplo,
  rcu_mynode,
  rcu_node,
  rcu_num_nodes,
  rcu_parent,
  rcu_state,
  this_rcu_data,
  unlock_rcu_node,
} from "./rcu_node.ts";
import {
  rcu_seq_ctr,
  rcu_seq_done,
  rcu_seq_end,
  rcu_seq_snap,
  rcu_seq_start,
  ULONG_CMP_GE,
  ULONG_CMP_LT,
} from "./rcu_seq.ts";
import { __rcu_report_exp_rnp, rcu_report_exp_rdp } from "./tree_exp_qs.ts";
import { rcu_preempt_exp_tasks } from "./tree_plugin.ts";
import { rcu_interrupted_reader, rcu_read_lock_held } from "./update.ts";

const {
  exp_mutex: EXP_MUTEX,
  expedited_sequence: EXPEDITED_SEQUENCE,
  expedited_wq: EXPEDITED_WQ,
  gp_seq_polled_exp_snap: POLLED_EXP_SNAP,
  n_exp_gps: N_EXP_GPS,
} = RcuState.offset;
const {
  expmask: EXPMASK,
  expmaskinit: EXPMASKINIT,
  exp_seq_rq: EXP_SEQ_RQ,
  exp_wq: EXP_WQ,
  qsmaskinitnext: QSMASKINITNEXT,
} = RcuNode.offset;
const { exp_watching_snap: EXP_WATCHING_SNAP, cpu_no_qs_exp: CPU_NO_QS_EXP, synchronize: SYNCHRONIZE } = RcuData.offset;
const { completion: COMPLETION, exp_seq: EXP_SEQ } = RcuSynchronize.offset;
const { current: CURRENT } = CpuSlot.offset;
const { rcu_read_unlock_special: SPECIAL } = Task.offset;

/**
 * synchronize_rcu_expedited() - wait until every reader that is there now has gone, and disturb CPUs to make it quick.
 * @context Task, may sleep, no reader.
 */
export function synchronize_rcu_expedited(cpu: Cpu): void {
  if (rcu_read_lock_held(cpu)) bug(cpu, "synchronize_rcu_expedited() in a reader: it would wait for itself");
  might_sleep(cpu, "synchronize_rcu_expedited()");
  const rdp = this_rcu_data(cpu);
  const rs = embedded_at(rdp, SYNCHRONIZE, cpu.task_index, RcuSynchronize.size);
  const key = embedded(rs, COMPLETION);
  oracle_grace_period_begin(cpu, key);
  const state = rcu_state(cpu);
  const s = rcu_seq_snap(cpu, state, EXPEDITED_SEQUENCE);
  cpu.mem.write(rs, EXP_SEQ, s);
  if (!exp_funnel_lock(cpu, rdp, rs, s)) {
    sync_rcu_exp_select_cpus(cpu);
    wait_event(cpu, embedded(state, EXPEDITED_WQ), exp_mask_empty, rcu_get_root(cpu));
    rcu_exp_gp_seq_end(cpu, s);
    mutex_unlock(cpu, embedded(state, EXP_MUTEX));
  }
  oracle_grace_period_end(cpu, key);
}

function exp_mask_empty(cpu: Cpu, root: Ptr<"rcu_node">): boolean {
  return rcu_exp_done(cpu, root);
}
/** sync_exp_work_done(): is the grace period over that this task wants? */
function sync_exp_work_done(cpu: Cpu, rs: Ptr<"rcu_synchronize">): boolean {
  return rcu_seq_done(cpu, rcu_state(cpu), EXPEDITED_SEQUENCE, cpu.mem.read(rs, EXP_SEQ));
}
/** Where those wait who want the grace period that ends at `s`. */
function exp_wait_queue(rnp: Ptr<"rcu_node">, s: number): Ptr<"wait_queue"> {
  return embedded_at(rnp, EXP_WQ, rcu_seq_ctr(s) & 3, WaitQueue.size);
}

/**
 * exp_funnel_lock() - climb towards the root, and own exp_mutex there.
 * @returns true if somebody else's grace period was good enough. Else the caller holds exp_mutex, and its own has begun.
 */
function exp_funnel_lock(cpu: Cpu, rdp: Ptr<"rcu_data">, rs: Ptr<"rcu_synchronize">, s: number): boolean {
  const { mem } = cpu;
  const state = rcu_state(cpu);
  const mutex = embedded(state, EXP_MUTEX);
  const leaf = rcu_mynode(cpu, rdp);
  const quiet =
    ULONG_CMP_LT(mem.read_once(leaf, EXP_SEQ_RQ), s) && ULONG_CMP_LT(mem.read_once(rcu_get_root(cpu), EXP_SEQ_RQ), s);
  if (!(quiet && mutex_trylock(cpu, mutex))) {
    for (let rnp = leaf; rnp !== NULL; rnp = rcu_parent(cpu, rnp)) {
      if (sync_exp_work_done(cpu, rs)) return true;
      const flags = lock_rcu_node(cpu, rnp);
      const asked = ULONG_CMP_GE(mem.read_once(rnp, EXP_SEQ_RQ), s);
      if (!asked) mem.write_once(rnp, EXP_SEQ_RQ, s);
      unlock_rcu_node(cpu, rnp, flags);
      if (asked) {
        wait_event(cpu, exp_wait_queue(rnp, s), sync_exp_work_done, rs);
        return true;
      }
    }
    mutex_lock(cpu, mutex);
  }
  if (sync_exp_work_done(cpu, rs)) {
    mutex_unlock(cpu, mutex);
    return true;
  }
  rcu_exp_gp_seq_start(cpu);
  return false;
}
function rcu_exp_gp_seq_start(cpu: Cpu): void {
  rcu_seq_start(cpu, rcu_state(cpu), EXPEDITED_SEQUENCE);
  const root = rcu_get_root(cpu);
  const flags = lock_rcu_node(cpu, root);
  rcu_poll_gp_seq_start(cpu, POLLED_EXP_SNAP);
  unlock_rcu_node(cpu, root, flags);
}
/** The grace period is over: says so, and wakes those who waited for it in the funnel. */
function rcu_exp_gp_seq_end(cpu: Cpu, s: number): void {
  const { mem } = cpu;
  const state = rcu_state(cpu);
  const root = rcu_get_root(cpu);
  const flags = lock_rcu_node(cpu, root);
  rcu_poll_gp_seq_end(cpu, POLLED_EXP_SNAP);
  unlock_rcu_node(cpu, root, flags);
  rcu_seq_end(cpu, state, EXPEDITED_SEQUENCE);
  mem.count(state, N_EXP_GPS, 1);
  for (let i = 0; i < rcu_num_nodes(cpu); i++) {
    const rnp = rcu_node(cpu, i);
    if (ULONG_CMP_LT(mem.read_once(rnp, EXP_SEQ_RQ), s)) {
      const irqs = lock_rcu_node(cpu, rnp);
      // Keeps the word from falling so far behind that it looks like a request for the future.
      if (ULONG_CMP_LT(mem.read_once(rnp, EXP_SEQ_RQ), s)) mem.write_once(rnp, EXP_SEQ_RQ, s);
      unlock_rcu_node(cpu, rnp, irqs);
    }
    wake_up(cpu, exp_wait_queue(rnp, s));
  }
}

/** sync_rcu_exp_select_cpus(): find out whom to wait for. @context exp_mutex held */
function sync_rcu_exp_select_cpus(cpu: Cpu): void {
  sync_exp_reset_tree(cpu);
  for (let i = rcu_first_leaf(cpu); i < rcu_num_nodes(cpu); i++) select_leaf_cpus(cpu, rcu_node(cpu, i));
}
/** sync_exp_reset_tree(): root first, since a leaf may report upwards as soon as its mask is set. */
function sync_exp_reset_tree(cpu: Cpu): void {
  for (let i = 0; i < rcu_num_nodes(cpu); i++) {
    const rnp = rcu_node(cpu, i);
    const flags = lock_rcu_node(cpu, rnp);
    assert(
      cpu,
      cpu.mem.read_once(rnp, EXPMASK) === 0,
      "an expedited grace period begins, but the last one still waits",
    );
    cpu.mem.write_once(rnp, EXPMASK, cpu.mem.read(rnp, EXPMASKINIT));
    unlock_rcu_node(cpu, rnp, flags);
  }
}
function select_leaf_cpus(cpu: Cpu, leaf: Ptr<"rcu_node">): void {
  const { mem } = cpu;
  const lo = rcu_grplo(cpu, leaf);
  let flags = lock_rcu_node(cpu, leaf);
  if (cpu.preempt) rcu_preempt_exp_tasks(cpu, leaf);
  const expmask = mem.read_once(leaf, EXPMASK);
  let quiescent = expmask & ~mem.read(leaf, QSMASKINITNEXT); // Offline.
  for (let left = expmask & ~quiescent; left !== 0; left &= left - 1) {
    const bit = left & -left;
    const id = lo + 31 - Math.clz32(bit);
    const snap = ct_rcu_watching_cpu(cpu, id);
    mem.write(per_rcu_data(cpu, id), EXP_WATCHING_SNAP, snap);
    if (id === cpu.id || (snap & CT_RCU_WATCHING) === 0) quiescent |= bit;
  }
  unlock_rcu_node(cpu, leaf, flags);

  for (let left = expmask & ~quiescent; left !== 0; left &= left - 1) {
    const bit = left & -left;
    const id = lo + 31 - Math.clz32(bit);
    if (!ask_cpu(cpu, leaf, id, bit)) quiescent |= bit;
  }
  flags = lock_rcu_node(cpu, leaf);
  __rcu_report_exp_rnp(cpu, leaf, quiescent, flags);
}

/** @returns false: nobody has to wait for that CPU. */
function ask_cpu(cpu: Cpu, leaf: Ptr<"rcu_node">, id: number, bit: number): boolean {
  const { mem } = cpu;
  for (;;) {
    if (ct_rcu_watching_cpu(cpu, id) !== mem.read(per_rcu_data(cpu, id), EXP_WATCHING_SNAP)) return false;
    if (smp_call_function_single(cpu, id, CB.ipi_rcu_exp_handler, false) === 0) return true;
    // It is going offline, but may still run readers. When it has gone it does not report.
    const flags = lock_rcu_node(cpu, leaf);
    const waits = (mem.read(leaf, QSMASKINITNEXT) & mem.read_once(leaf, EXPMASK) & bit) !== 0;
    unlock_rcu_node(cpu, leaf, flags);
    if (!waits) return false;
    schedule_timeout(cpu, 1);
  }
}

function set_exp_hint(cpu: Cpu): void {
  const task = cpu.mem.peek(cpu.slot, CURRENT);
  cpu.mem.poke(task, SPECIAL, cpu.mem.peek(task, SPECIAL) | UNLOCK_EXP_HINT);
}
/** rcu_exp_handler(): an expedited grace period asks this CPU. @context Hardirq */
export function rcu_exp_handler(cpu: Cpu): void {
  const { mem } = cpu;
  const rdp = this_rcu_data(cpu);
  // Race: a bit that is cleared meanwhile makes the report a no-op; none is set while exp_mutex's owner waits for us.
  const asked = (mem.read_once(rcu_mynode(cpu, rdp), EXPMASK) & rcu_cpu_mask(cpu, rdp)) !== 0;
  if (!asked || mem.read(rdp, CPU_NO_QS_EXP) !== 0) return;
  if (!rcu_interrupted_reader(cpu)) {
    rcu_report_exp_rdp(cpu, rdp);
    return;
  }
  mem.write(rdp, CPU_NO_QS_EXP, 1);
  if (rcu_read_lock_held(cpu))
    set_exp_hint(cpu); // The outermost unlock reports.
  else raise_softirq(cpu, RCU_SOFTIRQ); // A softirq may be all that goes on here before the CPU idles again.
}
