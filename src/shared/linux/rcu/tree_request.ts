/**
 * Asking for grace periods, and giving callbacks the number of the one they wait for. kernel/rcu/tree.c; spec rcu 4.6.
 *
 * A request climbs from a leaf to the root, so that many CPUs that ask for the same grace period meet low in the tree. It
 * stops where somebody has asked already, or where a grace period is in progress: then cleanup, which visits every
 * node, finds it in gp_seq_needed. Only what arrives at the root while no grace period is in progress starts one.
 */
import { assert } from "../../cpu/bug.ts";
import { irqs_disabled } from "../../cpu/context.ts";
import type { Cpu } from "../../cpu/cpu.ts";
import { Globals } from "../../layout/globals.ts";
import { RCU_GP_FLAG_INIT, RcuData, RcuNode, RcuState } from "../../layout/rcu.ts";
import { embedded, NULL, type Ptr } from "../../mem/struct.ts";
import { raise_softirq, RCU_SOFTIRQ } from "../kernel/softirq.ts";
import { assert_spin_locked, raw_spin_lock, raw_spin_unlock } from "../sync/spinlock.ts";
import { lock_rcu_node, rcu_mynode, rcu_parent, rcu_state, unlock_rcu_node } from "./rcu_node.ts";
import { rcu_segcblist_accelerate, rcu_segcblist_advance, rcu_segcblist_pend_cbs } from "./rcu_segcblist.ts";
import { rcu_seq_snap, rcu_seq_started_value, rcu_seq_state, ULONG_CMP_GE, ULONG_CMP_LT } from "./rcu_seq.ts";

const {
  gp_seq: STATE_GP_SEQ,
  gp_flags: GP_FLAGS,
  gp_leader: GP_LEADER,
  gp_req_activity: GP_REQ_ACTIVITY,
} = RcuState.offset;
const { lock: LOCK, gp_seq: GP_SEQ, gp_seq_needed: GP_SEQ_NEEDED } = RcuNode.offset;
const { cblist: CBLIST, gp_seq_needed: RDP_GP_SEQ_NEEDED, gpwrap: GPWRAP } = RcuData.offset;
const { jiffies: JIFFIES } = Globals.offset;

/** rcu_gp_in_progress() @context Any */
export function rcu_gp_in_progress(cpu: Cpu): boolean {
  return rcu_seq_state(cpu.mem.read_once(rcu_state(cpu), STATE_GP_SEQ)) !== 0;
}

/**
 * rcu_gp_kthread_wake() - there is something for the grace-period engine to do: this CPU's next softirq drives it.
 *
 * Differs: the kernel wakes a thread. Whoever makes the engine runnable sees to it here, so progress needs nobody else.
 *
 * @context Any but NMI, no rcu_node lock held.
 */
export function rcu_gp_kthread_wake(cpu: Cpu): void {
  // The leader looks again after it has let go: also when this is an interrupt in the middle of its work.
  if (cpu.mem.read_once(rcu_state(cpu), GP_LEADER) === cpu.id + 1) return;
  raise_softirq(cpu, RCU_SOFTIRQ);
}

/**
 * rcu_start_this_gp() - ask for the grace period that ends at `req`.
 *
 * @param rnp_start  the caller holds its lock, and still does afterwards.
 * @returns true if the caller has to call rcu_gp_kthread_wake() once it has dropped its locks.
 * @context IRQs off. Takes the locks above rnp_start, one at a time.
 * @pairs   rcu_gp_cleanup(): it sees every request that was stopped by a grace period in progress.
 */
export function rcu_start_this_gp(cpu: Cpu, rnp_start: Ptr<"rcu_node">, rdp: Ptr<"rcu_data">, req: number): boolean {
  const { mem } = cpu;
  assert_spin_locked(cpu, embedded(rnp_start, LOCK));
  let rnp = rnp_start;
  let started = false;
  for (;;) {
    const needed = mem.read(rnp, GP_SEQ_NEEDED);
    const gp_seq = mem.read_once(rnp, GP_SEQ);
    const above = rnp !== rnp_start;
    if (ULONG_CMP_GE(needed, req) || rcu_seq_started_value(gp_seq, req)) break;
    if (above && rcu_seq_state(gp_seq) !== 0) break; // Cleanup finds it in the nodes below.
    mem.write(rnp, GP_SEQ_NEEDED, req);
    if (rcu_seq_state(gp_seq) !== 0) break; // Cleanup finds it here.
    const parent = rcu_parent(cpu, rnp);
    if (parent === NULL) {
      started = request_at_root(cpu);
      break;
    }
    if (above) raw_spin_unlock(cpu, embedded(rnp, LOCK));
    rnp = parent;
    raw_spin_lock(cpu, embedded(rnp, LOCK));
  }
  // What is recorded here is recorded for this CPU too: it need not ask for that again.
  const needed = mem.read(rnp, GP_SEQ_NEEDED);
  if (ULONG_CMP_LT(mem.read(rnp_start, GP_SEQ_NEEDED), needed)) mem.write(rnp_start, GP_SEQ_NEEDED, needed);
  if (ULONG_CMP_LT(mem.read(rdp, RDP_GP_SEQ_NEEDED), needed)) mem.write(rdp, RDP_GP_SEQ_NEEDED, needed);
  if (rnp !== rnp_start) raw_spin_unlock(cpu, embedded(rnp, LOCK));
  return started;
}

/** At the root, its lock held: only recorded while a grace period is in progress. */
function request_at_root(cpu: Cpu): boolean {
  if (rcu_gp_in_progress(cpu)) return false;
  const state = rcu_state(cpu);
  cpu.mem.write(state, GP_REQ_ACTIVITY, cpu.mem.read_once(cpu.globals, JIFFIES));
  cpu.mem.fetch_or(state, GP_FLAGS, RCU_GP_FLAG_INIT);
  return true;
}

/**
 * rcu_future_gp_cleanup() - has somebody asked at this node for more than the grace period that has just ended?
 * @context IRQs off, rnp's lock held.
 */
export function rcu_future_gp_cleanup(cpu: Cpu, rnp: Ptr<"rcu_node">): boolean {
  const gp_seq = cpu.mem.read_once(rnp, GP_SEQ);
  if (ULONG_CMP_LT(gp_seq, cpu.mem.read(rnp, GP_SEQ_NEEDED))) return true;
  cpu.mem.write(rnp, GP_SEQ_NEEDED, gp_seq); // Keeps it from falling so far behind that it looks like the future.
  return false;
}

/**
 * rcu_accelerate_cbs() - number this CPU's callbacks and ask for the grace period they need.
 * @returns true if the caller owes a rcu_gp_kthread_wake().
 * @context IRQs off, the lock of rnp, this CPU's leaf, held.
 */
export function rcu_accelerate_cbs(cpu: Cpu, rnp: Ptr<"rcu_node">, rdp: Ptr<"rcu_data">): boolean {
  const cblist = embedded(rdp, CBLIST);
  assert_spin_locked(cpu, embedded(rnp, LOCK));
  if (!rcu_segcblist_pend_cbs(cpu, cblist)) return false;
  // The snapshot comes after the callbacks were queued: what starts after it waits for every reader they care about.
  const req = rcu_seq_snap(cpu, rcu_state(cpu), STATE_GP_SEQ);
  return rcu_segcblist_accelerate(cpu, cblist, req) && rcu_start_this_gp(cpu, rnp, rdp, req);
}
/**
 * rcu_accelerate_cbs_unlocked() - the same without the lock; lock-free if the grace period has been asked for already.
 * @context IRQs off, no rcu_node lock held. Owes nothing: wakes the engine itself.
 */
export function rcu_accelerate_cbs_unlocked(cpu: Cpu, rdp: Ptr<"rcu_data">): void {
  assert(cpu, irqs_disabled(cpu), "rcu_accelerate_cbs_unlocked() with IRQs on");
  const req = rcu_seq_snap(cpu, rcu_state(cpu), STATE_GP_SEQ);
  // Race: set only for a CPU that slept through a quarter of the range; its next look at the leaf takes the lock.
  if (cpu.mem.data_race_read(rdp, GPWRAP) === 0 && ULONG_CMP_GE(cpu.mem.read(rdp, RDP_GP_SEQ_NEEDED), req)) {
    rcu_segcblist_accelerate(cpu, embedded(rdp, CBLIST), req);
    return;
  }
  const rnp = rcu_mynode(cpu, rdp);
  const flags = lock_rcu_node(cpu, rnp);
  const needwake = rcu_accelerate_cbs(cpu, rnp, rdp);
  unlock_rcu_node(cpu, rnp, flags);
  if (needwake) rcu_gp_kthread_wake(cpu);
}
/**
 * rcu_advance_cbs() - the leaf shows that a grace period is over: callbacks that waited for it are DONE; the others get
 * numbers.
 * @returns true if the caller owes a rcu_gp_kthread_wake().
 * @context IRQs off, the lock of rnp, this CPU's leaf, held.
 */
export function rcu_advance_cbs(cpu: Cpu, rnp: Ptr<"rcu_node">, rdp: Ptr<"rcu_data">): boolean {
  const cblist = embedded(rdp, CBLIST);
  if (!rcu_segcblist_pend_cbs(cpu, cblist)) return false;
  rcu_segcblist_advance(cpu, cblist, cpu.mem.read_once(rnp, GP_SEQ));
  return rcu_accelerate_cbs(cpu, rnp, rdp);
}
