/**
 * The grace-period engine. kernel/rcu/tree.c, rcu_gp_kthread(); spec rcu 4.6.
 *
 *   IDLE     a request: rcu_seq_start(), first of all
 *   ONOFF    leaf by leaf: who is online
 *   INIT     node by node, root first: who has to report
 *   WAIT_FQS look for quiescent states, until the root waits for nobody
 *   CLEANUP  node by node, root first: the grace period is over
 *   CLEANED  rcu_seq_end(), last of all
 *
 * Differs: the kernel has a thread for this. Here it is a machine that never waits: its state lies in rcu_state, and any
 * CPU that takes the leader word drives it by one piece, in any context but NMI. The word is only ever tried for. A CPU
 * that does not get it may leave, since the leader looks for work again after it has let go. A CPU that makes the machine
 * runnable calls rcu_gp_kthread_wake() and drives it in its own softirq. So does each tick.
 */
import { assert, bug, warn } from "../../cpu/bug.ts";
import { in_nmi, preempt_disable, preempt_enable } from "../../cpu/context.ts";
import type { Cpu } from "../../cpu/cpu.ts";
import { kick_cpu } from "../../cpu/sched.ts";
import { EV_GP_END, EV_GP_START, trace } from "../../cpu/trace.ts";
import { CpuSlot } from "../../layout/cpu.ts";
import { Globals } from "../../layout/globals.ts";
import {
  RCU_GP_CLEANED,
  RCU_GP_CLEANUP,
  RCU_GP_FLAG_FQS,
  RCU_GP_FLAG_INIT,
  RCU_GP_IDLE,
  RCU_GP_INIT,
  RCU_GP_ONOFF,
  RCU_GP_WAIT_FQS,
  RcuNode,
  RcuState,
} from "../../layout/rcu.ts";
import { WaitQueue } from "../../layout/types.ts";
import { embedded, NULL, type Ptr } from "../../mem/struct.ts";
import { rcu_poll_gp_seq_end, rcu_poll_gp_seq_start } from "./poll_seq.ts";
import {
  lock_rcu_node,
  rcu_first_leaf,
  rcu_get_root,
  rcu_is_leaf_node,
  rcu_mynode,
  rcu_node,
  rcu_num_nodes,
  rcu_parent,
  rcu_preempt_blocked_readers_cgp,
  rcu_state,
  this_rcu_data,
  unlock_rcu_node,
} from "./rcu_node.ts";
import { rcu_seq_end, rcu_seq_endval, rcu_seq_start, ULONG_CMP_GE, ULONG_CMP_LT } from "./rcu_seq.ts";
import { rcu_gp_fqs } from "./tree_fqs.ts";
import { rcu_apply_online } from "./tree_hotplug.ts";
import { rcu_preempt_check_blocked_tasks } from "./tree_plugin.ts";
import { __note_gp_changes, rcu_report_qs_rnp } from "./tree_qs.ts";
import { rcu_future_gp_cleanup, rcu_gp_in_progress, rcu_gp_kthread_wake } from "./tree_request.ts";

const {
  gp_seq: STATE_GP_SEQ,
  gp_flags: GP_FLAGS,
  gp_leader: GP_LEADER,
  gp_leader_ticks: GP_LEADER_TICKS,
  gp_state: GP_STATE,
  gp_node: GP_NODE,
  gp_needgp: GP_NEEDGP,
  gp_first_fqs: GP_FIRST_FQS,
  jiffies_force_qs: JIFFIES_FORCE_QS,
  jiffies_stall: JIFFIES_STALL,
  gp_start: GP_START,
  gp_activity: GP_ACTIVITY,
  gp_seq_polled_snap: GP_SEQ_POLLED_SNAP,
  n_gps: N_GPS,
  stall_timeout: STALL_TIMEOUT,
} = RcuState.offset;
const {
  gp_seq: GP_SEQ,
  gp_seq_needed: GP_SEQ_NEEDED,
  qsmask: QSMASK,
  qsmaskinit: QSMASKINIT,
  qsmaskinitnext: QSMASKINITNEXT,
  gp_wq: GP_WQ,
} = RcuNode.offset;
const { cpus: CPUS } = WaitQueue.offset;
const { ticks: TICKS } = CpuSlot.offset;
const { jiffies: JIFFIES } = Globals.offset;

/** Ticks between two looks at the CPUs. */
const JIFFIES_TILL_NEXT_FQS = 1;

/** Is there a piece to do? Exact for the leader's own words and for flags that were set before. @context Any */
export function rcu_gp_runnable(cpu: Cpu): boolean {
  const { mem } = cpu;
  const state = rcu_state(cpu);
  const gp_state = mem.read_once(state, GP_STATE);
  if (gp_state === RCU_GP_IDLE) return (mem.read_once(state, GP_FLAGS) & RCU_GP_FLAG_INIT) !== 0;
  if (gp_state !== RCU_GP_WAIT_FQS) return true;
  if ((mem.read_once(state, GP_FLAGS) & RCU_GP_FLAG_FQS) !== 0) return true;
  // Race: the leader may be changing both; it looks again itself.
  if (mem.data_race_read(state, GP_FIRST_FQS) !== 0) return true;
  return ULONG_CMP_GE(mem.read_once(cpu.globals, JIFFIES), mem.data_race_read(state, JIFFIES_FORCE_QS));
}

/** One piece, if there is one and nobody else is at it. @returns true if so: then the caller has to look again. */
function rcu_gp_piece(cpu: Cpu): boolean {
  const { mem } = cpu;
  const state = rcu_state(cpu);
  if (in_nmi(cpu)) bug(cpu, "drives a grace period in NMI");
  // Race: whoever sets a flag drives the engine then; only what this CPU did itself has to be seen here.
  if (mem.data_race_read(state, GP_STATE) === RCU_GP_IDLE && mem.data_race_read(state, GP_FLAGS) === 0) return false;
  while (rcu_gp_runnable(cpu)) {
    preempt_disable(cpu);
    // Whoever has it looks again after it has let go, and will see what we saw.
    if (mem.cmpxchg(state, GP_LEADER, 0, cpu.id + 1) !== 0) {
      preempt_enable(cpu);
      return false;
    }
    mem.write(state, GP_LEADER_TICKS, mem.peek(cpu.slot, TICKS));
    const did = run_piece(cpu, state);
    if (did) mem.write(state, GP_ACTIVITY, mem.read_once(cpu.globals, JIFFIES));
    mem.write_once(state, GP_LEADER, 0);
    preempt_enable(cpu);
    if (did) return true;
  }
  return false;
}
/**
 * rcu_gp_step() - drive the engine by one bounded piece.
 * @returns false if there was nothing to do here: nothing at all, or another CPU is doing it.
 * @context Any but NMI, no rcu_node lock held. If the caller does not come again, this CPU's softirq does.
 */
export function rcu_gp_step(cpu: Cpu): boolean {
  if (!rcu_gp_piece(cpu)) return false;
  if (rcu_gp_runnable(cpu)) rcu_gp_kthread_wake(cpu);
  return true;
}
/** rcu_gp_kthread() - drive the engine until it has to wait. @context as rcu_gp_step() */
export function rcu_gp_kthread(cpu: Cpu): boolean {
  let did = false;
  while (rcu_gp_piece(cpu)) did = true;
  return did;
}

/** @returns false if there was nothing to do after all. Leader. */
function run_piece(cpu: Cpu, state: Ptr<"rcu_state">): boolean {
  switch (cpu.mem.read_once(state, GP_STATE)) {
    case RCU_GP_IDLE:
      return rcu_gp_start(cpu, state);
    case RCU_GP_ONOFF:
      rcu_apply_online(cpu, next_node(cpu, state, RCU_GP_INIT));
      return true;
    case RCU_GP_INIT:
      rcu_gp_init(cpu, state, next_node(cpu, state, RCU_GP_WAIT_FQS));
      return true;
    case RCU_GP_WAIT_FQS:
      return rcu_gp_fqs_loop(cpu, state);
    case RCU_GP_CLEANUP:
      rcu_gp_cleanup(cpu, state, next_node(cpu, state, RCU_GP_CLEANED));
      return true;
    default:
      rcu_gp_end(cpu, state);
      return true;
  }
}
/** The node whose turn it is. After the last one comes stage `then`, from the root on. */
function next_node(cpu: Cpu, state: Ptr<"rcu_state">, then: number): Ptr<"rcu_node"> {
  const i = cpu.mem.read(state, GP_NODE);
  const last = i === rcu_num_nodes(cpu) - 1;
  cpu.mem.write(state, GP_NODE, last ? 0 : i + 1);
  if (last) cpu.mem.write_once(state, GP_STATE, then);
  return rcu_node(cpu, i);
}

/** The first half of rcu_gp_init(). From the new number on, who asks has to wait for the grace period after this one. */
function rcu_gp_start(cpu: Cpu, state: Ptr<"rcu_state">): boolean {
  const { mem } = cpu;
  const root = rcu_get_root(cpu);
  const flags = lock_rcu_node(cpu, root);
  const wanted = (mem.xchg(state, GP_FLAGS, 0) & RCU_GP_FLAG_INIT) !== 0;
  if (!wanted || rcu_gp_in_progress(cpu)) {
    if (wanted) warn(cpu, "I-RCU-4: a grace period is asked for while one is in progress");
    unlock_rcu_node(cpu, root, flags);
    return false;
  }
  const now = mem.read_once(cpu.globals, JIFFIES);
  mem.write(state, GP_START, now);
  mem.write_once(state, JIFFIES_STALL, (now + mem.peek(state, STALL_TIMEOUT)) | 0);
  mem.write(state, GP_NEEDGP, 0);
  mem.write(state, GP_FIRST_FQS, 1);
  mem.write(state, GP_NODE, rcu_first_leaf(cpu));
  mem.write_once(state, GP_STATE, RCU_GP_ONOFF);
  rcu_seq_start(cpu, state, STATE_GP_SEQ);
  rcu_poll_gp_seq_start(cpu, GP_SEQ_POLLED_SNAP);
  trace(cpu, EV_GP_START, mem.read_once(state, STATE_GP_SEQ), 0);
  unlock_rcu_node(cpu, root, flags);
  return true;
}
/**
 * The second half of rcu_gp_init(), for one node. Root first: a leaf may report upwards the moment it is initialised, and
 * its parent's bit must be there by then, or the report is lost or the grace period looks finished.
 */
function rcu_gp_init(cpu: Cpu, state: Ptr<"rcu_state">, rnp: Ptr<"rcu_node">): void {
  const { mem } = cpu;
  const flags = lock_rcu_node(cpu, rnp);
  const gp_seq = mem.read_once(state, STATE_GP_SEQ);
  const parent = rcu_parent(cpu, rnp);
  assert(cpu, parent === NULL || mem.read_once(parent, GP_SEQ) === gp_seq, "I-RCU-3: a child is initialised first");
  if (mem.read(rnp, QSMASK) !== 0) warn(cpu, "a grace period begins, but the last one still waits");
  const online = mem.read(rnp, QSMASKINIT);
  mem.write(rnp, QSMASK, online);
  if (cpu.preempt) rcu_preempt_check_blocked_tasks(cpu, rnp);
  mem.write_once(rnp, GP_SEQ, gp_seq);
  const rdp = this_rcu_data(cpu);
  const needwake = rnp === rcu_mynode(cpu, rdp) && __note_gp_changes(cpu, rnp, rdp);
  const offline = rcu_is_leaf_node(cpu, rnp) ? online & ~mem.read(rnp, QSMASKINITNEXT) : 0;
  if (offline !== 0) rcu_report_qs_rnp(cpu, rnp, offline, gp_seq, flags);
  else unlock_rcu_node(cpu, rnp, flags);
  if (needwake) rcu_gp_kthread_wake(cpu);
}
/** rcu_gp_fqs_loop(): has the root heard from everybody? If not, is it time to look? */
function rcu_gp_fqs_loop(cpu: Cpu, state: Ptr<"rcu_state">): boolean {
  const { mem } = cpu;
  const pressed = (mem.fetch_and(state, GP_FLAGS, ~RCU_GP_FLAG_FQS) & RCU_GP_FLAG_FQS) !== 0;
  const root = rcu_get_root(cpu);
  const flags = lock_rcu_node(cpu, root);
  const done = mem.read(root, QSMASK) === 0 && !rcu_preempt_blocked_readers_cgp(cpu, root);
  if (done) {
    rcu_poll_gp_seq_end(cpu, GP_SEQ_POLLED_SNAP);
    mem.write(state, GP_NODE, 0);
    mem.write_once(state, GP_STATE, RCU_GP_CLEANUP);
  }
  unlock_rcu_node(cpu, root, flags);
  if (done) return true;
  const first = mem.read(state, GP_FIRST_FQS) !== 0;
  const now = mem.read_once(cpu.globals, JIFFIES);
  if (!first && !pressed && ULONG_CMP_LT(now, mem.read(state, JIFFIES_FORCE_QS))) return false;
  mem.write(state, GP_FIRST_FQS, 0);
  mem.write(state, JIFFIES_FORCE_QS, (now + JIFFIES_TILL_NEXT_FQS) | 0);
  rcu_gp_fqs(cpu, first);
  return true;
}
/**
 * rcu_gp_cleanup(), for one node. Root first, for the same reason as in rcu_gp_init(), and because polled grace periods
 * look at the root: it must not lag behind a leaf that lets callbacks run.
 */
function rcu_gp_cleanup(cpu: Cpu, state: Ptr<"rcu_state">, rnp: Ptr<"rcu_node">): void {
  const { mem } = cpu;
  const flags = lock_rcu_node(cpu, rnp);
  const gp_seq = rcu_seq_endval(mem.read_once(state, STATE_GP_SEQ));
  const parent = rcu_parent(cpu, rnp);
  assert(cpu, parent === NULL || mem.read_once(parent, GP_SEQ) === gp_seq, "I-RCU-3: a child is cleaned up first");
  const waits = mem.read(rnp, QSMASK) !== 0 || rcu_preempt_blocked_readers_cgp(cpu, rnp);
  if (waits) warn(cpu, "a grace period ends, but a node still waits");
  mem.write_once(rnp, GP_SEQ, gp_seq);
  const rdp = this_rcu_data(cpu);
  const needwake = rnp === rcu_mynode(cpu, rdp) && __note_gp_changes(cpu, rnp, rdp);
  if (rcu_future_gp_cleanup(cpu, rnp) || needwake) mem.write(state, GP_NEEDGP, 1);
  unlock_rcu_node(cpu, rnp, flags);
  wake_callback_waiters(cpu, rnp);
}
/**
 * CPUs of a leaf that have callbacks and may sleep learn that the grace period is over. They published themselves before
 * they looked at the leaf's number for the last time, so they have seen the new one, or we see them.
 */
function wake_callback_waiters(cpu: Cpu, rnp: Ptr<"rcu_node">): void {
  const queue = embedded(rnp, GP_WQ);
  if (cpu.mem.read_once(queue, CPUS) === 0) return;
  for (let left = cpu.mem.xchg(queue, CPUS, 0); left !== 0; left &= left - 1) {
    const id = 31 - Math.clz32(left & -left);
    if (id !== cpu.id) kick_cpu(cpu, id); // We look again ourselves.
  }
}
/**
 * The end of rcu_gp_cleanup(). Last of all: who sees the new number here, and computes from it which grace period to ask
 * for, must find no node that still shows the old one.
 */
function rcu_gp_end(cpu: Cpu, state: Ptr<"rcu_state">): void {
  const { mem } = cpu;
  const root = rcu_get_root(cpu);
  const flags = lock_rcu_node(cpu, root);
  rcu_seq_end(cpu, state, STATE_GP_SEQ);
  mem.write_once(state, GP_STATE, RCU_GP_IDLE);
  mem.fetch_and(state, GP_FLAGS, ~RCU_GP_FLAG_FQS);
  mem.count(state, N_GPS, 1);
  trace(cpu, EV_GP_END, mem.read_once(state, STATE_GP_SEQ), 0);
  // Requests that came to the root after it was cleaned up found the grace period still in progress.
  const late = ULONG_CMP_LT(mem.read_once(root, GP_SEQ), mem.read(root, GP_SEQ_NEEDED));
  if (late || mem.read(state, GP_NEEDGP) !== 0) mem.fetch_or(state, GP_FLAGS, RCU_GP_FLAG_INIT);
  unlock_rcu_node(cpu, root, flags);
}
