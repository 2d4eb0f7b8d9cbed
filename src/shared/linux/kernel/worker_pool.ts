/**
 * The pool of a CPU: works that are queued there, and how they are run. kernel/workqueue.c.
 *
 * A pool is a list of queued works under a lock (IRQs off). run_work_items(), which every CPU calls between operations and
 * in sleeping waits, runs them one after the other as non-blocking items. A work's `data` word says everything about its
 * state and is written by whoever owns PENDING, under the lock of the pool that it names:
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
  preempt_count,
} from "../../cpu/context.ts";
import { per_cpu_ptr, this_cpu_ptr, type Cpu } from "../../cpu/cpu.ts";
import { kick_cpu, wait_event, wake_up } from "../../cpu/sched.ts";
import { EV_ITEM, trace } from "../../cpu/trace.ts";
import { CpuCounters } from "../../layout/cpu.ts";
import { PerCpu } from "../../layout/percpu.ts";
import { ListHead, WaitQueue } from "../../layout/types.ts";
import {
  POOL_DISASSOCIATED,
  WORK_CPU_SHIFT,
  WORK_STRUCT_PENDING,
  WORK_STRUCT_PWQ,
  WorkerPool,
  WorkStruct,
} from "../../layout/workqueue.ts";
import { container_of, embedded, NULL, type CallbackId, type Ptr } from "../../mem/struct.ts";
import { INIT_LIST_HEAD, list_add_tail, list_del_init, list_empty_careless, list_first } from "../lib/list.ts";
import { hotplug_is_configured } from "../sync/cpu_hotplug.ts";
import { LC, lockdep_check_may_sleep } from "../sync/lockdep.ts";
import { spin_lock, spin_lock_init, spin_lock_irqsave, spin_unlock, spin_unlock_irqrestore } from "../sync/spinlock.ts";

const { entry: ENTRY, data: DATA, func: FUNC } = WorkStruct.offset;
const {
  lock: LOCK,
  worklist: WORKLIST,
  current: CURRENT,
  flags: FLAGS,
  rebind: REBIND,
  cancel_waiters: CANCEL_WAITERS,
} = WorkerPool.offset;
const { workers: WORKERS } = PerCpu.offset;
const { next: LIST_NEXT } = ListHead.offset;
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
    cpu.mem.init(pool, FLAGS, 0);
    cpu.mem.init(embedded(pool, REBIND), CPUS, 0);
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
  kick_cpu(cpu, runner_of(cpu, target));
}
/**
 * Who runs the works of pool `id`: its CPU; or CPU 0, which never goes, while that is offline. Race: who changes it looks
 * at the list, or has the new runner look, after the change; the work was on the list before this look.
 */
function runner_of(cpu: Cpu, id: number): number {
  if (!hotplug_is_configured(cpu)) return id;
  const flags = cpu.mem.data_race_read(per_cpu_ptr(cpu, WORKERS, id), FLAGS);
  return (flags & POOL_DISASSOCIATED) !== 0 ? 0 : id;
}
/** @context the pool's lock is held */
function insert_work(cpu: Cpu, id: number, work: Work): void {
  list_add_tail(cpu, embedded(work, ENTRY), embedded(per_cpu_ptr(cpu, WORKERS, id), WORKLIST));
  cpu.mem.write_once(work, DATA, queued_on(id));
}
/** data of a work that is on the list of pool `id`. */
export const queued_on = (id: number): number => WORK_STRUCT_PENDING | WORK_STRUCT_PWQ | ((id + 1) << WORK_CPU_SHIFT);

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

/** Are works queued on this CPU? No step. */
export function works_left(cpu: Cpu): boolean {
  const list = embedded(this_cpu_ptr(cpu, WORKERS), WORKLIST);
  return cpu.mem.peek(list, LIST_NEXT) !== list;
}
/**
 * run_work_items() - run works that are queued on this CPU.
 * @returns true if there were any. @context Item, IRQs on, no locks but a task's sleeping ones
 */
export function run_work_items(cpu: Cpu): boolean {
  let did = run_pool(cpu, cpu.id);
  if (cpu.id !== 0 || !hotplug_is_configured(cpu)) return did;
  for (let id = 1; id < cpu.map.shape.cpus; id++) {
    const flags = cpu.mem.data_race_read(per_cpu_ptr(cpu, WORKERS, id), FLAGS); // Race: process_one_work() looks again.
    if ((flags & POOL_DISASSOCIATED) !== 0 && run_pool(cpu, id)) did = true;
  }
  return did;
}
function run_pool(cpu: Cpu, id: number): boolean {
  const pool = per_cpu_ptr(cpu, WORKERS, id);
  // Race: a work that is being queued comes with a kick, and then this CPU looks again.
  if (list_empty_careless(cpu, embedded(pool, WORKLIST))) return false;
  for (let i = 0; i < MAX_WORKS_PER_TURN; i++) {
    if (!process_one_work(cpu, pool, id)) return i > 0;
  }
  return true;
}
function process_one_work(cpu: Cpu, pool: Ptr<"worker_pool">, id: number): boolean {
  const { mem } = cpu;
  const lock = embedded(pool, LOCK);
  const flags = spin_lock_irqsave(cpu, lock);
  const first = list_first(cpu, embedded(pool, WORKLIST));
  // With PREEMPT_RT a work waits for locks; until it goes on, the other task of the CPU runs no other.
  const is_busy = cpu.rt && mem.read_once(pool, CURRENT) !== NULL;
  if (first === NULL || is_busy || !runs_pool(cpu, pool, id)) {
    spin_unlock_irqrestore(cpu, lock, flags);
    return false;
  }
  const work = container_of(first, ENTRY);
  const func = mem.read(work, FUNC);
  list_del_init(cpu, first);
  if (mem.read_once(pool, CURRENT) !== NULL) bug(cpu, `work items nest: ${describe_context(cpu)}`);
  mem.write_once(pool, CURRENT, work);
  mem.write_once(work, DATA, (id + 1) << WORK_CPU_SHIFT); // PENDING goes before the function looks at anything.
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
  if (id !== cpu.id) wake_up(cpu, embedded(pool, REBIND));
  return true;
}
/** Are its works ours to run just now? @context the pool's lock is held */
function runs_pool(cpu: Cpu, pool: Ptr<"worker_pool">, id: number): boolean {
  if (!hotplug_is_configured(cpu)) return true;
  return (cpu.mem.read(pool, FLAGS) & POOL_DISASSOCIATED) !== 0 ? id !== cpu.id : id === cpu.id;
}

/**
 * workqueue_offline_cpu() - this CPU goes: what is queued here, or will be, CPU 0 runs.
 *
 * @kernel  kernel/workqueue.c; there the pool's workers go on, on any CPU
 * @context Task, outside all items
 */
export function workqueue_offline_cpu(cpu: Cpu): void {
  const pool = this_cpu_ptr(cpu, WORKERS);
  const flags = spin_lock_irqsave(cpu, embedded(pool, LOCK));
  cpu.mem.write(pool, FLAGS, POOL_DISASSOCIATED);
  spin_unlock_irqrestore(cpu, embedded(pool, LOCK), flags);
  kick_cpu(cpu, 0);
}
/** workqueue_online_cpu() - this CPU is back, and runs its works itself. @kernel kernel/workqueue.c @context Task, may sleep */
export function workqueue_online_cpu(cpu: Cpu): void {
  const pool = this_cpu_ptr(cpu, WORKERS);
  wait_event(cpu, embedded(pool, REBIND), rebind_if_idle, pool);
}
/** CPU 0 may be running one of our works: two at a time is more than a pool can do. */
function rebind_if_idle(cpu: Cpu, pool: Ptr<"worker_pool">): boolean {
  const flags = spin_lock_irqsave(cpu, embedded(pool, LOCK));
  const idle = cpu.mem.read_once(pool, CURRENT) === NULL;
  if (idle) cpu.mem.write(pool, FLAGS, 0);
  spin_unlock_irqrestore(cpu, embedded(pool, LOCK), flags);
  return idle;
}
