/**
 * Work that is queued after a grace period. kernel/workqueue.c.
 *
 * The work's PENDING bit is set from queue_rcu_work() on, through the grace period, until the work runs: so a second
 * queue_rcu_work() meanwhile does nothing, and whoever flushes can tell that something is on its way.
 */
import { local_irq_restore, local_irq_save } from "../../cpu/context.ts";
import type { Cpu } from "../../cpu/cpu.ts";
import { CB } from "../../layout/callbacks.ts";
import { RcuWork, WORK_STRUCT_PENDING, WorkStruct } from "../../layout/workqueue.ts";
import { container_of, embedded, type CallbackId, type Ptr } from "../../mem/struct.ts";
import { __queue_work, flush_work, init_work } from "../kernel/workqueue.ts";
import { rcu_barrier } from "./tree_barrier.ts";
import { call_rcu_hurry } from "./tree_cb.ts";

const { work: WORK, rcu: RCU } = RcuWork.offset;
const { data: DATA } = WorkStruct.offset;

/** INIT_RCU_WORK() @context Any, before the first use. */
export function init_rcu_work(cpu: Cpu, rwork: Ptr<"rcu_work">, func: CallbackId): void {
  init_work(cpu, embedded(rwork, WORK), func);
}
/**
 * queue_rcu_work() - run the work after a grace period that begins now or later.
 * @returns false if it is queued already: then only what was published before that is certain to be waited for.
 * @context Any but NMI
 */
export function queue_rcu_work(cpu: Cpu, rwork: Ptr<"rcu_work">): boolean {
  const before = cpu.mem.fetch_or(embedded(rwork, WORK), DATA, WORK_STRUCT_PENDING);
  if ((before & WORK_STRUCT_PENDING) !== 0) return false;
  call_rcu_hurry(cpu, embedded(rwork, RCU), CB.rcu_work_rcufn);
  return true;
}
/** rcu_work_rcufn(): the grace period is over. @context Softirq */
export function rcu_work_rcufn(cpu: Cpu, head: Ptr<"rcu_head">): void {
  const flags = local_irq_save(cpu);
  __queue_work(cpu, cpu.id, embedded(container_of(head, RCU), WORK)); // PENDING is ours since queue_rcu_work().
  local_irq_restore(cpu, flags);
}
/**
 * flush_rcu_work() - wait until the work, if it was queued before, has run: for its grace period, then for itself.
 * @returns true if there was something to wait for.
 * @context Task, may sleep.
 */
export function flush_rcu_work(cpu: Cpu, rwork: Ptr<"rcu_work">): boolean {
  const work = embedded(rwork, WORK);
  if ((cpu.mem.read_once(work, DATA) & WORK_STRUCT_PENDING) === 0) return flush_work(cpu, work);
  rcu_barrier(cpu);
  flush_work(cpu, work);
  return true;
}
