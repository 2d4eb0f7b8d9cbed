/**
 * What a torture run keeps in the machine: counters of each CPU, and the words through which tasks and interrupts of
 * all CPUs pass objects to each other. Scenario code keeps nothing on the JavaScript side between two operations.
 */
import { aligned, array, atomic32, atomic_ptr, overlay, ptr, struct, u32 } from "../mem/struct.ts";
import { IrqWork } from "./irq_work.ts";
import { KvfreeRcuHead, LlistHead, LlistNode, RcuHead, Spinlock, WaitQueue } from "./types.ts";
import { WorkStruct } from "./workqueue.ts";

/** An object with a stamp, by which its owner and its readers notice when its memory is used by somebody else. */
export const TortureObject = struct("torture_object", {
  rcu: RcuHead,
  kvfree_rcu: overlay("rcu", KvfreeRcuHead),
  /** Drawn anew for each allocation; repeated in the middle and at the end of the object. */
  stamp: u32,
  /** Size in bytes | TO_*. */
  info: u32,
});
export const TO_SIZE_MASK = 0xffff;
/** Came from kmalloc_nolock(): may be freed by the nolock functions. */
export const TO_NOLOCK = 0x10000;
/** Its head is a struct kvfree_rcu_head: not for call_rcu(), and the 8 bytes behind it hold the stamp, too. */
export const TO_SMALL_HEAD = 0x20000;

/** An element of the rcu scenario: struct rcu_torture. */
export const RcuTorture = struct("rcu_torture", {
  rcu: RcuHead,
  free: LlistNode,
  /** Grace periods since it was unpublished. */
  pipe_count: atomic32,
  /** 1 while it may be seen by readers. */
  mbtest: atomic32,
  generation: u32,
  /** Next element that was removed and waits for grace periods. */
  removed: ptr("rcu_torture"),
});
/** An element is used again after so many grace periods. */
export const RCU_TORTURE_PIPE_LEN = 10;
export const RCU_TORTURE_ELEMENTS = 100;

/** A node of the llist scenario: on exactly one list, or on none. */
export const LlistTortureNode = struct("llist_torture_node", {
  node: LlistNode,
  state: atomic32,
});

export const LT_FREE = 0;
export const LT_LISTED = 1;
/** Listed, and who listed it waits for LT_DRAINED. */
export const LT_WATCHED = 2;
export const LT_DRAINED = 3;
/** Nodes per CPU. */
export const NR_LIST_NODES = 64;

/** Objects that a CPU's task holds between operations. */
export const NR_HELD = 64;
/** Objects that a CPU's task offers to interrupts of any CPU: they free them. */
export const NR_MAILBOX = 8;
/** Objects that tasks of all CPUs read under RCU. */
export const NR_READABLE = 64;
/** Objects that wait for some other CPU to free them. */
export const NR_HANDOFF = 32;
export const NR_TORTURE_LISTS = 4;

export const TortureCpu = struct(
  "torture_cpu",
  {
    // Counted by count().
    ops: u32,
    readers: u32,
    reader_age: array(u32, RCU_TORTURE_PIPE_LEN + 1),
    kmalloc_ok: u32,
    kmalloc_failed: u32,
    kfree_calls: u32,
    call_rcu_calls: u32,
    synchronize_rcus: u32,
    irq_work_syncs: u32,
    caches: u32,
    shrinks: u32,
    // Touched by this CPU only.
    /** Number of the last stamp that this CPU gave out. */
    stamps: aligned(64, u32),
    /** NMIs and IRQs that ran the handlers' mix. */
    nmi_rounds: u32,
    irq_rounds: u32,
    held: array(ptr("torture_object"), NR_HELD),
    /** call_rcu(torture_rcu_cb) of this CPU: returned, and invoked. */
    cbs_queued: u32,
    cbs_invoked: u32,
    /** Rounds of the kunit scenario. */
    round: u32,
    irq_work: IrqWork,
    work: WorkStruct,
    /** Published before the irq_work is queued; what its function has seen. */
    irq_work_posted: aligned(64, atomic32),
    irq_work_seen: atomic32,
    work_posted: atomic32,
    work_seen: atomic32,
    // Touched by interrupts of all CPUs.
    mailbox: aligned(64, array(atomic_ptr("torture_object"), NR_MAILBOX)),
    /** Interrupts that are looking into this mailbox or freeing what they found there. */
    mailbox_busy: atomic32,
    /** The llist scenario's list that only this CPU fills, and only its irq_work empties. */
    list: aligned(64, LlistHead),
    list_work: IrqWork,
  },
  { align: 64 },
);

export const TortureGlobals = struct(
  "torture_globals",
  {
    /** CPUs that have come to rest, a mask. */
    resting: atomic32,
    /** 1 once CPU 0 has checked everything. */
    finished: atomic32,
    sleepers: WaitQueue,
    /** Scenarios that run in this machine: a mask by number. */
    scenarios: u32,
    /** Bytes of the heads of objects: 8 or 16; 0: both kinds. Constant. */
    head_bytes: u32,
    readable: aligned(64, array(atomic_ptr("torture_object"), NR_READABLE)),
    /** From kmalloc(): freed by a task or IRQ. */
    handoff: aligned(64, array(atomic_ptr("torture_object"), NR_HANDOFF)),
    /** From kmalloc_nolock(): freed by anybody, NMIs included. */
    handoff_nolock: aligned(64, array(atomic_ptr("torture_object"), NR_HANDOFF)),
    rcu_current: aligned(64, atomic_ptr("rcu_torture")),
    rcu_elements: ptr("rcu_torture"),
    rcu_removed: ptr("rcu_torture"),
    rcu_free: aligned(64, LlistHead),
    rcu_published: u32,
    lists: aligned(64, array(LlistHead, NR_TORTURE_LISTS)),
    list_nodes: ptr("llist_torture_node"),
    /** Serialises those who take single nodes: llist_del_first() allows one at a time. */
    list_lock: aligned(64, Spinlock),
  },
  { align: 64 },
);
