/**
 * kfree_rcu sheaves, producer: each CPU collects the objects of a cache in pcs->rcu_free. A full sheaf goes to
 * call_rcu() as a whole, so a grace period is asked for once per sheaf. mm/slub.c; spec slub 5.3, rcu 2.7.3.
 *
 *   rcu_free is NULL: take   the empty spare | an empty sheaf of the barn | a new one, with the lock dropped
 *   rcu_free became full:    rcu_sheaves, if spinning is not allowed and IRQs are off | else call_rcu()
 *                            undone, if the caller wants so (SLAB_FREE_KEEP_ROOM: nolock_rfc.ts)
 *
 * Why the second test: call_rcu() works on the CPU's callback list with IRQs off. A nolock caller that finds them on
 * cannot have interrupted that; one that finds them off (an NMI always does) may have.
 *
 * Locks: the sheaf lock, tried only; under it the barn lock (tried if spinning is not allowed), or whatever kfree()
 * of a surplus sheaf takes. The kernel wraps the whole in a lockdep override map (kfree_rcu_sheaf_map, wait type
 * "config"): callers may hold raw spinlocks. Our lock classes know no wait types, so nothing is to be overridden.
 */
import { CB } from "../../../layout/callbacks.ts";
import { KvfreeCounters } from "../../../layout/kvfree_rcu.ts";
import { NolockRfcCounters } from "../../../layout/nolock_rfc.ts";
import { PerCpu } from "../../../layout/percpu.ts";
import { POINT } from "../../../layout/points.ts";
import { KmemCache, Slab, SlabSheaf, SlubPercpuSheaves } from "../../../layout/slab.ts";
import {
  free_flags_allow_spinning,
  SLAB_FREE_DEFAULT,
  SLAB_FREE_KEEP_ROOM,
  to_alloc_flags,
} from "../../../layout/slab_flags.ts";
import { O_DEFERRED_RCU, O_RCU_SHEAF, O_USER } from "../../../mem/oracle.ts";
import { element, embedded, NULL, type Ptr } from "../../../mem/struct.ts";
import { irqs_disabled } from "../../../cpu/context.ts";
import { this_cpu_ptr, type Cpu } from "../../../cpu/cpu.ts";
import { oracle_move } from "../../../cpu/oracle.ts";
import { point } from "../../../cpu/trace.ts";
import { local_trylock, local_unlock } from "../../sync/local_lock.ts";
import { call_rcu } from "../../rcu/tree.ts";
import { barn_get_empty_sheaf } from "../slub/barn.ts";
import { assert_alive } from "../slub/kmalloc.ts";
import { get_barn, this_cpu_sheaves } from "../slub/pcs.ts";
import { __free_empty_sheaf, alloc_empty_sheaf_for_free, cache_has_sheaves } from "../slub/sheaf.ts";
import { numa_mem_id, numa_node_id, slab_nid, virt_to_slab } from "../slub/slab.ts";
import { stat, STAT } from "../slub/stat.ts";
import { is_vmalloc_addr } from "../vmalloc.ts";
import { defer_rcu_sheaf } from "./deferred.ts";
import { pcs_unlocked_window } from "../slub/window.ts";

const { lock: LOCK, spare: SPARE, rcu_free: RCU_FREE } = SlubPercpuSheaves.offset;
const { rcu_head: RCU_HEAD, size: SIZE, node: NODE, objects: OBJECTS } = SlabSheaf.offset;
const { sheaf_capacity: SHEAF_CAPACITY } = KmemCache.offset;
const { slab_cache: SLAB_CACHE } = Slab.offset;
const { kvfree: KVFREE, nolock_rfc_counters: NOLOCK_RFC_COUNTERS } = PerCpu.offset;
const { rcu_sheaves_called: N_CALLED } = KvfreeCounters.offset;
const { sheaf_kept: N_KEPT } = NolockRfcCounters.offset;

/**
 * kfree_rcu_sheaf() - put an object of kfree_rcu() into this CPU's rcu_free sheaf.
 *
 * @kernel  mm/slub.c
 * @returns false if it is no slab object, belongs to another node, or found no sheaf; it is still the caller's then.
 * @context as __kfree_rcu_sheaf().
 */
export function kfree_rcu_sheaf(cpu: Cpu, object: Ptr, free_flags = SLAB_FREE_DEFAULT): boolean {
  if (is_vmalloc_addr(cpu, object)) return false;
  const slab = virt_to_slab(cpu, object);
  if (slab === NULL || slab_nid(cpu, slab) !== numa_mem_id(cpu)) return false;
  return __kfree_rcu_sheaf(cpu, cpu.mem.read(slab, SLAB_CACHE), object, free_flags);
}

/**
 * __kfree_rcu_sheaf() - put an object of the local node into this CPU's rcu_free sheaf, and submit the sheaf if that
 * filled it. The object's free hooks do not run here: readers may look at it until the grace period is over.
 *
 * @kernel  mm/slub.c
 * @returns false if there was no lock or no sheaf to be had; nothing has changed then.
 * @context SLAB_FREE_NOLOCK: any, NMI included. Else: any but NMI, and not on top of call_rcu().
 * @pairs   flush_rcu_sheaf(), which finds in rcu_free what is not yet with call_rcu().
 */
export function __kfree_rcu_sheaf(cpu: Cpu, s: Ptr<"kmem_cache">, object: Ptr, free_flags: number): boolean {
  const mem = cpu.mem;
  assert_alive(cpu, s);
  if (!local_trylock(cpu, embedded(this_cpu_sheaves(cpu, s), LOCK))) return fail(cpu, s);
  let rcu_sheaf = mem.read(this_cpu_sheaves(cpu, s), RCU_FREE);
  if (rcu_sheaf === NULL) {
    rcu_sheaf = install_rcu_sheaf(cpu, s, free_flags);
    if (rcu_sheaf === NULL) return fail(cpu, s);
  }
  const pcs = this_cpu_sheaves(cpu, s);
  const allow_spin = free_flags_allow_spinning(free_flags);
  const size = mem.read(rcu_sheaf, SIZE);
  mem.write(rcu_sheaf, element(OBJECTS, size), object as Ptr<"object">);
  mem.write(rcu_sheaf, SIZE, size + 1);
  const is_full = size + 1 === mem.read(s, SHEAF_CAPACITY);
  if (is_full && (free_flags & SLAB_FREE_KEEP_ROOM) !== 0) {
    mem.write(rcu_sheaf, SIZE, size);
    local_unlock(cpu, embedded(pcs, LOCK));
    mem.count(this_cpu_ptr(cpu, NOLOCK_RFC_COUNTERS), N_KEPT, 1);
    return fail(cpu, s);
  }
  oracle_move(cpu, object, allow_spin ? O_USER | O_DEFERRED_RCU : O_USER, O_RCU_SHEAF);
  if (is_full) submit(cpu, pcs, rcu_sheaf, allow_spin);
  local_unlock(cpu, embedded(pcs, LOCK));
  stat(cpu, s, STAT.FREE_RCU_SHEAF);
  return true;
}

function fail(cpu: Cpu, s: Ptr<"kmem_cache">): boolean {
  stat(cpu, s, STAT.FREE_RCU_SHEAF_FAIL);
  return false;
}

/** Enters with the sheaf lock held and rcu_free NULL. @returns the sheaf that is rcu_free now, or NULL, unlocked. */
function install_rcu_sheaf(cpu: Cpu, s: Ptr<"kmem_cache">, free_flags: number): Ptr<"slab_sheaf"> {
  const mem = cpu.mem;
  const pcs = this_cpu_sheaves(cpu, s);
  if (!cache_has_sheaves(cpu, s)) {
    local_unlock(cpu, embedded(pcs, LOCK));
    return NULL;
  }
  const spare = mem.read(pcs, SPARE);
  if (spare !== NULL && mem.read(spare, SIZE) === 0) {
    mem.write(pcs, RCU_FREE, spare);
    mem.write(pcs, SPARE, NULL);
    return spare;
  }
  const barn = get_barn(cpu, s);
  if (barn === NULL) {
    local_unlock(cpu, embedded(pcs, LOCK));
    return NULL;
  }
  const empty = barn_get_empty_sheaf(cpu, barn, free_flags_allow_spinning(free_flags));
  if (empty !== NULL) {
    mem.write(pcs, RCU_FREE, empty);
    return empty;
  }
  local_unlock(cpu, embedded(pcs, LOCK));
  return install_new_rcu_sheaf(cpu, s, free_flags);
}

/** Enters unlocked: a sheaf is an object of kmalloc(), whose own sheaf lock is of the same kind. */
function install_new_rcu_sheaf(cpu: Cpu, s: Ptr<"kmem_cache">, free_flags: number): Ptr<"slab_sheaf"> {
  const mem = cpu.mem;
  pcs_unlocked_window(cpu);
  const empty = alloc_empty_sheaf_for_free(cpu, s, to_alloc_flags(free_flags));
  if (empty === NULL) return NULL;
  const pcs = this_cpu_sheaves(cpu, s); // Again: this may be another CPU by now.
  if (!local_trylock(cpu, embedded(pcs, LOCK))) {
    __free_empty_sheaf(cpu, s, empty, free_flags);
    return NULL;
  }
  const installed = mem.read(pcs, RCU_FREE);
  if (installed !== NULL) {
    // Why: legal under the sheaf lock. kfree() only tries sheaf locks, and what it spins on comes after them.
    __free_empty_sheaf(cpu, s, empty, free_flags);
    return installed;
  }
  mem.write(pcs, RCU_FREE, empty);
  return empty;
}

/**
 * Hands a full sheaf over to the grace period. The caller still holds the sheaf lock, which keeps a flush off this CPU:
 * otherwise flush_rcu_sheaf() could find rcu_free NULL, and the rcu_barrier() after it run before our call_rcu().
 */
function submit(cpu: Cpu, pcs: Ptr<"slub_percpu_sheaves">, rcu_sheaf: Ptr<"slab_sheaf">, allow_spin: boolean): void {
  cpu.mem.write(pcs, RCU_FREE, NULL);
  cpu.mem.write(rcu_sheaf, NODE, numa_node_id(cpu));
  point(cpu, POINT.rcu_free_detached);
  if (!allow_spin && irqs_disabled(cpu)) {
    defer_rcu_sheaf(cpu, rcu_sheaf);
  } else {
    cpu.mem.count(this_cpu_ptr(cpu, KVFREE), N_CALLED, 1);
    call_rcu(cpu, embedded(rcu_sheaf, RCU_HEAD), CB.rcu_free_sheaf);
  }
}
