/**
 * Workqueues: functions that run in task context on a given CPU. kernel/workqueue.c.
 *
 * Each CPU has a pool: a list of queued works under a lock (IRQs off). run_work_items(), which every CPU calls between
 * operations and in sleeping waits, runs them one after the other as non-blocking items. A work's `data` word says
 * everything about its state and is written by whoever owns PENDING, under the lock of the pool that it names:
 *
 *   PENDING        somebody has queued it, or is about to (IRQs off), or its timer is armed; further queueing does nothing
 *   PWQ            it is on the worklist of the pool named in data; then only that pool's lock lets it change
 *   CANCELING      a cancel_work_sync() has taken PENDING; queueing fails until it is done
 *
 * PENDING is cleared before the function is called, so a function sees what was published before any queueing that
 * failed, and may queue its own work again or free it: nothing here touches the work after the call. A work whose function
 * still runs is queued on that same pool, so it never runs on two CPUs at once.
 */
import { bug } from "../../cpu/bug.ts";
import { invoke } from "../../cpu/callback_table.ts";
import {
  describe_context,
  in_nmi,
  irqs_disabled,
  local_irq_restore,
  local_irq_save,
  may_sleep,
} from "../../cpu/context.ts";
import { might_sleep, preempt_count } from "../../cpu/context.ts";
import { per_cpu_ptr, this_cpu_ptr, type Cpu } from "../../cpu/cpu.ts";
import { kick, wait_event, wake_up } from "../../cpu/sched.ts";
import { EV_ITEM, trace } from "../../cpu/trace.ts";
import { CB } from "../../layout/callbacks.ts";
import { CpuCounters } from "../../layout/cpu.ts";
import { PerCpu } from "../../layout/percpu.ts";
import { TIMER_IRQSAFE } from "../../layout/timer.ts";
import { WaitQueue } from "../../layout/types.ts";
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
import {
  INIT_LIST_HEAD,
  list_add,
  list_add_tail,
  list_del_init,
  list_empty_careless,
  list_first,
} from "../lib/list.ts";
import { complete, init_completion, wait_for_completion } from "../sync/completion.ts";
import { LC, lockdep_check_may_sleep } from "../sync/lockdep.ts";
import { spin_lock, spin_lock_init, spin_lock_irqsave, spin_unlock, spin_unlock_irqrestore } from "../sync/spinlock.ts";
import { add_timer_on, jiffies, timer_delete, timer_setup } from "./timer.ts";

const { entry: ENTRY, data: DATA, func: FUNC } = WorkStruct.offset;
const { lock: LOCK, worklist: WORKLIST, current: CURRENT, cancel_waiters: CANCEL_WAITERS } = WorkerPool.offset;
const { barriers: BARRIERS } = WorkerPool.offset;
const { work: WORK, timer: TIMER, cpu: DWORK_CPU } = DelayedWork.offset;
const { work: BARRIER_WORK, done: BARRIER_DONE } = WqBarrier.offset;
const { workers: WORKERS } = PerCpu.offset;
const { items: ITEMS } = CpuCounters.offset;
const { cpus: CPUS } = WaitQueue.offset;

type Work = Ptr<"work_struct">;

/** Works that one call of run_work_items() runs at most. */
const MAX_WORKS_PER_TURN = 16;

/** Empty pools on all CPUs. @context boot */
export function workqueue_init(cpu: Cpu): void {
  for (let id = 0; id < cpu.map.shape.cpus; id++) {
    const pool = per_cpu_ptr(cpu, WORKERS, id);
    spin_lock_init(cpu, embedded(pool, LOCK), LC.workqueue_pool);
    INIT_LIST_HEAD(cpu, embedded(pool, WORKLIST));
    cpu.mem.init(pool, CURRENT, NULL);
    cpu.mem.init(embedded(pool, CANCEL_WAITERS), CPUS, 0);
  }
}
/** A work that is not queued. Its function is called as (cpu, work). @context Any; nobody else can see it */
export function init_work(cpu: Cpu, work: Work, func: CallbackId): void {
  INIT_LIST_HEAD(cpu, embedded(work, ENTRY));
  cpu.mem.init(work, DATA, 0);
  cpu.mem.init(work, FUNC, func);
}
/** Is it queued, or its timer armed? @context Any */
export function work_pending(cpu: Cpu, work: Work): boolean {
  return (cpu.mem.read_once(work, DATA) & WORK_STRUCT_PENDING) !== 0;
}

/** Puts a work whose PENDING we own on the list of pool `id`. @context IRQs off */
export function __queue_work(cpu: Cpu, id: number, work: Work): void {
  if (!irqs_disabled(cpu)) bug(cpu, "__queue_work() with IRQs on");
  let target = id;
  const last = (cpu.mem.read_once(work, DATA) >> WORK_CPU_SHIFT) - 1;
  if (last >= 0 && last !== id) {
    const pool = per_cpu_ptr(cpu, WORKERS, last);
    spin_lock(cpu, embedded(pool, LOCK));
    if (cpu.mem.read_once(pool, CURRENT) === work) target = last; // It still runs there: never on two CPUs at once.
    if (target === last) insert_work(cpu, last, work);
    spin_unlock(cpu, embedded(pool, LOCK));
  }
  if (target === id) {
    const pool = per_cpu_ptr(cpu, WORKERS, id);
    spin_lock(cpu, embedded(pool, LOCK));
    insert_work(cpu, id, work);
    spin_unlock(cpu, embedded(pool, LOCK));
  }
  kick(cpu, target);
}
/** @context the pool's lock is held */
function insert_work(cpu: Cpu, id: number, work: Work): void {
  list_add_tail(cpu, embedded(work, ENTRY), embedded(per_cpu_ptr(cpu, WORKERS, id), WORKLIST));
  cpu.mem.write_once(work, DATA, queued_on(id));
}
const queued_on = (id: number): number => WORK_STRUCT_PENDING | WORK_STRUCT_PWQ | ((id + 1) << WORK_CPU_SHIFT);

/**
 * queue_work_on() - have the work's function run on CPU `id`.
 * @returns false if it was queued already: that run sees what the caller has published.
 * @context Task, Softirq, Hardirq; never NMI
 */
export function queue_work_on(cpu: Cpu, id: number, work: Work): boolean {
  if (in_nmi(cpu)) bug(cpu, "queue_work() in NMI");
  const flags = local_irq_save(cpu);
  const queued = (cpu.mem.fetch_or(work, DATA, WORK_STRUCT_PENDING) & WORK_STRUCT_PENDING) === 0;
  if (queued) __queue_work(cpu, id, work);
  local_irq_restore(cpu, flags);
  return queued;
}
/** queue_work() - queue_work_on() this CPU. */
export function queue_work(cpu: Cpu, work: Work): boolean {
  return queue_work_on(cpu, cpu.id, work);
}

/**
 * run_work_items() - run works that are queued on this CPU.
 * @returns true if there were any. @context Item, IRQs on, no locks but a task's sleeping ones
 */
export function run_work_items(cpu: Cpu): boolean {
  const pool = this_cpu_ptr(cpu, WORKERS);
  // Race: a work that is being queued comes with a kick, and then this CPU looks again.
  if (list_empty_careless(cpu, embedded(pool, WORKLIST))) return false;
  for (let i = 0; i < MAX_WORKS_PER_TURN; i++) {
    if (!process_one_work(cpu, pool)) break;
  }
  return true;
}
function process_one_work(cpu: Cpu, pool: Ptr<"worker_pool">): boolean {
  const { mem } = cpu;
  const lock = embedded(pool, LOCK);
  const flags = spin_lock_irqsave(cpu, lock);
  const first = list_first(cpu, embedded(pool, WORKLIST));
  if (first === NULL) {
    spin_unlock_irqrestore(cpu, lock, flags);
    return false;
  }
  const work = container_of(first, ENTRY);
  const func = mem.read(work, FUNC);
  list_del_init(cpu, first);
  if (mem.read_once(pool, CURRENT) !== NULL) bug(cpu, `work items nest: ${describe_context(cpu)}`);
  mem.write_once(pool, CURRENT, work);
  mem.write_once(work, DATA, (cpu.id + 1) << WORK_CPU_SHIFT); // PENDING goes before the function looks at anything.
  spin_unlock_irqrestore(cpu, lock, flags);

  trace(cpu, EV_ITEM, func, work);
  mem.count(cpu.counters, ITEMS, 1);
  const preempt = preempt_count(cpu);
  invoke(cpu, func, work);
  lockdep_check_may_sleep(cpu, "work item returns");
  if (preempt_count(cpu) !== preempt || irqs_disabled(cpu)) bug(cpu, `work item returns in ${describe_context(cpu)}`);

  const again = spin_lock_irqsave(cpu, lock);
  mem.write_once(pool, CURRENT, NULL);
  spin_unlock_irqrestore(cpu, lock, again);
  return true;
}

/** What flush_work() queues behind the work it waits for. */
export function wq_barrier_func(cpu: Cpu, work: Work): void {
  complete(cpu, embedded(container_of(work, BARRIER_WORK), BARRIER_DONE));
}
/** Queues a barrier behind the instance of `work` that is queued or running. @returns false if it is idle. */
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
    if (found) kick(cpu, id);
    if (!moved) return found;
  }
}
/**
 * flush_work() - wait until the work, if it was queued before the call, has run. A later queueing is not waited for.
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
    else cpu.mem.relax();
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
    cpu.mem.relax();
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
