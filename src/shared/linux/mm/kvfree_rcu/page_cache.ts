/**
 * kfree_rcu_cpu, page cache: pages for bnodes, kept in reserve, since kfree_rcu() with a head may not allocate where it
 * stands. mm/slab_common.c; spec rcu 1.5.
 *
 *   kfree_rcu() finds no page --> run_page_cache_worker() --hrtimer--> schedule_page_work_fn() --work--> fill
 *                                                         \--work in 5 s, if a shrinker has looked--> fill
 *   kvfree_rcu_bulk() has emptied a page --> put_cached_bnode(), up to rcu_min_cached_objs
 *   a shrinker --> drain_page_cache()
 *
 * Why the hop through the hrtimer: the call comes under krcp->lock, and maybe under locks of kfree_rcu()'s caller. To
 * queue a work may wake a worker, which takes scheduler locks; an hrtimer needs its own lock only.
 *
 * The cache (bkvcache, nr_bkv_objs) is under krcp->lock. There is one worker at a time for a krc: who changes
 * work_in_progress from 0 to 1 starts it, and its end sets it back to 0. globals.rcu_min_cached_objs is constant; 0: no
 * cache and no worker.
 */
import { NUMA_NO_NODE, GFP_KERNEL, __GFP_NOMEMALLOC, __GFP_NORETRY, __GFP_NOWARN } from "../../../layout/gfp.ts";
import { Globals } from "../../../layout/globals.ts";
import { KfreeRcuCpu, KvfreeCounters, KvfreeGlobals, KvfreeRcuBulkData } from "../../../layout/kvfree_rcu.ts";
import { Page, PGTY_bnode, PGTY_frozen } from "../../../layout/page.ts";
import { PerCpu } from "../../../layout/percpu.ts";
import { DelayedWork } from "../../../layout/workqueue.ts";
import { container_of, embedded, NULL, type Ptr } from "../../../mem/struct.ts";
import { assert } from "../../../cpu/bug.ts";
import { per_cpu_ptr, this_cpu_ptr, type Cpu } from "../../../cpu/cpu.ts";
import { hrtimer_start } from "../../kernel/hrtimer.ts";
import { flush_delayed_work, queue_delayed_work } from "../../kernel/workqueue.ts";
import { llist_add, llist_del_all, llist_del_first, llist_next } from "../../lib/llist.ts";
import { assert_spin_locked } from "../../sync/spinlock.ts";
import { alloc_frozen_pages, free_frozen_pages } from "../page_alloc/page_alloc.ts";
import { page_address, virt_to_page } from "../page_alloc/zone.ts";
import { krc_lock, krc_unlock, scheduler_running } from "./krc.ts";

const { kvfree: KVFREE, krc: KRC } = PerCpu.offset;
const { kvfree: KVFREE_GLOBALS, rcu_min_cached_objs: RCU_MIN_CACHED_OBJS } = Globals.offset;
const { page_cache_fill_jiffies: PAGE_CACHE_FILL_JIFFIES } = KvfreeGlobals.offset;
const {
  lock: LOCK,
  bkvcache: BKVCACHE,
  nr_bkv_objs: NR_BKV_OBJS,
  page_cache_work: PAGE_CACHE_WORK,
  backoff_page_cache_fill: BACKOFF_PAGE_CACHE_FILL,
  work_in_progress: WORK_IN_PROGRESS,
  hrtimer: HRTIMER,
} = KfreeRcuCpu.offset;
const { llnode: LLNODE } = KvfreeRcuBulkData.offset;
const { work: WORK } = DelayedWork.offset;
const { type: TYPE } = Page.offset;
const {
  bnodes_cached: N_CACHED,
  bnodes_refused: N_REFUSED,
  page_cache_runs: N_RUNS,
  page_cache_filled: N_FILLED,
} = KvfreeCounters.offset;

type Bnode = Ptr<"kvfree_rcu_bulk_data">;
type Krc = Ptr<"kfree_rcu_cpu">;

/** May sleep; does not try hard, does not use reserves, does not complain. */
const GFP_BNODE = GFP_KERNEL | __GFP_NORETRY | __GFP_NOMEMALLOC | __GFP_NOWARN;

/** A page for a bnode. @returns NULL: no memory. @context Task, work item. */
export function alloc_bnode(cpu: Cpu): Bnode {
  const page = alloc_frozen_pages(cpu, 0, NUMA_NO_NODE, GFP_BNODE);
  if (page === NULL) return NULL;
  cpu.mem.init(page, TYPE, PGTY_bnode); // For reports: the kernel gives it no type.
  return page_address(cpu, page) as Bnode;
}
/** @context Task, work item. */
export function free_bnode(cpu: Cpu, bnode: Bnode): void {
  const page = virt_to_page(cpu, bnode);
  cpu.mem.write(page, TYPE, PGTY_frozen);
  free_frozen_pages(cpu, page, 0);
}
/** How many pages the cache holds at most. @context Any */
function rcu_min_cached_objs(cpu: Cpu): number {
  return cpu.mem.peek(cpu.globals, RCU_MIN_CACHED_OBJS);
}

/** get_cached_bnode() - @kernel mm/slab_common.c @returns NULL: the cache is empty. @context krcp->lock held. */
export function get_cached_bnode(cpu: Cpu, krcp: Krc): Bnode {
  const mem = cpu.mem;
  const nr_bkv_objs = mem.read(krcp, NR_BKV_OBJS);
  if (nr_bkv_objs === 0) return NULL;
  mem.write(krcp, NR_BKV_OBJS, nr_bkv_objs - 1);
  const node = llist_del_first(cpu, embedded(krcp, BKVCACHE)); // The lock excludes other consumers.
  assert(cpu, node !== NULL, `the page cache of krc ${krcp} is empty, but counts ${nr_bkv_objs}`);
  mem.count(this_cpu_ptr(cpu, KVFREE), N_CACHED, 1);
  return container_of(node, LLNODE);
}
/**
 * put_cached_bnode() - keep a page in reserve.
 * @kernel  mm/slab_common.c
 * @returns false: the cache is full, and the page still the caller's, who frees it without the lock.
 * @context krcp->lock held.
 */
export function put_cached_bnode(cpu: Cpu, krcp: Krc, bnode: Bnode): boolean {
  assert_spin_locked(cpu, embedded(krcp, LOCK));
  const mem = cpu.mem;
  const nr_bkv_objs = mem.read(krcp, NR_BKV_OBJS);
  if (nr_bkv_objs >= rcu_min_cached_objs(cpu)) {
    mem.count(this_cpu_ptr(cpu, KVFREE), N_REFUSED, 1);
    return false;
  }
  llist_add(cpu, embedded(bnode, LLNODE), embedded(krcp, BKVCACHE));
  mem.write(krcp, NR_BKV_OBJS, nr_bkv_objs + 1);
  return true;
}
/** drain_page_cache() - give all pages back. @kernel mm/slab_common.c @returns how many. @context Task, work item. */
export function drain_page_cache(cpu: Cpu, krcp: Krc): number {
  if (rcu_min_cached_objs(cpu) === 0) return 0;
  const flags = krc_lock(cpu, krcp);
  const pages = llist_del_all(cpu, embedded(krcp, BKVCACHE));
  cpu.mem.write(krcp, NR_BKV_OBJS, 0);
  krc_unlock(cpu, krcp, flags);
  let freed = 0;
  for (let node = pages; node !== NULL; freed++) {
    const bnode = container_of(node, LLNODE);
    node = llist_next(cpu, node); // Before the free: the link lies in the page.
    free_bnode(cpu, bnode);
  }
  return freed;
}

/**
 * run_page_cache_worker() - have the cache filled, soon.
 *
 * @kernel  mm/slab_common.c
 * @context Any but NMI, krcp->lock held, maybe with raw locks of kfree_rcu()'s caller.
 * @pairs   fill_page_cache_func(): its last store to work_in_progress lets the next run begin.
 */
export function run_page_cache_worker(cpu: Cpu, krcp: Krc): void {
  const mem = cpu.mem;
  if (rcu_min_cached_objs(cpu) === 0 || !scheduler_running(cpu)) return;
  if (mem.xchg(krcp, WORK_IN_PROGRESS, 1) !== 0) return;
  if (mem.read_once(krcp, BACKOFF_PAGE_CACHE_FILL) !== 0) {
    const delay = mem.peek(embedded(cpu.globals, KVFREE_GLOBALS), PAGE_CACHE_FILL_JIFFIES);
    queue_delayed_work(cpu, embedded(krcp, PAGE_CACHE_WORK), delay);
  } else {
    hrtimer_start(cpu, embedded(krcp, HRTIMER));
  }
}
/** schedule_page_work_fn() - no lock is held any more. @kernel mm/slab_common.c @context Hardirq (hrtimer) */
export function schedule_page_work_fn(cpu: Cpu, timer: Ptr<"hrtimer">): void {
  queue_delayed_work(cpu, embedded(container_of(timer, HRTIMER), PAGE_CACHE_WORK), 0);
}
/**
 * fill_page_cache_func() - fill the cache; with one page only, if a shrinker has looked since the last time.
 *
 * Race: the first look at nr_bkv_objs is without the lock. put_cached_bnode() has the last word.
 *
 * @kernel  mm/slab_common.c
 * @context Task, work item (krcp->page_cache_work), any CPU
 */
export function fill_page_cache_func(cpu: Cpu, work: Ptr<"work_struct">): void {
  const mem = cpu.mem;
  const krcp = container_of(container_of(work, WORK), PAGE_CACHE_WORK);
  const counters = this_cpu_ptr(cpu, KVFREE);
  mem.count(counters, N_RUNS, 1);
  const nr_pages = mem.read_once(krcp, BACKOFF_PAGE_CACHE_FILL) !== 0 ? 1 : rcu_min_cached_objs(cpu);
  for (let i = mem.data_race_read(krcp, NR_BKV_OBJS); i < nr_pages; i++) {
    const bnode = alloc_bnode(cpu);
    if (bnode === NULL) break;
    const flags = krc_lock(cpu, krcp);
    const pushed = put_cached_bnode(cpu, krcp, bnode);
    krc_unlock(cpu, krcp, flags);
    if (!pushed) {
      free_bnode(cpu, bnode);
      break;
    }
    mem.count(counters, N_FILLED, 1);
  }
  mem.write_once(krcp, WORK_IN_PROGRESS, 0);
  mem.write_once(krcp, BACKOFF_PAGE_CACHE_FILL, 0);
}

/**
 * Waits for page-cache workers whose work is queued, however long they meant to wait. One whose hrtimer interrupt is still
 * to come has none yet: a machine at rest has no interrupts pending either (workers/at_rest.ts).
 * @context Task, may sleep
 */
export function flush_page_cache_work(cpu: Cpu): void {
  for (let id = 0; id < cpu.map.shape.cpus; id++) {
    flush_delayed_work(cpu, embedded(per_cpu_ptr(cpu, KRC, id), PAGE_CACHE_WORK));
  }
}
/** Pages in the caches of all CPUs. @context Any, machine at rest */
export function nr_cached_bnodes(cpu: Cpu): number {
  let sum = 0;
  for (let id = 0; id < cpu.map.shape.cpus; id++) sum += cpu.mem.peek(per_cpu_ptr(cpu, KRC, id), NR_BKV_OBJS);
  return sum;
}
