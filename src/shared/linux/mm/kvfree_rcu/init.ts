/** Boot of kvfree_rcu: memory state (once per machine) and callback numbers (once per thread). */
import { CB } from "../../../layout/callbacks.ts";
import { Slab } from "../../../layout/slab.ts";
import { NULL } from "../../../mem/struct.ts";
import { bug } from "../../../cpu/bug.ts";
import { bind_callback } from "../../../cpu/callback_table.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { virt_to_slab } from "../slub/slab.ts";
import { deferred_work_barrier, kvfree_rcu_barrier_on_cache } from "./barrier.ts";
import { defer_free, deferred_percpu_work_init } from "./deferred.ts";
import { deferred_percpu_work_fn } from "./deferred_work.ts";
import { kfree_rcu_monitor, kfree_rcu_work } from "./krc_batch.ts";
import { krc_init } from "./krc_init.ts";
import { kvfree_call_rcu } from "./kvfree_rcu.ts";
import { nolock_rfc_deferred_fn, nolock_rfc_init, nolock_rfc_monitor_fn } from "./nolock_rfc.ts";
import { kvmalloc_obj_start_addr } from "./object_start.ts";
import { fill_page_cache_func, schedule_page_work_fn } from "./page_cache.ts";
import { flush_rcu_sheaf, rcu_free_sheaf, rcu_free_sheaf_nobarn } from "./rcu_free_sheaf.ts";
import { kvfree_rcu_cb } from "./unbatched.ts";

const { slab_cache: SLAB_CACHE } = Slab.offset;

/**
 * kvfree_rcu_init() - makes the per-CPU words of this folder usable.
 * @kernel  mm/slab_common.c
 * @context Task, at boot, everything else stopped; after kmem_cache_init() and RCU.
 */
export function kvfree_rcu_init(cpu: Cpu): void {
  deferred_percpu_work_init(cpu);
  krc_init(cpu);
  nolock_rfc_init(cpu);
}

/** Binds the callback numbers of this folder on this thread. */
export function bind_kvfree_rcu(): void {
  bind_callback(CB.deferred_percpu_work_fn, deferred_percpu_work_fn);
  bind_callback(CB.nolock_rfc_deferred_fn, nolock_rfc_deferred_fn);
  bind_callback(CB.nolock_rfc_monitor_fn, nolock_rfc_monitor_fn);
  bind_callback(CB.rcu_free_sheaf, rcu_free_sheaf);
  bind_callback(CB.rcu_free_sheaf_nobarn, rcu_free_sheaf_nobarn);
  bind_callback(CB.flush_rcu_sheaf, flush_rcu_sheaf);
  bind_callback(CB.kfree_rcu_monitor, kfree_rcu_monitor);
  bind_callback(CB.kfree_rcu_work, kfree_rcu_work);
  bind_callback(CB.fill_page_cache_func, fill_page_cache_func);
  bind_callback(CB.schedule_page_work_fn, schedule_page_work_fn);
  bind_callback(CB.kvfree_rcu_cb, kvfree_rcu_cb);
  // What slub calls: through a number a function gets one argument, and finds the others from it.
  bind_callback(CB.defer_free, (cpu, object) => {
    const slab = virt_to_slab(cpu, object);
    if (slab === NULL) bug(cpu, `defer_free() of ${object}, which is on no slab`);
    defer_free(cpu, cpu.mem.read(slab, SLAB_CACHE), object);
  });
  bind_callback(CB.kvfree_call_rcu, (cpu, head) => {
    kvfree_call_rcu(cpu, head, kvmalloc_obj_start_addr(cpu, head));
  });
  bind_callback(CB.kvfree_rcu_barrier_on_cache, kvfree_rcu_barrier_on_cache);
  bind_callback(CB.deferred_work_barrier, deferred_work_barrier);
}
