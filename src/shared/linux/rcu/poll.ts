/**
 * Polled grace periods: a cookie now, a question later. include/linux/rcutree.h, kernel/rcu/tree.c; spec rcu 4.10.
 *
 *   get_state...    a cookie. Asks for nothing: if nobody needs a grace period, polling may never become true
 *   start_poll...   the same, and asks for the grace period
 *   poll_state...   has a full grace period, of either kind, gone by since the cookie was taken?
 *   cond_...        waits for one if not
 *
 * The plain form counts both kinds in one number. The _full form keeps a number for each kind, so it misses none.
 *
 * Its normal number is taken from rcu_state.gp_seq, which moves first when a grace period begins: taken from the root, it
 * would count one that has begun already. It is tested against the root, which is updated before any callback may run:
 * a callback that asks about the grace period it waited for must hear yes.
 */
import { has_bug } from "../../cpu/bugs.ts";
import type { Cpu } from "../../cpu/cpu.ts";
import { BUG_ROOT_COOKIE } from "../../layout/bugs.ts";
import { RcuGpOldstate, RcuNode, RcuState } from "../../layout/rcu.ts";
import type { Ptr } from "../../mem/struct.ts";
import { lock_rcu_node, rcu_get_root, rcu_mynode, rcu_state, this_rcu_data, unlock_rcu_node } from "./rcu_node.ts";
import { rcu_seq_done_exact, rcu_seq_snap } from "./rcu_seq.ts";
import { rcu_gp_kthread_wake, rcu_start_this_gp } from "./tree_request.ts";
import { synchronize_rcu } from "./tree_sync.ts";

const { gp_seq: STATE_GP_SEQ, gp_seq_polled: GP_SEQ_POLLED, expedited_sequence: EXPEDITED_SEQUENCE } = RcuState.offset;
const { gp_seq: GP_SEQ } = RcuNode.offset;
const { norm: NORM, exp: EXP } = RcuGpOldstate.offset;

/** A cookie whose grace period is always over. */
export const RCU_GET_STATE_COMPLETED = 1;

/** get_completed_synchronize_rcu() @context Any */
export function get_completed_synchronize_rcu(): number {
  return RCU_GET_STATE_COMPLETED;
}
/** get_completed_synchronize_rcu_full() @context Any */
export function get_completed_synchronize_rcu_full(cpu: Cpu, rgosp: Ptr<"rcu_gp_oldstate">): void {
  cpu.mem.write(rgosp, NORM, RCU_GET_STATE_COMPLETED);
  cpu.mem.write(rgosp, EXP, RCU_GET_STATE_COMPLETED);
}
/** same_state_synchronize_rcu_full(): may both cookies share one grace period? @context Any */
export function same_state_synchronize_rcu_full(
  cpu: Cpu,
  a: Ptr<"rcu_gp_oldstate">,
  b: Ptr<"rcu_gp_oldstate">,
): boolean {
  return cpu.mem.read(a, NORM) === cpu.mem.read(b, NORM) && cpu.mem.read(a, EXP) === cpu.mem.read(b, EXP);
}

/** get_state_synchronize_rcu() @context Any. Lock-free. */
export function get_state_synchronize_rcu(cpu: Cpu): number {
  cpu.mem.smp_mb(); // What the caller has taken out of sight is so before its cookie.
  return rcu_seq_snap(cpu, rcu_state(cpu), GP_SEQ_POLLED);
}
/** get_state_synchronize_rcu_full() @param rgosp  the caller's. @context Any. Lock-free. */
export function get_state_synchronize_rcu_full(cpu: Cpu, rgosp: Ptr<"rcu_gp_oldstate">): void {
  cpu.mem.smp_mb(); // As there.
  const norm = has_bug(cpu, BUG_ROOT_COOKIE)
    ? rcu_seq_snap(cpu, rcu_get_root(cpu), GP_SEQ)
    : rcu_seq_snap(cpu, rcu_state(cpu), STATE_GP_SEQ);
  cpu.mem.write(rgosp, NORM, norm);
  cpu.mem.write(rgosp, EXP, rcu_seq_snap(cpu, rcu_state(cpu), EXPEDITED_SEQUENCE));
}

/** start_poll_synchronize_rcu() @context Any but NMI, no rcu_node lock held. */
export function start_poll_synchronize_rcu(cpu: Cpu): number {
  const cookie = get_state_synchronize_rcu(cpu);
  request_grace_period(cpu);
  return cookie;
}
/** start_poll_synchronize_rcu_full() @context as start_poll_synchronize_rcu() */
export function start_poll_synchronize_rcu_full(cpu: Cpu, rgosp: Ptr<"rcu_gp_oldstate">): void {
  get_state_synchronize_rcu_full(cpu, rgosp);
  request_grace_period(cpu);
}
/** A grace period that begins after now. */
function request_grace_period(cpu: Cpu): void {
  const rdp = this_rcu_data(cpu);
  const rnp = rcu_mynode(cpu, rdp);
  const flags = lock_rcu_node(cpu, rnp);
  const needwake = rcu_start_this_gp(cpu, rnp, rdp, rcu_seq_snap(cpu, rcu_state(cpu), STATE_GP_SEQ));
  unlock_rcu_node(cpu, rnp, flags);
  if (needwake) rcu_gp_kthread_wake(cpu);
}

/**
 * poll_state_synchronize_rcu() - true: all readers that were there when the cookie was taken are gone.
 * @context Any. Lock-free.
 */
export function poll_state_synchronize_rcu(cpu: Cpu, cookie: number): boolean {
  return cookie === RCU_GET_STATE_COMPLETED || rcu_seq_done_exact(cpu, rcu_state(cpu), GP_SEQ_POLLED, cookie);
}
/** poll_state_synchronize_rcu_full() @context Any. Lock-free. */
export function poll_state_synchronize_rcu_full(cpu: Cpu, rgosp: Ptr<"rcu_gp_oldstate">): boolean {
  const norm = cpu.mem.read(rgosp, NORM);
  if (norm === RCU_GET_STATE_COMPLETED || rcu_seq_done_exact(cpu, rcu_get_root(cpu), GP_SEQ, norm)) return true;
  const exp = cpu.mem.read(rgosp, EXP);
  return exp === RCU_GET_STATE_COMPLETED || rcu_seq_done_exact(cpu, rcu_state(cpu), EXPEDITED_SEQUENCE, exp);
}

/** cond_synchronize_rcu(): wait for a grace period unless the cookie's is over. @context Task, may sleep. */
export function cond_synchronize_rcu(cpu: Cpu, cookie: number): void {
  if (!poll_state_synchronize_rcu(cpu, cookie)) synchronize_rcu(cpu);
}
/** cond_synchronize_rcu_full() @context Task, may sleep. */
export function cond_synchronize_rcu_full(cpu: Cpu, rgosp: Ptr<"rcu_gp_oldstate">): void {
  if (!poll_state_synchronize_rcu_full(cpu, rgosp)) synchronize_rcu(cpu);
}
