/** Variables that exist once in a machine, and the configuration words that boot writes and nobody changes. */
import { MAX_NUMNODES } from "../base/limits.ts";
import { aligned, array, atomic32, callback, struct, u32 } from "../mem/struct.ts";
import { CpuhpGlobals } from "./cpuhp.ts";
import { DebugGlobals } from "./debug.ts";
import { KvfreeGlobals } from "./kvfree_rcu.ts";
import { Zone } from "./page.ts";
import { RcuState } from "./rcu.ts";
import { SlabGlobals } from "./slab.ts";
import { SysfsWrite } from "./sysfs.ts";
import { TortureGlobals } from "./torture.ts";
import { Mutex, WaitQueue } from "./types.ts";
import { VmallocGlobals } from "./vmalloc.ts";
import { Kswapd } from "./vmscan.ts";
import { WorkloadGlobals } from "./workloads.ts";

/** globals.irqwork_mode: when the irq_work self-IPI arrives. */
export const IRQWORK_PROMPT = 0; // as soon as IRQs are on
export const IRQWORK_LATE = 1; // at the next tick, or after a heavy-tailed number of steps
export const IRQWORK_MIXED = 2; // either, drawn at each raise
/** globals.barrier_order: rcu spec 2.8. */
export const BARRIER_DFDRK = 0;
export const BARRIER_DFRK = 1; // as merged in 7.3
export const BARRIER_FDRK = 2; // v3, June 2026
/** globals.kernel_behaviour: a set bit switches a repair of ours off, back to what the kernel does. */
export const KB_NESTED_PRODUCER = 1; // slub 6.4a: irq_work_queue only if llist_add found the list empty
export const KB_RCUWAIT_SHARED = 2; // B25: two irq_work_sync() share one rcuwait
export const KB_K1 = 4; // rcu K-1: the barrier cancels the monitor and re-arms nothing
export const KB_K2 = 8; // rcu K-2: the barrier does not wait for a shrinker that frees
export const KB_INIT_ON_FREE = 16; // B23: kfree_nolock ignores init_on_free
export const KB_K3 = 32; // rcu E22: a barrier overlooks the batch that another one is just queueing
export const KB_NOLOCK_ORIGIN = 64; // slub 4.3: nolock frees take what is not from kmalloc_nolock(), and say nothing
export const KB_KMEMLEAK_UNKNOWN = 128; // before 7.0: kmemleak warns about frees and paintings of unknown objects
export const KB_ON_CACHE = 1024; // B7: kvfree_rcu_barrier_on_cache() without rcu_barrier()
export const KB_ABORT_SINGLE = 2048; // B22: a failed charge frees the object as if it might spin
export const KB_OBJCG_SPIN = 4096; // B24: the last reference and the stock of an objcg are put where nothing may spin
export const KB_NOSPIN_ALLOC = 8192; // before 7.0: OBJEXTS_NOSPIN_ALLOC; kfree() refuses objects of kmalloc_nolock()
export const KB_OBJ_EXT_RECURSION = 16384; // B21: extension vectors come from ordinary buckets
export const KB_UNPOLLED = 32768; // before November 2022: the monitor frees nothing itself, but batches it

/** globals.nolock_variant: which form of kfree_rcu_nolock() the machine has; slub spec 13. */
export const VARIANT_MERGED = 0; // as merged in 7.3
export const VARIANT_V3 = 1; // June 2026
export const VARIANT_RFC = 2; // February 2026

/** globals.preempt: as 1, but RCU forgets readers that are preempted. For tests: what preemptible RCU is there for. */
export const PREEMPT_FORGETS_READERS = 2;

/** Words that a scenario shares between its CPUs. */
export const NR_SCENARIO_WORDS = 256;
/** Room for lock classes. */
export const MAX_LOCK_CLASSES = 64;

/** Room for the globs of slab_debug. */
export const SLAB_DEBUG_CACHES_BYTES = 128;

export const Globals = struct(
  "globals",
  {
    nr_cpus: u32,
    nr_nodes: u32,
    seed: u32,
    irqwork_mode: u32,
    barrier_order: u32,
    kernel_behaviour: u32,
    nolock_variant: u32,
    /** 1: as without CONFIG_KVFREE_RCU_BATCHED: kfree_rcu() is one call_rcu() per object. */
    unbatched: u32,
    /** Debugging and accounting facilities that are on: HOOK_* bits. */
    hooks: u32,
    /** Pages that each CPU keeps for kfree_rcu(); 0: none, so objects are linked through their heads. */
    rcu_min_cached_objs: u32,
    /** 1: an idle CPU stops its tick, as with CONFIG_NO_HZ_IDLE. */
    nohz: u32,
    /** 1: CPUs run several tasks and preempt them, in RCU readers too (CONFIG_PREEMPT_RCU); `rt` includes it. */
    preempt: u32,
    /** Pages of each zone that only allocations with access to emergency reserves may have (page_alloc/watermark.ts). */
    min_free_pages: u32,
    /** 1: caches that are alike are merged (slub/merge.ts). */
    slab_merge: u32,
    /** 1: __GFP_DMA has kmalloc caches of its own, as with CONFIG_ZONE_DMA. */
    zone_dma: u32,
    /** Copies of the ordinary kmalloc caches, 0 to 15 (kmalloc_token()). */
    kmalloc_partitions: u32,
    /** 1: kmem_buckets_create() makes caches, as with CONFIG_SLAB_BUCKETS. */
    slab_buckets: u32,
    /** slab_debug: SLAB_* debug flags of new caches, and SLAB_DEBUG_NO_HIGHER_ORDER (slub/debug_flags.ts). */
    slab_debug: u32,
    /** Globs of the caches that slab_debug is for, separated by commas: ASCII, zero-padded. Empty: all caches. */
    slab_debug_caches: array(u32, SLAB_DEBUG_CACHES_BYTES / 4),
    /** 1 once any cache is debugged: the static key before every test of a cache's debug flags. */
    slub_debug_enabled: u32,
    /** 1: a test of the slub suite runs: reports of slub debugging are counted, not printed. */
    slab_kunit: u32,
    /** TAINT_* bits: what has gone wrong so far (slub/debug_report.ts). */
    tainted: u32,
    /** Jiffies of the first of the last reports that there is no memory for a slab, and their number. */
    slab_oom_since: u32,
    slab_oom_reports: u32,
    /** Number of the next record of the log (cpu/printk.ts). */
    printk_seq: u32,
    /** 1: PREEMPT_RT. */
    rt: u32,
    /** 1: tasks move to other CPUs. */
    migrate: u32,
    /** 1: CPUs go offline and come back. */
    hotplug: u32,
    /** 1: links in free objects are encoded, as with CONFIG_SLAB_FREELIST_HARDENED. */
    hardened: u32,
    /** 1: new slabs are handed out in random order, as with CONFIG_SLAB_FREELIST_RANDOM. */
    shuffle: u32,
    /** 1: (freelist, counters) of a slab cannot be compared and exchanged as one: no cache has __CMPXCHG_DOUBLE. */
    nocmpxchg: u32,
    /** Probability that an allocation of pages fails, in units of 2^-32: fault injection, fail_page_alloc. */
    lowmem: u32,
    /** Probability that an object is refused before anybody looks for one, in units of 2^-32: failslab. */
    failslab: u32,
    /** 1: failslab is for caches with SLAB_FAILSLAB only. */
    failslab_marked: u32,
    /** 1: from now on allocations fail as lowmem and failslab say; 0 during boot. */
    fault_injection: u32,
    /** 1: built without CONFIG_HAVE_MEMORYLESS_NODES. */
    no_memoryless: u32,
    /** Known bugs that this machine has: bit BUG_* of the two words (layout/bugs.ts). */
    bugs: u32,
    bugs_high: u32,
    /** Probability that a trylock fails for no reason, in units of 2^-32. */
    spurious: u32,
    /** 1: sheaf capacity, barn limits and batches shrink, so that rare paths become common. */
    tiny: u32,
    /** 1: a warning stops the machine like a bug. */
    panic_on_warn: u32,
    /** 1: freed objects are filled with POISON_FREE (slub/hooks.ts). */
    poison_free: u32,
    nmi_handler: callback,
    irq_handler: callback,
    /** Ticks since boot. Written by the controller or the explorer. */
    jiffies: aligned(64, atomic32),
    /** CPUs that are up, a mask. */
    online: aligned(64, atomic32),
    /** 1: CPUs finish their current operation and come to rest. */
    stopping: atomic32,
    /** How each lock class has been used so far (linux/sync/lockdep.ts); index = class. */
    lockdep_usage: aligned(64, array(u32, MAX_LOCK_CLASSES)),
    cpuhp: aligned(64, CpuhpGlobals),
    /** CPUs that wait in irq_work_sync(). */
    irq_work_waiters: aligned(64, WaitQueue),
    /** One irq_work_sync() at a time where it sleeps. */
    irq_work_sync_mutex: Mutex,
    rcu_state: aligned(64, RcuState),
    slab: aligned(64, SlabGlobals),
    vmalloc: aligned(64, VmallocGlobals),
    kvfree: aligned(64, KvfreeGlobals),
    debug: aligned(64, DebugGlobals),
    zones: aligned(64, array(Zone, MAX_NUMNODES)),
    kswapd: array(Kswapd, MAX_NUMNODES),
    /** Words that a scenario shares between its CPUs: roots of its data structures. */
    scenario: aligned(64, array(atomic32, NR_SCENARIO_WORDS)),
    /** What a torture run shares between its CPUs. */
    torture: aligned(64, TortureGlobals),
    workloads: aligned(64, WorkloadGlobals),
    /** A file under /sys/kernel/slab is to be written. */
    sysfs: aligned(64, SysfsWrite),
  },
  { align: 64 },
);
