/** Work items and the per-CPU pool that runs them. kernel/workqueue.c. */
import { aligned, array, atomic32, atomic_ptr, callback, struct, u32 } from "../mem/struct.ts";
import { TimerList } from "./timer.ts";
import { Completion, ListHead, RcuHead, Spinlock, WaitQueue } from "./types.ts";

/** work_struct.data: these bits, and from WORK_CPU_SHIFT on the CPU + 1 of the pool that holds or last held the work. */
export const WORK_STRUCT_PENDING = 1; // queued, or about to be, or its timer is armed; whoever set it queues it
export const WORK_STRUCT_PWQ = 2; // on the worklist of its pool
export const WORK_STRUCT_CANCELING = 4; // PENDING belongs to a cancel_work_sync()
export const WORK_CPU_SHIFT = 8;

export const WorkStruct = struct("work_struct", {
  entry: ListHead, // under the lock of the pool
  data: atomic32,
  func: callback,
});
export const DelayedWork = struct("delayed_work", {
  work: WorkStruct,
  timer: TimerList,
  cpu: u32, // where it goes when the timer expires
});
export const RcuWork = struct("rcu_work", { work: WorkStruct, rcu: RcuHead });
/** A work item that flush_work() queues behind another. */
export const WqBarrier = struct("wq_barrier", { work: WorkStruct, done: Completion });
/** worker_pool.flags: its CPU is offline, and CPU 0 runs its works. */
export const POOL_DISASSOCIATED = 1;
export const WorkerPool = struct("worker_pool", {
  lock: aligned(64, Spinlock),
  worklist: ListHead,
  current: atomic_ptr("work_struct"), // being run; written under the lock
  /** POOL_*; under the lock. */
  flags: u32,
  /** The pool's own CPU, while it waits for another one to leave its works alone. */
  rebind: WaitQueue,
  /** Tasks that wait for a cancel_work_sync() to end. */
  cancel_waiters: WaitQueue,
  /** The barriers of this CPU's own flush_work(): a task flushes one work at a time. */
  barriers: aligned(64, array(WqBarrier, 1)),
});
