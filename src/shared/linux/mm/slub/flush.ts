/**
 * Emptying sheaves: of this CPU, of all CPUs, of a dead CPU, and for good when a cache goes away.
 *
 *   function                 on                          takes
 *   sheaf_flush_main         this CPU, task              the sheaf lock, blocking
 *   sheaf_try_flush_main     this CPU, any but NMI       the sheaf lock, tried: the free path must not wait for it
 *   pcs_flush_all            this CPU, work item         the sheaf lock, blocking
 *   __pcs_flush_all_cpu      a CPU that is dead          nothing
 *   flush_all(_cpus_locked)  every online CPU            flush_lock; waits for the work items
 *   pcs_destroy              every CPU, cache unused     nothing
 *
 * Objects leave main in batches: a batch is taken under the lock and freed without it, since freeing takes list_lock.
 * A flush bypasses the barn. What is in rcu_free still has to wait for its grace period, and then for rcu_barrier().
 *
 * Lock order: cpu_hotplug_lock, slab_mutex, flush_lock, sheaf lock. Kernel: mm/slub.c. Spec: slub 2.11.
 */
import { bug, warn } from "../../../cpu/bug.ts";
import { describe_context, in_task, might_sleep } from "../../../cpu/context.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { point } from "../../../cpu/trace.ts";
import { CB } from "../../../layout/callbacks.ts";
import { Globals } from "../../../layout/globals.ts";
import { POINT } from "../../../layout/points.ts";
import { SlabGlobals, SlabSheaf, SlubPercpuSheaves } from "../../../layout/slab.ts";
import { STAT } from "../../../layout/slab_stat.ts";
import { O_SHEAF, O_TRANSIT } from "../../../mem/oracle.ts";
import { container_of, element, embedded, NULL, type Ptr } from "../../../mem/struct.ts";
import { flush_work, init_work, queue_work_on } from "../../kernel/workqueue.ts";
import { call_rcu } from "../../rcu/tree.ts";
import { cpus_read_lock, cpus_read_unlock } from "../../sync/cpu_hotplug.ts";
import { local_lock, local_trylock, local_unlock } from "../../sync/local_lock.ts";
import { mutex_lock, mutex_unlock } from "../../sync/mutex.ts";
import { __kmem_cache_free_bulk } from "./bulk_free.ts";
import { per_cpu_sheaves, this_cpu_sheaves } from "./pcs.ts";
import { cache_has_sheaves, free_empty_sheaf, oracle_move_slots, sheaf_flush_unused, sheaf_slot } from "./sheaf.ts";
import { slab_lockdep_assert_held } from "./assert_held.ts";
import { stat } from "./stat.ts";
import { pcs_unlocked_window } from "./window.ts";

const {
  lock: LOCK,
  main: MAIN,
  spare: SPARE,
  rcu_free: RCU_FREE,
  flush_work: FLUSH_WORK,
  cache: CACHE,
} = SlubPercpuSheaves.offset;
const { size: SIZE, objects: OBJECTS, rcu_head: RCU_HEAD } = SlabSheaf.offset;
const { slab: SLAB, online: ONLINE } = Globals.offset;
const { flush_lock: FLUSH_LOCK } = SlabGlobals.offset;

/** Objects that one batch of a main flush takes out. */
export const PCS_BATCH_MAX = 32;

type Cache = Ptr<"kmem_cache">;
type Pcs = Ptr<"slub_percpu_sheaves">;

/**
 * __sheaf_flush_main_batch() - free a batch of main's objects to their slabs. Enters with the sheaf lock, leaves without.
 * @kernel  mm/slub.c
 * @returns objects left in main when the lock was dropped.
 * @context Hardirq, never NMI.
 */
function __sheaf_flush_main_batch(cpu: Cpu, s: Cache, pcs: Pcs): number {
  const mem = cpu.mem;
  slab_lockdep_assert_held(cpu, embedded(pcs, LOCK));
  const main = mem.read(pcs, MAIN);
  const size = mem.read(main, SIZE);
  const batch = Math.min(PCS_BATCH_MAX, size);
  const left = size - batch;
  const objects: Ptr<"object">[] = [];
  for (let i = left; i < size; i++) objects.push(mem.read(main, element(OBJECTS, i)));
  // Why: the sheaf of caches without sheaves is shared and never written.
  if (batch !== 0) {
    oracle_move_slots(cpu, sheaf_slot(main, left), batch, O_SHEAF, O_TRANSIT);
    mem.write(main, SIZE, left);
  }
  local_unlock(cpu, embedded(pcs, LOCK));
  pcs_unlocked_window(cpu);
  __kmem_cache_free_bulk(cpu, s, objects);
  stat(cpu, s, STAT.SHEAF_FLUSH, batch);
  return left;
}

/** Empties this CPU's main sheaf. @kernel mm/slub.c @context Task: waits for the sheaf lock. */
export function sheaf_flush_main(cpu: Cpu, s: Cache): void {
  let left: number;
  do {
    const pcs = this_cpu_sheaves(cpu, s);
    local_lock(cpu, embedded(pcs, LOCK));
    left = __sheaf_flush_main_batch(cpu, s, pcs);
  } while (left !== 0);
}

/**
 * sheaf_try_flush_main() - make room in this CPU's main sheaf without waiting for its lock (slub B10).
 * @kernel  mm/slub.c
 * @returns false: nothing was flushed.
 * @context Hardirq, never NMI.
 */
export function sheaf_try_flush_main(cpu: Cpu, s: Cache): boolean {
  let flushed = false;
  let left: number;
  do {
    const pcs = this_cpu_sheaves(cpu, s);
    if (!local_trylock(cpu, embedded(pcs, LOCK))) return flushed;
    left = __sheaf_flush_main_batch(cpu, s, pcs);
    flushed = true;
  } while (left !== 0);
  return flushed;
}

/** Frees a spare, and gives an rcu_free sheaf to RCU. Both private. */
function dispose(cpu: Cpu, s: Cache, spare: Ptr<"slab_sheaf">, rcu_free: Ptr<"slab_sheaf">): void {
  if (spare !== NULL) {
    sheaf_flush_unused(cpu, s, spare);
    free_empty_sheaf(cpu, s, spare);
  }
  if (rcu_free !== NULL) call_rcu(cpu, embedded(rcu_free, RCU_HEAD), CB.rcu_free_sheaf_nobarn);
}

/**
 * pcs_flush_all() - empty all sheaves of this CPU. Objects in rcu_free follow after a grace period.
 * @kernel  mm/slub.c
 * @context Task: work item on the CPU, or its main task.
 */
export function pcs_flush_all(cpu: Cpu, s: Cache): void {
  const mem = cpu.mem;
  if (!in_task(cpu)) bug(cpu, `pcs_flush_all() in ${describe_context(cpu)}`);
  const pcs = this_cpu_sheaves(cpu, s);
  local_lock(cpu, embedded(pcs, LOCK));
  const spare = mem.read(pcs, SPARE);
  mem.write(pcs, SPARE, NULL);
  const rcu_free = mem.read(pcs, RCU_FREE);
  mem.write(pcs, RCU_FREE, NULL);
  local_unlock(cpu, embedded(pcs, LOCK));
  point(cpu, POINT.rcu_free_detached);
  dispose(cpu, s, spare, rcu_free);
  sheaf_flush_main(cpu, s);
}

/** The same for CPU `id`, which is dead: it takes no lock. Main stays, empty. @kernel mm/slub.c @context Task */
export function __pcs_flush_all_cpu(cpu: Cpu, s: Cache, id: number): void {
  const mem = cpu.mem;
  if (mem.read_once(cpu.globals, ONLINE) & (1 << id)) bug(cpu, `__pcs_flush_all_cpu() of CPU ${id}, which is online`);
  const pcs = per_cpu_sheaves(cpu, s, id);
  const main = mem.read(pcs, MAIN);
  sheaf_flush_unused(cpu, s, main);
  const spare = mem.read(pcs, SPARE);
  mem.write(pcs, SPARE, NULL);
  const rcu_free = mem.read(pcs, RCU_FREE);
  mem.write(pcs, RCU_FREE, NULL);
  dispose(cpu, s, spare, rcu_free);
}

/**
 * has_pcs_used() - is there anything to flush on CPU `id`?
 * Race: plain reads of another CPU's words. Whoever needs the answer to cover a free has made that free happen before.
 * @kernel  mm/slub.c
 * @context Any
 */
export function has_pcs_used(cpu: Cpu, s: Cache, id: number): boolean {
  const mem = cpu.mem;
  const pcs = per_cpu_sheaves(cpu, s, id);
  return (
    mem.data_race_read(pcs, SPARE) !== NULL ||
    mem.data_race_read(pcs, RCU_FREE) !== NULL ||
    mem.data_race_read(mem.data_race_read(pcs, MAIN), SIZE) !== 0
  );
}

/** flush_cpu_sheaves() - the work item of flush_all_cpus_locked(). @kernel mm/slub.c @context Task: work item */
export function flush_cpu_sheaves(cpu: Cpu, work: Ptr<"work_struct">): void {
  const s = cpu.mem.read(container_of(work, FLUSH_WORK), CACHE);
  if (cache_has_sheaves(cpu, s)) pcs_flush_all(cpu, s);
}

/**
 * flush_all_cpus_locked() - empty the sheaves of all online CPUs, and wait until that is done.
 * @kernel  mm/slub.c
 * @context Task, may sleep, cpus_read_lock() held. Takes flush_lock, which owns the work items.
 */
export function flush_all_cpus_locked(cpu: Cpu, s: Cache): void {
  might_sleep(cpu, "flush_all_cpus_locked");
  const flush_lock = embedded(embedded(cpu.globals, SLAB), FLUSH_LOCK);
  mutex_lock(cpu, flush_lock);
  const online = cpu.mem.read_once(cpu.globals, ONLINE);
  let queued = 0;
  for (let id = 0; id < cpu.map.shape.cpus; id++) {
    if ((online & (1 << id)) === 0 || !has_pcs_used(cpu, s, id)) continue;
    const work = embedded(per_cpu_sheaves(cpu, s, id), FLUSH_WORK);
    init_work(cpu, work, CB.flush_cpu_sheaves);
    queue_work_on(cpu, id, work);
    queued |= 1 << id;
  }
  for (let id = 0; id < cpu.map.shape.cpus; id++) {
    if (queued & (1 << id)) flush_work(cpu, embedded(per_cpu_sheaves(cpu, s, id), FLUSH_WORK));
  }
  mutex_unlock(cpu, flush_lock);
}
/** The same, for callers without cpus_read_lock(). @kernel mm/slub.c @context Task, may sleep. */
export function flush_all(cpu: Cpu, s: Cache): void {
  cpus_read_lock(cpu);
  flush_all_cpus_locked(cpu, s);
  cpus_read_unlock(cpu);
}

/**
 * pcs_destroy() - free the main sheaves of a cache that nobody uses any more.
 * @kernel  mm/slub.c
 * @context Task. Everything has been flushed; what has not is reported and leaks.
 */
export function pcs_destroy(cpu: Cpu, s: Cache): void {
  const mem = cpu.mem;
  for (let id = 0; id < cpu.map.shape.cpus; id++) {
    const pcs = per_cpu_sheaves(cpu, s, id);
    const main = mem.read(pcs, MAIN);
    if (main === NULL || !cache_has_sheaves(cpu, s)) continue;
    if (mem.read(pcs, SPARE) !== NULL) warn(cpu, `pcs_destroy: CPU ${id} still has a spare sheaf`);
    if (mem.read(pcs, RCU_FREE) !== NULL) warn(cpu, `pcs_destroy: CPU ${id} still has an rcu_free sheaf`);
    if (mem.read(main, SIZE) > 0) warn(cpu, `pcs_destroy: CPU ${id} still has ${mem.read(main, SIZE)} objects in main`);
    else free_empty_sheaf(cpu, s, main);
    mem.write(pcs, MAIN, NULL);
  }
}
