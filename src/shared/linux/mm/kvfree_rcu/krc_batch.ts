/**
 * kfree_rcu_cpu, batches: how what a CPU has pending gets its grace period and is freed. mm/slab_common.c; spec rcu 1.7 to
 * 1.9.
 *
 *   bulk_head[], head --kvfree_rcu_queue_batch()--> krw_arr[i] --grace period--> kfree_rcu_work() --> kfree_bulk(), vfree()
 *   bulk_head[], head --monitor, what is ready--> the same
 *
 * A CPU has two batches. One of which any list still waits is not filled, on no list: its grace period began before the
 * newcomers (5da7cb193db3). If both wait, so does what is pending, and the monitor tries again.
 *
 * Work items run on any CPU, and shrinkers call the monitor where they are: at the same time as its work item, as each
 * other, as barriers. All of them synchronise by krcp->lock: what is taken off a list under it has one owner, and is freed
 * without it.
 */
import { BUG_BATCH_REUSE } from "../../../layout/bugs.ts";
import { Globals, KB_UNPOLLED } from "../../../layout/globals.ts";
import {
  FREE_N_CHANNELS,
  KFREE_N_BATCHES,
  KfreeRcuCpu,
  KfreeRcuCpuWork,
  KvfreeCounters,
  KvfreeRcuBulkData,
} from "../../../layout/kvfree_rcu.ts";
import { PerCpu } from "../../../layout/percpu.ts";
import { KvfreeRcuHead, ListHead } from "../../../layout/types.ts";
import { DelayedWork, RcuWork } from "../../../layout/workqueue.ts";
import { O_KRC, O_USER } from "../../../mem/oracle.ts";
import { container_of, element, embedded, embedded_at, NULL, type Ptr } from "../../../mem/struct.ts";
import { assert, warn } from "../../../cpu/bug.ts";
import { has_bug } from "../../../cpu/bugs.ts";
import { this_cpu_ptr, type Cpu } from "../../../cpu/cpu.ts";
import { oracle_grace_period_end, oracle_move } from "../../../cpu/oracle.ts";
import { list_del, list_empty, list_last, list_splice_init, type ListPtr } from "../../lib/list.ts";
import {
  get_state_synchronize_rcu_full,
  poll_state_synchronize_rcu,
  poll_state_synchronize_rcu_full,
} from "../../rcu/poll.ts";
import { queue_rcu_work } from "../../rcu/rcu_work.ts";
import { RCU_UNQUEUE, run_rcu_hooks } from "../debug/facilities.ts";
import { PATH } from "../debug/facility.ts";
import { kvfree } from "../util.ts";
import { kvfree_rcu_bulk, next_bnode, take_bnodes } from "./krc_bulk.ts";
import { bulk_head_of, krc_lock, krc_unlock, krwp_of, need_offload_krc, schedule_delayed_monitor_work } from "./krc.ts";
import { kvmalloc_obj_start_addr } from "./object_start.ts";

const { kvfree: KVFREE } = PerCpu.offset;
const {
  head: HEAD,
  head_gp_snap: HEAD_GP_SNAP,
  head_count: HEAD_COUNT,
  bulk_count: BULK_COUNT,
  monitor_work: MONITOR_WORK,
} = KfreeRcuCpu.offset;
const {
  rcu_work: RCU_WORK,
  head_free: HEAD_FREE,
  head_free_gp_snap: HEAD_FREE_GP_SNAP,
  bulk_head_free: BULK_HEAD_FREE,
  krcp: KRCP,
} = KfreeRcuCpuWork.offset;
const { list: LIST, gp_snap: GP_SNAP, nr_records: NR_RECORDS } = KvfreeRcuBulkData.offset;
const { work: DELAYED_WORK } = DelayedWork.offset;
const { work: RCU_WORK_WORK } = RcuWork.offset;
const { next: NEXT } = KvfreeRcuHead.offset;
const { kernel_behaviour: KERNEL_BEHAVIOUR } = Globals.offset;
const { krc_batches: N_BATCHES, krc_polled: N_POLLED, krc_freed: N_FREED } = KvfreeCounters.offset;

type Krc = Ptr<"kfree_rcu_cpu">;
type Krwp = Ptr<"kfree_rcu_cpu_work">;
type Bnode = Ptr<"kvfree_rcu_bulk_data">;
type Head = Ptr<"kvfree_rcu_head">;

/** The list of bnodes of channel `idx` that wait in a batch. */
export function bulk_head_free_of(krwp: Krwp, idx: number): ListPtr {
  return embedded_at(krwp, BULK_HEAD_FREE, idx, ListHead.size);
}

/** Takes the pending list. krcp->lock is held. */
function detach_head(cpu: Cpu, krcp: Krc): Head {
  const head = cpu.mem.read_once(krcp, HEAD);
  cpu.mem.write_once(krcp, HEAD_COUNT, 0);
  cpu.mem.write_once(krcp, HEAD, NULL);
  return head;
}

/**
 * kvfree_rcu_list() - free a private list whose grace period is over.
 * @kernel  mm/slab_common.c
 * @returns how many objects. @context Task, work item; no locks.
 */
function kvfree_rcu_list(cpu: Cpu, first: Head): number {
  let freed = 0;
  for (let head = first; head !== NULL; freed++) {
    const next = cpu.mem.read(head, NEXT); // Before the free: the link lies in the object.
    const object = kvmalloc_obj_start_addr(cpu, head);
    run_rcu_hooks(cpu, RCU_UNQUEUE, PATH.after_gp, object);
    oracle_grace_period_end(cpu, object);
    oracle_move(cpu, object, O_KRC, O_USER); // Ours now, and kvfree() takes it from us.
    kvfree(cpu, object);
    head = next;
  }
  return freed;
}
/** Frees a chain of bnodes. @returns how many objects. */
function free_bnodes(cpu: Cpu, krcp: Krc, first: Bnode, idx: number): number {
  let freed = 0;
  for (let bnode = first; bnode !== NULL;) {
    const next = next_bnode(cpu, bnode); // Before the free: the link lies in the page.
    freed += kvfree_rcu_bulk(cpu, krcp, bnode, idx);
    bnode = next;
  }
  return freed;
}

/**
 * Takes the bnodes whose grace period is over off a list: from the oldest on, up to the first that is not ready. Those
 * before it are not either, since their cookies are not older (krc_bulk.ts).
 * @returns their chain, newest first. krcp->lock is held.
 */
function take_ready_bnodes(cpu: Cpu, krcp: Krc, idx: number): Bnode {
  const mem = cpu.mem;
  const bulk_head = bulk_head_of(krcp, idx);
  let ready: Bnode = NULL;
  for (let entry = list_last(cpu, bulk_head); entry !== NULL; entry = list_last(cpu, bulk_head)) {
    const bnode = container_of(entry, LIST);
    if (!poll_state_synchronize_rcu_full(cpu, embedded(bnode, GP_SNAP))) break;
    const count = mem.read_once(krcp, element(BULK_COUNT, idx)) - mem.read(bnode, NR_RECORDS);
    mem.write_once(krcp, element(BULK_COUNT, idx), count);
    list_del(cpu, entry);
    mem.write(entry, ListHead.offset.next, ready === NULL ? NULL : embedded(ready, LIST));
    ready = bnode;
  }
  return ready;
}
/**
 * kvfree_rcu_drain_ready() - free what needs to wait no longer: no grace period has to be asked for.
 *
 * KB_UNPOLLED leaves it out. Pages had no cookies then, so whatever found both batches waiting had to wait for one of them.
 *
 * @kernel  mm/slab_common.c
 * @context Task, work item; no locks.
 */
function kvfree_rcu_drain_ready(cpu: Cpu, krcp: Krc): void {
  if (cpu.mem.peek(cpu.globals, KERNEL_BEHAVIOUR) & KB_UNPOLLED) return;
  const flags = krc_lock(cpu, krcp);
  const slab = take_ready_bnodes(cpu, krcp, 0);
  const vmalloc = take_ready_bnodes(cpu, krcp, 1);
  const some = cpu.mem.read_once(krcp, HEAD) !== NULL;
  const elapsed = some && poll_state_synchronize_rcu(cpu, cpu.mem.read(krcp, HEAD_GP_SNAP));
  const head = elapsed ? detach_head(cpu, krcp) : NULL;
  krc_unlock(cpu, krcp, flags);
  free_all(cpu, krcp, slab, vmalloc, head, N_POLLED);
}
function free_all(cpu: Cpu, krcp: Krc, slab: Bnode, vmalloc: Bnode, head: Head, counter: typeof N_POLLED): void {
  const freed = free_bnodes(cpu, krcp, slab, 0) + free_bnodes(cpu, krcp, vmalloc, 1) + kvfree_rcu_list(cpu, head);
  cpu.mem.count(this_cpu_ptr(cpu, KVFREE), counter, freed);
}

/**
 * need_wait_for_krwp_work() - does any list of this batch wait for its grace period?
 *
 * Any, not just the one that is to be filled: all lists of a batch are freed by one work, after one grace period.
 *
 * @kernel  mm/slab_common.c
 * @context krcp->lock held.
 */
function need_wait_for_krwp_work(cpu: Cpu, krwp: Krwp): boolean {
  if (has_bug(cpu, BUG_BATCH_REUSE)) return is_wanted_list_waiting(cpu, krwp);
  for (let idx = 0; idx < FREE_N_CHANNELS; idx++) {
    if (!list_empty(cpu, bulk_head_free_of(krwp, idx))) return true;
  }
  return cpu.mem.read(krwp, HEAD_FREE) !== NULL;
}
/** BUG_BATCH_REUSE: as it was, it looked only at those lists that something is to be put on. krcp->lock held. */
function is_wanted_list_waiting(cpu: Cpu, krwp: Krwp): boolean {
  const krcp = cpu.mem.read(krwp, KRCP);
  for (let idx = 0; idx < FREE_N_CHANNELS; idx++) {
    if (!list_empty(cpu, bulk_head_of(krcp, idx)) && !list_empty(cpu, bulk_head_free_of(krwp, idx))) return true;
  }
  const head_free = cpu.mem.read(krwp, HEAD_FREE);
  return head_free !== NULL;
}
/**
 * kvfree_rcu_queue_batch() - give all that is pending to a free batch, and ask for its grace period.
 *
 * @kernel  mm/slab_common.c
 * @returns false if nothing was pending or every batch still waits.
 * @context Task, work item
 * @pairs   kfree_rcu_work()
 */
export function kvfree_rcu_queue_batch(cpu: Cpu, krcp: Krc): boolean {
  let queued = false;
  const flags = krc_lock(cpu, krcp);
  for (let i = 0; i < KFREE_N_BATCHES && !queued && need_offload_krc(cpu, krcp); i++) {
    const krwp = krwp_of(krcp, i);
    if (need_wait_for_krwp_work(cpu, krwp)) continue;
    for (let idx = 0; idx < FREE_N_CHANNELS; idx++) {
      assert_counted(cpu, krcp, idx);
      cpu.mem.write_once(krcp, element(BULK_COUNT, idx), 0);
      list_splice_init(cpu, bulk_head_of(krcp, idx), bulk_head_free_of(krwp, idx));
    }
    cpu.mem.write(krwp, HEAD_FREE, detach_head(cpu, krcp));
    get_state_synchronize_rcu_full(cpu, embedded(krwp, HEAD_FREE_GP_SNAP));
    queued = queue_rcu_work(cpu, embedded(krwp, RCU_WORK)) || has_bug(cpu, BUG_BATCH_REUSE);
    if (!queued) warn(cpu, `a batch of krc ${krcp} is empty, but its work is queued`);
    cpu.mem.count(this_cpu_ptr(cpu, KVFREE), N_BATCHES, 1);
  }
  krc_unlock(cpu, krcp, flags);
  return queued;
}
/** Spec rcu I-KV-3. krcp->lock is held. No steps, hence not in a rebuild: memory has gone on since. */
function assert_counted(cpu: Cpu, krcp: Krc, idx: number): void {
  const { mem } = cpu;
  if (mem.rebuilding) return;
  const bulk_head = bulk_head_of(krcp, idx);
  let records = 0;
  for (let at = mem.peek(bulk_head, ListHead.offset.next); at !== bulk_head; at = mem.peek(at, ListHead.offset.next)) {
    records += mem.peek(container_of(at, LIST), NR_RECORDS);
  }
  const count = mem.peek(krcp, element(BULK_COUNT, idx));
  assert(cpu, records === count, `bnodes of krc ${krcp}, channel ${idx}: ${records} records, but ${count} are counted`);
}

/**
 * kfree_rcu_monitor() - look after a krc: free what is ready, put the rest into a batch, and come again if a rest stays.
 *
 * @kernel  mm/slab_common.c
 * @context Task, work item (krcp->monitor_work), any CPU; called by shrinkers, too.
 */
export function kfree_rcu_monitor(cpu: Cpu, work: Ptr<"work_struct">): void {
  const krcp = container_of(container_of(work, DELAYED_WORK), MONITOR_WORK);
  kvfree_rcu_drain_ready(cpu, krcp);
  kvfree_rcu_queue_batch(cpu, krcp);
  schedule_delayed_monitor_work(cpu, krcp);
}

/**
 * kfree_rcu_work() - the grace period of a batch is over: free it. The batch may be filled again from the unlock on.
 *
 * @kernel  mm/slab_common.c
 * @context Task, work item (krwp->rcu_work), any CPU
 * @pairs   kvfree_rcu_queue_batch()
 */
export function kfree_rcu_work(cpu: Cpu, work: Ptr<"work_struct">): void {
  const mem = cpu.mem;
  const krwp = container_of(container_of(work, RCU_WORK_WORK), RCU_WORK);
  const krcp = mem.read(krwp, KRCP);
  const flags = krc_lock(cpu, krcp);
  const slab = take_bnodes(cpu, bulk_head_free_of(krwp, 0));
  const vmalloc = take_bnodes(cpu, bulk_head_free_of(krwp, 1));
  const head = mem.read(krwp, HEAD_FREE);
  mem.write(krwp, HEAD_FREE, NULL);
  // Differs: polled here, where the cookie still is this batch's. The kernel copies it and polls after the unlock.
  const elapsed = head === NULL || poll_state_synchronize_rcu_full(cpu, embedded(krwp, HEAD_FREE_GP_SNAP));
  krc_unlock(cpu, krcp, flags);
  assert(cpu, slab !== NULL || vmalloc !== NULL || head !== NULL, "kfree_rcu_work() for an empty batch");
  free_all(cpu, krcp, slab, vmalloc, elapsed ? head : NULL, N_FREED);
  if (!elapsed) warn(cpu, "kfree_rcu_work() before the grace period of its list is over; the objects are leaked");
}
