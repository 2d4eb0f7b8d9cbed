/**
 * Stall warnings: a grace period that does not end, and who holds it up. kernel/rcu/tree_stall.h; spec rcu 4.11.
 *
 * A CPU stalls a grace period when it took a full timeout of ticks since the grace period began, and is still
 * awaited. Its own ticks count, not time: a thread that the host does not run takes none, and is not a stall. The
 * leader stalls it in the same way. Any CPU's tick may notice; one reports.
 *
 * Differs: the report is the text of a warning. For a backtrace it has the CPU's context stack.
 */
import { warn } from "../../cpu/bug.ts";
import { describe_context } from "../../cpu/context.ts";
import { Cpu, per_cpu_ptr } from "../../cpu/cpu.ts";
import { ContextTracking, CpuCounters, CpuSlot, SchedTask } from "../../layout/cpu.ts";
import { Globals } from "../../layout/globals.ts";
import { PerCpu } from "../../layout/percpu.ts";
import {
  GP_STATE_NAMES,
  RCU_GP_IDLE,
  RCU_GP_INIT,
  RcuData,
  RcuNode,
  RcuSegcblist,
  RcuState,
} from "../../layout/rcu.ts";
import { container_of, embedded, NULL, type Ptr } from "../../mem/struct.ts";
import { list_next } from "../lib/list.ts";
import {
  lock_rcu_node,
  per_rcu_data,
  rcu_cpu_mask,
  rcu_first_leaf,
  rcu_get_root,
  rcu_grplo,
  rcu_mynode,
  rcu_node,
  rcu_num_nodes,
  rcu_state,
  unlock_rcu_node,
} from "./rcu_node.ts";
import { rcu_seq_ctr, ULONG_CMP_LT } from "./rcu_seq.ts";

const {
  gp_seq: STATE_GP_SEQ,
  gp_state: GP_STATE,
  gp_flags: GP_FLAGS,
  gp_start: GP_START,
  gp_activity: GP_ACTIVITY,
  gp_first_fqs: GP_FIRST_FQS,
  gp_leader: GP_LEADER,
  gp_leader_ticks: GP_LEADER_TICKS,
  n_force_qs: N_FORCE_QS,
  jiffies_stall: JIFFIES_STALL,
  stall_timeout: STALL_TIMEOUT,
} = RcuState.offset;
const { gp_seq: GP_SEQ, grphi: GRPHI, level: LEVEL, blkd_tasks: BLKD_TASKS, gp_tasks: GP_TASKS } = RcuNode.offset;
const { pid: PID, rcu_node_entry: ENTRY } = SchedTask.offset;
const { qsmask: QSMASK, qsmaskinit: QSMASKINIT, qsmaskinitnext: QSMASKINITNEXT } = RcuNode.offset;
const {
  gp_seq: RDP_GP_SEQ,
  cblist: CBLIST,
  ticks_this_gp: TICKS_THIS_GP,
  ticks_snap: TICKS_SNAP,
  softirq_snap: SOFTIRQ_SNAP,
  rcu_iw_pending: RCU_IW_PENDING,
} = RcuData.offset;
const { len: LEN } = RcuSegcblist.offset;
const { slot: SLOT, ct: CT, counters: COUNTERS } = PerCpu.offset;
const { ticks: TICKS } = CpuSlot.offset;
const { state: CT_STATE, nesting: CT_NESTING, nmi_nesting: CT_NMI_NESTING } = ContextTracking.offset;
const { softirqs: SOFTIRQS } = CpuCounters.offset;
const { jiffies: JIFFIES, online: ONLINE } = Globals.offset;

/** What a report names. */
export interface RcuStall {
  /** CPUs that the grace period waits for, each past the timeout by its own ticks. */
  readonly cpus: readonly number[];
  /** The CPU that drives the engine and does not get on; -1: none. */
  readonly leader: number;
  /** Lines on tasks that were preempted in readers and hold a leaf back; absent: none. */
  readonly tasks?: readonly string[];
}

/**
 * check_cpu_stall() - called by each tick.
 * @context Hardirq. Warns, and so stops the machine unless boot has cleared panic_on_warn.
 */
export function check_cpu_stall(cpu: Cpu): void {
  const { mem } = cpu;
  const state = rcu_state(cpu);
  const timeout = mem.peek(state, STALL_TIMEOUT);
  if (timeout === 0 || mem.read_once(state, GP_STATE) === RCU_GP_IDLE) return;
  const now = mem.read_once(cpu.globals, JIFFIES);
  const deadline = mem.read_once(state, JIFFIES_STALL);
  if (ULONG_CMP_LT(now, deadline)) return;
  const stall = find_stall(cpu, timeout);
  if (stall.cpus.length === 0 && stall.leader < 0 && (stall.tasks ?? []).length === 0) return;
  // One CPU reports, and not again before three times as long.
  if (mem.cmpxchg(state, JIFFIES_STALL, deadline, (now + 3 * timeout + 3) | 0) !== deadline) return;
  warn(cpu, rcu_stall_report(cpu, stall, now));
}

/** Race: nothing here is under a lock. A report that comes out while a grace period ends says so. */
function find_stall(cpu: Cpu, timeout: number): RcuStall {
  const { mem } = cpu;
  const state = rcu_state(cpu);
  const cpus: number[] = [];
  const tasks: string[] = [];
  // Before, the snapshots are of an older grace period.
  const began = mem.read_once(state, GP_STATE) > RCU_GP_INIT && mem.data_race_read(state, GP_FIRST_FQS) === 0;
  const end = began ? rcu_num_nodes(cpu) : 0;
  for (let i = rcu_first_leaf(cpu); i < end; i++) {
    const leaf = rcu_node(cpu, i);
    if (cpu.preempt) tasks.push(...rcu_print_task_stall(cpu, leaf, timeout));
    for (let left = mem.data_race_read(leaf, QSMASK); left !== 0; left &= left - 1) {
      const id = rcu_grplo(cpu, leaf) + 31 - Math.clz32(left & -left);
      const ticks = mem.data_race_read(per_cpu_ptr(cpu, SLOT, id), TICKS);
      if (ticks - mem.data_race_read(per_rcu_data(cpu, id), TICKS_SNAP) >= timeout) cpus.push(id);
    }
  }
  const leader = mem.read_once(state, GP_LEADER) - 1;
  const stuck =
    leader >= 0 &&
    mem.data_race_read(per_cpu_ptr(cpu, SLOT, leader), TICKS) - mem.data_race_read(state, GP_LEADER_TICKS) >= timeout;
  return { cpus, leader: stuck ? leader : -1, tasks };
}

/**
 * rcu_print_task_stall() - the tasks that a leaf waits for, if there are any and all its CPUs have taken their ticks.
 * @kernel kernel/rcu/tree_stall.h
 * @context Hardirq
 */
function rcu_print_task_stall(cpu: Cpu, leaf: Ptr<"rcu_node">, timeout: number): readonly string[] {
  const { mem } = cpu;
  if (mem.data_race_read(leaf, GP_TASKS) === NULL) return [];
  const lo = rcu_grplo(cpu, leaf);
  const hi = mem.peek(leaf, GRPHI);
  for (let id = lo; id <= hi; id++) {
    const rdp = per_rcu_data(cpu, id);
    const behind = mem.data_race_read(rdp, RDP_GP_SEQ) !== mem.read_once(leaf, GP_SEQ);
    if (behind || mem.data_race_read(rdp, TICKS_THIS_GP) < timeout) return [];
  }
  const pids: string[] = [];
  const flags = lock_rcu_node(cpu, leaf);
  const list = embedded(leaf, BLKD_TASKS);
  for (let entry = mem.read(leaf, GP_TASKS); entry !== NULL && entry !== list; entry = list_next(cpu, entry)) {
    pids.push(`P${mem.peek(container_of(entry, ENTRY), PID)}`);
  }
  unlock_rcu_node(cpu, leaf, flags);
  const level = mem.peek(leaf, LEVEL);
  return pids.length === 0
    ? []
    : [`rcu:   Tasks blocked on level-${level} rcu_node (CPUs ${lo}-${hi}): ${pids.join(" ")}`];
}

/** print_cpu_stall(), print_other_cpu_stall(): the report, one fact per line. Reads without locks. */
export function rcu_stall_report(cpu: Cpu, stall: RcuStall, now: number): string {
  const { mem } = cpu;
  const state = rcu_state(cpu);
  const self = stall.cpus.length === 1 && stall.cpus[0] === cpu.id;
  const isNamed = stall.cpus.length > 0 || (stall.tasks ?? []).length > 0;
  const gp_seq = mem.peek(state, STATE_GP_SEQ);
  let queued = 0;
  for (let id = 0; id < cpu.map.shape.cpus; id++) queued += mem.peek(embedded(per_rcu_data(cpu, id), CBLIST), LEN);
  const age = (now - mem.peek(state, GP_START)) | 0;
  const numbers = `t=${age} jiffies, g=${gp_seq}, q=${queued} ncpus=${cpu.map.shape.cpus}`;
  const lines: string[] = [];
  if (self) lines.push("rcu: rcu_sched self-detected stall on CPU");
  else if (cpu.preempt && isNamed) lines.push("rcu: rcu_preempt detected stalls on CPUs/tasks:");
  else if (isNamed) lines.push("rcu: rcu_sched detected stalls on CPUs:");
  for (const id of stall.cpus) lines.push(describe_stalled_cpu(cpu, id));
  lines.push(...(stall.tasks ?? []));
  if (isNamed) lines.push(self ? `rcu:   (${numbers})` : `rcu:   (detected by ${cpu.id}, ${numbers})`);
  if (stall.leader >= 0) lines.push(...describe_starvation(cpu, stall.leader, now));
  for (const id of stall.cpus) lines.push(`CPU ${id}: ${describe_context(view(cpu, id))}`);
  if (mem.peek(rcu_get_root(cpu), QSMASK) === 0 && stall.cpus.length > 0) {
    lines.push("rcu: the stall ended while this report was made");
  }
  return lines.join("\n");
}

/** Another CPU as its own code would see it. */
function view(cpu: Cpu, id: number): Cpu {
  return new Cpu(cpu.mem, cpu.map, id, cpu.spinBound, cpu.oracle);
}

/** print_cpu_stall_info(): online, counted, will be counted, interrupts taken; how long; idle; softirqs; passes. */
function describe_stalled_cpu(cpu: Cpu, id: number): string {
  const { mem } = cpu;
  const rdp = per_rcu_data(cpu, id);
  const leaf = rcu_mynode(cpu, rdp);
  const mask = rcu_cpu_mask(cpu, rdp);
  const flag = (set: boolean, letter: string): string => (set ? "." : letter);
  const flags =
    flag((mem.peek(cpu.globals, ONLINE) & (1 << id)) !== 0, "O") +
    flag((mem.peek(leaf, QSMASKINIT) & mask) !== 0, "o") +
    flag((mem.peek(leaf, QSMASKINITNEXT) & mask) !== 0, "N") +
    flag(mem.peek(rdp, RCU_IW_PENDING) === 0, "!");
  const behind = rcu_seq_ctr((mem.peek(rcu_state(cpu), STATE_GP_SEQ) - mem.peek(rdp, RDP_GP_SEQ)) | 0);
  const age = behind === 0 ? `(${mem.peek(rdp, TICKS_THIS_GP)} ticks this GP)` : `(${behind} GPs behind)`;
  const ct = per_cpu_ptr(cpu, CT, id);
  const watching = (mem.peek(ct, CT_STATE) & 0xffff).toString(16).padStart(4, "0");
  const idle = `${watching}/${mem.peek(ct, CT_NESTING).toString(16)}/0x${mem.peek(ct, CT_NMI_NESTING).toString(16)}`;
  const softirq = `${mem.peek(rdp, SOFTIRQ_SNAP)}/${mem.peek(per_cpu_ptr(cpu, COUNTERS, id), SOFTIRQS)}`;
  return `rcu:   ${id}-${flags}: ${age} idle=${idle} softirq=${softirq} fqs=${mem.peek(rcu_state(cpu), N_FORCE_QS)}`;
}

/** rcu_check_gp_kthread_starvation(): the CPU that drives the grace period takes ticks, but does not get on. */
function describe_starvation(cpu: Cpu, leader: number, now: number): string[] {
  const { mem } = cpu;
  const state = rcu_state(cpu);
  const idle = (now - mem.peek(state, GP_ACTIVITY)) | 0;
  const gp_state = mem.peek(state, GP_STATE);
  const where = `${GP_STATE_NAMES[gp_state] ?? "?"}(${gp_state}) ->cpu=${leader}`;
  const flags = mem.peek(state, GP_FLAGS).toString(16);
  return [
    `rcu: rcu_sched grace-period engine starved for ${idle} jiffies! g${mem.peek(state, STATE_GP_SEQ)} f0x${flags} ${where}`,
    `CPU ${leader}: ${describe_context(view(cpu, leader))}`,
  ];
}
