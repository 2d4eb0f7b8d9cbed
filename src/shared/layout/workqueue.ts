/** Work items and the per-CPU worker that runs them. kernel/workqueue.c. */
import { aligned, atomic32, callback, ptr, struct, u32 } from "../mem/struct.ts";
import { TimerList } from "./timer.ts";
import { ListHead, RcuHead, Spinlock, WaitQueue } from "./types.ts";

export const WORK_STRUCT_PENDING = 1;

export const WorkStruct = struct("work_struct", {
  entry: ListHead,
  data: atomic32, // WORK_STRUCT_PENDING
  cpu: u32, // pool that holds or last held it
  func: callback,
});
export const DelayedWork = struct("delayed_work", { work: WorkStruct, timer: TimerList });
export const RcuWork = struct("rcu_work", { work: WorkStruct, rcu: RcuHead });
export const WorkerPool = struct("worker_pool", {
  lock: aligned(64, Spinlock),
  worklist: ListHead,
  current: ptr("work_struct"),
  flushers: WaitQueue,
});
