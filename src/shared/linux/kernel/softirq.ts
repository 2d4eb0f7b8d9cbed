/**
 * Softirqs: work that an interrupt leaves for the moment after it, with IRQs on. kernel/softirq.c.
 *
 *   raised      bits of irq_stat.softirq_pending, changed with IRQs off on their own CPU only
 *   run         on the way out of the outermost hardirq, at local_bh_enable(), and by run_items() between operations
 *
 * A softirq that is raised in an interrupt runs on its way out. One raised in task context waits for the next of these
 * places; a task that is about to idle comes by run_items(), so nothing is left over while the CPU sleeps. do_softirq()
 * gives up after MAX_SOFTIRQ_RESTART rounds and leaves the rest to run_items() (the kernel's ksoftirqd): it then kicks
 * its own CPU, for an idle loop that the interrupt hit behind its run_items().
 *
 * With PREEMPT_RT none runs on the way out of a hardirq: a task serves them, where it may wait for locks.
 */
import { bug } from "../../cpu/bug.ts";
import { invoke } from "../../cpu/callback_table.ts";
import {
  describe_context,
  in_interrupt,
  in_nmi,
  irqs_disabled,
  local_irq_disable,
  local_irq_enable,
  local_irq_restore,
  local_irq_save,
  pop_context,
  preempt_count,
  push_context,
  run_pending_softirqs,
} from "../../cpu/context.ts";
import { per_cpu_ptr, this_cpu_ptr, type Cpu } from "../../cpu/cpu.ts";
import { EV_SOFTIRQ, trace } from "../../cpu/trace.ts";
import { CB } from "../../layout/callbacks.ts";
import { CpuCounters, CpuSlot, CTX_SOFTIRQ, IrqStat, P_KICK } from "../../layout/cpu.ts";
import { PerCpu } from "../../layout/percpu.ts";
import { NULL, type CallbackId } from "../../mem/struct.ts";
import { lockdep_check_no_locks } from "../sync/lockdep.ts";

const { irq_stat: IRQ_STAT } = PerCpu.offset;
const { softirq_pending: PENDING, softirq_running: RUNNING } = IrqStat.offset;
const { softirq: SOFTIRQ } = CpuSlot.offset;
const { softirqs: SOFTIRQS } = CpuCounters.offset;

/** Numbers of softirqs: the kernel's. Lower ones run first. */
export const TIMER_SOFTIRQ = 1;
export const RCU_SOFTIRQ = 9;
export const NR_SOFTIRQS = 10;
/** Rounds of do_softirq() before it leaves the rest to others. */
export const MAX_SOFTIRQ_RESTART = 10;

/** softirq_vec[]: what open_softirq() fills in the kernel. */
function softirq_action(nr: number): CallbackId | undefined {
  if (nr === TIMER_SOFTIRQ) return CB.run_timer_softirq;
  if (nr === RCU_SOFTIRQ) return CB.rcu_core;
  return undefined;
}

/** Nothing is pending on any CPU. @context boot */
export function softirq_init(cpu: Cpu): void {
  for (let id = 0; id < cpu.map.shape.cpus; id++) cpu.mem.init(per_cpu_ptr(cpu, IRQ_STAT, id), PENDING, 0);
}

/** raise_softirq_irqoff() - softirq `nr` is to run on this CPU. @context IRQs off; never NMI */
export function raise_softirq_irqoff(cpu: Cpu, nr: number): void {
  if (in_nmi(cpu) || !irqs_disabled(cpu)) bug(cpu, `raise_softirq_irqoff(${nr}) in ${describe_context(cpu)}`);
  const stat = this_cpu_ptr(cpu, IRQ_STAT);
  cpu.mem.write(stat, PENDING, cpu.mem.read(stat, PENDING) | (1 << nr));
}
/** raise_softirq() - softirq `nr` is to run on this CPU. @context Task, Softirq, Hardirq */
export function raise_softirq(cpu: Cpu, nr: number): void {
  const flags = local_irq_save(cpu);
  raise_softirq_irqoff(cpu, nr);
  local_irq_restore(cpu, flags);
}
/** Bits of the softirqs that are pending on this CPU. Race: only this CPU's interrupts change it. @context Any */
export function local_softirq_pending(cpu: Cpu): number {
  return cpu.mem.data_race_read(this_cpu_ptr(cpu, IRQ_STAT), PENDING);
}

/**
 * do_softirq() - run what is pending, and what that raises, for some rounds.
 * @kernel  kernel/softirq.c, __do_softirq()
 * @context outside interrupts, softirqs not disabled. Turns IRQs on while it works.
 */
export function do_softirq(cpu: Cpu): void {
  if (in_interrupt(cpu)) bug(cpu, `do_softirq() in ${describe_context(cpu)}`);
  const flags = local_irq_save(cpu);
  const stat = this_cpu_ptr(cpu, IRQ_STAT);
  if (cpu.rt && cpu.mem.read(stat, RUNNING) !== 0) {
    local_irq_restore(cpu, flags); // The other task is at it, and will look again.
    return;
  }
  if (cpu.rt) cpu.mem.write(stat, RUNNING, 1);
  push_context(cpu, CTX_SOFTIRQ, 0);
  cpu.mem.poke(cpu.slot, SOFTIRQ, 1);
  for (let round = 0; round < MAX_SOFTIRQ_RESTART; round++) {
    const pending = cpu.mem.read(stat, PENDING);
    if (pending === 0) break;
    cpu.mem.write(stat, PENDING, 0);
    local_irq_enable(cpu);
    run_actions(cpu, pending);
    local_irq_disable(cpu);
  }
  cpu.mem.poke(cpu.slot, SOFTIRQ, 0);
  pop_context(cpu, CTX_SOFTIRQ);
  if (cpu.rt) cpu.mem.write(stat, RUNNING, 0);
  if (cpu.mem.read(stat, PENDING) !== 0) cpu.mem.raise(cpu.pending, P_KICK);
  local_irq_restore(cpu, flags);
}
function run_actions(cpu: Cpu, pending: number): void {
  for (let rest = pending; rest !== 0; rest &= rest - 1) {
    const nr = 31 - Math.clz32(rest & -rest);
    const action = softirq_action(nr);
    if (action === undefined) bug(cpu, `softirq ${nr} was never opened`);
    trace(cpu, EV_SOFTIRQ, nr, 0);
    cpu.mem.count(cpu.counters, SOFTIRQS, 1);
    const preempt = preempt_count(cpu);
    // With PREEMPT_RT a softirq is a task with softirqs off, which makes it a reader. rcu_core() sees to that itself.
    const reads = cpu.rt && nr !== RCU_SOFTIRQ;
    if (reads) invoke(cpu, CB.rcu_read_lock, NULL);
    invoke(cpu, action, NULL);
    if (reads) invoke(cpu, CB.rcu_read_unlock, NULL);
    lockdep_check_no_locks(cpu, `softirq ${nr} returns`);
    if (preempt_count(cpu) !== preempt) bug(cpu, `softirq ${nr} changed preempt_count from ${preempt}`);
    if (irqs_disabled(cpu)) bug(cpu, `softirq ${nr} returns with IRQs off`);
  }
}

/**
 * takeover_softirqs() - what was pending on CPU `dead` is to run here. What it works on has been taken over before:
 * timers, RCU callbacks, and the next piece of a grace period.
 *
 * @kernel  kernel/softirq.c, takeover_tasklets(); the softirqs of RCU and timers are raised by who moves their work
 * @context Task, after the CPU is dead.
 */
export function takeover_softirqs(cpu: Cpu, dead: number): void {
  const stat = per_cpu_ptr(cpu, IRQ_STAT, dead);
  const pending = cpu.mem.read(stat, PENDING);
  cpu.mem.write(stat, PENDING, 0);
  for (let nr = 0; nr < NR_SOFTIRQS; nr++) if ((pending & (1 << nr)) !== 0) raise_softirq(cpu, nr);
}

/** Are there softirqs that nobody has run yet? No step. */
export function softirqs_left(cpu: Cpu): boolean {
  return cpu.mem.peek(this_cpu_ptr(cpu, IRQ_STAT), PENDING) !== 0;
}
/** Softirqs that nobody has run yet: ksoftirqd's work. @returns true if there were any. @context Item, IRQs on */
export function run_leftover_softirqs(cpu: Cpu): boolean {
  if (local_softirq_pending(cpu) === 0) return false;
  if (cpu.rt && cpu.mem.read(this_cpu_ptr(cpu, IRQ_STAT), RUNNING) !== 0) return false;
  run_pending_softirqs(cpu);
  return true;
}
