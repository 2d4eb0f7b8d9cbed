/**
 * What kfree_rcu_nolock() of February 2026 keeps on each CPU (nolock_rfc.ts; spec rcu 2.3), and what is counted about it.
 * Unused in machines with another variant.
 */
import { aligned, struct, u32 } from "../mem/struct.ts";
import { IrqWork } from "./irq_work.ts";
import { LlistHead } from "./types.ts";

export const NolockRfc = struct("nolock_rfc", {
  deferred: aligned(64, LlistHead), // linked through the heads. Producers: any context of this CPU; consumer: the next
  deferred_work: IrqWork,
  monitor_work: IrqWork, // lazy: arms krcp->monitor_work
  // For the account of monitor_work, under krcp->lock:
  linked: u32, // objects since it ran last
  linked_at: u32, // jiffies, of the first of them
});

/** Counted by count(). */
export const NolockRfcCounters = struct(
  "nolock_rfc_counters",
  {
    linked: u32, // objects put on krcp->head
    trylock_failed: u32, // objects that were not, since the lock was held
    sheaf_kept: u32, // objects that no sheaf took, since they would have filled it
    monitor_queued: u32, // monitor_work was claimed
    monitor_raised: u32, // of these: the tick was stopped, so an interrupt was raised
    monitor_runs: u32, // runs of monitor_work; each is one of the next three
    monitor_empty: u32, // nothing was left in krc
    monitor_needless: u32, // the monitor was pending already
    monitor_armed: u32, // stranded till then: nobody else would have come
    stranded_objects: u32, // objects in krc at these last ones
    waited_jiffies: u32, // from the first link to the run, all runs together
    monitor_late: u32, // runs that came more than one jiffy after the first link
  },
  { align: 64 },
);
