/**
 * hrtimers: a function that runs in hardirq context, at once or after some ticks. kernel/time/hrtimer.c.
 *
 * Each CPU has a base: the list of its armed timers, soonest first, under the base's raw lock with IRQs off. A timer
 * that is due when it is started raises the CPU's timer interrupt, which comes when IRQs are on; later ones go with the
 * tick. timer.base says on which base a timer is, or was last; while it moves it is NULL, and whoever wants it spins.
 *
 * A base's lock is the innermost of all: nothing is taken under it, and no code of others runs under it. So a timer may
 * be started under any lock. That is why kfree_rcu() has one: its callers may hold locks that queueing a work takes.
 *
 * A timer belongs to its owner again as soon as its function is called: the function may start it anew, or free it. It
 * is never called on two CPUs at once: who starts it while it runs on another CPU leaves it on that CPU's base.
 *
 * Differs: time is counted in ticks, there is one clock, and modes, slack and HRTIMER_RESTART do not exist: a function
 * that wants to come again starts its timer. hrtimer_cancel() is left out: nobody here cancels one.
 */
import { bug } from "../../cpu/bug.ts";
import { invoke } from "../../cpu/callback_table.ts";
import { describe_context, in_hardirq, in_nmi, local_irq_restore, local_irq_save } from "../../cpu/context.ts";
import { per_cpu_ptr, this_cpu_ptr, type Cpu } from "../../cpu/cpu.ts";
import { P_HRTIMER } from "../../layout/cpu.ts";
import { PerCpu } from "../../layout/percpu.ts";
import { Hrtimer, HRTIMER_STATE_ENQUEUED, HRTIMER_STATE_INACTIVE, HrtimerCpuBase } from "../../layout/timer.ts";
import { ListHead } from "../../layout/types.ts";
import { container_of, embedded, NULL, type CallbackId, type Ptr } from "../../mem/struct.ts";
import {
  INIT_LIST_HEAD,
  list_add_tail,
  list_del_init,
  list_empty_careless,
  list_first,
  list_next,
} from "../lib/list.ts";
import { LC, lockdep_check_no_locks } from "../sync/lockdep.ts";
import { raw_spin_lock, raw_spin_unlock, spin_lock_init } from "../sync/spinlock.ts";
import { jiffies, time_after_eq } from "./timer.ts";

const { node: NODE, expires: EXPIRES, state: STATE, base: BASE, function: FUNCTION } = Hrtimer.offset;
const { lock: LOCK, timers: TIMERS, running: RUNNING } = HrtimerCpuBase.offset;
const { hrtimers: HRTIMERS, pending: PENDING } = PerCpu.offset;
const { next: NEXT } = ListHead.offset;

type Timer = Ptr<"hrtimer">;
type Base = Ptr<"hrtimer_cpu_base">;

/** Empty bases on all CPUs. @context boot */
export function hrtimers_init(cpu: Cpu): void {
  for (let id = 0; id < cpu.map.shape.cpus; id++) {
    const base = per_cpu_ptr(cpu, HRTIMERS, id);
    spin_lock_init(cpu, embedded(base, LOCK), LC.hrtimer_base);
    INIT_LIST_HEAD(cpu, embedded(base, TIMERS));
    cpu.mem.init(base, RUNNING, NULL);
  }
}

/**
 * hrtimer_setup() - a timer that is not armed. Its function is called as (cpu, timer), in hardirq context.
 *
 * @kernel  kernel/time/hrtimer.c
 * @context Any; nobody else can see it
 */
export function hrtimer_setup(cpu: Cpu, timer: Timer, func: CallbackId): void {
  INIT_LIST_HEAD(cpu, embedded(timer, NODE));
  cpu.mem.init(timer, EXPIRES, 0);
  cpu.mem.init(timer, STATE, HRTIMER_STATE_INACTIVE);
  cpu.mem.init(timer, BASE, this_cpu_ptr(cpu, HRTIMERS));
  cpu.mem.init(timer, FUNCTION, func);
}

/**
 * lock_hrtimer_base() - lock the base that the timer is on. It leaves that base only under this lock, so what is found
 * under the lock stays. The move that we may spin for is a few steps of a CPU with IRQs off.
 *
 * @kernel  kernel/time/hrtimer.c
 * @context IRQs off
 */
function lock_hrtimer_base(cpu: Cpu, timer: Timer): Base {
  for (;;) {
    const base = cpu.mem.read_once(timer, BASE);
    if (base === NULL) {
      cpu.mem.relax();
    } else {
      raw_spin_lock(cpu, embedded(base, LOCK));
      if (cpu.mem.read_once(timer, BASE) === base) return base;
      raw_spin_unlock(cpu, embedded(base, LOCK));
    }
  }
}
/**
 * switch_hrtimer_base() - from `base`, whose lock is held, to this CPU's; unless the function runs there just now.
 *
 * @kernel  kernel/time/hrtimer.c
 * @returns the base that the timer is on, locked. @context IRQs off
 */
function switch_hrtimer_base(cpu: Cpu, timer: Timer, base: Base): Base {
  const own = this_cpu_ptr(cpu, HRTIMERS);
  if (base === own || cpu.mem.read(base, RUNNING) === timer) return base;
  cpu.mem.write_once(timer, BASE, NULL);
  raw_spin_unlock(cpu, embedded(base, LOCK));
  raw_spin_lock(cpu, embedded(own, LOCK));
  cpu.mem.write_once(timer, BASE, own);
  return own;
}
/** Takes the timer off its base, if it is armed. @context the base's lock is held */
function remove_hrtimer(cpu: Cpu, timer: Timer): void {
  if (cpu.mem.read(timer, STATE) === HRTIMER_STATE_INACTIVE) return;
  list_del_init(cpu, embedded(timer, NODE));
  cpu.mem.write(timer, STATE, HRTIMER_STATE_INACTIVE);
}
/** Puts the timer where it belongs in the order; behind others of the same time. @context the base's lock is held */
function enqueue_hrtimer(cpu: Cpu, timer: Timer, base: Base, expires: number): void {
  const timers = embedded(base, TIMERS);
  let at = list_first(cpu, timers);
  while (at !== NULL && at !== timers && time_after_eq(expires, cpu.mem.read(container_of(at, NODE), EXPIRES))) {
    at = list_next(cpu, at);
  }
  cpu.mem.write(timer, EXPIRES, expires);
  list_add_tail(cpu, embedded(timer, NODE), at === NULL ? timers : at);
  cpu.mem.write(timer, STATE, HRTIMER_STATE_ENQUEUED);
}

/**
 * hrtimer_start() - have the timer's function called in hardirq context of this CPU, `delay_jiffies` ticks from now.
 * Started again while it is armed, it keeps the new time only.
 *
 * Why no interrupt is raised while a function of that base runs: the base's lock is held, and hrtimer_interrupt(), from
 * which the function is called, takes it before it looks for the next timer that is due. So it finds this one. That
 * covers a timer that stays on another CPU, too.
 *
 * @kernel  kernel/time/hrtimer.c
 * @context Any but NMI, under any lock.
 * @pairs   hrtimer_interrupt()
 */
export function hrtimer_start(cpu: Cpu, timer: Timer, delay_jiffies = 0): void {
  if (in_nmi(cpu)) bug(cpu, `hrtimer_start() in ${describe_context(cpu)}`);
  const flags = local_irq_save(cpu);
  const old = lock_hrtimer_base(cpu, timer);
  remove_hrtimer(cpu, timer);
  const base = switch_hrtimer_base(cpu, timer, old);
  enqueue_hrtimer(cpu, timer, base, (jiffies(cpu) + delay_jiffies) | 0);
  if (delay_jiffies <= 0 && cpu.mem.read(base, RUNNING) === NULL) cpu.mem.raise(cpu.pending, P_HRTIMER);
  raw_spin_unlock(cpu, embedded(base, LOCK));
  local_irq_restore(cpu, flags);
}

/** Takes the first timer that is due off the base and makes it the running one. @context the base's lock is held */
function take_expired(cpu: Cpu, base: Base): Timer {
  const first = list_first(cpu, embedded(base, TIMERS));
  if (first === NULL) return NULL;
  const timer = container_of(first, NODE);
  if (!time_after_eq(jiffies(cpu), cpu.mem.read(timer, EXPIRES))) return NULL;
  remove_hrtimer(cpu, timer);
  cpu.mem.write(base, RUNNING, timer);
  return timer;
}
/**
 * hrtimer_interrupt() - call the functions of all timers of this CPU that are due.
 *
 * @kernel  kernel/time/hrtimer.c
 * @context Hardirq
 */
export function hrtimer_interrupt(cpu: Cpu): void {
  if (!in_hardirq(cpu)) bug(cpu, `hrtimer_interrupt() in ${describe_context(cpu)}`);
  const base = this_cpu_ptr(cpu, HRTIMERS);
  raw_spin_lock(cpu, embedded(base, LOCK));
  for (let timer = take_expired(cpu, base); timer !== NULL; timer = take_expired(cpu, base)) {
    const func = cpu.mem.read(timer, FUNCTION);
    raw_spin_unlock(cpu, embedded(base, LOCK));
    invoke(cpu, func, timer);
    lockdep_check_no_locks(cpu, "hrtimer function returns");
    raw_spin_lock(cpu, embedded(base, LOCK));
    cpu.mem.write(base, RUNNING, NULL); // The timer may be gone by now.
  }
  raw_spin_unlock(cpu, embedded(base, LOCK));
}
/** hrtimer_run_queues() - the hrtimers' part of the tick. @kernel kernel/time/hrtimer.c @context Hardirq */
export function hrtimer_run_queues(cpu: Cpu): void {
  // Race: others may only be taking a timer away. They add one here only while its function runs, and none does; or when
  // their CPU goes offline, and then the interrupt comes.
  if (!list_empty_careless(cpu, embedded(this_cpu_ptr(cpu, HRTIMERS), TIMERS))) hrtimer_interrupt(cpu);
}

/**
 * hrtimers_cpu_dying() - this CPU goes: its armed hrtimers go to CPU `target`, which looks at once which of them are due.
 *
 * Differs: the kernel moves them first, and later ones one by one; here it is done when nothing can start one any more.
 *
 * @kernel  kernel/time/hrtimer.c
 * @context IRQs off, the CPU's last words
 */
export function hrtimers_cpu_dying(cpu: Cpu, target: number): void {
  const { mem } = cpu;
  const from = this_cpu_ptr(cpu, HRTIMERS);
  const to = per_cpu_ptr(cpu, HRTIMERS, target);
  for (;;) {
    raw_spin_lock(cpu, embedded(from, LOCK));
    const first = list_first(cpu, embedded(from, TIMERS));
    if (first === NULL) break;
    const timer = container_of(first, NODE);
    const expires = mem.read(timer, EXPIRES);
    remove_hrtimer(cpu, timer);
    mem.write_once(timer, BASE, NULL);
    raw_spin_unlock(cpu, embedded(from, LOCK));
    raw_spin_lock(cpu, embedded(to, LOCK));
    mem.write_once(timer, BASE, to);
    enqueue_hrtimer(cpu, timer, to, expires);
    raw_spin_unlock(cpu, embedded(to, LOCK));
    mem.raise(per_cpu_ptr(cpu, PENDING, target), P_HRTIMER);
  }
  raw_spin_unlock(cpu, embedded(from, LOCK));
}

/** When the next hrtimer of this CPU expires; undefined: none is armed. No step: for a machine that stands still. */
export function next_hrtimer_expiry(cpu: Cpu): number | undefined {
  const timers = embedded(this_cpu_ptr(cpu, HRTIMERS), TIMERS);
  const first = cpu.mem.peek(timers, NEXT);
  return first === timers ? undefined : cpu.mem.peek(container_of(first, NODE), EXPIRES);
}
