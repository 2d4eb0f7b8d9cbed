/**
 * Looking for quiescent states on behalf of CPUs that do not report: those that are idle, or have been since the grace
 * period began. kernel/rcu/tree.c; spec rcu 4.3, 4.6.
 *
 * The first pass takes a snapshot of each CPU's counter of idle transitions, after the grace period has begun: a CPU that
 * does not watch now is quiescent. In a later pass a counter that has changed says that it was idle in between.
 * The counter changes by fully ordered operations, so what the CPU did before is visible to whoever reports for it.
 *
 * A CPU that still holds out is kicked: should it be on its way to sleep, it looks once more, and reports. So no grace
 * period waits for time to pass; later passes, one per tick, only press.
 */
import { CT_RCU_WATCHING, ct_rcu_watching_cpu } from "../../cpu/context_tracking.ts";
import { per_cpu_ptr, type Cpu } from "../../cpu/cpu.ts";
import { kick_cpu } from "../../cpu/sched.ts";
import { CpuSlot } from "../../layout/cpu.ts";
import { Globals } from "../../layout/globals.ts";
import { PerCpu } from "../../layout/percpu.ts";
import { RCU_GP_FLAG_FQS, RcuData, RcuNode, RcuState } from "../../layout/rcu.ts";
import { container_of, embedded, type Ptr } from "../../mem/struct.ts";
import { irq_work_queue_on } from "../kernel/irq_work.ts";
import { cpu_online } from "../sync/cpu_hotplug.ts";
import {
  lock_rcu_node,
  per_rcu_data,
  rcu_first_leaf,
  rcu_get_root,
  rcu_grplo,
  rcu_mynode,
  rcu_node,
  rcu_num_nodes,
  rcu_state,
  unlock_rcu_node,
} from "./rcu_node.ts";
import { ULONG_CMP_LT } from "./rcu_seq.ts";
import { rcu_report_qs_rnp } from "./tree_qs.ts";
import { rcu_gp_in_progress, rcu_gp_kthread_wake } from "./tree_request.ts";

const {
  gp_flags: GP_FLAGS,
  gp_start: GP_START,
  n_force_qs: N_FORCE_QS,
  stall_timeout: STALL_TIMEOUT,
} = RcuState.offset;
const { gp_seq: GP_SEQ, qsmask: QSMASK } = RcuNode.offset;
const {
  gp_seq: RDP_GP_SEQ,
  gpwrap: GPWRAP,
  watching_snap: WATCHING_SNAP,
  ticks_snap: TICKS_SNAP,
  rcu_iw: RCU_IW,
  rcu_iw_pending: RCU_IW_PENDING,
  rcu_iw_gp_seq: RCU_IW_GP_SEQ,
} = RcuData.offset;
const { slot: SLOT } = PerCpu.offset;
const { ticks: TICKS } = CpuSlot.offset;
const { jiffies: JIFFIES } = Globals.offset;
/** A number that lies this far behind will soon look like the future. */
const QUARTER = 1 << 30;

/**
 * rcu_force_quiescent_state() - have the engine look for quiescent states now.
 * @context Any but NMI, no rcu_node lock held.
 */
export function rcu_force_quiescent_state(cpu: Cpu): void {
  const root = rcu_get_root(cpu);
  const flags = lock_rcu_node(cpu, root);
  const in_progress = rcu_gp_in_progress(cpu); // Under the lock: else the flag would outlive the grace period.
  if (in_progress) cpu.mem.fetch_or(rcu_state(cpu), GP_FLAGS, RCU_GP_FLAG_FQS);
  unlock_rcu_node(cpu, root, flags);
  if (in_progress) rcu_gp_kthread_wake(cpu);
}

/**
 * rcu_gp_fqs() - one pass over all leaves.
 * @param first  the first one of this grace period: it takes the snapshots.
 * @context the leader of the grace period, no rcu_node lock held.
 */
export function rcu_gp_fqs(cpu: Cpu, first: boolean): void {
  const state = rcu_state(cpu);
  cpu.mem.write(state, N_FORCE_QS, cpu.mem.read(state, N_FORCE_QS) + 1);
  for (let i = rcu_first_leaf(cpu); i < rcu_num_nodes(cpu); i++) force_qs_rnp(cpu, rcu_node(cpu, i), first);
}

function force_qs_rnp(cpu: Cpu, rnp: Ptr<"rcu_node">, first: boolean): void {
  const flags = lock_rcu_node(cpu, rnp);
  const gp_seq = cpu.mem.read_once(rnp, GP_SEQ);
  const lo = rcu_grplo(cpu, rnp);
  let quiescent = 0;
  let holdouts = 0;
  for (let left = cpu.mem.read(rnp, QSMASK); left !== 0; left &= left - 1) {
    const bit = left & -left;
    const id = lo + 31 - Math.clz32(bit);
    const passed = first ? rcu_watching_snap_save(cpu, rnp, id) : rcu_watching_snap_recheck(cpu, rnp, id);
    if (passed) quiescent |= bit;
    else holdouts |= bit;
  }
  if (quiescent !== 0) rcu_report_qs_rnp(cpu, rnp, quiescent, gp_seq, flags);
  else unlock_rcu_node(cpu, rnp, flags);
  for (let left = holdouts; left !== 0; left &= left - 1) {
    const id = lo + 31 - Math.clz32(left & -left);
    if (id !== cpu.id) kick_cpu(cpu, id); // This CPU drives the engine where it will look again by itself.
  }
}

/** Snapshot of a CPU at the start of a grace period. @returns true if it is idle. Leaf's lock held. */
function rcu_watching_snap_save(cpu: Cpu, rnp: Ptr<"rcu_node">, id: number): boolean {
  const { mem } = cpu;
  const rdp = per_rcu_data(cpu, id);
  const snap = ct_rcu_watching_cpu(cpu, id);
  mem.write(rdp, WATCHING_SNAP, snap);
  mem.write(rdp, TICKS_SNAP, mem.data_race_read(per_cpu_ptr(cpu, SLOT, id), TICKS)); // Race: off by a tick at most.
  if ((snap & CT_RCU_WATCHING) !== 0) return false;
  rcu_gpnum_ovf(cpu, rnp, rdp);
  return true;
}
/** @returns true if the CPU has been idle since the snapshot. Leaf's lock held. */
function rcu_watching_snap_recheck(cpu: Cpu, rnp: Ptr<"rcu_node">, id: number): boolean {
  const rdp = per_rcu_data(cpu, id);
  if (ct_rcu_watching_cpu(cpu, id) !== cpu.mem.read(rdp, WATCHING_SNAP)) {
    rcu_gpnum_ovf(cpu, rnp, rdp);
    return true;
  }
  probe_interrupts(cpu, rnp, rdp, id);
  return false;
}
/** rcu_gpnum_ovf(): a CPU that only others report for never looks at the leaf: keep its old number from wrapping. */
function rcu_gpnum_ovf(cpu: Cpu, rnp: Ptr<"rcu_node">, rdp: Ptr<"rcu_data">): void {
  const { mem } = cpu;
  const gp_seq = mem.read_once(rnp, GP_SEQ);
  // Race: the CPU may be changing its number, from which it follows that it looks at the leaf.
  if (ULONG_CMP_LT((mem.data_race_read(rdp, RDP_GP_SEQ) + QUARTER) | 0, gp_seq)) mem.write(rdp, GPWRAP, 1);
  if (ULONG_CMP_LT((mem.read(rdp, RCU_IW_GP_SEQ) + QUARTER) | 0, gp_seq)) {
    mem.write(rdp, RCU_IW_GP_SEQ, (gp_seq + QUARTER) | 0);
  }
}
/** Half-way to a stall: does the CPU still take interrupts? The report says so. Leaf's lock held. */
function probe_interrupts(cpu: Cpu, rnp: Ptr<"rcu_node">, rdp: Ptr<"rcu_data">, id: number): void {
  const { mem } = cpu;
  const state = rcu_state(cpu);
  const timeout = mem.peek(state, STALL_TIMEOUT);
  const age = (mem.read_once(cpu.globals, JIFFIES) - mem.read(state, GP_START)) | 0;
  if (timeout === 0 || age < timeout >> 1) return;
  const gp_seq = mem.read_once(rnp, GP_SEQ);
  if (mem.read(rdp, RCU_IW_PENDING) !== 0 || mem.read(rdp, RCU_IW_GP_SEQ) === gp_seq) return;
  if (!cpu_online(cpu, id)) return; // On its way out; it reports for itself.
  mem.write(rdp, RCU_IW_PENDING, 1);
  mem.write(rdp, RCU_IW_GP_SEQ, gp_seq);
  irq_work_queue_on(cpu, embedded(rdp, RCU_IW), id);
}
/** rcu_iw_handler(): the CPU does take interrupts. @context Hardirq (irq_work) */
export function rcu_iw_handler(cpu: Cpu, work: Ptr<"irq_work">): void {
  const rdp = container_of(work, RCU_IW);
  const rnp = rcu_mynode(cpu, rdp);
  const flags = lock_rcu_node(cpu, rnp);
  if (cpu.mem.read(rdp, RCU_IW_PENDING) !== 0) {
    cpu.mem.write(rdp, RCU_IW_GP_SEQ, cpu.mem.read_once(rnp, GP_SEQ));
    cpu.mem.write(rdp, RCU_IW_PENDING, 0);
  }
  unlock_rcu_node(cpu, rnp, flags);
}
