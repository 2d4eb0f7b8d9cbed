/**
 * Ticks that an idle CPU does without (globals.nohz). kernel/time/tick-sched.c; spec rcu 4.12, slub 7.2.
 *
 *   idle entry   tick_nohz_idle_stop_tick()      no tick before the next timer, if nobody needs one sooner
 *   interrupt    tick_nohz_irq_exit()            the same anew: it may have armed a timer, or queued what waits for a tick
 *   idle exit    tick_nohz_idle_restart_tick()
 *
 * Whoever raises ticks asks tick_fires() for each CPU. A tick that was raised just before is taken as any other.
 *
 * Nothing that waits for a tick is left behind. The CPU says that its tick is stopped, then looks whether anything needs
 * it. Only an NMI can come between the two, since IRQs are off, and all that it can leave is irq_work: it either found the
 * tick running, then we see its work; or stopped, then irq_work_queue() raises the self-IPI. Other CPUs that arm a timer
 * here kick us.
 *
 * Differs: as far as we know the kernel looks first and then stops the tick, so a lazy irq_work that an NMI queues in
 * between waits for the next interrupt of any kind.
 */
import { invoke } from "../../cpu/callback_table.ts";
import { local_irq_restore, local_irq_save } from "../../cpu/context.ts";
import { this_cpu_ptr, type Cpu } from "../../cpu/cpu.ts";
import { tick_nohz_tick_stopped } from "../../cpu/sched.ts";
import { CB } from "../../layout/callbacks.ts";
import { CpuSlot, P_IRQ_WORK_LATE } from "../../layout/cpu.ts";
import { Globals } from "../../layout/globals.ts";
import { PerCpu } from "../../layout/percpu.ts";
import { Hrtimer, HrtimerCpuBase, TimerBase, TimerList } from "../../layout/timer.ts";
import type { Memory } from "../../mem/memory.ts";
import { container_of, embedded, NULL, type Ptr } from "../../mem/struct.ts";
import { list_first } from "../lib/list.ts";
import { spin_lock, spin_unlock } from "../sync/spinlock.ts";
import { irq_work_needs_cpu } from "./irq_work.ts";
import { local_softirq_pending } from "./softirq.ts";
import { jiffies, time_after_eq } from "./timer.ts";

const { timers: TIMERS, hrtimers: HRTIMERS } = PerCpu.offset;
const { lock: TIMER_LOCK, timers: TIMER_LIST } = TimerBase.offset;
const { lock: HRTIMER_LOCK, timers: HRTIMER_LIST } = HrtimerCpuBase.offset;
const { entry: TIMER_ENTRY, expires: TIMER_EXPIRES } = TimerList.offset;
const { node: HRTIMER_NODE, expires: HRTIMER_EXPIRES } = Hrtimer.offset;
const { tick_stopped: TICK_STOPPED, tick_next: TICK_NEXT, idle_jiffies: IDLE_JIFFIES, ticks: TICKS } = CpuSlot.offset;
const { jiffies: JIFFIES } = Globals.offset;

/** Longest time for which a tick is stopped: half of what jiffies can tell apart. */
const NEXT_TIMER_MAX_DELTA = 2 ** 30 - 1;

/** Does the tick at the present jiffies reach that CPU? For the clock, which is outside the machine: no step. */
export function tick_fires(mem: Memory, globals: Ptr<"globals">, slot: Ptr<"cpu_slot">): boolean {
  return mem.peek(slot, TICK_STOPPED) === 0 || time_after_eq(mem.peek(globals, JIFFIES), mem.peek(slot, TICK_NEXT));
}

/** Ticks that a CPU took or sleeps through. For who looks from outside: no step. */
export function ticks_until_now(mem: Memory, globals: Ptr<"globals">, slot: Ptr<"cpu_slot">): number {
  const asleep = mem.peek(slot, TICK_STOPPED) === 0 ? 0 : mem.peek(globals, JIFFIES) - mem.peek(slot, IDLE_JIFFIES);
  return mem.peek(slot, TICKS) + Math.max(0, asleep | 0);
}

/**
 * tick_nohz_idle_stop_tick() - this CPU is about to sleep.
 *
 * @kernel  kernel/time/tick-sched.c
 * @context Task that goes idle; RCU still watches.
 * @pairs   irq_work_queue(): queues, then asks tick_nohz_tick_stopped().
 */
export function tick_nohz_idle_stop_tick(cpu: Cpu): void {
  const flags = local_irq_save(cpu);
  cpu.mem.poke(cpu.slot, TICK_STOPPED, 1);
  cpu.mem.poke(cpu.slot, IDLE_JIFFIES, jiffies(cpu));
  tick_nohz_stop_tick(cpu);
  local_irq_restore(cpu, flags);
}
/** tick_nohz_irq_exit() - an interrupt returns to a CPU that sleeps. @kernel kernel/time/tick-sched.c @context IRQs off */
export function tick_nohz_irq_exit(cpu: Cpu): void {
  tick_nohz_stop_tick(cpu);
}
/** tick_nohz_idle_restart_tick() - this CPU sleeps no more. @kernel kernel/time/tick-sched.c @context Task */
export function tick_nohz_idle_restart_tick(cpu: Cpu): void {
  if (!tick_nohz_tick_stopped(cpu)) return;
  const flags = local_irq_save(cpu);
  tick_nohz_restart(cpu);
  local_irq_restore(cpu, flags);
}

/** A CPU that is offline takes no ticks. tick_nohz_idle_restart_tick() ends that. @context IRQs off, its last words */
export function tick_offline_cpu(cpu: Cpu): void {
  const now = jiffies(cpu);
  cpu.mem.poke(cpu.slot, TICK_STOPPED, 1);
  cpu.mem.poke(cpu.slot, IDLE_JIFFIES, now);
  cpu.mem.poke(cpu.slot, TICK_NEXT, (now + NEXT_TIMER_MAX_DELTA) | 0);
}

/** Until when? The tick is stopped already; it is started again if anybody needs it. IRQs off. */
function tick_nohz_stop_tick(cpu: Cpu): void {
  const now = jiffies(cpu);
  const timer = first_timer(cpu);
  const hrtimer = first_hrtimer(cpu);
  const needed =
    irq_work_needs_cpu(cpu) ||
    (cpu.mem.pending() & P_IRQ_WORK_LATE) !== 0 || // Comes after some steps, and a CPU that sleeps takes none.
    local_softirq_pending(cpu) !== 0 ||
    invoke(cpu, CB.rcu_needs_cpu, NULL) === true;
  const delta = Math.min(NEXT_TIMER_MAX_DELTA, (timer - now) | 0, (hrtimer - now) | 0);
  if (needed || delta <= 1) tick_nohz_restart(cpu);
  else cpu.mem.poke(cpu.slot, TICK_NEXT, (now + delta) | 0);
}
/** Ticks again, and those that were left out count: who judges a CPU by its ticks must not take sleep for silence. */
function tick_nohz_restart(cpu: Cpu): void {
  account_idle_ticks(cpu, 0);
  cpu.mem.poke(cpu.slot, TICK_STOPPED, 0);
}
/** account_idle_ticks() - @param counted  ticks that have been taken since, and counted. @context IRQs off */
export function account_idle_ticks(cpu: Cpu, counted: number): void {
  const now = jiffies(cpu);
  const passed = (now - cpu.mem.peek(cpu.slot, IDLE_JIFFIES)) | 0;
  cpu.mem.poke(cpu.slot, TICKS, cpu.mem.peek(cpu.slot, TICKS) + Math.max(0, passed - counted));
  cpu.mem.poke(cpu.slot, IDLE_JIFFIES, now);
}

/** When the first timer of this CPU expires; far away if none is armed. IRQs off. */
function first_timer(cpu: Cpu): number {
  const base = this_cpu_ptr(cpu, TIMERS);
  spin_lock(cpu, embedded(base, TIMER_LOCK));
  const first = list_first(cpu, embedded(base, TIMER_LIST));
  const expires = first === NULL ? undefined : cpu.mem.read(container_of(first, TIMER_ENTRY), TIMER_EXPIRES);
  spin_unlock(cpu, embedded(base, TIMER_LOCK));
  return expires ?? jiffies(cpu) + NEXT_TIMER_MAX_DELTA;
}
/** The same of hrtimers. */
function first_hrtimer(cpu: Cpu): number {
  const base = this_cpu_ptr(cpu, HRTIMERS);
  spin_lock(cpu, embedded(base, HRTIMER_LOCK));
  const first = list_first(cpu, embedded(base, HRTIMER_LIST));
  const expires = first === NULL ? undefined : cpu.mem.read(container_of(first, HRTIMER_NODE), HRTIMER_EXPIRES);
  spin_unlock(cpu, embedded(base, HRTIMER_LOCK));
  return expires ?? jiffies(cpu) + NEXT_TIMER_MAX_DELTA;
}
