/**
 * One emulated CPU: its pending word, the slot that describes what it is doing, its main task, context tracking,
 * cross-CPU calls, trace ring and counters. Functions: src/shared/cpu.
 */
import { MAX_CONTEXTS, MAX_HELD_LOCKS } from "../base/limits.ts";
import { aligned, array, atomic32, atomic_ptr, ptr, struct, u32 } from "../mem/struct.ts";
import { NR_IPIS } from "./callbacks.ts";
import { MAX_POINTS } from "./points.ts";
import { ListHead, WaitQueue } from "./types.ts";

/** Bits of cpu_pending.bits. */
export const P_STOP = 1; // the machine stops at once: a verdict has been reached elsewhere
export const P_KICK = 2; // look again: something that you wait for may have changed
export const P_NMI = 4; // an NMI from the controller
export const P_NMI_LOCAL = 8; // an NMI from the CPU's local source, or injected by the explorer
export const P_IPI_CALL = 16; // a cross-CPU function call
export const P_IRQ = 32; // a device interrupt
export const P_TICK = 64; // the timer interrupt
export const P_IRQ_WORK = 128; // the irq_work self-IPI
export const P_IRQ_WORK_LATE = 256; // a self-IPI that becomes P_IRQ_WORK some steps later (irqwork mode late)
export const P_HRTIMER = 512; // the timer interrupt of an hrtimer that is due at once
export const P_RESCHED = 1024; // no interrupt: the CPU's other task wants to run, where the current one is preemptible
export const P_ANY_NMI = P_NMI | P_NMI_LOCAL;
/** In order of priority, lowest bit first: rcu spec 2.8, the call vector may overtake irq_work. */
export const P_ANY_IRQ = P_IPI_CALL | P_IRQ | P_TICK | P_IRQ_WORK | P_HRTIMER;

/** Kinds of context on the context stack. A task that sleeps or has nothing to do is CTX_IDLE. */
export const CTX_TASK = 0;
export const CTX_ITEM = 1; // a non-blocking item between operations: work item, grace-period step
export const CTX_SOFTIRQ = 2;
export const CTX_HARDIRQ = 3;
export const CTX_NMI = 4;
export const CTX_IDLE = 5;
export const NR_CONTEXTS = 6;
export const CONTEXT_NAMES = ["task", "item", "softirq", "hardirq", "nmi", "idle"] as const;

/** Written by any CPU and by the controller; a line of its own. `bits` stays first: its address stands for the CPU. */
export const CpuPending = struct(
  "cpu_pending",
  {
    bits: atomic32,
    /** The lock that this CPU waits for while parked (sync/spinlock.ts). */
    waits_for: atomic_ptr("spinlock"),
  },
  { align: 64 },
);

/** A task: what runs on a CPU. */
export const Task = struct("task", {
  pid: u32,
  preempt_count: u32,
  /** preempt_disable() depth is in preempt_count; local_bh_disable() depth is here. */
  bh_disabled: u32,
  rcu_read_lock_nesting: u32,
  rcu_read_unlock_special: u32,
  /** migrate_disable() depth. */
  migration_disabled: u32,
  /** What it sleeps for, for reports: a callback or lock address; 0 while running. */
  waits_on: u32,
  /** PF_* bits. */
  flags: u32,
  /** Which task of its CPU it is: 0, the main one, to MAX_TASKS - 1. */
  index: u32,
});
/** Bits of task.rcu_read_unlock_special: what the outermost rcu_read_unlock() has to do. */
export const UNLOCK_EXP_HINT = 1; // an expedited grace period waits for the section
export const UNLOCK_BLOCKED = 2; // the task is on the list of a leaf (rcu/tree_plugin.ts)
/** task.flags: what this task allocates may come from emergency reserves. include/linux/sched.h */
export const PF_MEMALLOC = 0x800;

/** Tasks of a CPU that runs several (globals.preempt, globals.rt). */
export const MAX_TASKS = 2;

/** sched_task.state. */
export const TASK_DEAD = 0; // does not exist, or has ended
export const TASK_RUNNING = 1;
export const TASK_GOING_TO_SLEEP = 2; // still runs: it has said that it wants to sleep, and looks a last time
export const TASK_BLOCKED = 3; // not among the runnable tasks

/** The part of a task that others write: not in the slot, which a rebuild puts back. */
export const SchedTask = struct(
  "sched_task",
  {
    pid: u32,
    /** TASK_*. */
    state: atomic32,
    /** 1: its thread may run. Written by the task that hands the CPU over, taken back by its own thread. */
    on_cpu: atomic32,
    /** With PREEMPT_RT: the lock that it sleeps for; NULL: none. */
    blocked_on: atomic_ptr("spinlock"),
    /** The leaf on whose blkd_tasks it is; NULL: none. Under that leaf's lock. */
    rcu_blocked_node: ptr("rcu_node"),
    rcu_node_entry: ListHead,
  },
  { align: 64 },
);

/** What a task that does not run leaves of the words of its slot: its kernel stack, as it were. */
export const TaskStack = struct("task_stack", {
  softirq: u32,
  depth: u32,
  contexts: array(u32, MAX_CONTEXTS),
  point: u32,
  held_depth: u32,
  held: array(u32, MAX_HELD_LOCKS),
  pc_depth: u32,
  obj_exts_depth: u32,
  items: u32,
});

/**
 * What the CPU is doing. Only this CPU writes it, by poke(): its interrupts nest, so every change is undone before the
 * interrupted code goes on. The explorer restores slot and task as one block before it re-executes an operation.
 */
export const CpuSlot = struct(
  "cpu_slot",
  {
    id: u32,
    node: u32,
    /** 0: it is offline, or on its way there or back, and no NMI reaches it. */
    online: u32,
    current: ptr("task"),
    irqs_off: u32,
    nmi: u32,
    hardirq: u32,
    softirq: u32,
    /** Contexts on the stack above the task; entry i is kind | vector << 8. */
    depth: u32,
    contexts: array(u32, MAX_CONTEXTS),
    /** Named point that the CPU stands at; 0: none. */
    point: u32,
    /** State of cpu_random(). */
    random: u32,
    held_depth: u32,
    held: array(u32, MAX_HELD_LOCKS),
    /**
     * Lists of partial_contexts that are in use (slub/refill.ts), and nested frees of slabs' vectors
     * (slub/obj_exts.ts).
     */
    pc_depth: u32,
    obj_exts_depth: u32,
    /** Nesting of non-blocking items. */
    items: u32,
    /** Steps until a late irq_work becomes deliverable. */
    late_countdown: u32,
    /** Ticks that this CPU took, or slept through on purpose. */
    ticks: u32,
    /** 1: it sleeps, and takes no tick before the jiffies `tick_next` (kernel/tick_sched.ts). */
    tick_stopped: u32,
    tick_next: u32,
    /** Up to when `ticks` counts the ticks that were slept through. */
    idle_jiffies: u32,
    warnings: u32,
    main_task: Task,
    /** Of a machine with several tasks per CPU: the others, and what those that do not run have left. */
    further_task: Task,
    stacks: array(TaskStack, MAX_TASKS),
  },
  { align: 64 },
);

/** Is RCU watching this CPU? rcu spec 4.3. */
export const ContextTracking = struct(
  "context_tracking",
  {
    /** Bit 0: watching. Every transition adds 1. */
    state: atomic32,
    /** Task-level nesting: 1 outside idle. */
    nesting: u32,
    /** 1: entered from idle; + 2 for each nested or non-idle entry. */
    nmi_nesting: u32,
  },
  { align: 64 },
);

/** Cross-CPU calls to this CPU: a request is served once `done` has reached its number. */
export const CallQueue = struct(
  "call_queue",
  {
    request: array(atomic32, NR_IPIS),
    done: array(atomic32, NR_IPIS),
    /** CPUs that are parked until a call is done. */
    waiters: WaitQueue,
  },
  { align: 64 },
);

export const TRACE_ENTRIES = 128;
/** The last events of a CPU: 4 words each (event, a, b, jiffies). */
export const TraceRing = struct("trace_ring", {
  head: u32,
  entries: array(u32, TRACE_ENTRIES * 4),
});

/** Counted by the CPU itself, by count(). */
export const CpuCounters = struct(
  "cpu_counters",
  {
    nmis: array(u32, 2), // by source: controller, local
    nmis_by_context: array(u32, NR_CONTEXTS),
    irqs: u32,
    irqs_by_context: array(u32, NR_CONTEXTS),
    ticks: u32,
    call_ipis: u32,
    irq_work_ipis: u32,
    irq_work_runs: u32,
    hrtimer_irqs: u32,
    softirqs: u32,
    items: u32,
    parks: u32,
    idles: u32,
    warnings: u32,
    migrations: u32, // of tasks, to this CPU
    offlines: u32,
    lost_interrupts: u32, // raised at it while it was offline
    points_visited: array(u32, MAX_POINTS),
    points_hit_controller: array(u32, MAX_POINTS),
    points_hit_local: array(u32, MAX_POINTS),
  },
  { align: 64 },
);

/** Deferred softirqs of a CPU: kernel/softirq.c. Changed with IRQs off. */
export const IrqStat = struct("irq_stat", {
  softirq_pending: aligned(64, u32),
  /** With PREEMPT_RT: 1 while a task serves softirqs. It may sleep meanwhile, and the other task must not serve any. */
  softirq_running: u32,
});
