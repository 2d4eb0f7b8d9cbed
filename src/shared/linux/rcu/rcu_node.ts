/**
 * The tree of rcu_nodes: its shape, and the way to its parts. kernel/rcu/tree.c, rcu.h; spec rcu 4.4.
 *
 *   node[0] is the root; the nodes of a level follow each other, so counting up is breadth first, parents before
 *   children. Leaves come last. A machine of one or two CPUs has one node, which is root and leaf.
 *
 * Lock order: a leaf, then those above it, one at a time. All with IRQs off.
 */
import { bug } from "../../cpu/bug.ts";
import { per_cpu_ptr, this_cpu_ptr, type Cpu } from "../../cpu/cpu.ts";
import { Globals } from "../../layout/globals.ts";
import { PerCpu } from "../../layout/percpu.ts";
import {
  NUM_RCU_NODES,
  RCU_FANOUT,
  RCU_FANOUT_LEAF,
  RCU_NUM_LVLS,
  RcuData,
  RcuNode,
  RcuState,
} from "../../layout/rcu.ts";
import { embedded, embedded_at, NULL, type Ptr } from "../../mem/struct.ts";
import { INIT_LIST_HEAD } from "../lib/list.ts";
import { raw_spin_lock_irqsave, raw_spin_unlock_irqrestore, spin_lock_init } from "../sync/spinlock.ts";
import { LC } from "../sync/lockdep.ts";
import { RCU_INITIAL_GP_SEQ } from "./rcu_seq.ts";

const { rcu_state: RCU_STATE } = Globals.offset;
const { rcu_data: RCU_DATA } = PerCpu.offset;
const { node: NODE, num_nodes: NUM_NODES, first_leaf: FIRST_LEAF } = RcuState.offset;
const { mynode: MYNODE, grpmask: RDP_GRPMASK } = RcuData.offset;
const {
  lock: LOCK,
  gp_seq: GP_SEQ,
  gp_seq_needed: GP_SEQ_NEEDED,
  qsmaskinit: QSMASKINIT,
  qsmaskinitnext: QSMASKINITNEXT,
  expmask: EXPMASK,
  expmaskinit: EXPMASKINIT,
  exp_seq_rq: EXP_SEQ_RQ,
  grpmask: GRPMASK,
  grplo: GRPLO,
  grphi: GRPHI,
  level: LEVEL,
  parent: PARENT,
  blkd_tasks: BLKD_TASKS,
  gp_tasks: GP_TASKS,
  exp_tasks: EXP_TASKS,
} = RcuNode.offset;

export function rcu_state(cpu: Cpu): Ptr<"rcu_state"> {
  return embedded(cpu.globals, RCU_STATE);
}
/** Node `i`, breadth first. */
export function rcu_node(cpu: Cpu, i: number): Ptr<"rcu_node"> {
  return embedded_at(rcu_state(cpu), NODE, i, RcuNode.size);
}
/** rcu_get_root() */
export function rcu_get_root(cpu: Cpu): Ptr<"rcu_node"> {
  return rcu_node(cpu, 0);
}
// What boot wrote and nobody changes is peeked at: no steps.
export function rcu_num_nodes(cpu: Cpu): number {
  return cpu.mem.peek(rcu_state(cpu), NUM_NODES);
}
/** Index of the first leaf; leaves go on to rcu_num_nodes(). */
export function rcu_first_leaf(cpu: Cpu): number {
  return cpu.mem.peek(rcu_state(cpu), FIRST_LEAF);
}
export function rcu_is_leaf_node(cpu: Cpu, rnp: Ptr<"rcu_node">): boolean {
  return rnp >= rcu_node(cpu, rcu_first_leaf(cpu));
}
export function rcu_parent(cpu: Cpu, rnp: Ptr<"rcu_node">): Ptr<"rcu_node"> {
  return cpu.mem.peek(rnp, PARENT);
}
export function rcu_grpmask(cpu: Cpu, rnp: Ptr<"rcu_node">): number {
  return cpu.mem.peek(rnp, GRPMASK);
}
export function rcu_grplo(cpu: Cpu, rnp: Ptr<"rcu_node">): number {
  return cpu.mem.peek(rnp, GRPLO);
}
export function this_rcu_data(cpu: Cpu): Ptr<"rcu_data"> {
  return this_cpu_ptr(cpu, RCU_DATA);
}
export function per_rcu_data(cpu: Cpu, id: number): Ptr<"rcu_data"> {
  return per_cpu_ptr(cpu, RCU_DATA, id);
}
/** The leaf of a CPU, and its bit there. */
export function rcu_mynode(cpu: Cpu, rdp: Ptr<"rcu_data">): Ptr<"rcu_node"> {
  return cpu.mem.peek(rdp, MYNODE);
}
export function rcu_cpu_mask(cpu: Cpu, rdp: Ptr<"rcu_data">): number {
  return cpu.mem.peek(rdp, RDP_GRPMASK);
}

/**
 * rcu_rdp_cpu_online() - does RCU count that CPU? It goes by its own last words, later than it goes from cpu_online().
 * @kernel  kernel/rcu/tree.c
 * @context Any. Stable under barrier_lock, for a CPU that comes; one that goes may be gone by now.
 */
export function rcu_rdp_cpu_online(cpu: Cpu, rdp: Ptr<"rcu_data">): boolean {
  return (cpu.mem.data_race_read(rcu_mynode(cpu, rdp), QSMASKINITNEXT) & rcu_cpu_mask(cpu, rdp)) !== 0;
}

export function lock_rcu_node(cpu: Cpu, rnp: Ptr<"rcu_node">): number {
  return raw_spin_lock_irqsave(cpu, embedded(rnp, LOCK));
}
export function unlock_rcu_node(cpu: Cpu, rnp: Ptr<"rcu_node">, flags: number): void {
  raw_spin_unlock_irqrestore(cpu, embedded(rnp, LOCK), flags);
}

/** rcu_preempt_blocked_readers_cgp(): does the present grace period wait for tasks here? The node's lock held. */
export function rcu_preempt_blocked_readers_cgp(cpu: Cpu, rnp: Ptr<"rcu_node">): boolean {
  return cpu.preempt && cpu.mem.read(rnp, GP_TASKS) !== NULL;
}
/** sync_rcu_exp_done(): an expedited grace period waits for nobody here. The node's lock held, or a race of the caller's. */
export function rcu_exp_done(cpu: Cpu, rnp: Ptr<"rcu_node">): boolean {
  if (cpu.mem.read_once(rnp, EXPMASK) !== 0) return false;
  return !cpu.preempt || cpu.mem.read_once(rnp, EXP_TASKS) === NULL;
}

/** Nodes per level, leaves last. */
function rcu_levels(cpus: number): readonly number[] {
  const levels = [Math.ceil(cpus / RCU_FANOUT_LEAF)];
  for (let nodes = levels[0]; nodes > 1; levels.unshift(nodes)) nodes = Math.ceil(nodes / RCU_FANOUT);
  return levels;
}

/**
 * rcu_init_one() - build the tree: every CPU in a leaf, every CPU of `online` accounted up to the root.
 * @context boot
 */
export function rcu_init_one(cpu: Cpu, online: number): void {
  const { mem } = cpu;
  const nrCpus = cpu.map.shape.cpus;
  const levels = rcu_levels(nrCpus);
  const total = levels.reduce((sum, n) => sum + n, 0);
  if (total > NUM_RCU_NODES || levels.length > RCU_NUM_LVLS) bug(cpu, `${nrCpus} CPUs need ${total} rcu_nodes`);
  mem.poke(rcu_state(cpu), NUM_NODES, total);
  mem.poke(rcu_state(cpu), FIRST_LEAF, total - Math.ceil(nrCpus / RCU_FANOUT_LEAF));

  let first = 0;
  let span = RCU_FANOUT_LEAF * RCU_FANOUT ** (levels.length - 1); // CPUs below a node of this level
  for (const [level, n] of levels.entries()) {
    for (let i = 0; i < n; i++) {
      const rnp = rcu_node(cpu, first + i);
      const cls = level === levels.length - 1 ? LC.rcu_node_leaf : level === 0 ? LC.rcu_node_root : LC.rcu_node_mid;
      spin_lock_init(cpu, embedded(rnp, LOCK), cls);
      mem.write_once(rnp, GP_SEQ, RCU_INITIAL_GP_SEQ);
      mem.write(rnp, GP_SEQ_NEEDED, RCU_INITIAL_GP_SEQ);
      mem.write_once(rnp, EXP_SEQ_RQ, RCU_INITIAL_GP_SEQ);
      mem.write_once(rnp, EXPMASK, 0);
      INIT_LIST_HEAD(cpu, embedded(rnp, BLKD_TASKS));
      mem.poke(rnp, GRPLO, i * span);
      mem.poke(rnp, GRPHI, Math.min((i + 1) * span, nrCpus) - 1);
      mem.poke(rnp, LEVEL, level);
      const parents = level === 0 ? 0 : levels[level - 1];
      const parent = level === 0 ? NULL : rcu_node(cpu, first - parents + Math.floor(i / RCU_FANOUT));
      mem.poke(rnp, PARENT, parent);
      mem.poke(rnp, GRPMASK, level === 0 ? 0 : 1 << (i % RCU_FANOUT));
    }
    first += n;
    span /= RCU_FANOUT;
  }
  for (let id = 0; id < nrCpus; id++) {
    const rdp = per_rcu_data(cpu, id);
    mem.poke(rdp, MYNODE, rcu_node(cpu, rcu_first_leaf(cpu) + Math.floor(id / RCU_FANOUT_LEAF)));
    mem.poke(rdp, RDP_GRPMASK, 1 << (id % RCU_FANOUT_LEAF));
    if (online & (1 << id)) rcu_add_cpu(cpu, rdp);
  }
}

/** Marks a CPU and all nodes above it as present, at once: before the first grace period. */
function rcu_add_cpu(cpu: Cpu, rdp: Ptr<"rcu_data">): void {
  const { mem } = cpu;
  let mask = rcu_cpu_mask(cpu, rdp);
  for (let rnp = rcu_mynode(cpu, rdp); rnp !== NULL; rnp = rcu_parent(cpu, rnp)) {
    mem.write(rnp, QSMASKINIT, mem.read(rnp, QSMASKINIT) | mask);
    mem.write(rnp, QSMASKINITNEXT, mem.read(rnp, QSMASKINITNEXT) | mask);
    mem.write(rnp, EXPMASKINIT, mem.read(rnp, EXPMASKINIT) | mask);
    mask = rcu_grpmask(cpu, rnp);
  }
}
