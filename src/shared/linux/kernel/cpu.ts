/**
 * CPUs go offline and come back. kernel/cpu.c; spec slub 2.14, 6.4 d, rcu 4.6 step 2.
 *
 *   cpu_down() on another CPU                      the CPU that goes
 *   asks it to give up its task                    runs on to the end of its operation; parks there
 *   cpus_write_lock(); it is not online any more
 *   stop_machine()
 *   lets it go                                     takes its last interrupts and runs its irq_work; IRQs off; its hrtimers
 *                                                  go to CPU 0; RCU counts it no more; nothing reaches it
 *   takes over its callbacks, timers and softirqs,
 *   empties its sheaves and other stocks
 *
 * Asking comes before cpus_write_lock(), since the operation that it is to finish may take the read side. One CPU at a time
 * goes or comes. cpu_down() and cpu_up() only try for that (cpu_add_remove), so two CPUs never ask each other and wait.
 *
 * Differs: a task cannot be moved to another CPU, so a CPU goes only where its task stands outside all operations. CPU 0
 * never goes, runs the works of those that are gone (worker_pool.ts), and takes their hrtimers. In place of stop_machine()
 * a grace period: when it has passed, everybody who saw the CPU online with preemption off has done what it did then.
 */
import { assert, bug } from "../../cpu/bug.ts";
import { invoke } from "../../cpu/callback_table.ts";
import { local_irq_restore, local_irq_save, might_sleep, pop_context, push_context } from "../../cpu/context.ts";
import { per_cpu_ptr, this_cpu_ptr, type Cpu } from "../../cpu/cpu.ts";
import { kick_cpu, wait_event, wake_up } from "../../cpu/sched.ts";
import { smp_calls_pending } from "../../cpu/smp.ts";
import { EV_CPUHP, trace } from "../../cpu/trace.ts";
import { CB } from "../../layout/callbacks.ts";
import {
  CpuCounters,
  CpuSlot,
  CTX_IDLE,
  P_ANY_IRQ,
  P_ANY_NMI,
  P_IRQ_WORK_LATE,
  P_KICK,
  P_STOP,
} from "../../layout/cpu.ts";
import {
  CPUHP_AP_ASKED,
  CPUHP_AP_IDLE_DEAD,
  CPUHP_AP_ONLINE,
  CPUHP_AP_PARKED,
  CPUHP_BRINGUP_CPU,
  CPUHP_TEARDOWN_CPU,
  CpuhpCpuState,
  CpuhpGlobals,
} from "../../layout/cpuhp.ts";
import { Globals } from "../../layout/globals.ts";
import { PerCpu } from "../../layout/percpu.ts";
import { embedded, NULL, type Ptr } from "../../mem/struct.ts";
import {
  cpu_hotplug_lock_init,
  cpu_online,
  cpus_write_lock,
  cpus_write_unlock,
  hotplug_is_configured,
} from "../sync/cpu_hotplug.ts";
import { hrtimers_cpu_dying } from "./hrtimer.ts";
import { irq_work_run } from "./irq_work.ts";
import { takeover_softirqs } from "./softirq.ts";
import { tick_nohz_idle_restart_tick, tick_offline_cpu } from "./tick_sched.ts";
import { timers_dead_cpu } from "./timers_dead_cpu.ts";
import { workqueue_offline_cpu, workqueue_online_cpu } from "./worker_pool.ts";

const { cpuhp: CPUHP_STATE } = PerCpu.offset;
const { state: STATE, refuses: REFUSES, waiters: PARKED } = CpuhpCpuState.offset;
const { online: ONLINE, cpuhp: CPUHP } = Globals.offset;
const { cpu_add_remove: CPU_ADD_REMOVE, disabled: DISABLED, waiters: WAITERS } = CpuhpGlobals.offset;
const { online: SLOT_ONLINE } = CpuSlot.offset;
const { offlines: OFFLINES, lost_interrupts: LOST_INTERRUPTS } = CpuCounters.offset;

const EBUSY = 16;
const EINVAL = 22;

type State = Ptr<"cpuhp_cpu_state">;

const cpuhp = (cpu: Cpu): Ptr<"cpuhp_globals"> => embedded(cpu.globals, CPUHP);
const cpuhp_waiters = (cpu: Cpu): Ptr<"wait_queue"> => embedded(cpuhp(cpu), WAITERS);

/** @context boot */
export function cpuhp_init(cpu: Cpu): void {
  cpu_hotplug_lock_init(cpu); // All CPUs are online, and nobody waits: that is what zeroes mean.
}

const take_add_remove = (cpu: Cpu): boolean => cpu.mem.cmpxchg(cpuhp(cpu), CPU_ADD_REMOVE, 0, cpu.id + 1) === 0;
/** cpu_maps_update_begin() - nobody else brings CPUs down or up until _done(). @context Task, may sleep */
function cpu_maps_update_begin(cpu: Cpu): void {
  wait_event(cpu, cpuhp_waiters(cpu), take_add_remove, NULL);
}
/** cpu_maps_update_done() @context Task, who has begun */
function cpu_maps_update_done(cpu: Cpu): void {
  cpu.mem.write_once(cpuhp(cpu), CPU_ADD_REMOVE, 0);
  wake_up(cpu, cpuhp_waiters(cpu));
}

/**
 * cpu_down() - take CPU `id` offline.
 *
 * @kernel  kernel/cpu.c
 * @returns 0; -EBUSY: it is offline, or will not give up its task, or another CPU goes or comes just now; -EINVAL: it is
 *          this one, or CPU 0.
 * @context Task, may sleep
 */
export function cpu_down(cpu: Cpu, id: number): number {
  might_sleep(cpu, "cpu_down");
  if (!hotplug_is_configured(cpu)) bug(cpu, "cpu_down() in a machine whose CPUs do not come and go");
  if (id === cpu.id || id === 0) return -EINVAL;
  if (!take_add_remove(cpu)) return -EBUSY;
  const error = cpu_down_maps_locked(cpu, id);
  cpu_maps_update_done(cpu);
  return error;
}
function cpu_down_maps_locked(cpu: Cpu, id: number): number {
  const { mem } = cpu;
  const st = per_cpu_ptr(cpu, CPUHP_STATE, id);
  if (mem.read_once(cpuhp(cpu), DISABLED) !== 0 || !cpu_online(cpu, id) || !park_task(cpu, st, id)) return -EBUSY;
  cpus_write_lock(cpu);
  mem.fetch_and(cpu.globals, ONLINE, ~(1 << id));
  invoke(cpu, CB.synchronize_rcu, NULL); // In place of stop_machine().
  mem.write_once(st, STATE, CPUHP_TEARDOWN_CPU);
  wake_up(cpu, embedded(st, PARKED));
  wait_event(cpu, cpuhp_waiters(cpu), is_dead, st);
  cpuhp_dead(cpu, id);
  cpus_write_unlock(cpu);
  return 0;
}
const is_dead = (cpu: Cpu, st: State): boolean => cpu.mem.read_once(st, STATE) === CPUHP_AP_IDLE_DEAD;
const has_answered = (cpu: Cpu, st: State): boolean =>
  cpu.mem.read_once(st, STATE) === CPUHP_AP_PARKED || cpu.mem.read_once(st, REFUSES) !== 0;

/** Has CPU `id` give up its task. @returns false: it will not, and goes on. */
function park_task(cpu: Cpu, st: State, id: number): boolean {
  const { mem } = cpu;
  mem.write_once(st, STATE, CPUHP_AP_ASKED);
  kick_cpu(cpu, id);
  wait_event(cpu, cpuhp_waiters(cpu), has_answered, st);
  // It may have parked all the same, before it began to refuse.
  return mem.cmpxchg(st, STATE, CPUHP_AP_ASKED, CPUHP_AP_ONLINE) === CPUHP_AP_PARKED;
}
/** What others do when a CPU is gone. The order of the kernel's states: its RCU callbacks first, then from the top down. */
function cpuhp_dead(cpu: Cpu, dead: number): void {
  const section = cpu.map.section(dead);
  invoke(cpu, CB.rcutree_migrate_callbacks, section);
  invoke(cpu, CB.kasan_cpu_offline, section);
  timers_dead_cpu(cpu, dead);
  invoke(cpu, CB.memcg_hotplug_cpu_dead, section);
  takeover_softirqs(cpu, dead);
  invoke(cpu, CB.slub_cpu_dead, section);
}

/**
 * cpu_up() - bring CPU `id` back.
 *
 * @kernel  kernel/cpu.c
 * @returns 0: it is online; -EBUSY: another CPU goes or comes just now.
 * @context Task, may sleep
 */
export function cpu_up(cpu: Cpu, id: number): number {
  might_sleep(cpu, "cpu_up");
  if (!take_add_remove(cpu)) return -EBUSY;
  cpu_up_maps_locked(cpu, id);
  cpu_maps_update_done(cpu);
  return 0;
}
function cpu_up_maps_locked(cpu: Cpu, id: number): void {
  const { mem } = cpu;
  if (cpu_online(cpu, id)) return;
  const st = per_cpu_ptr(cpu, CPUHP_STATE, id);
  cpus_write_lock(cpu);
  mem.write_once(st, STATE, CPUHP_BRINGUP_CPU);
  kick_cpu(cpu, id);
  wait_event(cpu, cpuhp_waiters(cpu), is_up, st);
  cpus_write_unlock(cpu);
}
const is_up = (cpu: Cpu, st: State): boolean => cpu.mem.read_once(st, STATE) === CPUHP_AP_ONLINE;

/**
 * cpu_hotplug_disable() - bring all CPUs back, and let none go any more.
 * @kernel  kernel/cpu.c; there it brings none back @context Task, may sleep
 */
export function cpu_hotplug_disable(cpu: Cpu): void {
  cpu_maps_update_begin(cpu);
  cpu.mem.fetch_add(cpuhp(cpu), DISABLED, 1);
  for (let id = 0; id < cpu.map.shape.cpus; id++) cpu_up_maps_locked(cpu, id);
  cpu_maps_update_done(cpu);
}
/** The task of this CPU will never again come by cpuhp_thread_fun(). @context Task */
export function cpuhp_refuse(cpu: Cpu): void {
  cpu.mem.write_once(this_cpu_ptr(cpu, CPUHP_STATE), REFUSES, 1);
  wake_up(cpu, cpuhp_waiters(cpu));
}

/** cpuhp_should_run() - is this CPU asked to give up its task? @kernel kernel/cpu.c @context Any */
export function cpuhp_should_run(cpu: Cpu): boolean {
  return cpu.mem.read_once(this_cpu_ptr(cpu, CPUHP_STATE), STATE) === CPUHP_AP_ASKED;
}
/**
 * cpuhp_thread_fun() - the part of the CPU that goes. If it is asked to, it goes offline, and returns when it is back.
 * @kernel  kernel/cpu.c
 * @context Task, outside all operations, may sleep
 */
export function cpuhp_thread_fun(cpu: Cpu): void {
  might_sleep(cpu, "cpuhp_thread_fun");
  const { mem } = cpu;
  const st = this_cpu_ptr(cpu, CPUHP_STATE);
  if (mem.cmpxchg(st, STATE, CPUHP_AP_ASKED, CPUHP_AP_PARKED) !== CPUHP_AP_ASKED) return;
  wake_up(cpu, cpuhp_waiters(cpu));
  wait_event(cpu, embedded(st, PARKED), may_go, st);
  workqueue_offline_cpu(cpu);
  const flags = take_cpu_down(cpu);
  cpu_dead_idle(cpu, st);
  cpu_starting(cpu);
  local_irq_restore(cpu, flags);
  workqueue_online_cpu(cpu);
  mem.write_once(st, STATE, CPUHP_AP_ONLINE);
  wake_up(cpu, cpuhp_waiters(cpu));
}
const may_go = (cpu: Cpu, st: State): boolean => cpu.mem.read_once(st, STATE) === CPUHP_TEARDOWN_CPU;

/**
 * take_cpu_down() - from here on no NMI comes; then what has been sent is taken, and no IRQ comes any more either. Nothing
 * is sent now: see stop_machine() above. Last of all irq_work: interrupts and softirqs until here may have queued some.
 * @returns the IRQ flag from before. @kernel kernel/cpu.c
 */
function take_cpu_down(cpu: Cpu): number {
  cpu.mem.poke(cpu.slot, SLOT_ONLINE, 0);
  cpu.mem.poll(0);
  const flags = local_irq_save(cpu);
  hotplug_cfd(cpu);
  hrtimers_cpu_dying(cpu, 0);
  tick_offline_cpu(cpu);
  invoke(cpu, CB.rcutree_report_cpu_dead, cpu.section);
  return flags;
}
/** hotplug_cfd() - nothing that was sent to this CPU is left. @kernel kernel/smp.c, smpcfd_dying_cpu() @context IRQs off */
function hotplug_cfd(cpu: Cpu): void {
  assert(cpu, !smp_calls_pending(cpu), "a cross-CPU call reaches a CPU after stop_machine()");
  irq_work_run(cpu);
}

/** cpuhp_report_idle_dead() - nothing runs here until cpu_up() says so. IRQs are off. @kernel kernel/cpu.c */
function cpu_dead_idle(cpu: Cpu, st: State): void {
  const { mem } = cpu;
  mem.count(cpu.counters, OFFLINES, 1);
  trace(cpu, EV_CPUHP, 0, 0);
  push_context(cpu, CTX_IDLE, 0);
  mem.write_once(st, STATE, CPUHP_AP_IDLE_DEAD);
  wake_up(cpu, cpuhp_waiters(cpu));
  for (;;) {
    mem.take_pending(P_KICK); // Before the look: cpu_up() changes the state, then kicks.
    if (mem.read_once(st, STATE) === CPUHP_BRINGUP_CPU) break;
    const seen = mem.pending();
    if ((seen & (P_KICK | P_STOP)) === 0) mem.wait(seen);
    mem.poll(0); // For P_STOP.
  }
  pop_context(cpu, CTX_IDLE);
}
/** What was sent to a CPU that is offline is lost. @context IRQs off */
function cpu_starting(cpu: Cpu): void {
  const { mem } = cpu;
  for (let lost = mem.take_pending(P_ANY_NMI | P_ANY_IRQ | P_IRQ_WORK_LATE); lost !== 0; lost &= lost - 1) {
    mem.count(cpu.counters, LOST_INTERRUPTS, 1);
  }
  invoke(cpu, CB.rcutree_report_cpu_starting, cpu.section);
  tick_nohz_idle_restart_tick(cpu);
  mem.poke(cpu.slot, SLOT_ONLINE, 1);
  mem.fetch_or(cpu.globals, ONLINE, 1 << cpu.id);
  trace(cpu, EV_CPUHP, 1, 0);
}
