/**
 * Waiting. A task that waits does what its CPU owes (softirqs, work items, a grace-period step); only when there is
 * nothing to do does the CPU go idle and block on its own pending word, so an interrupt always wakes it.
 * kernel/sched/{core,idle,wait}.c in spirit.
 *
 * No wake-up is lost: wait_event() clears KICK, publishes itself on the queue, and only then looks at the condition.
 * A waker makes the condition true before it takes the queue's mask. Either it finds us there, then its KICK comes
 * after our clearing and ends the block; or our publication came later, and we see the condition.
 */
import { CB } from "../layout/callbacks.ts";
import {
  CpuCounters,
  CpuSlot,
  CTX_IDLE,
  CTX_ITEM,
  P_ANY_IRQ,
  P_ANY_NMI,
  P_IRQ_WORK_LATE,
  P_KICK,
  P_RESCHED,
  P_STOP,
  SchedTask,
  TASK_BLOCKED,
  TASK_GOING_TO_SLEEP,
  Task,
} from "../layout/cpu.ts";
import { Globals } from "../layout/globals.ts";
import { WaitQueue } from "../layout/types.ts";
import { NULL, type Ptr } from "../mem/struct.ts";
import { bug } from "./bug.ts";
import { invoke } from "./callback_table.ts";
import { deliverable, in_nmi, may_sleep, might_sleep, pop_context, push_context } from "./context.ts";
import { ct_idle_enter, ct_idle_exit } from "./context_tracking.ts";
import type { Cpu } from "./cpu.ts";
import { finish_sleep, is_woken, prepare_to_sleep, switch_to_other, wake_up_process } from "./task.ts";
import { EV_IDLE, EV_PARK, trace } from "./trace.ts";

const { items: ITEMS, tick_stopped: TICK_STOPPED, current: CURRENT } = CpuSlot.offset;
const { rcu_read_lock_nesting: NESTING } = Task.offset;
const { state: STATE } = SchedTask.offset;
const { nohz: NOHZ } = Globals.offset;
const { idles: IDLES, parks: PARKS } = CpuCounters.offset;
const { cpus: CPUS } = WaitQueue.offset;
const WAKES = P_STOP | P_KICK | P_ANY_NMI | P_ANY_IRQ;
/** Items may nest: a softirq in an item, an item run by a waiter. More than this is a runaway recursion. */
const MAX_ITEM_DEPTH = 2;

/**
 * schedule() - the current task has nothing to do until something changes: report a quiescent state, then do one round
 * of what the CPU owes, or idle until the next interrupt or kick. May return early; the caller looks again.
 *
 * For a task that asks again and again whether something has changed: a tick comes at the latest.
 *
 * @context Task, may sleep.
 */
export function schedule(cpu: Cpu): void {
  might_sleep(cpu, "schedule");
  if (cpu.preempt) return __schedule(cpu, false);
  invoke(cpu, CB.rcu_note_context_switch, NULL);
  if (!run_items(cpu)) cpu_idle(cpu, false);
}
/** schedule() of a task that somebody will wake, or a timer: with globals.nohz the tick may stop. @context as there */
export function schedule_until_woken(cpu: Cpu): void {
  might_sleep(cpu, "schedule");
  if (cpu.preempt) return __schedule(cpu, true);
  invoke(cpu, CB.rcu_note_context_switch, NULL);
  if (!run_items(cpu)) cpu_idle(cpu, cpu.mem.peek(cpu.globals, NOHZ) !== 0);
}

/**
 * __schedule() - the same where a CPU has several tasks. One that only wants to sleep on (prepare_to_sleep()) is off
 * until it is woken; while no task of the CPU can run, the thread of the last one idles for it. Any other just lets
 * the other one run, or does one round of what the CPU owes.
 *
 * No wake-up is lost: a waker makes a task RUNNING and then raises KICK; we take KICK, then look at the states, and
 * idle only while KICK is clear.
 *
 * @kernel  kernel/sched/core.c
 * @context Task, or an item of PREEMPT_RT that waits for a lock; IRQs on, preempt_count 0
 */
export function __schedule(cpu: Cpu, until_woken: boolean): void {
  const { mem } = cpu;
  const sleeps = mem.cmpxchg(cpu.sched, STATE, TASK_GOING_TO_SLEEP, TASK_BLOCKED) === TASK_GOING_TO_SLEEP;
  for (;;) {
    mem.take_pending(P_KICK | P_RESCHED);
    invoke(cpu, in_reader(cpu) ? CB.rcu_note_preemption : CB.rcu_note_context_switch, NULL);
    if (sleeps && is_woken(cpu)) return;
    // A reader or an item that waits for a lock runs no items on top: they may do what it may not.
    if (!(may_sleep(cpu) && run_items(cpu)) && !switch_to_other(cpu)) {
      cpu_idle(cpu, until_woken && mem.peek(cpu.globals, NOHZ) !== 0);
    }
    if (!sleeps || is_woken(cpu)) return;
  }
}
/** Only with PREEMPT_RT a reader gives the CPU up of its own accord: it waits for a lock. */
function in_reader(cpu: Cpu): boolean {
  return cpu.mem.peek(cpu.mem.peek(cpu.slot, CURRENT), NESTING) !== 0;
}

/**
 * cond_resched(): the explicit quiescent state of a long loop; also lets pending items run.
 * @context Task, may sleep.
 */
export function cond_resched(cpu: Cpu): void {
  might_sleep(cpu, "cond_resched");
  // A stale kick makes every step look for interrupts. Nobody sleeps here, and who goes to sleep looks again.
  if ((cpu.mem.pending() & P_KICK) !== 0) cpu.mem.take_pending(P_KICK);
  if (cpu.preempt && (cpu.mem.pending() & P_RESCHED) !== 0) return __schedule(cpu, false);
  invoke(cpu, CB.rcu_note_context_switch, NULL);
  run_items(cpu);
}

/** Runs what is pending between operations. @returns true if there was anything. @context Task, may sleep. */
export function run_items(cpu: Cpu): boolean {
  const depth = cpu.mem.peek(cpu.slot, ITEMS) + 1;
  if (depth > MAX_ITEM_DEPTH) bug(cpu, `items nest ${depth} deep`);
  cpu.mem.poke(cpu.slot, ITEMS, depth);
  push_context(cpu, CTX_ITEM, 0);
  const did = invoke(cpu, CB.run_items, NULL) === true;
  pop_context(cpu, CTX_ITEM);
  cpu.mem.poke(cpu.slot, ITEMS, depth - 1);
  return did;
}

/**
 * Idle until the pending word holds something that wakes. Interrupts are taken inside the idle state.
 * @param nohz  the tick may stop. Then a late self-IPI wakes, too, which otherwise comes with a tick at the latest.
 */
function cpu_idle(cpu: Cpu, nohz: boolean): void {
  cpu.mem.count(cpu.counters, IDLES, 1);
  trace(cpu, EV_IDLE, 0, 0);
  push_context(cpu, CTX_IDLE, 0);
  if (nohz) invoke(cpu, CB.tick_nohz_idle_stop_tick, NULL);
  ct_idle_enter(cpu);
  const seen = cpu.mem.pending();
  const wakes = tick_nohz_tick_stopped(cpu) ? WAKES | P_IRQ_WORK_LATE : WAKES;
  if ((seen & wakes) === 0) cpu.mem.wait(seen);
  cpu.mem.poll(0);
  ct_idle_exit(cpu);
  if (nohz) invoke(cpu, CB.tick_nohz_idle_restart_tick, NULL);
  pop_context(cpu, CTX_IDLE);
}
/** tick_nohz_tick_stopped() - does this CPU do without ticks just now? @kernel kernel/time/tick-sched.c @context Any */
export function tick_nohz_tick_stopped(cpu: Cpu): boolean {
  return cpu.mem.peek(cpu.slot, TICK_STOPPED) !== 0;
}

/**
 * wait_event() - sleep until `condition(cpu, arg)` holds.
 * @context Task, may sleep.
 * @pairs   wake_up(), called after the condition became true.
 */
export function wait_event(
  cpu: Cpu,
  queue: Ptr<"wait_queue">,
  condition: (cpu: Cpu, arg: Ptr<never>) => boolean,
  arg: Ptr,
): void {
  might_sleep(cpu, "wait_event");
  const bit = 1 << cpu.task_id;
  if (cpu.preempt) {
    for (;;) {
      prepare_to_sleep(cpu);
      cpu.mem.fetch_or(queue, CPUS, bit);
      if (condition(cpu, arg as Ptr<never>)) break;
      __schedule(cpu, true);
    }
    finish_sleep(cpu);
    cpu.mem.fetch_and(queue, CPUS, ~bit);
    return;
  }
  for (;;) {
    cpu.mem.take_pending(P_KICK);
    cpu.mem.fetch_or(queue, CPUS, bit);
    if (condition(cpu, arg as Ptr<never>)) break;
    do schedule_until_woken(cpu);
    while ((cpu.mem.pending() & P_KICK) === 0); // Only a wake-up ends the sleep: a lost one must show as a hang.
  }
  cpu.mem.fetch_and(queue, CPUS, ~bit);
}

/** wake_up(): ends the sleep of all tasks on the queue. @context Any but NMI */
export function wake_up(cpu: Cpu, queue: Ptr<"wait_queue">): void {
  let waiters = cpu.mem.xchg(queue, CPUS, 0);
  while (waiters !== 0) {
    const id = 31 - Math.clz32(waiters & -waiters);
    waiters &= waiters - 1;
    kick(cpu, id);
  }
}
/** Makes all CPUs on the queue look again: of those that are parked. @context Any but NMI */
export function kick_cpus(cpu: Cpu, queue: Ptr<"wait_queue">): void {
  for (let left = cpu.mem.xchg(queue, CPUS, 0); left !== 0; left &= left - 1)
    kick_cpu(cpu, 31 - Math.clz32(left & -left));
}
/**
 * Makes a task look again at what it waits for.
 * @param id  its number, Cpu.task_id.
 * @context Any; not NMI if preemptible
 */
export function kick(cpu: Cpu, id: number): void {
  if (cpu.preempt) wake_up_process(cpu, id);
  else kick_cpu(cpu, id);
}
/** Makes CPU `id` look again at what it waits for, or owes. @context Any */
export function kick_cpu(cpu: Cpu, id: number): void {
  cpu.mem.raise(cpu.map.section(id) as Ptr as Ptr<"cpu_pending">, P_KICK);
}

/**
 * park() - block in place until `attempt(cpu, arg)` succeeds: for a CPU that spins with its context fixed (a lock
 * waiter, a cross-CPU caller). Runs nothing but interrupts, and is not quiescent. `attempt` first publishes this CPU
 * where the other side will look for somebody to kick, then looks at what it waits for.
 *
 * A KICK that was consumed here may have been meant for the sleeper that this code interrupted: it is put back.
 *
 * @context Any but NMI
 */
export function park(cpu: Cpu, attempt: (cpu: Cpu, arg: Ptr<never>) => boolean, arg: Ptr): void {
  if (in_nmi(cpu)) bug(cpu, "waits in NMI");
  cpu.mem.count(cpu.counters, PARKS, 1);
  trace(cpu, EV_PARK, arg, 0);
  let kicked = 0;
  for (;;) {
    kicked |= cpu.mem.take_pending(P_KICK);
    if (attempt(cpu, arg as Ptr<never>)) break;
    do {
      const seen = cpu.mem.pending();
      if ((seen & (P_KICK | P_STOP)) === 0 && deliverable(cpu, seen) === 0) cpu.mem.wait(seen);
      cpu.mem.poll(0);
    } while ((cpu.mem.pending() & P_KICK) === 0); // As in wait_event(): only a kick makes it look again.
  }
  if (kicked !== 0) cpu.mem.raise(cpu.pending, P_KICK);
}
