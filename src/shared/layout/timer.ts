/**
 * struct timer_list, struct hrtimer, and the per-CPU bases that hold armed ones. kernel/time/{timer,hrtimer}.c, as
 * sorted lists.
 */
import { aligned, atomic32, atomic_ptr, callback, ptr, struct, u32 } from "../mem/struct.ts";
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
  /** Ends the sleep of this CPU's task in schedule_timeout(). */
  timeout: TimerList,
});

export const Hrtimer = struct("hrtimer", {
  node: ListHead, // under the lock of its base
  expires: u32, // jiffies; likewise
  state: u32, // HRTIMER_STATE_*; likewise
  /** The base that holds it, or held it last; NULL while it moves to another. Written under the lock of the old one. */
  base: atomic_ptr("hrtimer_cpu_base"),
  function: callback,
});
export const HRTIMER_STATE_INACTIVE = 0;
export const HRTIMER_STATE_ENQUEUED = 1;
export const HrtimerCpuBase = struct("hrtimer_cpu_base", {
  lock: aligned(64, Spinlock), // raw, IRQs off
  timers: ListHead, // soonest first
  running: ptr("hrtimer"), // whose function is being called
});
