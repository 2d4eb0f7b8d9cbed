/**
 * Timers: a function that runs in TIMER_SOFTIRQ once a number of ticks has passed. kernel/time/timer.c.
 *
 * Each CPU has a base: the list of its armed timers, soonest first, under the base's lock with IRQs off. timer.flags says
 * on which base a timer is, or was last; while it moves from one base to another it says TIMER_MIGRATING, and whoever
 * wants its base spins. A timer belongs to its owner again as soon as its function is called: nothing here touches it
 * any more, so the function may arm it anew or free it.
 *
 *   mod_timer            arms, from any CPU; onto this CPU's base, unless its function runs on another one just now
 *   timer_delete         disarms; the function may still be running
 *   timer_delete_sync    disarms, and waits for a function that is running
 *
 * jiffies are compared modulo 2^32. Differs: a sorted list in place of the timer wheel, so no rounding of long time-outs.
 */
import { bug } from "../../cpu/bug.ts";
import { invoke } from "../../cpu/callback_table.ts";
import {
  describe_context,
  in_hardirq,
  in_nmi,
  in_serving_softirq,
  may_sleep,
  irqs_disabled,
  local_irq_restore,
  local_irq_save,
} from "../../cpu/context.ts";
import { per_cpu_ptr, this_cpu_ptr, type Cpu } from "../../cpu/cpu.ts";
import { kick_cpu, park, schedule_until_woken, wait_event, wake_up } from "../../cpu/sched.ts";
import { CB } from "../../layout/callbacks.ts";
import { P_KICK } from "../../layout/cpu.ts";
import { Globals } from "../../layout/globals.ts";
import { PerCpu } from "../../layout/percpu.ts";
import {
  TIMER_CPUMASK,
  TIMER_IRQSAFE,
  TIMER_MIGRATING,
  TIMER_PENDING,
  TimerBase,
  TimerList,
} from "../../layout/timer.ts";
import { ListHead, WaitQueue } from "../../layout/types.ts";
import { container_of, embedded, NULL, type CallbackId, type Ptr } from "../../mem/struct.ts";
import {
  INIT_LIST_HEAD,
  list_add_tail,
  list_del_init,
  list_empty_careless,
  list_first,
  list_next,
} from "../lib/list.ts";
import { LC } from "../sync/lockdep.ts";
import { spin_lock, spin_lock_init, spin_lock_irqsave, spin_unlock, spin_unlock_irqrestore } from "../sync/spinlock.ts";
import { raise_softirq_irqoff, TIMER_SOFTIRQ } from "./softirq.ts";

const { entry: ENTRY, expires: EXPIRES, flags: FLAGS, function: FUNCTION } = TimerList.offset;
const { lock: LOCK, timers: TIMERS, running: RUNNING, waiters: WAITERS, timeout: TIMEOUT } = TimerBase.offset;
const { timers: BASES } = PerCpu.offset;
const { jiffies: JIFFIES, nohz: NOHZ } = Globals.offset;
const { cpus: CPUS } = WaitQueue.offset;
const { next: NEXT } = ListHead.offset;

/** The present time in ticks. @context Any */
export function jiffies(cpu: Cpu): number {
  return cpu.mem.read_once(cpu.globals, JIFFIES);
}
/** Is time a at or after time b? */
export const time_after_eq = (a: number, b: number): boolean => ((a - b) | 0) >= 0;

/** Empty bases on all CPUs. @context boot */
export function timers_init(cpu: Cpu): void {
  for (let id = 0; id < cpu.map.shape.cpus; id++) {
    const base = per_cpu_ptr(cpu, BASES, id);
    spin_lock_init(cpu, embedded(base, LOCK), LC.timer_base);
    INIT_LIST_HEAD(cpu, embedded(base, TIMERS));
    cpu.mem.init(base, RUNNING, NULL);
    cpu.mem.init(embedded(base, WAITERS), CPUS, 0);
    timer_setup(cpu, embedded(base, TIMEOUT), CB.process_timeout);
  }
}

/**
 * A timer that is not armed. Its function is called as (cpu, timer).
 * @param flags  TIMER_IRQSAFE or 0. @context Any; nobody else can see it
 */
export function timer_setup(cpu: Cpu, timer: Ptr<"timer_list">, func: CallbackId, flags = 0): void {
  INIT_LIST_HEAD(cpu, embedded(timer, ENTRY));
  cpu.mem.init(timer, EXPIRES, 0);
  cpu.mem.init(timer, FLAGS, cpu.id | flags);
  cpu.mem.init(timer, FUNCTION, func);
}
/** Is it armed? Race: only the owner of the timer can rely on the answer. @context Any */
export function timer_pending(cpu: Cpu, timer: Ptr<"timer_list">): boolean {
  return (cpu.mem.read_once(timer, FLAGS) & (TIMER_PENDING | TIMER_MIGRATING)) !== 0;
}

/**
 * Locks the base that the timer is on. Its flags change only under that lock, or under TIMER_MIGRATING, so what is
 * found under the lock stays. The migration that we may spin for is a few steps of a CPU with IRQs off.
 * @context IRQs off
 */
function lock_timer_base(cpu: Cpu, timer: Ptr<"timer_list">): Ptr<"timer_base"> {
  for (;;) {
    const flags = cpu.mem.read_once(timer, FLAGS);
    if ((flags & TIMER_MIGRATING) !== 0) {
      cpu.mem.relax();
    } else {
      const base = per_cpu_ptr(cpu, BASES, flags & TIMER_CPUMASK);
      spin_lock(cpu, embedded(base, LOCK));
      if (((cpu.mem.read_once(timer, FLAGS) ^ flags) & (TIMER_CPUMASK | TIMER_MIGRATING)) === 0) return base;
      spin_unlock(cpu, embedded(base, LOCK));
    }
  }
}
/** Takes the timer off its base. @returns whether it was armed. @context the base's lock is held */
export function detach_if_pending(cpu: Cpu, timer: Ptr<"timer_list">): boolean {
  const flags = cpu.mem.read_once(timer, FLAGS);
  if ((flags & TIMER_PENDING) === 0) return false;
  list_del_init(cpu, embedded(timer, ENTRY));
  cpu.mem.write_once(timer, FLAGS, flags & ~TIMER_PENDING);
  return true;
}
/** Puts the timer where it belongs in the order; behind others of the same time. @context the base's lock is held */
export function enqueue(
  cpu: Cpu,
  base: Ptr<"timer_base">,
  timer: Ptr<"timer_list">,
  id: number,
  expires: number,
): void {
  const timers = embedded(base, TIMERS);
  let at = list_first(cpu, timers);
  while (at !== NULL && at !== timers && time_after_eq(expires, cpu.mem.read(container_of(at, ENTRY), EXPIRES))) {
    at = list_next(cpu, at);
  }
  cpu.mem.write(timer, EXPIRES, expires);
  list_add_tail(cpu, embedded(timer, ENTRY), at === NULL ? timers : at);
  const constant = cpu.mem.read_once(timer, FLAGS) & TIMER_IRQSAFE;
  cpu.mem.write_once(timer, FLAGS, id | TIMER_PENDING | constant);
}

/** mod_timer() on a chosen base. @returns whether the timer was armed before. */
function __mod_timer(cpu: Cpu, timer: Ptr<"timer_list">, expires: number, target: number): boolean {
  if (in_nmi(cpu)) bug(cpu, "arms a timer in NMI");
  const flags = local_irq_save(cpu);
  let base = lock_timer_base(cpu, timer);
  const was_pending = detach_if_pending(cpu, timer);
  let id = cpu.mem.read_once(timer, FLAGS) & TIMER_CPUMASK;
  // Why stay: timer_delete_sync() looks for a running function on the base that the timer is on.
  if (id !== target && cpu.mem.read_once(base, RUNNING) !== timer) {
    cpu.mem.fetch_or(timer, FLAGS, TIMER_MIGRATING);
    spin_unlock(cpu, embedded(base, LOCK));
    base = per_cpu_ptr(cpu, BASES, target);
    id = target;
    spin_lock(cpu, embedded(base, LOCK));
  }
  enqueue(cpu, base, timer, id, expires | 0);
  spin_unlock(cpu, embedded(base, LOCK));
  // Why: that CPU may have stopped its tick for longer. wake_up_nohz_cpu() in the kernel.
  if (id !== cpu.id && cpu.mem.peek(cpu.globals, NOHZ) !== 0) kick_cpu(cpu, id);
  local_irq_restore(cpu, flags);
  return was_pending;
}
/**
 * mod_timer() - arm the timer, or change its time.
 * @param expires  in jiffies; in the past: at the next tick.
 * @returns whether it was armed before. @context Any but NMI
 */
export function mod_timer(cpu: Cpu, timer: Ptr<"timer_list">, expires: number): boolean {
  return __mod_timer(cpu, timer, expires, cpu.id);
}
/** add_timer_on() - arm a timer that is not armed, on CPU `id`. @context Any but NMI */
export function add_timer_on(cpu: Cpu, timer: Ptr<"timer_list">, expires: number, id: number): void {
  if (__mod_timer(cpu, timer, expires, id)) bug(cpu, `add_timer_on(): timer ${timer} was armed`);
}
/** timer_delete() - disarm. @returns whether it was armed. @context Any but NMI */
export function timer_delete(cpu: Cpu, timer: Ptr<"timer_list">): boolean {
  if (in_nmi(cpu)) bug(cpu, "disarms a timer in NMI");
  const flags = local_irq_save(cpu);
  const base = lock_timer_base(cpu, timer);
  const was_pending = detach_if_pending(cpu, timer);
  spin_unlock_irqrestore(cpu, embedded(base, LOCK), flags);
  return was_pending;
}

/** Does the function of this timer run somewhere? It runs on the base that the timer is on. */
function timer_running(cpu: Cpu, timer: Ptr<"timer_list">): boolean {
  const id = cpu.mem.read_once(timer, FLAGS) & TIMER_CPUMASK;
  return cpu.mem.read_once(per_cpu_ptr(cpu, BASES, id), RUNNING) === timer;
}
/** Publishes this CPU, then looks. @pairs run_timer_softirq(): clears `running`, then looks for waiters. */
function publish_and_look(cpu: Cpu, timer: Ptr<"timer_list">): boolean {
  cpu.mem.fetch_or(running_waiters(cpu, timer), CPUS, 1 << cpu.task_id);
  return timer_idle(cpu, timer);
}
function running_waiters(cpu: Cpu, timer: Ptr<"timer_list">): Ptr<"wait_queue"> {
  const id = cpu.mem.read_once(timer, FLAGS) & TIMER_CPUMASK;
  return embedded(per_cpu_ptr(cpu, BASES, id), WAITERS);
}
const timer_idle = (cpu: Cpu, timer: Ptr<"timer_list">): boolean => !timer_running(cpu, timer);
/**
 * timer_delete_sync() - disarm, and wait until the function does not run either. The caller makes sure that nobody arms
 * the timer meanwhile, and holds no lock that the function takes.
 * @returns whether it was armed. @context Task or Softirq, IRQs on; not the function itself
 */
export function timer_delete_sync(cpu: Cpu, timer: Ptr<"timer_list">): boolean {
  if (in_nmi(cpu) || in_hardirq(cpu) || irqs_disabled(cpu)) bug(cpu, `timer_delete_sync() in ${describe_context(cpu)}`);
  const own = cpu.mem.read_once(this_cpu_ptr(cpu, BASES), RUNNING);
  if (own === timer && in_serving_softirq(cpu))
    bug(cpu, "timer_delete_sync() waits for the function it is called from");
  let was_pending = false;
  for (let turns = cpu.spinBound; ; turns--) {
    was_pending = timer_delete(cpu, timer) || was_pending;
    if (!timer_running(cpu, timer)) return was_pending;
    if (turns > 0) cpu.mem.relax();
    else if (cpu.preempt && may_sleep(cpu)) wait_event(cpu, running_waiters(cpu, timer), timer_idle, timer);
    else park(cpu, publish_and_look, timer);
  }
}

/**
 * schedule_timeout() - sleep for at most so many ticks, at least 1. Like schedule() it may return early.
 *
 * @kernel  kernel/time/sleep_timeout.c
 * @context Task, may sleep
 */
export function schedule_timeout(cpu: Cpu, timeout: number): void {
  const timer = embedded(this_cpu_ptr(cpu, BASES), TIMEOUT);
  mod_timer(cpu, timer, jiffies(cpu) + timeout);
  cpu.mem.take_pending(P_KICK); // A stale one would end each sleep at once. What it was for is looked at now.
  schedule_until_woken(cpu);
  timer_delete_sync(cpu, timer);
}
/** process_timeout() - the tick that brought it here has woken the CPU already. @context Softirq */
export function process_timeout(): void {
  // Nothing is left to be done.
}

/** Takes the first timer that is due off the base and makes it the running one. @context the base's lock is held */
function take_expired(cpu: Cpu, base: Ptr<"timer_base">): Ptr<"timer_list"> {
  const first = list_first(cpu, embedded(base, TIMERS));
  if (first === NULL) return NULL;
  const timer = container_of(first, ENTRY);
  if (!time_after_eq(jiffies(cpu), cpu.mem.read(timer, EXPIRES))) return NULL;
  detach_if_pending(cpu, timer);
  cpu.mem.write_once(base, RUNNING, timer);
  return timer;
}
/** run_timer_softirq() - call the functions of all timers that are due. @context Softirq */
export function run_timer_softirq(cpu: Cpu): void {
  const base = this_cpu_ptr(cpu, BASES);
  for (;;) {
    const flags = spin_lock_irqsave(cpu, embedded(base, LOCK));
    const timer = take_expired(cpu, base);
    const func = timer === NULL ? 0 : cpu.mem.read(timer, FUNCTION);
    const irqsafe = timer !== NULL && (cpu.mem.read_once(timer, FLAGS) & TIMER_IRQSAFE) !== 0;
    spin_unlock(cpu, embedded(base, LOCK));
    if (!irqsafe) local_irq_restore(cpu, flags);
    if (func === 0) return;
    invoke(cpu, func, timer);
    if (irqsafe) local_irq_restore(cpu, flags);
    cpu.mem.write_once(base, RUNNING, NULL); // The timer may be gone by now.
    cpu.mem.smp_mb(); // Either timer_delete_sync() sees that, or we see that it waits.
    const waiters = embedded(base, WAITERS);
    if (cpu.mem.read_once(waiters, CPUS) !== 0) wake_up(cpu, waiters);
  }
}

/** run_local_timers(): the timers' part of the tick. @context Hardirq */
export function run_local_timers(cpu: Cpu): void {
  const base = this_cpu_ptr(cpu, BASES);
  if (list_empty_careless(cpu, embedded(base, TIMERS))) return; // A timer that is being added waits for the next tick.
  const flags = spin_lock_irqsave(cpu, embedded(base, LOCK));
  const first = list_first(cpu, embedded(base, TIMERS));
  const due = first !== NULL && time_after_eq(jiffies(cpu), cpu.mem.read(container_of(first, ENTRY), EXPIRES));
  if (due) raise_softirq_irqoff(cpu, TIMER_SOFTIRQ);
  spin_unlock_irqrestore(cpu, embedded(base, LOCK), flags);
}

/** When the next timer of this CPU expires; undefined: none is armed. No step: for a machine that stands still. */
export function next_timer_expiry(cpu: Cpu): number | undefined {
  const timers = embedded(this_cpu_ptr(cpu, BASES), TIMERS);
  const first = cpu.mem.peek(timers, NEXT);
  return first === timers ? undefined : cpu.mem.peek(container_of(first, ENTRY), EXPIRES);
}
