/** kswapd of each node, as far as waking it goes. mm/vmscan.c. */
import { atomic32, struct } from "../mem/struct.ts";
import { Spinlock } from "./types.ts";

export const Kswapd = struct(
  "kswapd",
  {
    /** task_struct.pi_lock: held by who wakes the task, and by who changes the CPUs it may run on. */
    pi_lock: Spinlock,
    wakeups: atomic32,
  },
  { align: 64 },
);
