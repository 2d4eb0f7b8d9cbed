/**
 * rcu_state, rcu_node, rcu_data, rcu_segcblist. kernel/rcu/tree.h, include/linux/rcu_segcblist.h; spec rcu 4.4.
 *
 * Differs: sequence numbers are 32-bit words. They wrap after 2^30 grace periods, and every comparison is modular.
 */
import { HZ, NR_CPUS } from "../base/limits.ts";
import { aligned, array, atomic32, atomic_ptr, ptr, struct, u32, ulong } from "../mem/struct.ts";
import { MAX_TASKS } from "./cpu.ts";
import { IrqWork } from "./irq_work.ts";
import { Completion, ListHead, Mutex, RcuHead, Spinlock, WaitQueue } from "./types.ts";

/** Segments of a callback list; the index is also that of the tail pointer that ends the segment. */
export const RCU_DONE_TAIL = 0; // may be invoked
export const RCU_WAIT_TAIL = 1; // waits for grace period gp_seq[1]
export const RCU_NEXT_READY_TAIL = 2; // waits for grace period gp_seq[2]
export const RCU_NEXT_TAIL = 3; // no grace period assigned
export const RCU_CBLIST_NSEGS = 4;

/** rcu_state.gp_flags. */
export const RCU_GP_FLAG_INIT = 1; // a grace period is wanted
export const RCU_GP_FLAG_FQS = 2; // look at the quiescent states now

/** rcu_state.gp_state: the piece of a grace period that comes next. */
export const RCU_GP_IDLE = 0;
export const RCU_GP_ONOFF = 3;
export const RCU_GP_INIT = 4;
export const RCU_GP_WAIT_FQS = 5;
export const RCU_GP_CLEANUP = 7;
export const RCU_GP_CLEANED = 8;
export const GP_STATE_NAMES: readonly string[] = [
  "RCU_GP_IDLE",
  "RCU_GP_WAIT_GPS",
  "RCU_GP_DONE_GPS",
  "RCU_GP_ONOFF",
  "RCU_GP_INIT",
  "RCU_GP_WAIT_FQS",
  "RCU_GP_DOING_FQS",
  "RCU_GP_CLEANUP",
  "RCU_GP_CLEANED",
];

/** CPUs of a leaf, and children of any other node. Small, so that 4 CPUs already have a tree (spec rcu 6.6, F6). */
export const RCU_FANOUT_LEAF = 2;
export const RCU_FANOUT = 4;
export const RCU_NUM_LVLS = 3;
/** Nodes of the largest tree that the default fan-outs give: 16 leaves, 4 above them, the root. */
export const NUM_RCU_NODES = Math.ceil(NR_CPUS / RCU_FANOUT_LEAF) + 4 + 1;
/** Ticks that a CPU has to take without a quiescent state before it is reported. */
export const RCU_CPU_STALL_TIMEOUT = 21 * HZ;

/** A cookie of get_state_synchronize_rcu_full(). 16 bytes as in the kernel, since bulk pages of kfree_rcu() hold one. */
export const RcuGpOldstate = struct("rcu_gp_oldstate", { norm: ulong, exp: ulong });

/** A plain list of callbacks, taken off a segmented one. */
export const RcuCblist = struct("rcu_cblist", { head: ptr("rcu_head"), tail: ptr("rcu_head"), len: u32 });

/**
 * One singly linked list, cut into segments. Touched by its own CPU with IRQs off; only `len` is read from elsewhere.
 * tails[i] is the address of the pointer that ends segment i: `head`, or `next` of an rcu_head, whose first field it is.
 */
export const RcuSegcblist = struct("rcu_segcblist", {
  head: ptr("rcu_head"),
  tails: array(ptr("rcu_head"), RCU_CBLIST_NSEGS),
  gp_seq: array(u32, RCU_CBLIST_NSEGS),
  seglen: array(u32, RCU_CBLIST_NSEGS),
  /** All callbacks, those being invoked included. */
  len: atomic32,
});

/** A node of the tree that collects quiescent states. What has no comment is under `lock`, which IRQs off go with. */
export const RcuNode = struct(
  "rcu_node",
  {
    lock: aligned(64, Spinlock),
    gp_seq: atomic32, // read without the lock
    gp_seq_needed: u32, // the furthest grace period that somebody asked for here
    qsmask: u32, // who still has to report
    qsmaskinit: u32, // who had to at the start of this grace period
    qsmaskinitnext: u32, // who is online
    expmask: atomic32, // the same for expedited grace periods; the root's is read without the lock
    expmaskinit: u32,
    grpmask: u32, // own bit in the parent; constant, like the next four
    grplo: u32, // lowest and highest CPU below
    grphi: u32,
    level: u32, // 0: root
    parent: ptr("rcu_node"),
    /** Leaves: CPUs that have callbacks and may sleep. Whoever ends a grace period here kicks them. */
    gp_wq: aligned(64, WaitQueue),
    exp_seq_rq: atomic32, // the furthest expedited grace period asked for; read without the lock
    exp_wq: array(WaitQueue, 4), // who waits for it, by number modulo 4
    /** Leaves: tasks that were preempted in a reader; the first of them that blocks a grace period of either kind, or NULL. */
    blkd_tasks: ListHead,
    gp_tasks: ptr("list_head"),
    exp_tasks: atomic_ptr("list_head"), // the root's is read without the lock
  },
  { align: 64 },
);

/** struct rcu_synchronize: a synchronize_rcu() that waits. The kernel has it on the stack: one of these for each task. */
export const RcuSynchronize = struct("rcu_synchronize", {
  head: RcuHead,
  completion: Completion,
  busy: u32,
  /** The grace period that synchronize_rcu_expedited() waits for. */
  exp_seq: u32,
});

/** What RCU knows about one CPU. Plain words are this CPU's own, changed with IRQs off, unless it says otherwise. */
export const RcuData = struct(
  "rcu_data",
  {
    gp_seq: aligned(64, u32), // the last grace period that this CPU noticed
    gp_seq_needed: u32, // the furthest one recorded for it
    cpu_no_qs_norm: u32, // 1: no quiescent state yet in this grace period
    cpu_no_qs_exp: u32, // 1: an expedited grace period waits for one
    core_needs_qs: u32, // 1: the grace period waits for this CPU
    gpwrap: u32, // 1: gp_seq is so old that it could be taken for a future one; written under the leaf's lock
    mynode: ptr("rcu_node"), // constant, like grpmask
    grpmask: u32,
    ticks_this_gp: u32,
    cblist: RcuSegcblist,
    /** Callbacks on their way to be invoked: rcu_do_batch() of this CPU. */
    rcl: RcuCblist,
    blimit: u32,
    qlen_last_fqs_check: u32,
    n_force_qs_snap: u32,
    softirq_snap: u32,
    rcu_iw: IrqWork,
    synchronize: array(RcuSynchronize, MAX_TASKS), // one for each task
    barrier_head: RcuHead, // under rcu_state.barrier_lock
    barrier_seq_snap: atomic32, // written under it
    /** Written by whoever looks for quiescent states, under the leaf's lock. */
    watching_snap: aligned(64, u32),
    exp_watching_snap: u32,
    ticks_snap: u32, // ticks that the CPU had taken at the start of this grace period
    rcu_iw_pending: u32,
    rcu_iw_gp_seq: u32,
    /** Counted by count(). */
    n_cbs_queued: aligned(64, u32),
    n_cbs_invoked: u32,
    max_qlen: u32,
    n_qs: u32,
    n_throttled: u32,
  },
  { align: 64 },
);

export const RcuState = struct(
  "rcu_state",
  {
    gp_seq: aligned(64, atomic32), // written by the leader under the root's lock
    gp_flags: aligned(64, atomic32), // set under the root's lock
    /** Who drives the grace period now: CPU + 1, or 0. Taken by trylock only; the words up to n_gps belong to it. */
    gp_leader: aligned(64, atomic32),
    gp_state: atomic32, // read without being leader
    gp_node: u32, // index of the node that comes next
    gp_needgp: u32, // somebody asked for a further grace period
    gp_first_fqs: u32, // the first look at the CPUs has not been taken yet
    gp_leader_ticks: u32, // ticks that the leader had taken when it became leader
    jiffies_force_qs: u32, // when to look again
    gp_start: u32, // jiffies
    gp_activity: u32, // jiffies
    gp_req_activity: u32, // jiffies; under the root's lock
    n_force_qs: u32,
    n_gps: u32,
    jiffies_stall: atomic32, // when to look for stalls again
    /** Counts grace periods of both kinds; under the root's lock, read without it. */
    gp_seq_polled: atomic32,
    gp_seq_polled_snap: u32,
    gp_seq_polled_exp_snap: u32,

    barrier_mutex: aligned(64, Mutex),
    barrier_lock: Spinlock,
    barrier_sequence: atomic32, // under both
    barrier_cpu_count: atomic32,
    barrier_completion: Completion,
    n_barriers: u32, // under barrier_mutex

    exp_mutex: aligned(64, Mutex),
    expedited_sequence: atomic32, // under exp_mutex
    expedited_wq: WaitQueue,
    n_exp_gps: u32, // under exp_mutex

    // Written at boot, then constant.
    num_nodes: aligned(64, u32),
    first_leaf: u32, // index
    qhimark: u32, // callbacks of a CPU from which it does something about it
    qlowmark: u32,
    blimit: u32, // callbacks invoked in one go
    stall_timeout: u32, // ticks; 0: no stall warnings
    /** Breadth first: the root, its children, ..., the leaves. */
    node: aligned(64, array(RcuNode, NUM_RCU_NODES)),
  },
  { align: 64 },
);
