/**
 * Where are the objects of a cache that nobody uses, and that are not free either? Walks all places in which an object
 * can wait: deferred lists, krc, sheaves that wait for call_rcu() or for their grace period, KASAN's quarantine. Together with the census of
 * slabs and sheaves each object must be found exactly once (spec slub 14, invariant 1), at any moment at which no CPU is
 * inside the allocator: no barrier has to be run first.
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
import { KvfreeRcuHead, LlistHead, LlistNode, RcuHead } from "../../shared/layout/types.ts";
import { bnodes_of } from "../../shared/linux/mm/kvfree_rcu/check_krc.ts";
import { bulk_head_free_of } from "../../shared/linux/mm/kvfree_rcu/krc_batch.ts";
import { bulk_head_of, krwp_of } from "../../shared/linux/mm/kvfree_rcu/krc.ts";
import { quarantined_objects } from "../../shared/linux/mm/debug/kasan_quarantine.ts";
import { is_object_of_cache } from "../../shared/linux/mm/slub/check.ts";
import { take_census } from "../../shared/linux/mm/slub/check_sheaves.ts";
import { per_cpu_sheaves } from "../../shared/linux/mm/slub/pcs.ts";
import { container_of, element, embedded, NULL, type Ptr } from "../../shared/mem/struct.ts";

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
const { next: KVFREE_NEXT } = KvfreeRcuHead.offset;
const { next: RCU_NEXT, func: FUNC } = RcuHead.offset;

/** Objects of cache `s` that wait, by place. @param head  offset in the object of the head given to kfree_rcu(). */
function* waiting(cpu: Cpu, s: Ptr<"kmem_cache">, head: number): Generator<readonly [object: Ptr, place: string]> {
  const { mem } = cpu;
  yield* named(quarantined_objects(cpu), "the quarantine");
  for (let id = 0; id < cpu.map.shape.cpus; id++) {
    const krcp = per_cpu_ptr(cpu, KRC, id);
    yield* deferredObjects(cpu, s, id, head);
    yield* named(krcObjects(cpu, mem.peek(krcp, KRC_HEAD), head), "krc");
    for (let idx = 0; idx < FREE_N_CHANNELS; idx++) yield* named(records(cpu, bulk_head_of(krcp, idx)), "krc");
    for (let i = 0; i < KFREE_N_BATCHES; i++) {
      const krwp = krwp_of(krcp, i);
      yield* named(krcObjects(cpu, mem.peek(krwp, HEAD_FREE), head), "a krc batch");
      for (let idx = 0; idx < FREE_N_CHANNELS; idx++) {
        yield* named(records(cpu, bulk_head_free_of(krwp, idx)), "a krc batch");
      }
    }
    const rdp = per_cpu_ptr(cpu, RCU_DATA, id);
    yield* named(callbackObjects(cpu, s, mem.peek(embedded(rdp, CBLIST), CBLIST_HEAD), head), "call_rcu()");
    yield* named(callbackObjects(cpu, s, mem.peek(embedded(rdp, RCL), RCL_HEAD), head), "call_rcu()");
  }
}
/** Objects on the deferred lists of CPU `id`, by list. */
function* deferredObjects(
  cpu: Cpu,
  s: Ptr<"kmem_cache">,
  id: number,
  head: number,
): Generator<readonly [object: Ptr, place: string]> {
  const dpw = per_cpu_ptr(cpu, DEFERRED_PERCPU_WORK, id);
  const rfc = per_cpu_ptr(cpu, NOLOCK_RFC, id);
  const free_pointer = cpu.mem.peek(s, FREE_POINTER);
  for (const node of nodes(cpu, embedded(dpw, OBJECTS))) yield [less(node, free_pointer), "objects"];
  for (const node of nodes(cpu, embedded(dpw, OBJECTS_BY_RCU))) yield [less(node, head), "objects_by_rcu"];
  for (const node of nodes(cpu, embedded(rfc, DEFERRED))) yield [less(node, head), "the deferred list of krc"];
  for (const node of nodes(cpu, embedded(dpw, RCU_SHEAVES))) {
    yield* named(sheafObjects(cpu, s, container_of(node, LLNODE)), "rcu_sheaves");
  }
}
const less = (address: Ptr, offset: number): Ptr => (address - offset) as Ptr;
function* named(objects: Iterable<Ptr>, place: string): Generator<readonly [object: Ptr, place: string]> {
  for (const object of objects) yield [object, place];
}
function* nodes(cpu: Cpu, list: Ptr<"llist_head">): Generator<Ptr<"llist_node">> {
  for (let node = cpu.mem.peek(list, FIRST); node !== NULL; node = cpu.mem.peek(node, LLIST_NEXT)) yield node;
}
function* krcObjects(cpu: Cpu, first: Ptr<"kvfree_rcu_head">, head: number): Generator<Ptr> {
  for (let at = first; at !== NULL; at = cpu.mem.peek(at, KVFREE_NEXT)) yield less(at, head);
}
function* records(cpu: Cpu, list: Ptr<"list_head">): Generator<Ptr> {
  for (const bnode of bnodes_of(cpu, list)) {
    for (let i = 0; i < cpu.mem.peek(bnode, NR_RECORDS); i++) yield cpu.mem.peek(bnode, element(RECORDS, i));
  }
}
function* callbackObjects(cpu: Cpu, s: Ptr<"kmem_cache">, first: Ptr<"rcu_head">, head: number): Generator<Ptr> {
  for (let at = first; at !== NULL; at = cpu.mem.peek(at, RCU_NEXT)) {
    const func = cpu.mem.peek(at, FUNC);
    if (func === CB.rcu_free_sheaf || func === CB.rcu_free_sheaf_nobarn) {
      yield* sheafObjects(cpu, s, container_of(at, RCU_HEAD));
    }
    if (func === CB.kvfree_rcu_cb) yield less(at, head);
  }
}
function* sheafObjects(cpu: Cpu, s: Ptr<"kmem_cache">, sheaf: Ptr<"slab_sheaf">): Generator<Ptr> {
  if (cpu.mem.peek(sheaf, SHEAF_CACHE) !== s) return;
  for (let i = 0; i < cpu.mem.peek(sheaf, SIZE); i++) yield cpu.mem.peek(sheaf, element(SLOTS, i));
}

/** Those of them that neither call_rcu() nor krc has got yet: what the first drains of a barrier are for. */
export function* before_call_rcu(
  cpu: Cpu,
  s: Ptr<"kmem_cache">,
  head: number,
): Generator<readonly [object: Ptr, place: string]> {
  for (let id = 0; id < cpu.map.shape.cpus; id++) {
    const rcu_free = cpu.mem.peek(per_cpu_sheaves(cpu, s, id), RCU_FREE);
    if (rcu_free !== NULL) yield* named(sheafObjects(cpu, s, rcu_free), "rcu_free");
    yield* deferredObjects(cpu, s, id, head);
  }
}

/**
 * What is wrong with the objects of a cache, in words. @param users  objects in use.
 * @context Any, no CPU inside the allocator.
 */
export function check_whereabouts(cpu: Cpu, s: Ptr<"kmem_cache">, users: readonly Ptr[], head: number): string[] {
  const census = take_census(cpu, s);
  const problems = [...census.problems];
  const found = new Map<Ptr, string>();
  for (const object of census.free) found.set(object, "a freelist");
  for (const object of census.cached) found.set(object, "a sheaf");
  const see = (object: Ptr, place: string): void => {
    const before = found.get(object);
    if (before !== undefined) problems.push(`object 0x${object.toString(16)} is in ${before}, and also in ${place}`);
    found.set(object, place);
  };
  for (const object of users) see(object, "use");
  for (const [object, place] of waiting(cpu, s, head)) if (is_object_of_cache(cpu, s, object)) see(object, place);
  const lost = census.total_objects - found.size;
  if (lost > 0) problems.push(`${lost} objects are nowhere: not in use, not free, and waiting for nothing`);
  return problems;
}
