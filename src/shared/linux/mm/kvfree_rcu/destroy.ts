/**
 * kmem_cache_destroy(): everything that may still be on its way back to the cache is waited for, then the cache must be
 * empty. The caller has issued all frees (of every kind) and makes no new allocation. mm/slab_common.c; spec slub 5.8.
 *
 * If objects are left the cache is leaked: it leaves the list of caches, its memory stays.
 */
import { BUG_GLOBAL_BARRIER } from "../../../layout/bugs.ts";
import { Globals } from "../../../layout/globals.ts";
import { KmemCache, SlabGlobals } from "../../../layout/slab.ts";
import { SLAB_TYPESAFE_BY_RCU } from "../../../layout/slab_flags.ts";
import { embedded, NULL, type Ptr } from "../../../mem/struct.ts";
import { warn } from "../../../cpu/bug.ts";
import { has_bug } from "../../../cpu/bugs.ts";
import { might_sleep } from "../../../cpu/context.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { EV_CACHE_DESTROY, trace } from "../../../cpu/trace.ts";
import { list_del } from "../../lib/list.ts";
import { rcu_barrier } from "../../rcu/tree_barrier.ts";
import { cpus_read_lock, cpus_read_unlock } from "../../sync/cpu_hotplug.ts";
import { mutex_lock, mutex_unlock } from "../../sync/mutex.ts";
import { hooks_enabled } from "../debug/facilities.ts";
import { kasan_cache_shutdown } from "../debug/kasan.ts";
import { slab_kmem_cache_release } from "../slub/cache.ts";
import { cache_name } from "../slub/cache_name.ts";
import { slab_in_kunit_test } from "../slub/debug_report.ts";
import { forget_aliases } from "../slub/merge.ts";
import { __kmem_cache_shutdown } from "../slub/shutdown.ts";
import { deferred_work_barrier, kvfree_rcu_barrier, kvfree_rcu_barrier_on_cache } from "./barrier.ts";

const { slab: SLAB } = Globals.offset;
const { slab_mutex: SLAB_MUTEX } = SlabGlobals.offset;
const { refcount: REFCOUNT, flags: FLAGS, list: LIST } = KmemCache.offset;
/** Objects are left. */
const EBUSY = 16;

/**
 * kmem_cache_destroy() - wait for all frees of a cache, and release it.
 *
 * @kernel  mm/slab_common.c
 * @returns 0; or -EBUSY, after a warning, if objects are left: the cache is leaked.
 * @context Task, may sleep. Not from an RCU callback, nor from a work item that kfree_rcu() needs.
 */
export function kmem_cache_destroy(cpu: Cpu, s: Ptr<"kmem_cache">): number {
  might_sleep(cpu, "kmem_cache_destroy");
  if (s === NULL) return 0;
  trace(cpu, EV_CACHE_DESTROY, s, 0);
  const slab_mutex = embedded(embedded(cpu.globals, SLAB), SLAB_MUTEX);
  if (has_bug(cpu, BUG_GLOBAL_BARRIER)) kvfree_rcu_barrier(cpu);
  else kvfree_rcu_barrier_on_cache(cpu, s);
  // The frees of such objects take effect in RCU callbacks, if KASAN is on (SLUB_RCU_DEBUG).
  if (hooks_enabled(cpu) && cpu.mem.read(s, FLAGS) & SLAB_TYPESAFE_BY_RCU) rcu_barrier(cpu);
  // Again: RCU callbacks, which that waited for, may have freed by kfree_nolock().
  deferred_work_barrier(cpu);
  cpus_read_lock(cpu);
  mutex_lock(cpu, slab_mutex);
  const refcount = cpu.mem.read(s, REFCOUNT) - 1;
  cpu.mem.write(s, REFCOUNT, refcount);
  if (refcount > 0) {
    mutex_unlock(cpu, slab_mutex);
    cpus_read_unlock(cpu);
    return 0;
  }
  kasan_cache_shutdown(cpu, s); // After the RCU callbacks, whose free hooks fill the quarantine.
  const error = __kmem_cache_shutdown(cpu, s);
  if (error !== 0 && !slab_in_kunit_test(cpu))
    warn(cpu, `kmem_cache_destroy ${cache_name(cpu, s)}: Slab cache still has objects`);
  list_del(cpu, embedded(s, LIST));
  forget_aliases(cpu, s);
  mutex_unlock(cpu, slab_mutex);
  cpus_read_unlock(cpu);
  if (error !== 0) return -EBUSY;
  // The pages of such a cache go back through call_rcu().
  if (cpu.mem.read(s, FLAGS) & SLAB_TYPESAFE_BY_RCU) rcu_barrier(cpu);
  slab_kmem_cache_release(cpu, s);
  return 0;
}
