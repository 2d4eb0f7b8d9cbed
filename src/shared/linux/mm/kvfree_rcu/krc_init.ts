/**
 * Start-up of kfree_rcu_cpu. mm/slab_common.c; spec rcu 1.12.
 *
 *   krc_init()                        lists, locks, works: kfree_rcu() may be called
 *   kfree_rcu_scheduler_running()     works and timers run: who has collected objects meanwhile gets a monitor
 *
 * Differs: the works of the kernel's queue rcu_reclaim_wq are run by each CPU's own pool, and no shrinker is registered:
 * there is no reclaim that would call it (shrinker.ts).
 */
import { HZ } from "../../../base/limits.ts";
import { CB } from "../../../layout/callbacks.ts";
import { Globals } from "../../../layout/globals.ts";
import {
  FREE_N_CHANNELS,
  KFREE_DRAIN_JIFFIES,
  KFREE_N_BATCHES,
  KfreeRcuCpu,
  KfreeRcuCpuWork,
  KVFREE_BULK_MAX_ENTR,
  KvfreeGlobals,
  RCU_DELAY_PAGE_CACHE_FILL_MSEC,
  TINY_BULK_MAX_ENTR,
} from "../../../layout/kvfree_rcu.ts";
import { PerCpu } from "../../../layout/percpu.ts";
import { embedded, type Ptr } from "../../../mem/struct.ts";
import { per_cpu_ptr, type Cpu } from "../../../cpu/cpu.ts";
import { hrtimer_setup } from "../../kernel/hrtimer.ts";
import { init_delayed_work } from "../../kernel/workqueue.ts";
import { INIT_LIST_HEAD } from "../../lib/list.ts";
import { init_llist_head } from "../../lib/llist.ts";
import { init_rcu_work } from "../../rcu/rcu_work.ts";
import { LC } from "../../sync/lockdep.ts";
import { mutex_init } from "../../sync/mutex.ts";
import { spin_lock_init } from "../../sync/spinlock.ts";
import { bulk_head_of, krwp_of, schedule_delayed_monitor_work } from "./krc.ts";
import { bulk_head_free_of } from "./krc_batch.ts";

const { krc: KRC } = PerCpu.offset;
const { kvfree: KVFREE_GLOBALS, tiny: TINY } = Globals.offset;
const {
  drain_jiffies: DRAIN_JIFFIES,
  bulk_max_entr: BULK_MAX_ENTR,
  page_cache_fill_jiffies: PAGE_CACHE_FILL_JIFFIES,
  scheduler_running: SCHEDULER_RUNNING,
} = KvfreeGlobals.offset;
const K = KfreeRcuCpu.offset;
const { rcu_work: RCU_WORK, krcp: KRCP } = KfreeRcuCpuWork.offset;

const MSEC_PER_SEC = 1000;

/** Makes every CPU's krc usable. @kernel mm/slab_common.c, kvfree_rcu_init() @context Task, at boot */
export function krc_init(cpu: Cpu): void {
  const { mem } = cpu;
  const globals = embedded(cpu.globals, KVFREE_GLOBALS);
  mem.init(globals, DRAIN_JIFFIES, KFREE_DRAIN_JIFFIES);
  mem.init(globals, BULK_MAX_ENTR, mem.peek(cpu.globals, TINY) === 0 ? KVFREE_BULK_MAX_ENTR : TINY_BULK_MAX_ENTR);
  mem.init(globals, PAGE_CACHE_FILL_JIFFIES, (RCU_DELAY_PAGE_CACHE_FILL_MSEC * HZ) / MSEC_PER_SEC);
  for (let id = 0; id < cpu.map.shape.cpus; id++) init_krc(cpu, per_cpu_ptr(cpu, KRC, id));
}
function init_krc(cpu: Cpu, krcp: Ptr<"kfree_rcu_cpu">): void {
  spin_lock_init(cpu, embedded(krcp, K.lock), LC.krc);
  for (let i = 0; i < KFREE_N_BATCHES; i++) {
    const krwp = krwp_of(krcp, i);
    init_rcu_work(cpu, embedded(krwp, RCU_WORK), CB.kfree_rcu_work);
    cpu.mem.init(krwp, KRCP, krcp);
    for (let idx = 0; idx < FREE_N_CHANNELS; idx++) INIT_LIST_HEAD(cpu, bulk_head_free_of(krwp, idx));
  }
  for (let idx = 0; idx < FREE_N_CHANNELS; idx++) INIT_LIST_HEAD(cpu, bulk_head_of(krcp, idx));
  init_delayed_work(cpu, embedded(krcp, K.monitor_work), CB.kfree_rcu_monitor);
  init_delayed_work(cpu, embedded(krcp, K.page_cache_work), CB.fill_page_cache_func);
  hrtimer_setup(cpu, embedded(krcp, K.hrtimer), CB.schedule_page_work_fn);
  init_llist_head(cpu, embedded(krcp, K.bkvcache));
  mutex_init(cpu, embedded(krcp, K.shrink_mutex), LC.krc_shrink_mutex);
  cpu.mem.init(krcp, K.initialized, 1);
}

/**
 * kfree_rcu_scheduler_running() - from now on kfree_rcu() may use works and timers.
 * @kernel  mm/slab_common.c
 * @context Task, at the end of boot, everything else stopped.
 */
export function kfree_rcu_scheduler_running(cpu: Cpu): void {
  cpu.mem.init(embedded(cpu.globals, KVFREE_GLOBALS), SCHEDULER_RUNNING, 1);
  for (let id = 0; id < cpu.map.shape.cpus; id++) schedule_delayed_monitor_work(cpu, per_cpu_ptr(cpu, KRC, id));
}
