/**
 * Looks for what kfree_rcu() and the nolock functions left behind on a machine in which nothing runs: after a barrier
 * nothing may wait any more. For oracles and tests (spec slub 14 item 6, rcu I-KV-3, I-KV-6 and I-RCU-14).
 *
 * Takes no lock and makes no step (peek only), so it is of no use while a CPU is inside this code.
 */
import { IRQ_WORK_CLAIMED, IrqWork } from "../../../layout/irq_work.ts";
import { DeferredPercpuWork, KFREE_N_BATCHES, KfreeRcuCpu, KfreeRcuCpuWork } from "../../../layout/kvfree_rcu.ts";
import { PerCpu } from "../../../layout/percpu.ts";
import { KvfreeRcuHead, LlistHead, LlistNode, Spinlock } from "../../../layout/types.ts";
import { DelayedWork, RcuWork, WORK_STRUCT_PENDING, WorkStruct } from "../../../layout/workqueue.ts";
import { embedded, NULL, type Ptr } from "../../../mem/struct.ts";
import { per_cpu_ptr, type Cpu } from "../../../cpu/cpu.ts";
import { krwp_of } from "./krc.ts";

const { deferred_percpu_work: DEFERRED_PERCPU_WORK, krc: KRC } = PerCpu.offset;
const {
  objects: OBJECTS,
  objects_by_rcu: OBJECTS_BY_RCU,
  rcu_sheaves: RCU_SHEAVES,
  work: WORK,
} = DeferredPercpuWork.offset;
const { lock: LOCK, head: HEAD, head_count: HEAD_COUNT, monitor_work: MONITOR_WORK } = KfreeRcuCpu.offset;
const { head_free: HEAD_FREE, rcu_work: RCU_WORK } = KfreeRcuCpuWork.offset;
const { flags: FLAGS } = IrqWork.offset;
const { first: FIRST } = LlistHead.offset;
const { next: LLIST_NEXT } = LlistNode.offset;
const { next: HEAD_NEXT } = KvfreeRcuHead.offset;
const { work: DELAYED_WORK } = DelayedWork.offset;
const { work: RCU_WORK_WORK } = RcuWork.offset;
const { data: DATA } = WorkStruct.offset;
const { val: VAL } = Spinlock.offset;

/** What still waits on any CPU, in words; nothing if all has been given back. @context Any, machine at rest. */
export function check_deferred(cpu: Cpu): string[] {
  const problems: string[] = [];
  for (let id = 0; id < cpu.map.shape.cpus; id++) {
    const complain = (what: string): number => problems.push(`CPU ${id}: ${what}`);
    check_deferred_percpu_work(cpu, per_cpu_ptr(cpu, DEFERRED_PERCPU_WORK, id), complain);
    check_krc(cpu, per_cpu_ptr(cpu, KRC, id), complain);
  }
  return problems;
}

function check_deferred_percpu_work(
  cpu: Cpu,
  dpw: Ptr<"deferred_percpu_work">,
  complain: (what: string) => number,
): void {
  const claimed = cpu.mem.peek(embedded(dpw, WORK), FLAGS) & IRQ_WORK_CLAIMED;
  const check = (name: string, list: Ptr<"llist_head">): void => {
    let entries = 0;
    for (let node = cpu.mem.peek(list, FIRST); node !== NULL; node = cpu.mem.peek(node, LLIST_NEXT)) entries++;
    if (entries === 0) return;
    complain(`${entries} on deferred ${name}, ${claimed ? "work pending" : "stranded: no work is pending"}`);
  };
  check("objects", embedded(dpw, OBJECTS));
  check("objects_by_rcu", embedded(dpw, OBJECTS_BY_RCU));
  check("rcu_sheaves", embedded(dpw, RCU_SHEAVES));
  if (claimed) complain("deferred work is pending or running");
}

function check_krc(cpu: Cpu, krcp: Ptr<"kfree_rcu_cpu">, complain: (what: string) => number): void {
  const mem = cpu.mem;
  const pending = (work: Ptr<"work_struct">): boolean => (mem.peek(work, DATA) & WORK_STRUCT_PENDING) !== 0;
  const length = (first: Ptr<"kvfree_rcu_head">): number => {
    let n = 0;
    for (let head = first; head !== NULL; head = mem.peek(head, HEAD_NEXT)) n++;
    return n;
  };
  const monitor = pending(embedded(embedded(krcp, MONITOR_WORK), DELAYED_WORK));
  const waiting = length(mem.peek(krcp, HEAD));
  const count = mem.peek(krcp, HEAD_COUNT);
  if (waiting !== count) complain(`krc holds ${waiting} objects, but counts ${count}`);
  if (waiting !== 0) complain(`${waiting} in krc, ${monitor ? "monitor pending" : "stranded: no monitor is pending"}`);
  if (waiting === 0 && monitor) complain("krc is empty, but its monitor is pending");
  for (let i = 0; i < KFREE_N_BATCHES; i++) {
    const krwp = krwp_of(krcp, i);
    const batch = length(mem.peek(krwp, HEAD_FREE));
    const queued = pending(embedded(embedded(krwp, RCU_WORK), RCU_WORK_WORK));
    if (batch !== 0)
      complain(`${batch} in krc batch ${i}, ${queued ? "work pending" : "stranded: no work is pending"}`);
    else if (queued) complain(`krc batch ${i} is empty, but its work is pending`);
  }
  if (mem.peek(embedded(krcp, LOCK), VAL) !== 0) complain("krc lock is held");
}
