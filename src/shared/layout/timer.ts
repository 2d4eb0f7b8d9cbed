/** struct timer_list and the per-CPU base that holds armed timers. kernel/time/timer.c, as a sorted list. */
import { aligned, atomic32, atomic_ptr, callback, struct, u32 } from "../mem/struct.ts";
import { ListHead, Spinlock, WaitQueue } from "./types.ts";

export const TimerList = struct("timer_list", {
  entry: ListHead, // under the lock of its base
  expires: u32, // jiffies; likewise
  /** CPU of the base that holds it, or held it last; TIMER_*. Written under that base's lock. */
  flags: atomic32,
  function: callback,
});
export const TIMER_CPUMASK = 0xff;
export const TIMER_PENDING = 0x100; // on the list of its base
export const TIMER_MIGRATING = 0x200; // on its way to another base
export const TIMER_IRQSAFE = 0x400; // its function runs with IRQs off; constant
export const TimerBase = struct("timer_base", {
  lock: aligned(64, Spinlock),
  timers: ListHead, // soonest first
  running: atomic_ptr("timer_list"),
  /** CPUs that wait in timer_delete_sync() for `running` to end. */
  waiters: WaitQueue,
});
