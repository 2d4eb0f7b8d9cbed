/**
 * kvfree_rcu_barrier(): when it returns, every object given to kfree_rcu() or kfree_rcu_nolock() before the call, from
 * whatever context, is back with the allocator. mm/slub.c; spec slub 5.6, rcu 2.8 and 5.1 (G-KVB, G-ORDER).
 *
 * Four drains, one per stage in which an object can be:
 *
 *   D  deferred_work_barrier()     objects_by_rcu, rcu_sheaves   feeds F, R, K
 *   F  flush_rcu_sheaves_on_cache  rcu_free sheaves              feeds R
 *   R  rcu_barrier()               submitted sheaves
 *   K  __kvfree_rcu_barrier()      kfree_rcu_cpu
 *
 * A stage that an earlier one refills must be drained after it, so D comes before F; a full sheaf may bypass F through
 * rcu_sheaves, when somebody fills, after the first D, the sheaf that holds our object, so D comes again before R:
 * D F D R K. Differs: the kernel (7.3) does D F R K, the June 2026 proposal F D R K; both hold only if the irq_work comes
 * promptly. globals.barrier_order selects.
 *
 * Locks: cpu_hotplug_lock (read), slab_mutex, flush_lock, in that order; none during D, R and K.
 */
import { CB } from "../../../layout/callbacks.ts";
import { BARRIER_DFRK, BARRIER_FDRK, Globals, KB_ON_CACHE } from "../../../layout/globals.ts";
import { DeferredPercpuWork, KvfreeCounters } from "../../../layout/kvfree_rcu.ts";
import { PerCpu } from "../../../layout/percpu.ts";
import { KmemCache, SlabGlobals, SlubPercpuSheaves } from "../../../layout/slab.ts";
import { container_of, embedded, NULL, type Ptr } from "../../../mem/struct.ts";
import { assert } from "../../../cpu/bug.ts";
import { irqs_disabled, might_sleep } from "../../../cpu/context.ts";
import { per_cpu_ptr, this_cpu_ptr, type Cpu } from "../../../cpu/cpu.ts";
import { oracle_barrier_begin, oracle_barrier_end } from "../../../cpu/oracle.ts";
import { list_next } from "../../lib/list.ts";
import { irq_work_sync } from "../../kernel/irq_work.ts";
import { flush_work, init_work, queue_work_on } from "../../kernel/workqueue.ts";
import { rcu_barrier } from "../../rcu/tree_barrier.ts";
import { cpus_read_lock, cpus_read_unlock } from "../../sync/cpu_hotplug.ts";
import { mutex_lock, mutex_unlock } from "../../sync/mutex.ts";
import { per_cpu_sheaves } from "../slub/pcs.ts";
import { cache_has_sheaves } from "../slub/sheaf.ts";
import { __kvfree_rcu_barrier } from "./krc_barrier.ts";
import { nolock_rfc_barrier } from "./nolock_rfc.ts";
import { is_unbatched } from "./unbatched.ts";

const { kvfree: KVFREE, deferred_percpu_work: DEFERRED_PERCPU_WORK } = PerCpu.offset;
const { work: WORK } = DeferredPercpuWork.offset;
const {
  deferred_work_barriers: N_DEFERRED_BARRIERS,
  kvfree_rcu_barriers: N_BARRIERS,
  cache_barriers: N_CACHE_BARRIERS,
} = KvfreeCounters.offset;
const { slab: SLAB, barrier_order: BARRIER_ORDER, kernel_behaviour: KERNEL_BEHAVIOUR, online: ONLINE } = Globals.offset;
const { slab_mutex: SLAB_MUTEX, flush_lock: FLUSH_LOCK, slab_caches: SLAB_CACHES } = SlabGlobals.offset;
const { list: LIST } = KmemCache.offset;
const { flush_work: FLUSH_WORK } = SlubPercpuSheaves.offset;

/**
 * deferred_work_barrier() - wait until all that was deferred before the call, on any CPU, has been handled: its objects
 * are freed or given to kvfree_call_rcu(), its sheaves given to call_rcu().
 *
 * @kernel  mm/slub.c
 * @context Task, may sleep, IRQs on.
 * @pairs   irq_work_queue() in the producers: each returned with its work pending or running.
 */
export function deferred_work_barrier(cpu: Cpu): void {
  might_sleep(cpu, "deferred_work_barrier");
  assert(cpu, !irqs_disabled(cpu), "deferred_work_barrier() with IRQs off");
  cpu.mem.count(this_cpu_ptr(cpu, KVFREE), N_DEFERRED_BARRIERS, 1);
  // Possible CPUs, not online ones: one that goes offline runs its irq_work on the way out.
  for (let id = 0; id < cpu.map.shape.cpus; id++) {
    irq_work_sync(cpu, embedded(per_cpu_ptr(cpu, DEFERRED_PERCPU_WORK, id), WORK));
  }
  nolock_rfc_barrier(cpu);
}

/**
 * flush_rcu_sheaves_on_cache() - pass every CPU's rcu_free sheaf of a cache to call_rcu().
 *
 * On every online CPU, whether or not it has an rcu_free sheaf: one may be just between rcu_free := NULL and call_rcu(),
 * and only a work item that takes the sheaf lock there comes after that.
 *
 * @kernel  mm/slub.c
 * @context Task, may sleep; CPUs locked for reading.
 * @pairs   __kfree_rcu_sheaf(), which holds the sheaf lock until its sheaf is submitted.
 */
export function flush_rcu_sheaves_on_cache(cpu: Cpu, s: Ptr<"kmem_cache">): void {
  const flush_lock = embedded(embedded(cpu.globals, SLAB), FLUSH_LOCK);
  mutex_lock(cpu, flush_lock);
  const online = cpu.mem.read_once(cpu.globals, ONLINE); // Does not change: CPUs are locked.
  for (let id = 0; id < cpu.map.shape.cpus; id++) {
    if ((online & (1 << id)) === 0) continue;
    const work = embedded(per_cpu_sheaves(cpu, s, id), FLUSH_WORK);
    init_work(cpu, work, CB.flush_rcu_sheaf); // Other flushes use it too, under the same lock.
    queue_work_on(cpu, id, work);
  }
  for (let id = 0; id < cpu.map.shape.cpus; id++) {
    if ((online & (1 << id)) !== 0) flush_work(cpu, embedded(per_cpu_sheaves(cpu, s, id), FLUSH_WORK));
  }
  mutex_unlock(cpu, flush_lock);
}

/**
 * flush_all_rcu_sheaves() - D F D R for all caches.
 *
 * @kernel  mm/slub.c
 * @context Task, may sleep.
 */
export function flush_all_rcu_sheaves(cpu: Cpu): void {
  const slab = embedded(cpu.globals, SLAB);
  const caches = embedded(slab, SLAB_CACHES);
  drain_deferred_before_flush(cpu);
  cpus_read_lock(cpu);
  mutex_lock(cpu, embedded(slab, SLAB_MUTEX));
  for (let entry = list_next(cpu, caches); entry !== caches; entry = list_next(cpu, entry)) {
    const s = container_of(entry, LIST);
    if (cache_has_sheaves(cpu, s)) flush_rcu_sheaves_on_cache(cpu, s);
  }
  mutex_unlock(cpu, embedded(slab, SLAB_MUTEX));
  cpus_read_unlock(cpu);
  drain_deferred_after_flush(cpu);
  rcu_barrier(cpu);
}

/**
 * kvfree_rcu_barrier() - wait until all objects given to kfree_rcu() and kfree_rcu_nolock() before the call are freed.
 *
 * @kernel  mm/slab_common.c
 * @context Task, may sleep. Not from an RCU callback, nor from a work item that krc needs.
 */
export function kvfree_rcu_barrier(cpu: Cpu): void {
  might_sleep(cpu, "kvfree_rcu_barrier");
  cpu.mem.count(this_cpu_ptr(cpu, KVFREE), N_BARRIERS, 1);
  oracle_barrier_begin(cpu);
  if (is_unbatched(cpu)) {
    unbatched_barrier(cpu);
  } else {
    flush_all_rcu_sheaves(cpu);
    __kvfree_rcu_barrier(cpu);
  }
  oracle_barrier_end(cpu, NULL);
}

/**
 * kvfree_rcu_barrier_on_cache() - the same for the objects of one cache. D, R and K serve a cache without sheaves too:
 * its objects may be on objects_by_rcu or in krc, and their frees in RCU callbacks.
 *
 * @kernel  mm/slab_common.c
 * @context Task, may sleep; as kvfree_rcu_barrier().
 */
export function kvfree_rcu_barrier_on_cache(cpu: Cpu, s: Ptr<"kmem_cache">): void {
  might_sleep(cpu, "kvfree_rcu_barrier_on_cache");
  cpu.mem.count(this_cpu_ptr(cpu, KVFREE), N_CACHE_BARRIERS, 1);
  oracle_barrier_begin(cpu);
  if (is_unbatched(cpu)) {
    unbatched_barrier(cpu);
    oracle_barrier_end(cpu, s);
    return;
  }
  drain_deferred_before_flush(cpu);
  if (cache_has_sheaves(cpu, s)) {
    cpus_read_lock(cpu);
    flush_rcu_sheaves_on_cache(cpu, s);
    cpus_read_unlock(cpu);
  }
  drain_deferred_after_flush(cpu);
  // Until January 2026 the kernel did not wait for the callbacks here (slub B7).
  if ((cpu.mem.peek(cpu.globals, KERNEL_BEHAVIOUR) & KB_ON_CACHE) === 0) rcu_barrier(cpu);
  __kvfree_rcu_barrier(cpu);
  oracle_barrier_end(cpu, s);
}
/** Without batching each object goes straight to call_rcu(), from kfree_rcu() or from the handler of deferred objects. */
function unbatched_barrier(cpu: Cpu): void {
  deferred_work_barrier(cpu);
  rcu_barrier(cpu);
}

function drain_deferred_before_flush(cpu: Cpu): void {
  if (cpu.mem.peek(cpu.globals, BARRIER_ORDER) !== BARRIER_FDRK) deferred_work_barrier(cpu);
}
function drain_deferred_after_flush(cpu: Cpu): void {
  if (cpu.mem.peek(cpu.globals, BARRIER_ORDER) !== BARRIER_DFRK) deferred_work_barrier(cpu);
}
