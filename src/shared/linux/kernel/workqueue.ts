/**
 * Workqueues: functions that run in task context on a given CPU, at once or after a delay. kernel/workqueue.c. What a
 * work's states mean, and how works are run: worker_pool.ts.
 *
 *   queue_*       any context but NMI       flush_*, cancel_*_sync   task, may sleep; never from a work item
 *
 * After flush_work() the instance that was queued before the call has run. After cancel_*_sync() the work is neither
 * queued nor running; whoever wants to queue it meanwhile is refused.
 */
import { bug } from "../../cpu/bug.ts";
import {
  describe_context,
  in_nmi,
  local_irq_restore,
  local_irq_save,
  may_sleep,
  might_sleep,
} from "../../cpu/context.ts";
import { per_cpu_ptr, this_cpu_ptr, type Cpu } from "../../cpu/cpu.ts";
import { wait_event, wake_up } from "../../cpu/sched.ts";
import { CB } from "../../layout/callbacks.ts";
import { PerCpu } from "../../layout/percpu.ts";
import { TIMER_IRQSAFE } from "../../layout/timer.ts";
import {
  DelayedWork,
  WORK_CPU_SHIFT,
  WORK_STRUCT_CANCELING,
  WORK_STRUCT_PENDING,
  WORK_STRUCT_PWQ,
  WorkerPool,
  WorkStruct,
  WqBarrier,
} from "../../layout/workqueue.ts";
import { container_of, embedded, embedded_at, NULL, type CallbackId, type Ptr } from "../../mem/struct.ts";
import { list_add, list_del_init } from "../lib/list.ts";
import { complete, init_completion, wait_for_completion } from "../sync/completion.ts";
import { spin_lock, spin_lock_irqsave, spin_unlock, spin_unlock_irqrestore } from "../sync/spinlock.ts";
import { add_timer_on, jiffies, timer_delete, timer_pending, timer_setup } from "./timer.ts";
import { __queue_work, init_work, queued_on } from "./worker_pool.ts";

export {
  __queue_work,
  init_work,
  queue_work,
  queue_work_on,
  run_work_items,
  work_pending,
  workqueue_init,
  works_left,
} from "./worker_pool.ts";

const { entry: ENTRY, data: DATA } = WorkStruct.offset;
const { lock: LOCK, worklist: WORKLIST, current: CURRENT, cancel_waiters: CANCEL_WAITERS } = WorkerPool.offset;
const { barriers: BARRIERS } = WorkerPool.offset;
const { work: WORK, timer: TIMER, cpu: DWORK_CPU } = DelayedWork.offset;
const { work: BARRIER_WORK, done: BARRIER_DONE } = WqBarrier.offset;
const { workers: WORKERS } = PerCpu.offset;

type Work = Ptr<"work_struct">;

/** What flush_work() queues behind the work it waits for. */
export function wq_barrier_func(cpu: Cpu, work: Work): void {
  complete(cpu, embedded(container_of(work, BARRIER_WORK), BARRIER_DONE));
}
/**
 * Queues a barrier behind the instance of `work` that is queued or running. Why no kick: that CPU still has to run the
 * work, or is about to look at its list when it returns from it.
 * @returns false if the work is idle.
 */
function start_flush_work(cpu: Cpu, work: Work, barrier: Ptr<"wq_barrier">): boolean {
  for (;;) {
    const id = (cpu.mem.read_once(work, DATA) >> WORK_CPU_SHIFT) - 1;
    if (id < 0) return false; // Never queued.
    const pool = per_cpu_ptr(cpu, WORKERS, id);
    const flags = spin_lock_irqsave(cpu, embedded(pool, LOCK));
    const data = cpu.mem.read_once(work, DATA);
    const moved = (data >> WORK_CPU_SHIFT) - 1 !== id;
    const queued = (data & WORK_STRUCT_PWQ) !== 0;
    const found = !moved && (queued || cpu.mem.read_once(pool, CURRENT) === work);
    if (found) {
      const entry = embedded(embedded(barrier, BARRIER_WORK), ENTRY);
      list_add(cpu, entry, queued ? embedded(work, ENTRY) : embedded(pool, WORKLIST));
      cpu.mem.write_once(embedded(barrier, BARRIER_WORK), DATA, queued_on(id));
    }
    spin_unlock_irqrestore(cpu, embedded(pool, LOCK), flags);
    if (!moved) return found;
  }
}
/**
 * flush_work() - wait until the work, if it was queued before the call, has run. A later queueing is not waited for, nor
 * one by another CPU that has not returned yet: the caller's own queue_work() may then have failed for its sake.
 * @returns false if it was idle. @context Task, may sleep; not a work item
 */
export function flush_work(cpu: Cpu, work: Work): boolean {
  if (!may_sleep(cpu)) bug(cpu, `flush_work() in ${describe_context(cpu)}`);
  const barrier = embedded_at(this_cpu_ptr(cpu, WORKERS), BARRIERS, 0, WqBarrier.size);
  init_work(cpu, embedded(barrier, BARRIER_WORK), CB.wq_barrier_func);
  init_completion(cpu, embedded(barrier, BARRIER_DONE));
  if (!start_flush_work(cpu, work, barrier)) return false;
  wait_for_completion(cpu, embedded(barrier, BARRIER_DONE));
  return true;
}

/** try_to_grab_pending(): PENDING was ours to take (idle), or the work has been taken off its list or timer. */
const GRAB_IDLE = 0;
const GRAB_TAKEN = 1;
/** Somebody is about to queue it; or its timer's function is. */
const GRAB_BUSY = 2;
const GRAB_CANCELING = 3;

/** @param timer  of the delayed work, or NULL. @context IRQs off */
function try_to_grab_pending(cpu: Cpu, work: Work, timer: Ptr<"timer_list">): number {
  if (timer !== NULL && timer_delete(cpu, timer)) return GRAB_TAKEN;
  const data = cpu.mem.fetch_or(work, DATA, WORK_STRUCT_PENDING);
  if ((data & WORK_STRUCT_PENDING) === 0) return GRAB_IDLE;
  if ((data & WORK_STRUCT_CANCELING) !== 0) return GRAB_CANCELING;
  if ((data & WORK_STRUCT_PWQ) === 0) return GRAB_BUSY;
  const id = (data >> WORK_CPU_SHIFT) - 1;
  const pool = per_cpu_ptr(cpu, WORKERS, id);
  spin_lock(cpu, embedded(pool, LOCK));
  const taken = cpu.mem.read_once(work, DATA) === queued_on(id);
  if (taken) {
    list_del_init(cpu, embedded(work, ENTRY));
    cpu.mem.write_once(work, DATA, WORK_STRUCT_PENDING | ((id + 1) << WORK_CPU_SHIFT));
  }
  spin_unlock(cpu, embedded(pool, LOCK));
  return taken ? GRAB_TAKEN : GRAB_BUSY;
}
/** One turn of a loop that waits until the owner of PENDING has put the work on a list or armed its timer. */
function relax_while_busy(cpu: Cpu, work: Work, timer: Ptr<"timer_list">): void {
  const { mem } = cpu;
  const data = mem.read_once(work, DATA);
  if (timer !== NULL && timer_pending(cpu, timer)) return;
  if ((data & (WORK_STRUCT_PENDING | WORK_STRUCT_PWQ | WORK_STRUCT_CANCELING)) === WORK_STRUCT_PENDING) mem.relax();
}
const not_canceling = (cpu: Cpu, work: Work): boolean => (cpu.mem.read_once(work, DATA) & WORK_STRUCT_CANCELING) === 0;

/** Takes PENDING for a cancellation. @returns whether the work had been queued. */
function grab_for_cancel(cpu: Cpu, work: Work, timer: Ptr<"timer_list">): boolean {
  for (;;) {
    const flags = local_irq_save(cpu);
    const grabbed = try_to_grab_pending(cpu, work, timer);
    // Marked before IRQs come on: an interrupt that found PENDING without the mark would spin for us.
    if (grabbed <= GRAB_TAKEN) cpu.mem.fetch_or(work, DATA, WORK_STRUCT_CANCELING);
    local_irq_restore(cpu, flags);
    if (grabbed <= GRAB_TAKEN) return grabbed === GRAB_TAKEN;
    if (grabbed === GRAB_CANCELING) wait_event(cpu, cancel_waiters(cpu), not_canceling, work);
    else relax_while_busy(cpu, work, timer);
  }
}
/** One queue for the machine: cancellations that meet are rare. */
const cancel_waiters = (cpu: Cpu): Ptr<"wait_queue"> => embedded(per_cpu_ptr(cpu, WORKERS, 0), CANCEL_WAITERS);

function __cancel_work_sync(cpu: Cpu, work: Work, timer: Ptr<"timer_list">): boolean {
  if (!may_sleep(cpu)) bug(cpu, `cancel_work_sync() in ${describe_context(cpu)}`);
  const was_pending = grab_for_cancel(cpu, work, timer);
  flush_work(cpu, work);
  cpu.mem.fetch_and(work, DATA, ~(WORK_STRUCT_PENDING | WORK_STRUCT_CANCELING));
  wake_up(cpu, cancel_waiters(cpu));
  return was_pending;
}
/** cancel_work_sync() - unqueue, and wait for a run in progress. @returns whether it was queued. @context Task, may sleep */
export function cancel_work_sync(cpu: Cpu, work: Work): boolean {
  return __cancel_work_sync(cpu, work, NULL);
}

/** A delayed work that is not queued. Its function is called as (cpu, dwork.work). @context Any; nobody else sees it */
export function init_delayed_work(cpu: Cpu, dwork: Ptr<"delayed_work">, func: CallbackId): void {
  init_work(cpu, embedded(dwork, WORK), func);
  timer_setup(cpu, embedded(dwork, TIMER), CB.delayed_work_timer_fn, TIMER_IRQSAFE);
  cpu.mem.init(dwork, DWORK_CPU, cpu.id);
}
/**
 * The timer of a delayed work has expired. Why IRQs are off: PENDING is set, but neither timer nor list shows it; an
 * interrupt of this CPU that wants to take PENDING would spin for us.
 * @context Softirq, IRQs off
 */
export function delayed_work_timer_fn(cpu: Cpu, timer: Ptr<"timer_list">): void {
  const dwork = container_of(timer, TIMER);
  __queue_work(cpu, cpu.mem.read(dwork, DWORK_CPU), embedded(dwork, WORK));
}
/** @context IRQs off, owner of PENDING */
function __queue_delayed_work(cpu: Cpu, id: number, dwork: Ptr<"delayed_work">, delay: number): void {
  if (delay === 0) {
    __queue_work(cpu, id, embedded(dwork, WORK));
    return;
  }
  cpu.mem.write(dwork, DWORK_CPU, id);
  add_timer_on(cpu, embedded(dwork, TIMER), jiffies(cpu) + delay, id);
}
/** queue_delayed_work_on() - queue_work_on() in `delay` ticks. @returns and @context as there */
export function queue_delayed_work_on(cpu: Cpu, id: number, dwork: Ptr<"delayed_work">, delay: number): boolean {
  if (in_nmi(cpu)) bug(cpu, "queue_delayed_work() in NMI");
  const flags = local_irq_save(cpu);
  const before = cpu.mem.fetch_or(embedded(dwork, WORK), DATA, WORK_STRUCT_PENDING);
  const queued = (before & WORK_STRUCT_PENDING) === 0;
  if (queued) __queue_delayed_work(cpu, id, dwork, delay);
  local_irq_restore(cpu, flags);
  return queued;
}
/** queue_delayed_work() - the same on this CPU. */
export function queue_delayed_work(cpu: Cpu, dwork: Ptr<"delayed_work">, delay: number): boolean {
  return queue_delayed_work_on(cpu, cpu.id, dwork, delay);
}
/**
 * mod_delayed_work_on() - queue, or change the delay of what is queued.
 * @returns whether it was queued before. @context Task, Softirq, Hardirq; never NMI
 */
export function mod_delayed_work_on(cpu: Cpu, id: number, dwork: Ptr<"delayed_work">, delay: number): boolean {
  if (in_nmi(cpu)) bug(cpu, "mod_delayed_work() in NMI");
  for (;;) {
    const flags = local_irq_save(cpu);
    const grabbed = try_to_grab_pending(cpu, embedded(dwork, WORK), embedded(dwork, TIMER));
    if (grabbed <= GRAB_TAKEN) __queue_delayed_work(cpu, id, dwork, delay);
    local_irq_restore(cpu, flags);
    if (grabbed !== GRAB_BUSY) return grabbed !== GRAB_IDLE;
    relax_while_busy(cpu, embedded(dwork, WORK), embedded(dwork, TIMER));
  }
}
/** mod_delayed_work() - the same on this CPU. */
export function mod_delayed_work(cpu: Cpu, dwork: Ptr<"delayed_work">, delay: number): boolean {
  return mod_delayed_work_on(cpu, cpu.id, dwork, delay);
}
/** cancel_delayed_work_sync() - disarm or unqueue, and wait for a run in progress. @context Task, may sleep */
export function cancel_delayed_work_sync(cpu: Cpu, dwork: Ptr<"delayed_work">): boolean {
  return __cancel_work_sync(cpu, embedded(dwork, WORK), embedded(dwork, TIMER));
}
/** flush_delayed_work() - queue it now if its timer is armed, then flush_work(). @context Task, may sleep */
export function flush_delayed_work(cpu: Cpu, dwork: Ptr<"delayed_work">): boolean {
  might_sleep(cpu, "flush_delayed_work");
  const flags = local_irq_save(cpu);
  if (timer_delete(cpu, embedded(dwork, TIMER))) {
    __queue_work(cpu, cpu.mem.read(dwork, DWORK_CPU), embedded(dwork, WORK));
  }
  local_irq_restore(cpu, flags);
  return flush_work(cpu, embedded(dwork, WORK));
}
