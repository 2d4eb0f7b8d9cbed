/**
 * Where are the objects of a cache that nobody uses, and that are not free either? Walks all places in which an object
 * can wait: deferred lists, krc, sheaves that wait for call_rcu() or for their grace period, KASAN's quarantine. Together
 * with the census of slabs and sheaves each object must be found exactly once (spec slub 14, invariant 1), at any moment
 * at which no CPU is inside the allocator: no barrier has to be run first.
 *
 * account() adds what else races and litmus tests must leave behind, whoever won.
 */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { per_cpu_ptr } from "../../shared/cpu/cpu.ts";
import { CB } from "../../shared/layout/callbacks.ts";
import {
  DeferredPercpuWork,
  FREE_N_CHANNELS,
  KFREE_N_BATCHES,
  KfreeRcuCpu,
  KfreeRcuCpuWork,
  KvfreeRcuBulkData,
} from "../../shared/layout/kvfree_rcu.ts";
import { NolockRfc } from "../../shared/layout/nolock_rfc.ts";
import { PerCpu } from "../../shared/layout/percpu.ts";
import { RcuCblist, RcuData, RcuSegcblist } from "../../shared/layout/rcu.ts";
import { KmemCache, SlabSheaf, SlubPercpuSheaves } from "../../shared/layout/slab.ts";
import { KvfreeRcuHead, ListHead, LlistHead, LlistNode, RcuHead } from "../../shared/layout/types.ts";
import { check_deferred } from "../../shared/linux/mm/kvfree_rcu/check.ts";
import { bnodes_of } from "../../shared/linux/mm/kvfree_rcu/check_krc.ts";
import { bulk_head_free_of } from "../../shared/linux/mm/kvfree_rcu/krc_batch.ts";
import { bulk_head_of, krwp_of } from "../../shared/linux/mm/kvfree_rcu/krc.ts";
import { quarantined_objects } from "../../shared/linux/mm/debug/kasan_quarantine.ts";
import { is_object_of_cache } from "../../shared/linux/mm/slub/check.ts";
import { check_slab_cache, take_census } from "../../shared/linux/mm/slub/check_sheaves.ts";
import { per_cpu_sheaves } from "../../shared/linux/mm/slub/pcs.ts";
import { sheaf_bytes } from "../../shared/linux/mm/slub/sheaf.ts";
import { kmalloc_slab } from "../../shared/linux/mm/slub/size_class.ts";
import { container_of, element, embedded, NULL, type Ptr } from "../../shared/mem/struct.ts";
import { CAPACITY } from "./kit.ts";

const {
  deferred_percpu_work: DEFERRED_PERCPU_WORK,
  nolock_rfc: NOLOCK_RFC,
  krc: KRC,
  rcu_data: RCU_DATA,
} = PerCpu.offset;
const { deferred: DEFERRED } = NolockRfc.offset;
const { objects: OBJECTS, objects_by_rcu: OBJECTS_BY_RCU, rcu_sheaves: RCU_SHEAVES } = DeferredPercpuWork.offset;
const { head: KRC_HEAD } = KfreeRcuCpu.offset;
const { head_free: HEAD_FREE } = KfreeRcuCpuWork.offset;
const { nr_records: NR_RECORDS, records: RECORDS } = KvfreeRcuBulkData.offset;
const { cblist: CBLIST, rcl: RCL } = RcuData.offset;
const { head: CBLIST_HEAD } = RcuSegcblist.offset;
const { head: RCL_HEAD } = RcuCblist.offset;
const { rcu_free: RCU_FREE } = SlubPercpuSheaves.offset;
const { offset: FREE_POINTER } = KmemCache.offset;
const { cache: SHEAF_CACHE, size: SIZE, objects: SLOTS, llnode: LLNODE, rcu_head: RCU_HEAD } = SlabSheaf.offset;
const { first: FIRST } = LlistHead.offset;
const { next: LLIST_NEXT } = LlistNode.offset;
const { next: LIST_NEXT } = ListHead.offset;
const { next: KVFREE_NEXT } = KvfreeRcuHead.offset;
const { next: RCU_NEXT, func: FUNC } = RcuHead.offset;

/** Told of each object that is found, and of the place. Functions, not generators: this comes after each execution. */
type See = (object: Ptr, place: string) => void;

/** Objects of cache `s` that wait. @param head  offset in the object of the head given to kfree_rcu(). */
function see_waiting(cpu: Cpu, s: Ptr<"kmem_cache">, head: number, see: See): void {
  const { mem } = cpu;
  for (const object of quarantined_objects(cpu)) see(object, "the quarantine");
  for (let id = 0; id < cpu.map.shape.cpus; id++) {
    const krcp = per_cpu_ptr(cpu, KRC, id);
    see_deferred(cpu, s, id, head, see);
    see_krc_objects(cpu, mem.peek(krcp, KRC_HEAD), head, "krc", see);
    for (let idx = 0; idx < FREE_N_CHANNELS; idx++) see_records(cpu, bulk_head_of(krcp, idx), "krc", see);
    for (let i = 0; i < KFREE_N_BATCHES; i++) {
      const krwp = krwp_of(krcp, i);
      see_krc_objects(cpu, mem.peek(krwp, HEAD_FREE), head, "a krc batch", see);
      for (let idx = 0; idx < FREE_N_CHANNELS; idx++) {
        see_records(cpu, bulk_head_free_of(krwp, idx), "a krc batch", see);
      }
    }
    const rdp = per_cpu_ptr(cpu, RCU_DATA, id);
    see_callbacks(cpu, s, mem.peek(embedded(rdp, CBLIST), CBLIST_HEAD), head, see);
    see_callbacks(cpu, s, mem.peek(embedded(rdp, RCL), RCL_HEAD), head, see);
  }
}
/** Objects on the deferred lists of CPU `id`, by list. */
function see_deferred(cpu: Cpu, s: Ptr<"kmem_cache">, id: number, head: number, see: See): void {
  const { mem } = cpu;
  const dpw = per_cpu_ptr(cpu, DEFERRED_PERCPU_WORK, id);
  const free_pointer = mem.peek(s, FREE_POINTER);
  see_nodes(cpu, embedded(dpw, OBJECTS), free_pointer, "objects", see);
  see_nodes(cpu, embedded(dpw, OBJECTS_BY_RCU), head, "objects_by_rcu", see);
  see_nodes(cpu, embedded(per_cpu_ptr(cpu, NOLOCK_RFC, id), DEFERRED), head, "the deferred list of krc", see);
  let node = mem.peek(embedded(dpw, RCU_SHEAVES), FIRST);
  for (; node !== NULL; node = mem.peek(node, LLIST_NEXT)) {
    see_sheaf(cpu, s, container_of(node, LLNODE), "rcu_sheaves", see);
  }
}
const less = (address: Ptr, offset: number): Ptr => (address - offset) as Ptr;
/** @param offset  of the nodes in their objects */
function see_nodes(cpu: Cpu, list: Ptr<"llist_head">, offset: number, place: string, see: See): void {
  const { mem } = cpu;
  for (let node = mem.peek(list, FIRST); node !== NULL; node = mem.peek(node, LLIST_NEXT)) {
    see(less(node, offset), place);
  }
}
function see_krc_objects(cpu: Cpu, first: Ptr<"kvfree_rcu_head">, head: number, place: string, see: See): void {
  for (let at = first; at !== NULL; at = cpu.mem.peek(at, KVFREE_NEXT)) see(less(at, head), place);
}
function see_records(cpu: Cpu, list: Ptr<"list_head">, place: string, see: See): void {
  const { mem } = cpu;
  if (mem.peek(list, LIST_NEXT) === list) return;
  for (const bnode of bnodes_of(cpu, list)) {
    for (let i = 0; i < mem.peek(bnode, NR_RECORDS); i++) see(mem.peek(bnode, element(RECORDS, i)), place);
  }
}
function see_callbacks(cpu: Cpu, s: Ptr<"kmem_cache">, first: Ptr<"rcu_head">, head: number, see: See): void {
  for (let at = first; at !== NULL; at = cpu.mem.peek(at, RCU_NEXT)) {
    const func = cpu.mem.peek(at, FUNC);
    if (func === CB.rcu_free_sheaf || func === CB.rcu_free_sheaf_nobarn) {
      see_sheaf(cpu, s, container_of(at, RCU_HEAD), "call_rcu()", see);
    }
    if (func === CB.kvfree_rcu_cb) see(less(at, head), "call_rcu()");
  }
}
function see_sheaf(cpu: Cpu, s: Ptr<"kmem_cache">, sheaf: Ptr<"slab_sheaf">, place: string, see: See): void {
  const { mem } = cpu;
  if (mem.peek(sheaf, SHEAF_CACHE) !== s) return;
  for (let i = 0; i < mem.peek(sheaf, SIZE); i++) see(mem.peek(sheaf, element(SLOTS, i)), place);
}

/** Objects that neither call_rcu() nor krc has got yet: what the first drains of a barrier are for. */
export function see_before_call_rcu(cpu: Cpu, s: Ptr<"kmem_cache">, head: number, see: See): void {
  for (let id = 0; id < cpu.map.shape.cpus; id++) {
    const rcu_free = cpu.mem.peek(per_cpu_sheaves(cpu, s, id), RCU_FREE);
    if (rcu_free !== NULL) see_sheaf(cpu, s, rcu_free, "rcu_free", see);
    see_deferred(cpu, s, id, head, see);
  }
}

/**
 * What is wrong with the objects of a cache, in words. @param users  objects in use.
 * @context Any, no CPU inside the allocator.
 */
export function check_whereabouts(cpu: Cpu, s: Ptr<"kmem_cache">, users: readonly Ptr[], head: number): string[] {
  const { free, cached, problems, total_objects } = take_census(cpu, s);
  const elsewhere = new Map<Ptr, string>();
  const placeOf = (object: Ptr): string | undefined =>
    elsewhere.get(object) ?? (cached.has(object) ? "a sheaf" : free.has(object) ? "a freelist" : undefined);
  const see = (object: Ptr, place: string): void => {
    const before = placeOf(object);
    if (before !== undefined) problems.push(`object 0x${object.toString(16)} is in ${before}, and also in ${place}`);
    elsewhere.set(object, place);
  };
  for (const object of users) see(object, "use");
  see_waiting(cpu, s, head, (object, place) => {
    if (is_object_of_cache(cpu, s, object)) see(object, place);
  });
  let found = free.size + cached.size; // Nothing is in both, or the census has said so.
  for (const object of elsewhere.keys()) if (!cached.has(object) && !free.has(object)) found++;
  const lost = total_objects - found;
  if (lost > 0) problems.push(`${lost} objects are nowhere: not in use, not free, and waiting for nothing`);
  return problems;
}

/**
 * What is wrong with all that waits, also while it waits: no work will come for it, it is counted wrongly, or a lock is
 * still held.
 * @context Any, no CPU inside the allocator.
 */
export function check_waiting(cpu: Cpu): string[] {
  return check_deferred(cpu).filter((problem) => /stranded|counts|held/.test(problem));
}
/**
 * What is wrong when a scenario is over, in words: each object of its cache is in one place, and what waits has a work that
 * will come for it. Sheaves are objects of a cache of their own, whose slabs must be whole, too. Peeks only.
 * @param users  objects in use. @param head  offset of the head given to kfree_rcu().
 * @context Any, no CPU inside the allocator.
 */
export function account(cpu: Cpu, s: Ptr<"kmem_cache">, users: readonly Ptr[], head: number): string[] {
  return [
    ...check_whereabouts(cpu, s, users, head),
    ...check_waiting(cpu),
    ...check_slab_cache(cpu, kmalloc_slab(cpu, sheaf_bytes(CAPACITY), 0)),
  ];
}
