/**
 * deferred_percpu_work, kfree_rcu_cpu and what is counted about them. mm/slub.c, mm/slab_common.c; spec slub 6, rcu 1.
 *
 * Differs: kfree_rcu_cpu holds the linked list only. The pages of object pointers (bulk_head, the page cache and its
 * worker) and the shrinker are left out, and so is what serves them alone: backoff, work_in_progress, hrtimer.
 */
import { HZ } from "../base/limits.ts";
import { aligned, array, atomic32, atomic_ptr, ptr, struct, u32 } from "../mem/struct.ts";
import { IrqWork } from "./irq_work.ts";
import { RcuGpOldstate } from "./rcu.ts";
import { LlistHead, Spinlock } from "./types.ts";
import { DelayedWork, RcuWork } from "./workqueue.ts";

/** The head of an object given to kfree_rcu() lies below this offset, so the start of a large object can be found. */
export const KVFREE_RCU_OFFSET_LIMIT = 4096;
/** Longest time that a few objects wait for the monitor. */
export const KFREE_DRAIN_JIFFIES = 5 * HZ;
/** From this many pending objects on the monitor comes with the next tick: what fits in the kernel's bulk page. */
export const KVFREE_BULK_MAX_ENTR = 507;
/** Pages of pointers that a CPU keeps in reserve, unless configured otherwise. */
export const RCU_MIN_CACHED_OBJS = 5;
/** Batches of a CPU that can wait for a grace period while the next one is filled. */
export const KFREE_N_BATCHES = 2;

/** What nolock callers could not do where they stood. Producers: any context of this CPU; consumer: `work`, here. */
export const DeferredPercpuWork = struct("deferred_percpu_work", {
  objects: aligned(64, LlistHead), // kfree_nolock(): linked through the free-pointer slot
  objects_by_rcu: LlistHead, // kfree_rcu_nolock(): linked through the head in the object
  rcu_sheaves: LlistHead, // full sheaves that wait for call_rcu(): linked through slab_sheaf.llnode
  work: IrqWork,
});

/** A batch that waits for its grace period; free for the next one while head_free is NULL. */
export const KfreeRcuCpuWork = struct("kfree_rcu_cpu_work", {
  rcu_work: RcuWork,
  head_free: ptr("kvfree_rcu_head"),
  head_free_gp_snap: RcuGpOldstate,
  krcp: ptr("kfree_rcu_cpu"),
});

/** Objects of kfree_rcu() that found no sheaf. Everything is under `lock`, unless it says otherwise. */
export const KfreeRcuCpu = struct(
  "kfree_rcu_cpu",
  {
    lock: Spinlock, // raw, IRQs off
    head: atomic_ptr("kvfree_rcu_head"), // newest first; probed without the lock
    head_gp_snap: u32, // get_state_synchronize_rcu() of the newest object
    head_count: atomic32, // read without the lock
    krw_arr: array(KfreeRcuCpuWork, KFREE_N_BATCHES),
    monitor_work: DelayedWork, // synchronises itself
  },
  { align: 64 },
);

/** Written at boot, then constant: KFREE_DRAIN_JIFFIES and KVFREE_BULK_MAX_ENTR, or less in small configurations. */
export const KvfreeGlobals = struct("kvfree_globals", { drain_jiffies: u32, bulk_max_entr: u32 });

/** Counted by count(): how objects and sheaves took each path on this CPU. */
export const KvfreeCounters = struct(
  "kvfree_counters",
  {
    kfree_rcu_nolock: u32, // calls; each ends in one of the next two
    kfree_rcu_nolock_sheaf: u32,
    kfree_rcu_nolock_deferred: u32, // through objects_by_rcu
    rcu_sheaves_deferred: u32, // full sheaves through rcu_sheaves
    rcu_sheaves_called: u32, // full sheaves given to call_rcu() at once
    kfree_nolock_deferred: u32, // through objects
    kfree_rcu: u32, // calls
    kfree_rcu_sheaf: u32, // of them and of the objects from objects_by_rcu: into a sheaf
    kfree_rcu_krc: u32, // the same: into kfree_rcu_cpu
    krc_batches: u32, // given to queue_rcu_work()
    krc_polled: u32, // objects freed by the monitor, since their grace period was over already
    krc_freed: u32, // objects freed after queue_rcu_work()
    rcu_sheaves_freed: u32, // sheaves whose grace period is over
    deferred_runs: u32, // of deferred_percpu_work_fn()
    deferred_objects: u32, // handled by it, by list
    deferred_objects_by_rcu: u32,
    deferred_rcu_sheaves: u32,
    deferred_work_barriers: u32,
    kvfree_rcu_barriers: u32,
    cache_barriers: u32, // kvfree_rcu_barrier_on_cache()
  },
  { align: 64 },
);
