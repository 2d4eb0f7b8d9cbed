/** struct timer_list and the per-CPU base that holds armed timers. kernel/time/timer.c, as a sorted list. */
import { aligned, callback, ptr, struct, u32 } from "../mem/struct.ts";
import { ListHead, Spinlock } from "./types.ts";

export const TimerList = struct("timer_list", {
  entry: ListHead,
  expires: u32, // jiffies
  cpu: u32, // base that holds it while pending
  function: callback,
});
export const TimerBase = struct("timer_base", {
  lock: aligned(64, Spinlock),
  timers: ListHead,
  running: ptr("timer_list"),
});
