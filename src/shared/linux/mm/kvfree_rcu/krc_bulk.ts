/**
 * kfree_rcu_cpu, bulk pages: a bnode holds the starts of up to 507 objects and one grace-period cookie. mm/slab_common.c;
 * spec rcu 1.4, 1.9.
 *
 *   bulk_head[0]   slab objects and large kmallocs   --grace period--> kfree_bulk()
 *   bulk_head[1]   vmalloc areas                     --grace period--> vfree()
 *
 * The first bnode of a list is filled, those behind it are left alone. The cookie is renewed with every record: the page
 * may be freed after a grace period that began after its newest one. Cookies only grow, and records are added to the
 * first bnode only, so no bnode's cookie is older than that of one behind it: who looks from the end for what is ready
 * may stop at the first that is not.
 *
 * A bnode that was taken off a list belongs to who took it: chains of such bnodes are linked by list.next, and end with
 * NULL.
 */
import { KvfreeCounters, KfreeRcuCpu, KvfreeRcuBulkData } from "../../../layout/kvfree_rcu.ts";
import { PerCpu } from "../../../layout/percpu.ts";
import { RcuGpOldstate } from "../../../layout/rcu.ts";
import { ListHead } from "../../../layout/types.ts";
import { O_DEFERRED_RCU, O_KRC, O_USER } from "../../../mem/oracle.ts";
import { container_of, element, embedded, NULL, offsetof, type Ptr } from "../../../mem/struct.ts";
import { assert, warn } from "../../../cpu/bug.ts";
import { this_cpu_ptr, type Cpu } from "../../../cpu/cpu.ts";
import { oracle_grace_period_end, oracle_move } from "../../../cpu/oracle.ts";
import { INIT_LIST_HEAD, list_add, list_first, list_last, list_next, type ListPtr } from "../../lib/list.ts";
import { get_state_synchronize_rcu_full, poll_state_synchronize_rcu_full } from "../../rcu/poll.ts";
import { ULONG_CMP_GE } from "../../rcu/rcu_seq.ts";
import { hooks_enabled, RCU_UNQUEUE, run_rcu_hooks } from "../debug/facilities.ts";
import { PATH } from "../debug/facility.ts";
import { kfree_bulk } from "../slub/bulk_free.ts";
import { is_vmalloc_addr, vfree } from "../vmalloc.ts";
import { bulk_head_of, bulk_max_entr, krc_lock, krc_unlock } from "./krc.ts";
import { alloc_bnode, free_bnode, get_cached_bnode, put_cached_bnode } from "./page_cache.ts";

const { kvfree: KVFREE } = PerCpu.offset;
const { bulk_count: BULK_COUNT, initialized: INITIALIZED } = KfreeRcuCpu.offset;
const { list: LIST, gp_snap: GP_SNAP, nr_records: NR_RECORDS, records: RECORDS } = KvfreeRcuBulkData.offset;
const { next: NEXT } = ListHead.offset;
const { norm: NORM, exp: EXP } = RcuGpOldstate.offset;
const { kfree_rcu_krc: N_KRC, krc_bulk: N_BULK, krc_vmalloc: N_VMALLOC } = KvfreeCounters.offset;
const { bnodes_allocated: N_ALLOCATED } = KvfreeCounters.offset;

type Bnode = Ptr<"kvfree_rcu_bulk_data">;

/**
 * add_ptr_to_bulk_krc_lock() - record an object in a bnode.
 *
 * can_alloc: the lock is dropped while a page is allocated. Whoever comes meanwhile (kfree_rcu() in an interrupt or on
 * another CPU that holds this krc, the monitor, a barrier) finds every list whole. Then the same krc is locked again, not
 * the one of the CPU that this has become: what was decided stays right, since nothing was decided from the list. The new
 * page becomes the first one; one that came meanwhile stays behind it, full or not.
 *
 * Differs: krcp is locked by the caller. `flags` need not come back: they are what the caller had before, both times.
 *
 * @kernel  mm/slab_common.c
 * @param   flags      of krc_lock(): IRQs as they were before it.
 * @param   can_alloc  the caller may sleep; with the lock dropped.
 * @returns false: there is no page. krcp is locked in any case.
 * @context krcp->lock held.
 */
export function add_ptr_to_bulk_krc_lock(
  cpu: Cpu,
  krcp: Ptr<"kfree_rcu_cpu">,
  flags: number,
  object: Ptr,
  can_alloc: boolean,
): boolean {
  const mem = cpu.mem;
  if (mem.peek(krcp, INITIALIZED) === 0) return false;
  const idx = is_vmalloc_addr(cpu, object) ? 1 : 0;
  const bulk_head = bulk_head_of(krcp, idx);
  let bnode = first_with_room(cpu, bulk_head);
  if (bnode === NULL) {
    bnode = get_cached_bnode(cpu, krcp);
    if (bnode === NULL && can_alloc) {
      krc_unlock(cpu, krcp, flags);
      bnode = alloc_bnode(cpu);
      if (bnode !== NULL) mem.count(this_cpu_ptr(cpu, KVFREE), N_ALLOCATED, 1);
      krc_lock(cpu, krcp);
    }
    if (bnode === NULL) return false;
    mem.write(bnode, NR_RECORDS, 0);
    list_add(cpu, embedded(bnode, LIST), bulk_head);
  }
  oracle_move(cpu, object, O_USER | O_DEFERRED_RCU, O_KRC);
  const nr_records = mem.read(bnode, NR_RECORDS);
  mem.write(bnode, element(RECORDS, nr_records), object as Ptr<"object">);
  mem.write(bnode, NR_RECORDS, nr_records + 1);
  get_state_synchronize_rcu_full(cpu, embedded(bnode, GP_SNAP));
  assert_time_order(cpu, bnode, bulk_head);
  mem.write_once(krcp, element(BULK_COUNT, idx), mem.read_once(krcp, element(BULK_COUNT, idx)) + 1);
  const counters = this_cpu_ptr(cpu, KVFREE);
  mem.count(counters, N_KRC, 1);
  mem.count(counters, N_BULK, 1);
  mem.count(counters, N_VMALLOC, idx);
  return true;
}
/** krcp->lock is held. @returns the first bnode, or NULL if there is none, or none with room. */
function first_with_room(cpu: Cpu, bulk_head: ListPtr): Bnode {
  const first = list_first(cpu, bulk_head);
  if (first === NULL) return NULL;
  const bnode = container_of(first, LIST);
  return cpu.mem.read(bnode, NR_RECORDS) < bulk_max_entr(cpu) ? bnode : NULL;
}
/** Spec rcu I-KV-8, for the bnode that has just got a new cookie. krcp->lock is held. No steps, hence not in a rebuild. */
function assert_time_order(cpu: Cpu, bnode: Bnode, bulk_head: ListPtr): void {
  if (cpu.mem.rebuilding) return;
  const behind = cpu.mem.peek(embedded(bnode, LIST), NEXT);
  const ordered = behind === bulk_head || bnode_not_older(cpu, bnode, container_of(behind, LIST));
  assert(cpu, ordered, `bnode ${bnode} has an older cookie than the one behind it`);
}
/** Is neither number of a's cookie before that of b's? No steps. @context krcp->lock held, or machine at rest. */
export function bnode_not_older(cpu: Cpu, a: Bnode, b: Bnode): boolean {
  const { mem } = cpu;
  const snap = embedded(a, GP_SNAP);
  const other = embedded(b, GP_SNAP);
  return (
    ULONG_CMP_GE(mem.peek(snap, NORM), mem.peek(other, NORM)) && ULONG_CMP_GE(mem.peek(snap, EXP), mem.peek(other, EXP))
  );
}

/** Takes all bnodes off a list. @returns their chain. @context krcp->lock held. */
export function take_bnodes(cpu: Cpu, list: ListPtr): Bnode {
  const last = list_last(cpu, list);
  if (last === NULL) return NULL;
  const bnode = container_of(list_next(cpu, list), LIST);
  cpu.mem.write(last, NEXT, NULL);
  INIT_LIST_HEAD(cpu, list);
  return bnode;
}
/** The bnode behind `bnode` in its chain. Read it before the bnode is freed. @context Owner of the chain */
export function next_bnode(cpu: Cpu, bnode: Bnode): Bnode {
  const entry = list_next(cpu, embedded(bnode, LIST));
  return entry === NULL ? NULL : container_of(entry, LIST);
}

/**
 * kvfree_rcu_bulk() - free what a bnode records, its grace period being over, and then the bnode.
 *
 * If the grace period is not over somebody has filled a batch that waited already (5da7cb193db3): the objects are leaked.
 *
 * Differs: no cond_resched_tasks_rcu_qs(), here and in kvfree_rcu_list(): there are no RCU tasks, and a work item is no
 * task that could make room for another.
 *
 * @kernel  mm/slab_common.c
 * @param   bnode  the caller's.
 * @returns how many objects it has freed.
 * @context Task, work item; IRQs on, no locks.
 */
export function kvfree_rcu_bulk(cpu: Cpu, krcp: Ptr<"kfree_rcu_cpu">, bnode: Bnode, idx: number): number {
  const mem = cpu.mem;
  let freed = 0;
  if (poll_state_synchronize_rcu_full(cpu, embedded(bnode, GP_SNAP))) {
    freed = mem.read(bnode, NR_RECORDS);
    free_records(cpu, bnode, freed, idx);
  } else {
    warn(cpu, `kvfree_rcu_bulk(): the grace period of bnode ${bnode} is not over; its objects are leaked`);
  }
  const flags = krc_lock(cpu, krcp);
  const kept = put_cached_bnode(cpu, krcp, bnode);
  krc_unlock(cpu, krcp, flags);
  if (!kept) free_bnode(cpu, bnode);
  return freed;
}
function free_records(cpu: Cpu, bnode: Bnode, nr_records: number, idx: number): void {
  const mem = cpu.mem;
  debug_rcu_bhead_unqueue(cpu, bnode, nr_records);
  for (let i = 0; i < nr_records; i++) {
    const object = mem.peek(bnode, element(RECORDS, i)); // For the oracle alone, so no step.
    oracle_grace_period_end(cpu, object);
    oracle_move(cpu, object, O_KRC, O_USER); // Ours now; kfree_bulk() and vfree() take it from us.
  }
  if (idx === 0) {
    kfree_bulk(cpu, nr_records, (bnode + offsetof(RECORDS)) as Ptr as Ptr<"object_array">);
  } else {
    for (let i = 0; i < nr_records; i++) vfree(cpu, mem.read(bnode, element(RECORDS, i)));
  }
}
/** debug_rcu_bhead_unqueue() - the records of a bnode wait no longer. @kernel mm/slab_common.c @context its owner */
function debug_rcu_bhead_unqueue(cpu: Cpu, bnode: Bnode, nr_records: number): void {
  if (!hooks_enabled(cpu)) return;
  for (let i = 0; i < nr_records; i++) {
    run_rcu_hooks(cpu, RCU_UNQUEUE, PATH.after_gp, cpu.mem.read(bnode, element(RECORDS, i)));
  }
}
