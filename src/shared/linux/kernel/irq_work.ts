/**
 * irq_work: "call this function in hardirq context on this CPU as soon as that is possible", from any context.
 * kernel/irq_work.c; spec slub 7, rcu 4.12.
 *
 *   PENDING BUSY
 *      0     0    idle: may be claimed, or freed
 *      1     1    claimed: it is on a list, or about to be
 *      0     1    its function runs
 *      1     1    (while it runs) claimed again: it will run again
 *
 * Whoever finds PENDING set is covered by a run that begins after its call: PENDING is cleared, with a full barrier,
 * before the function looks at anything. Once BUSY is cleared, the owner may free the work: nothing here touches it
 * any more, except the wake-up of a sleeping irq_work_sync(), which therefore ends with a grace period.
 *
 *   raised_list   run by the self-IPI; by the tick too where the IPI may not come (irqwork modes late and mixed)
 *   lazy_list     IRQ_WORK_LAZY: run by the tick, or by an IPI that came for something else; has one of its own only if
 *                 the CPU has stopped its tick (tick_sched.ts)
 *
 * With PREEMPT_RT what is not marked IRQ_WORK_HARD_IRQ goes to lazy_list, too, with an IPI that wakes the thread
 * irq_work/N (irq_workd.ts), which runs that list with IRQs on.
 *
 * Differs: a remote CPU's work goes to its raised_list and not into its queue of cross-CPU calls.
 */
import { bug, warn } from "../../cpu/bug.ts";
import { has_bug } from "../../cpu/bugs.ts";
import { invoke } from "../../cpu/callback_table.ts";
import {
  in_nmi,
  irqs_disabled,
  might_sleep,
  preempt_count,
  preempt_disable,
  preempt_enable,
} from "../../cpu/context.ts";
import { per_cpu_ptr, TASK_INDEX_SHIFT, this_cpu_ptr, type Cpu } from "../../cpu/cpu.ts";
import { arch_irq_work_has_interrupt, arch_irq_work_raise, arch_irq_work_raise_on } from "../../cpu/interrupt.ts";
import { park, tick_nohz_tick_stopped, wait_event, wake_up } from "../../cpu/sched.ts";
import { wake_up_process } from "../../cpu/task.ts";
import { EV_IRQ_WORK_QUEUE, EV_IRQ_WORK_RUN, point, trace } from "../../cpu/trace.ts";
import { BUG_IRQ_WORK_UAF } from "../../layout/bugs.ts";
import { CB } from "../../layout/callbacks.ts";
import { CpuCounters } from "../../layout/cpu.ts";
import { Globals, KB_RCUWAIT_SHARED } from "../../layout/globals.ts";
import {
  CSD_TYPE_IRQ_WORK,
  IRQ_WORK_BUSY,
  IRQ_WORK_CLAIMED,
  IRQ_WORK_HARD_IRQ,
  IRQ_WORK_LAZY,
  IRQ_WORK_PENDING,
  IrqWork,
  IrqWorkCpu,
} from "../../layout/irq_work.ts";
import { PerCpu } from "../../layout/percpu.ts";
import { POINT } from "../../layout/points.ts";
import { LlistNode, WaitQueue } from "../../layout/types.ts";
import { container_of, embedded, NULL, type CallbackId, type Ptr } from "../../mem/struct.ts";
import { init_llist_head, llist_add, llist_del_all, llist_empty, llist_next } from "../lib/llist.ts";
import { cpu_online } from "../sync/cpu_hotplug.ts";
import { LC, lockdep_check_no_locks } from "../sync/lockdep.ts";
import { mutex_init, mutex_lock, mutex_unlock } from "../sync/mutex.ts";
import { rcuwait_init, rcuwait_wait_event, rcuwait_wake_up } from "../sync/rcuwait.ts";

const { node: NODE, flags: FLAGS, irqwait: IRQWAIT, func: FUNC } = IrqWork.offset;
const { next: NEXT } = LlistNode.offset;
const { cpus: CPUS } = WaitQueue.offset;
const { irq_work: IRQ_WORK } = PerCpu.offset;
const { raised_list: RAISED_LIST, lazy_list: LAZY_LIST, wakeup: WAKEUP } = IrqWorkCpu.offset;
const { irq_work_runs: RUNS } = CpuCounters.offset;
const {
  irq_work_waiters: WAITERS,
  irq_work_sync_mutex: SYNC_MUTEX,
  kernel_behaviour: KERNEL_BEHAVIOUR,
} = Globals.offset;

/** Empty lists on all CPUs. @context boot */
export function irq_work_init(cpu: Cpu): void {
  for (let id = 0; id < cpu.map.shape.cpus; id++) {
    const lists = per_cpu_ptr(cpu, IRQ_WORK, id);
    init_llist_head(cpu, embedded(lists, RAISED_LIST));
    init_llist_head(cpu, embedded(lists, LAZY_LIST));
    init_irq_work(cpu, embedded(lists, WAKEUP), CB.irq_work_wake, IRQ_WORK_HARD_IRQ);
  }
  cpu.mem.init(embedded(cpu.globals, WAITERS), CPUS, 0);
  mutex_init(cpu, embedded(cpu.globals, SYNC_MUTEX), LC.irq_work_sync_mutex);
}

/** An idle work. @param flags  IRQ_WORK_LAZY, IRQ_WORK_HARD_IRQ or 0. @context Any; nobody else can see it */
export function init_irq_work(cpu: Cpu, work: Ptr<"irq_work">, func: CallbackId, flags = 0): void {
  cpu.mem.init(embedded(work, NODE), NEXT, NULL);
  cpu.mem.init(work, FLAGS, flags);
  cpu.mem.init(work, FUNC, func);
  rcuwait_init(cpu, embedded(work, IRQWAIT));
}
/** Is it queued, and not yet running? @context Any */
export function irq_work_is_pending(cpu: Cpu, work: Ptr<"irq_work">): boolean {
  return (cpu.mem.read_once(work, FLAGS) & IRQ_WORK_PENDING) !== 0;
}
/** Is it queued or running? @context Any */
export function irq_work_is_busy(cpu: Cpu, work: Ptr<"irq_work">): boolean {
  return (cpu.mem.read_once(work, FLAGS) & IRQ_WORK_BUSY) !== 0;
}

/** Makes the work ours to put on a list. False: somebody else's claim will run after what we published. */
function irq_work_claim(cpu: Cpu, work: Ptr<"irq_work">): boolean {
  const before = cpu.mem.fetch_or(work, FLAGS, IRQ_WORK_CLAIMED | CSD_TYPE_IRQ_WORK);
  if ((before & IRQ_WORK_PENDING) !== 0) return false;
  point(cpu, POINT.irq_work_claimed);
  trace(cpu, EV_IRQ_WORK_QUEUE, work, 0);
  return true;
}

/** PREEMPT_RT: is it for the thread irq_work/N? */
function is_for_thread(cpu: Cpu, flags: number): boolean {
  return cpu.rt && (flags & IRQ_WORK_HARD_IRQ) === 0;
}
/** Must irq_work_sync() sleep for a work with these flags? */
function sync_sleeps(cpu: Cpu, flags: number): boolean {
  return is_for_thread(cpu, flags) || !arch_irq_work_has_interrupt(cpu);
}

/** Puts a claimed work on this CPU's list. Who makes a list non-empty raises the interrupt. @context preempt off */
function __irq_work_queue_local(cpu: Cpu, work: Ptr<"irq_work">): void {
  const lists = this_cpu_ptr(cpu, IRQ_WORK);
  const flags = cpu.mem.read_once(work, FLAGS);
  const lazy = (flags & IRQ_WORK_LAZY) !== 0;
  const list = embedded(lists, lazy || is_for_thread(cpu, flags) ? LAZY_LIST : RAISED_LIST);
  if (!llist_add(cpu, embedded(work, NODE), list)) return;
  if (!lazy || tick_nohz_tick_stopped(cpu)) arch_irq_work_raise(cpu);
}

/**
 * irq_work_queue() - run the work on this CPU, in hardirq context.
 *
 * @kernel  kernel/irq_work.c
 * @returns false if it was pending already: that run sees all that the caller has published.
 * @context Any, NMI included.
 * @pairs   irq_work_single(): its barrier after clearing PENDING.
 */
export function irq_work_queue(cpu: Cpu, work: Ptr<"irq_work">): boolean {
  if (!irq_work_claim(cpu, work)) return false;
  preempt_disable(cpu);
  __irq_work_queue_local(cpu, work);
  preempt_enable(cpu);
  return true;
}

/**
 * irq_work_queue_on() - run the work on CPU `id`.
 * @returns false if it was pending already, wherever that was.
 * @context Any but NMI; for its own CPU also NMI.
 */
export function irq_work_queue_on(cpu: Cpu, work: Ptr<"irq_work">, id: number): boolean {
  if (!cpu_online(cpu, id)) warn(cpu, `irq_work_queue_on() CPU ${id}, which is offline`);
  if (!irq_work_claim(cpu, work)) return false;
  preempt_disable(cpu);
  if (id === cpu.id) {
    __irq_work_queue_local(cpu, work);
  } else {
    if (in_nmi(cpu)) warn(cpu, "irq_work_queue_on() another CPU in NMI");
    const lists = per_cpu_ptr(cpu, IRQ_WORK, id);
    let remote = work;
    if (is_for_thread(cpu, cpu.mem.read_once(work, FLAGS))) {
      remote = embedded(lists, WAKEUP);
      const owes = llist_add(cpu, embedded(work, NODE), embedded(lists, LAZY_LIST)) && irq_work_claim(cpu, remote);
      if (!owes) remote = NULL;
    }
    if (remote !== NULL && llist_add(cpu, embedded(remote, NODE), embedded(lists, RAISED_LIST))) {
      arch_irq_work_raise_on(cpu, id);
    }
  }
  preempt_enable(cpu);
  return true;
}

/** Must the tick keep running for the sake of irq_work? @context IRQs off */
export function irq_work_needs_cpu(cpu: Cpu): boolean {
  const lists = this_cpu_ptr(cpu, IRQ_WORK);
  if (!llist_empty(cpu, embedded(lists, RAISED_LIST)) && !arch_irq_work_has_interrupt(cpu)) return true;
  return !llist_empty(cpu, embedded(lists, LAZY_LIST));
}

/** Runs one work that has been taken off its list. @pairs irq_work_claim(), irq_work_sync() */
function irq_work_single(cpu: Cpu, work: Ptr<"irq_work">): void {
  const { mem } = cpu;
  // Not atomic, and need not be: while PENDING is set, others only set bits that are set already.
  const flags = mem.read_once(work, FLAGS) & ~IRQ_WORK_PENDING;
  mem.write_once(work, FLAGS, flags);
  mem.smp_mb(); // Either a claimer finds PENDING clear and queues again, or we see what it published.
  point(cpu, POINT.irq_work_pending_cleared);
  trace(cpu, EV_IRQ_WORK_RUN, work, 0);
  mem.count(cpu.counters, RUNS, 1);
  const preempt = preempt_count(cpu);
  invoke(cpu, mem.read(work, FUNC), work);
  lockdep_check_no_locks(cpu, "irq_work function returns");
  if (preempt_count(cpu) !== preempt) bug(cpu, `irq_work function changed preempt_count from ${preempt}`);
  point(cpu, POINT.irq_work_func_done);
  mem.cmpxchg(work, FLAGS, flags, flags & ~IRQ_WORK_BUSY); // Fails if it was claimed again: then it stays busy.
  if (!sync_sleeps(cpu, flags)) {
    const waiters = embedded(cpu.globals, WAITERS);
    if (mem.read_once(waiters, CPUS) !== 0) wake_up(cpu, waiters);
  } else {
    rcuwait_wake_up(cpu, embedded(work, IRQWAIT)); // IRQs are off, or a reader: irq_work_sync()'s grace period waits.
  }
}
/** @context IRQs off; with PREEMPT_RT also the thread irq_work/N */
export function irq_work_run_list(cpu: Cpu, list: Ptr<"llist_head">): void {
  if (!irqs_disabled(cpu) && !cpu.rt) bug(cpu, "irq_work runs with IRQs on");
  if (llist_empty(cpu, list)) return;
  let node = llist_del_all(cpu, list);
  while (node !== NULL) {
    const next = llist_next(cpu, node); // Before it runs: then it may be queued again, or freed.
    irq_work_single(cpu, container_of(node, NODE));
    node = next;
  }
}
/** irq_work_run() - the self-IPI; also the last thing that a CPU does before it goes offline. @context IRQs off */
export function irq_work_run(cpu: Cpu): void {
  const lists = this_cpu_ptr(cpu, IRQ_WORK);
  irq_work_run_list(cpu, embedded(lists, RAISED_LIST));
  if (cpu.rt) wake_irq_workd(cpu);
  else irq_work_run_list(cpu, embedded(lists, LAZY_LIST));
}
/** wake_irq_workd(): irq_work/N of this CPU, its second task, has something to do. @context Any but NMI */
export function wake_irq_workd(cpu: Cpu): void {
  const lists = this_cpu_ptr(cpu, IRQ_WORK);
  if (!llist_empty(cpu, embedded(lists, LAZY_LIST))) wake_up_process(cpu, cpu.id | (1 << TASK_INDEX_SHIFT));
}
/** irq_work_tick() - irq_work's part of the timer interrupt. @context Hardirq */
export function irq_work_tick(cpu: Cpu): void {
  const lists = this_cpu_ptr(cpu, IRQ_WORK);
  const raised = embedded(lists, RAISED_LIST);
  if (!llist_empty(cpu, raised) && !arch_irq_work_has_interrupt(cpu)) irq_work_run_list(cpu, raised);
  if (cpu.rt) wake_irq_workd(cpu);
  else irq_work_run_list(cpu, embedded(lists, LAZY_LIST));
}

const is_idle = (cpu: Cpu, work: Ptr<"irq_work">): boolean => !irq_work_is_busy(cpu, work);
/** Publishes this CPU, then looks. @pairs irq_work_single(): clears BUSY, then looks for waiters. */
function publish_and_look(cpu: Cpu, work: Ptr<"irq_work">): boolean {
  cpu.mem.fetch_or(embedded(cpu.globals, WAITERS), CPUS, 1 << cpu.task_id);
  return is_idle(cpu, work);
}

/**
 * irq_work_sync() - wait until the work is idle: whatever was queued before the call has been done, and unless it is
 * queued again the work may be freed.
 *
 * Why not only the kernel's busy loop: with more CPUs than cores it would burn the time that the other CPU needs, so
 * after a while the CPU parks on a queue of the machine; its waker does not need the work for that.
 * Differs: where it sleeps, callers exclude each other, since a work has room for one sleeper only (spec slub B25);
 * KB_RCUWAIT_SHARED takes that away, and then one of two may sleep for ever.
 *
 * @kernel  kernel/irq_work.c
 * @context Task, IRQs on, may sleep.
 * @pairs   irq_work_single()
 */
export function irq_work_sync(cpu: Cpu, work: Ptr<"irq_work">): void {
  might_sleep(cpu, "irq_work_sync");
  if ((cpu.rt && sync_sleeps(cpu, cpu.mem.read_once(work, FLAGS))) || !arch_irq_work_has_interrupt(cpu)) {
    const serialise = (cpu.mem.peek(cpu.globals, KERNEL_BEHAVIOUR) & KB_RCUWAIT_SHARED) === 0;
    const mutex = embedded(cpu.globals, SYNC_MUTEX);
    if (serialise) mutex_lock(cpu, mutex);
    rcuwait_wait_event(cpu, embedded(work, IRQWAIT), is_idle, work);
    if (serialise) mutex_unlock(cpu, mutex);
    if (!has_bug(cpu, BUG_IRQ_WORK_UAF)) invoke(cpu, CB.synchronize_rcu, NULL);
    return;
  }
  for (let turns = cpu.spinBound; turns > 0; turns--) {
    if (is_idle(cpu, work)) return;
    cpu.mem.relax();
  }
  if (is_idle(cpu, work)) return;
  if (cpu.preempt) {
    wait_event(cpu, embedded(cpu.globals, WAITERS), is_idle, work);
    return;
  }
  park(cpu, publish_and_look, work);
  cpu.mem.fetch_and(embedded(cpu.globals, WAITERS), CPUS, ~(1 << cpu.task_id));
}
