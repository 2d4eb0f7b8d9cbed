/**
 * CPUs that come and go. kernel/rcu/tree.c; spec rcu 4.6 step 2.
 *
 * A CPU changes qsmaskinitnext of its leaf at once, but what a grace period waits for changes only at its beginning:
 * rcu_apply_online() carries the change to qsmaskinit, and to the nodes above when a leaf becomes empty or ceases to be.
 * A CPU that goes reports for itself, so no grace period waits for it. Its callbacks go to another CPU.
 *
 * Lock order: rcu_state.barrier_lock, then a leaf, then those above it.
 */
import { assert, bug } from "../../cpu/bug.ts";
import { bind_callback } from "../../cpu/callback_table.ts";
import { irqs_disabled } from "../../cpu/context.ts";
import type { Cpu } from "../../cpu/cpu.ts";
import { CB } from "../../layout/callbacks.ts";
import { CpuSlot } from "../../layout/cpu.ts";
import { PerCpu } from "../../layout/percpu.ts";
import { RcuData, RcuNode, RcuState } from "../../layout/rcu.ts";
import { embedded, NULL, type Ptr } from "../../mem/struct.ts";
import { raw_spin_lock, raw_spin_lock_irqsave, raw_spin_unlock, raw_spin_unlock_irqrestore } from "../sync/spinlock.ts";
import {
  lock_rcu_node,
  per_rcu_data,
  rcu_cpu_mask,
  rcu_grpmask,
  rcu_mynode,
  rcu_parent,
  rcu_state,
  this_rcu_data,
  unlock_rcu_node,
} from "./rcu_node.ts";
import { rcu_segcblist_merge, rcu_segcblist_n_cbs } from "./rcu_segcblist.ts";
import { rcu_report_exp_rdp } from "./tree_exp_qs.ts";
import { rcu_barrier_entrain } from "./tree_barrier.ts";
import { rcu_report_qs_rnp } from "./tree_qs.ts";
import { rcu_accelerate_cbs_unlocked } from "./tree_request.ts";

const {
  lock: LOCK,
  gp_seq: GP_SEQ,
  qsmask: QSMASK,
  qsmaskinit: QSMASKINIT,
  qsmaskinitnext: QSMASKINITNEXT,
  expmaskinit: EXPMASKINIT,
} = RcuNode.offset;
const {
  cblist: CBLIST,
  gp_seq: RDP_GP_SEQ,
  gp_seq_needed: RDP_GP_SEQ_NEEDED,
  cpu_no_qs_norm: CPU_NO_QS_NORM,
  cpu_no_qs_exp: CPU_NO_QS_EXP,
  core_needs_qs: CORE_NEEDS_QS,
} = RcuData.offset;
const { slot: SLOT } = PerCpu.offset;
const { id: ID } = CpuSlot.offset;
const { barrier_lock: BARRIER_LOCK } = RcuState.offset;

/** A leaf's CPUs as the grace period that is beginning will count them. @context the leader */
export function rcu_apply_online(cpu: Cpu, leaf: Ptr<"rcu_node">): void {
  const { mem } = cpu;
  const flags = lock_rcu_node(cpu, leaf);
  const before = mem.read(leaf, QSMASKINIT);
  const now = mem.read(leaf, QSMASKINITNEXT);
  if (before !== now) {
    assert(cpu, mem.read(leaf, QSMASK) === 0, "I-RCU-1: CPUs change under a grace period");
    mem.write(leaf, QSMASKINIT, now);
    if ((before === 0) !== (now === 0)) propagate(cpu, leaf, now !== 0);
  }
  unlock_rcu_node(cpu, leaf, flags);
}
/** The leaf has CPUs again, or none any longer: so its parent's mask, and so on. The leaf's lock is held. */
function propagate(cpu: Cpu, leaf: Ptr<"rcu_node">, present: boolean): void {
  const { mem } = cpu;
  let bit = rcu_grpmask(cpu, leaf);
  for (let rnp = rcu_parent(cpu, leaf); rnp !== NULL; rnp = rcu_parent(cpu, rnp)) {
    raw_spin_lock(cpu, embedded(rnp, LOCK));
    const before = mem.read(rnp, QSMASKINIT);
    const now = present ? before | bit : before & ~bit;
    mem.write(rnp, QSMASKINIT, now);
    raw_spin_unlock(cpu, embedded(rnp, LOCK));
    if ((before === 0) === (now === 0)) return;
    bit = rcu_grpmask(cpu, rnp);
  }
}

/**
 * rcutree_report_cpu_starting() - this CPU comes up: the next grace period waits for it.
 * @context the CPU itself, before it is online, IRQs off.
 */
export function rcutree_report_cpu_starting(cpu: Cpu): void {
  const { mem } = cpu;
  assert(cpu, irqs_disabled(cpu), "rcutree_report_cpu_starting() with IRQs on");
  const rdp = this_rcu_data(cpu);
  const mask = rcu_cpu_mask(cpu, rdp);
  const leaf = rcu_mynode(cpu, rdp);
  const barrier_lock = embedded(rcu_state(cpu), BARRIER_LOCK);
  raw_spin_lock(cpu, barrier_lock); // rcu_barrier() may not take us for dead any more.
  const flags = lock_rcu_node(cpu, leaf);
  mem.write(leaf, QSMASKINITNEXT, mem.read(leaf, QSMASKINITNEXT) | mask);
  raw_spin_unlock(cpu, barrier_lock);
  const gp_seq = mem.read_once(leaf, GP_SEQ);
  mem.write(rdp, RDP_GP_SEQ, gp_seq);
  mem.write(rdp, RDP_GP_SEQ_NEEDED, gp_seq);
  mem.write(rdp, CPU_NO_QS_NORM, 1);
  mem.write(rdp, CORE_NEEDS_QS, 0);
  const first = mem.read(leaf, EXPMASKINIT) === 0;
  mem.write(leaf, EXPMASKINIT, mem.read(leaf, EXPMASKINIT) | mask);
  if (first) propagate_exp(cpu, leaf);
  // A grace period that counted it before it went: it has not been in a reader since.
  if ((mem.read(leaf, QSMASK) & mask) !== 0) rcu_report_qs_rnp(cpu, leaf, mask, mem.read_once(leaf, GP_SEQ), flags);
  else unlock_rcu_node(cpu, leaf, flags);
}
/** The leaf has CPUs for the first time. The leaf's lock is held. */
function propagate_exp(cpu: Cpu, leaf: Ptr<"rcu_node">): void {
  const { mem } = cpu;
  let bit = rcu_grpmask(cpu, leaf);
  for (let rnp = rcu_parent(cpu, leaf); rnp !== NULL; rnp = rcu_parent(cpu, rnp)) {
    raw_spin_lock(cpu, embedded(rnp, LOCK));
    mem.write(rnp, EXPMASKINIT, mem.read(rnp, EXPMASKINIT) | bit);
    raw_spin_unlock(cpu, embedded(rnp, LOCK));
    bit = rcu_grpmask(cpu, rnp);
  }
}
/**
 * rcutree_report_cpu_dead() - this CPU goes down: it is no reader any more, and no grace period waits for it.
 * @context the CPU itself, its last words, IRQs off.
 */
export function rcutree_report_cpu_dead(cpu: Cpu): void {
  const { mem } = cpu;
  assert(cpu, irqs_disabled(cpu), "rcutree_report_cpu_dead() with IRQs on");
  const rdp = this_rcu_data(cpu);
  const mask = rcu_cpu_mask(cpu, rdp);
  const leaf = rcu_mynode(cpu, rdp);
  if (mem.read(rdp, CPU_NO_QS_EXP) !== 0) rcu_report_exp_rdp(cpu, rdp);
  const flags = lock_rcu_node(cpu, leaf);
  // Before it reports: from then on a grace period may begin, and must not count it.
  mem.write(leaf, QSMASKINITNEXT, mem.read(leaf, QSMASKINITNEXT) & ~mask);
  if ((mem.read(leaf, QSMASK) & mask) !== 0) rcu_report_qs_rnp(cpu, leaf, mask, mem.read_once(leaf, GP_SEQ), flags);
  else unlock_rcu_node(cpu, leaf, flags);
}
/**
 * rcutree_migrate_callbacks() - take over the callbacks of a dead CPU. A barrier in progress may not have counted it yet.
 * @context Task, after the CPU is dead.
 */
export function rcutree_migrate_callbacks(cpu: Cpu, dead: number): void {
  if (dead === cpu.id) bug(cpu, "takes over its own callbacks");
  const from = per_rcu_data(cpu, dead);
  if (rcu_segcblist_n_cbs(cpu, embedded(from, CBLIST)) === 0) return;
  const lock = embedded(rcu_state(cpu), BARRIER_LOCK);
  const flags = raw_spin_lock_irqsave(cpu, lock);
  const rdp = this_rcu_data(cpu);
  rcu_barrier_entrain(cpu, from);
  rcu_segcblist_merge(cpu, embedded(rdp, CBLIST), embedded(from, CBLIST));
  rcu_accelerate_cbs_unlocked(cpu, rdp);
  raw_spin_unlock_irqrestore(cpu, lock, flags);
}

/** Binds what kernel/cpu.ts calls. Once per thread. */
export function bind_rcu_hotplug(): void {
  bind_callback(CB.rcutree_report_cpu_dead, rcutree_report_cpu_dead);
  bind_callback(CB.rcutree_report_cpu_starting, rcutree_report_cpu_starting);
  bind_callback(CB.rcutree_migrate_callbacks, (cpu, section: Ptr<"percpu">) => {
    rcutree_migrate_callbacks(cpu, cpu.mem.peek(embedded(section, SLOT), ID));
  });
}
