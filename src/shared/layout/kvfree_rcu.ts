/**
 * deferred_percpu_work, kfree_rcu_cpu and what is counted about them. mm/slub.c, mm/slab_common.c; spec slub 6, rcu 1.
 */
import { HZ, PAGE_SIZE } from "../base/limits.ts";
import { aligned, array, atomic32, atomic_ptr, offsetof, overlay, ptr, struct, u32, ulong } from "../mem/struct.ts";
import { IrqWork } from "./irq_work.ts";
import { RcuGpOldstate } from "./rcu.ts";
import { Hrtimer } from "./timer.ts";
import { ListHead, LlistHead, LlistNode, Mutex, Spinlock } from "./types.ts";
import { DelayedWork, RcuWork } from "./workqueue.ts";

/** The head of an object given to kfree_rcu() lies below this offset, so the start of a large object can be found. */
export const KVFREE_RCU_OFFSET_LIMIT = 4096;
/** Longest time that a few objects wait for the monitor. */
export const KFREE_DRAIN_JIFFIES = 5 * HZ;
/** Pages of pointers that a CPU keeps in reserve, unless configured otherwise. */
export const RCU_MIN_CACHED_OBJS = 5;
/** For so long the reserve is not filled up after a shrinker has looked, ms. */
export const RCU_DELAY_PAGE_CACHE_FILL_MSEC = 5000;
/** Batches of a CPU that can wait for a grace period while the next one is filled. */
export const KFREE_N_BATCHES = 2;
/** Lists of bulk pages: slab objects, large kmallocs with them; vmalloc areas. The linked list is for both. */
export const FREE_N_CHANNELS = 2;

/** What nolock callers could not do where they stood. Producers: any context of this CPU; consumer: `work`, here. */
export const DeferredPercpuWork = struct("deferred_percpu_work", {
  objects: aligned(64, LlistHead), // kfree_nolock(): linked through the free-pointer slot
  objects_by_rcu: LlistHead, // kfree_rcu_nolock(): linked through the head in the object
  rcu_sheaves: LlistHead, // full sheaves that wait for call_rcu(): linked through slab_sheaf.llnode
  work: IrqWork,
});

/** A "bnode": one page of object pointers. It belongs to one list under krcp->lock, or to who took it off. */
export const KvfreeRcuBulkData = struct("kvfree_rcu_bulk_data", {
  list: ListHead, // in bulk_head or bulk_head_free
  llnode: overlay("list", LlistNode), // in bkvcache
  gp_snap: RcuGpOldstate, // of the newest record, so it covers all
  nr_records: ulong,
  records: array(ptr("object"), 0), // starts of objects
});
/** Records that fit: 507. */
export const KVFREE_BULK_MAX_ENTR = (PAGE_SIZE - offsetof(KvfreeRcuBulkData.offset.records)) / 8;
/** The same with globals.tiny: full pages are common, and so is the hurry in which the monitor comes then. */
export const TINY_BULK_MAX_ENTR = 3;

/** A batch that waits for its grace period; free for the next one while its three lists are empty. */
export const KfreeRcuCpuWork = struct("kfree_rcu_cpu_work", {
  rcu_work: RcuWork,
  head_free: ptr("kvfree_rcu_head"),
  head_free_gp_snap: RcuGpOldstate,
  bulk_head_free: array(ListHead, FREE_N_CHANNELS),
  krcp: ptr("kfree_rcu_cpu"),
});

/** Objects of kfree_rcu() that found no sheaf. Everything is under `lock`, unless it says otherwise. */
export const KfreeRcuCpu = struct(
  "kfree_rcu_cpu",
  {
    lock: Spinlock, // raw, IRQs off
    head: atomic_ptr("kvfree_rcu_head"), // for whom there was no page; newest first; probed without the lock
    head_gp_snap: ulong, // get_state_synchronize_rcu() of the newest object
    head_count: atomic32, // read without the lock
    bulk_head: array(ListHead, FREE_N_CHANNELS), // bnodes, newest first; probed without the lock
    bulk_count: array(atomic32, FREE_N_CHANNELS), // records in them; read without the lock
    krw_arr: array(KfreeRcuCpuWork, KFREE_N_BATCHES),
    monitor_work: DelayedWork, // synchronises itself
    initialized: u32, // written at boot, then constant: 1
    page_cache_work: DelayedWork, // synchronises itself
    backoff_page_cache_fill: atomic32, // 1: a shrinker has looked
    work_in_progress: atomic32, // 1: page_cache_work belongs to somebody
    hrtimer: Hrtimer, // belongs to who set work_in_progress
    bkvcache: LlistHead, // bnodes in reserve
    nr_bkv_objs: u32, // how many; read without the lock
    /** Held by a shrinker that runs the monitor. Not the kernel's: see krc_barrier.ts. */
    shrink_mutex: Mutex,
  },
  { align: 64 },
);

/** Written at boot: constants of the kernel, or less in small configurations. */
export const KvfreeGlobals = struct("kvfree_globals", {
  drain_jiffies: u32, // KFREE_DRAIN_JIFFIES
  bulk_max_entr: u32, // KVFREE_BULK_MAX_ENTR
  page_cache_fill_jiffies: u32, // RCU_DELAY_PAGE_CACHE_FILL_MSEC
  /** 1 from the end of boot on: rcu_scheduler_active == RCU_SCHEDULER_RUNNING. */
  scheduler_running: u32,
});

/** Counted by count(): how objects and sheaves took each path on this CPU. */
export const KvfreeCounters = struct(
  "kvfree_counters",
  {
    kfree_rcu_nolock: u32, // calls; each ends in one of the next two, or is counted by nolock_rfc_counters.linked
    kfree_rcu_nolock_sheaf: u32,
    kfree_rcu_nolock_deferred: u32, // through objects_by_rcu
    rcu_sheaves_deferred: u32, // full sheaves through rcu_sheaves
    rcu_sheaves_called: u32, // full sheaves given to call_rcu() at once
    kfree_nolock_deferred: u32, // through objects
    kfree_rcu: u32, // calls, those of kfree_rcu_mightsleep() among them
    kfree_rcu_mightsleep: u32, // calls
    kfree_rcu_sheaf: u32, // of all calls and of the objects from objects_by_rcu: into a sheaf
    kfree_rcu_krc: u32, // the same: into kfree_rcu_cpu; with those of nolock_rfc_counters.linked
    krc_bulk: u32, // of these: into a bnode, not onto the linked list
    krc_vmalloc: u32, // of those in bnodes: vmalloc areas
    kfree_rcu_synchronous: u32, // the same: freed by the caller, after synchronize_rcu()
    kfree_rcu_call_rcu: u32, // the same, in an unbatched machine: given to call_rcu()
    krc_batches: u32, // given to queue_rcu_work()
    krc_polled: u32, // objects freed by the monitor, since their grace period was over already
    krc_freed: u32, // objects freed after queue_rcu_work()
    bnodes_cached: u32, // taken from bkvcache
    bnodes_allocated: u32, // allocated by kfree_rcu_mightsleep()
    bnodes_refused: u32, // given back to the page allocator, bkvcache being full
    page_cache_runs: u32, // of fill_page_cache_func()
    page_cache_filled: u32, // pages that these have allocated for bkvcache
    krc_shrinks: u32, // calls of kfree_rcu_shrink_scan()
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
