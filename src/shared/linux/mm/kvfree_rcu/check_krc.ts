/**
 * Looks whether a krc is whole, and whether somebody will come for what waits in it: spec rcu I-KV-3, 4, 5, 6, 8.
 *
 * Takes no lock and makes no step (peek only): for a machine in which no CPU is inside this code.
 */
import { Globals } from "../../../layout/globals.ts";
import {
  FREE_N_CHANNELS,
  KFREE_N_BATCHES,
  KfreeRcuCpu,
  KfreeRcuCpuWork,
  KvfreeRcuBulkData,
} from "../../../layout/kvfree_rcu.ts";
import { Hrtimer, HRTIMER_STATE_INACTIVE } from "../../../layout/timer.ts";
import { KvfreeRcuHead, ListHead, LlistHead, LlistNode, Spinlock } from "../../../layout/types.ts";
import { DelayedWork, RcuWork, WORK_STRUCT_PENDING, WorkStruct } from "../../../layout/workqueue.ts";
import { container_of, element, embedded, NULL, type Ptr } from "../../../mem/struct.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import type { ListPtr } from "../../lib/list.ts";
import { arms_monitor } from "./check_nolock_rfc.ts";
import { bulk_head_free_of } from "./krc_batch.ts";
import { bnode_not_older } from "./krc_bulk.ts";
import { bulk_head_of, bulk_max_entr, krwp_of } from "./krc.ts";

const K = KfreeRcuCpu.offset;
const { head_free: HEAD_FREE, rcu_work: RCU_WORK } = KfreeRcuCpuWork.offset;
const { list: LIST, nr_records: NR_RECORDS } = KvfreeRcuBulkData.offset;
const { next: NEXT } = ListHead.offset;
const { next: HEAD_NEXT } = KvfreeRcuHead.offset;
const { rcu_min_cached_objs: RCU_MIN_CACHED_OBJS } = Globals.offset;

type Complain = (what: string) => number;
type Bnode = Ptr<"kvfree_rcu_bulk_data">;

/** Complains about what is wrong with one krc. @context Any, machine at rest */
export function check_krc(cpu: Cpu, krcp: Ptr<"kfree_rcu_cpu">, complain: Complain): void {
  check_pending(cpu, krcp, complain);
  for (let i = 0; i < KFREE_N_BATCHES; i++) check_batch(cpu, krwp_of(krcp, i), i, complain);
  check_page_cache(cpu, krcp, complain);
  if (cpu.mem.peek(embedded(krcp, K.lock), Spinlock.offset.val) !== 0) complain("krc lock is held");
}

function check_pending(cpu: Cpu, krcp: Ptr<"kfree_rcu_cpu">, complain: Complain): void {
  const { mem } = cpu;
  let waiting = list_length(cpu, mem.peek(krcp, K.head));
  const count = mem.peek(krcp, K.head_count);
  if (waiting !== count) complain(`krc holds ${waiting} objects, but counts ${count}`);
  for (let idx = 0; idx < FREE_N_CHANNELS; idx++) {
    const records = check_bnodes(cpu, bulk_head_of(krcp, idx), complain);
    const counted = mem.peek(krcp, element(K.bulk_count, idx));
    if (records !== counted) complain(`krc holds ${records} records of channel ${idx}, but counts ${counted}`);
    waiting += records;
  }
  const monitor =
    pending(cpu, embedded(embedded(krcp, K.monitor_work), DelayedWork.offset.work)) || arms_monitor(cpu, krcp);
  if (waiting !== 0) complain(`${waiting} in krc, ${monitor ? "monitor pending" : "stranded: no monitor is pending"}`);
  if (waiting === 0 && monitor) complain("krc is empty, but its monitor is pending");
}

function check_batch(cpu: Cpu, krwp: Ptr<"kfree_rcu_cpu_work">, i: number, complain: Complain): void {
  let waiting = list_length(cpu, cpu.mem.peek(krwp, HEAD_FREE));
  for (let idx = 0; idx < FREE_N_CHANNELS; idx++) waiting += check_bnodes(cpu, bulk_head_free_of(krwp, idx), complain);
  const queued = pending(cpu, embedded(embedded(krwp, RCU_WORK), RcuWork.offset.work));
  if (waiting === 0 && queued) complain(`krc batch ${i} is empty, but its work is pending`);
  if (waiting !== 0) {
    complain(`${waiting} in krc batch ${i}, ${queued ? "work pending" : "stranded: no work is pending"}`);
  }
}

function check_page_cache(cpu: Cpu, krcp: Ptr<"kfree_rcu_cpu">, complain: Complain): void {
  const { mem } = cpu;
  let pages = 0;
  const first = mem.peek(embedded(krcp, K.bkvcache), LlistHead.offset.first);
  for (let node = first; node !== NULL; node = mem.peek(node, LlistNode.offset.next)) pages++;
  const count = mem.peek(krcp, K.nr_bkv_objs);
  if (pages !== count) complain(`krc has ${pages} cached pages, but counts ${count}`);
  const max = mem.peek(cpu.globals, RCU_MIN_CACHED_OBJS);
  if (count > max) complain(`krc counts ${count} cached pages, more than ${max}`);
  if (mem.peek(krcp, K.work_in_progress) === 0) return;
  const armed = mem.peek(embedded(krcp, K.hrtimer), Hrtimer.offset.state) !== HRTIMER_STATE_INACTIVE;
  const coming = armed || pending(cpu, embedded(embedded(krcp, K.page_cache_work), DelayedWork.offset.work));
  if (!coming) complain("krc page cache waits to be filled, stranded: no work is pending");
}

function pending(cpu: Cpu, work: Ptr<"work_struct">): boolean {
  return (cpu.mem.peek(work, WorkStruct.offset.data) & WORK_STRUCT_PENDING) !== 0;
}
function list_length(cpu: Cpu, first: Ptr<"kvfree_rcu_head">): number {
  let n = 0;
  for (let head = first; head !== NULL; head = cpu.mem.peek(head, HEAD_NEXT)) n++;
  return n;
}

/** The bnodes of a list, newest first. For walkers: no steps. */
export function* bnodes_of(cpu: Cpu, list: ListPtr): Generator<Bnode> {
  for (let at = cpu.mem.peek(list, NEXT); at !== list; at = cpu.mem.peek(at, NEXT)) yield container_of(at, LIST);
}
/** @returns the records of all bnodes of a list. */
function check_bnodes(cpu: Cpu, list: ListPtr, complain: Complain): number {
  const { mem } = cpu;
  let records = 0;
  let newer: Bnode = NULL;
  for (const bnode of bnodes_of(cpu, list)) {
    const nr_records = mem.peek(bnode, NR_RECORDS);
    if (nr_records < 1 || nr_records > bulk_max_entr(cpu)) complain(`bnode ${bnode} has ${nr_records} records`);
    if (newer !== NULL && !bnode_not_older(cpu, newer, bnode))
      complain(`bnode ${newer} is older than ${bnode} behind it`);
    records += nr_records;
    newer = bnode;
  }
  return records;
}
