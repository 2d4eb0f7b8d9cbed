/**
 * Delivery of interrupts: what Memory calls between two steps when the pending word is not 0.
 *
 *   NMI      interrupts anything but an NMI
 *   hardirq  only with IRQs on, so never on top of a hardirq or NMI; softirqs run on its way out
 *   RESCHED  only where the task is preemptible: the other task of the CPU takes over (task.ts)
 *   KICK     no code runs; it only ends a wait
 *   STOP     leaves kernel code by MachineStopped
 *
 * An interrupt clears its pending bit before it runs, so one raised meanwhile is not lost, and several raised before
 * that coalesce. Handlers run nested on the same JavaScript stack. arch/x86/kernel/{nmi,irq}.c, kernel/softirq.c.
 */
import { below } from "../base/random.ts";
import { MachineStopped } from "../base/verdict.ts";
import { CB } from "../layout/callbacks.ts";
import {
  CpuCounters,
  CpuSlot,
  CTX_HARDIRQ,
  CTX_NMI,
  IrqStat,
  P_ANY_NMI,
  P_HRTIMER,
  P_IPI_CALL,
  P_IRQ,
  P_IRQ_WORK,
  P_IRQ_WORK_LATE,
  P_NMI,
  P_RESCHED,
  P_STOP,
  P_TICK,
} from "../layout/cpu.ts";
import { Globals, IRQWORK_LATE, IRQWORK_PROMPT } from "../layout/globals.ts";
import { PerCpu } from "../layout/percpu.ts";
import { NULL, element } from "../mem/struct.ts";
import { invoke } from "./callback_table.ts";
import {
  current_context,
  deliverable,
  in_hardirq,
  in_nmi,
  irqs_disabled,
  pop_context,
  push_context,
  run_pending_softirqs,
} from "./context.ts";
import { ct_nmi_enter, ct_nmi_exit } from "./context_tracking.ts";
import { per_cpu_ptr, TASK_INDEX_SHIFT, this_cpu_ptr, type Cpu } from "./cpu.ts";
import { cpu_random } from "./random.ts";
import { tick_nohz_tick_stopped } from "./sched.ts";
import { flush_smp_call_function_queue } from "./smp.ts";
import { preempt_schedule_irq, wake_up_process } from "./task.ts";
import { EV_IRQ, EV_NMI, trace } from "./trace.ts";

const {
  nmi: NMI,
  hardirq: HARDIRQ,
  irqs_off: IRQS_OFF,
  point: POINT,
  late_countdown: LATE,
  ticks: TICKS,
} = CpuSlot.offset;
const {
  nmis: NMIS,
  nmis_by_context: NMIS_BY_CONTEXT,
  irqs: IRQS,
  irqs_by_context: IRQS_BY_CONTEXT,
  ticks: C_TICKS,
  call_ipis: CALL_IPIS,
  irq_work_ipis: IRQ_WORK_IPIS,
  hrtimer_irqs: HRTIMER_IRQS,
  points_hit_controller: HIT_CONTROLLER,
  points_hit_local: HIT_LOCAL,
} = CpuCounters.offset;
const { pending: PENDING, irq_stat: IRQ_STAT } = PerCpu.offset;
const { softirq_pending: SOFTIRQ_PENDING } = IrqStat.offset;
const { nmi_handler: NMI_HANDLER, irq_handler: IRQ_HANDLER, irqwork_mode: IRQWORK_MODE } = Globals.offset;

/** Takes what can be taken now. @context Any */
export function deliver_pending(cpu: Cpu): void {
  for (;;) {
    const bits = cpu.mem.pending();
    if (bits & P_STOP) throw new MachineStopped();
    const bit = deliverable(cpu, bits);
    if (bit !== 0) {
      if (cpu.mem.take_pending(bit) !== 0) run_interrupt(cpu, bit);
    } else if (!(bits & P_IRQ_WORK_LATE && irq_work_is_due(cpu))) {
      return;
    }
  }
}

/** Runs the interrupt whose pending bit is `bit`, and returns to the interrupted code. The caller cleared the bit. */
export function run_interrupt(cpu: Cpu, bit: number): void {
  if (bit & P_ANY_NMI) run_nmi(cpu, bit);
  else if (bit !== P_RESCHED) run_hardirq(cpu, bit);
  else preempt_schedule_irq(cpu);
}

function run_nmi(cpu: Cpu, bit: number): void {
  const mem = cpu.mem;
  const point = mem.peek(cpu.slot, POINT);
  const flags = mem.peek(cpu.slot, IRQS_OFF);
  const local = bit === P_NMI ? 0 : 1;
  mem.count(cpu.counters, element(NMIS, local), 1);
  mem.count(cpu.counters, element(NMIS_BY_CONTEXT, current_context(cpu)), 1);
  mem.count(cpu.counters, element(local ? HIT_LOCAL : HIT_CONTROLLER, point), 1);
  push_context(cpu, CTX_NMI, bit);
  mem.poke(cpu.slot, NMI, 1);
  mem.poke(cpu.slot, IRQS_OFF, 1);
  mem.poke(cpu.slot, POINT, 0);
  trace(cpu, EV_NMI, bit, point);
  ct_nmi_enter(cpu);
  const handler = mem.peek(cpu.globals, NMI_HANDLER);
  if (handler !== 0) invoke(cpu, handler, NULL);
  ct_nmi_exit(cpu);
  mem.poke(cpu.slot, POINT, point);
  mem.poke(cpu.slot, IRQS_OFF, flags);
  mem.poke(cpu.slot, NMI, 0);
  pop_context(cpu, CTX_NMI);
}

function run_hardirq(cpu: Cpu, bit: number): void {
  const mem = cpu.mem;
  const point = mem.peek(cpu.slot, POINT);
  mem.count(cpu.counters, element(IRQS_BY_CONTEXT, current_context(cpu)), 1);
  push_context(cpu, CTX_HARDIRQ, bit);
  mem.poke(cpu.slot, IRQS_OFF, 1);
  mem.poke(cpu.slot, HARDIRQ, 1);
  mem.poke(cpu.slot, POINT, 0);
  trace(cpu, EV_IRQ, bit, point);
  ct_nmi_enter(cpu);
  run_vector(cpu, bit);
  mem.poke(cpu.slot, HARDIRQ, 0);
  pop_context(cpu, CTX_HARDIRQ);
  if (cpu.rt) wake_softirqd(cpu);
  else run_pending_softirqs(cpu); // With IRQs still off on entry; do_softirq() turns them on while it works.
  if (tick_nohz_tick_stopped(cpu)) invoke(cpu, CB.tick_nohz_irq_exit, NULL);
  ct_nmi_exit(cpu);
  mem.poke(cpu.slot, POINT, point);
  mem.poke(cpu.slot, IRQS_OFF, 0);
  mem.irqs_enabled();
}

/**
 * PREEMPT_RT: a task of this CPU serves the softirqs. The second one is woken for that, and preempts the main one
 * where that is preemptible; on its way back to sleep it runs what the CPU owes. Whoever is about to sleep looks again.
 */
function wake_softirqd(cpu: Cpu): void {
  if (cpu.mem.read(this_cpu_ptr(cpu, IRQ_STAT), SOFTIRQ_PENDING) === 0) return;
  wake_up_process(cpu, cpu.id | (1 << TASK_INDEX_SHIFT));
}

function run_vector(cpu: Cpu, bit: number): void {
  const mem = cpu.mem;
  if (bit === P_IPI_CALL) {
    mem.count(cpu.counters, CALL_IPIS, 1);
    flush_smp_call_function_queue(cpu);
  } else if (bit === P_IRQ) {
    mem.count(cpu.counters, IRQS, 1);
    const handler = mem.peek(cpu.globals, IRQ_HANDLER);
    if (handler !== 0) invoke(cpu, handler, NULL);
  } else if (bit === P_TICK) {
    mem.count(cpu.counters, C_TICKS, 1);
    mem.poke(cpu.slot, TICKS, mem.peek(cpu.slot, TICKS) + 1);
    invoke(cpu, CB.tick, NULL);
  } else if (bit === P_HRTIMER) {
    mem.count(cpu.counters, HRTIMER_IRQS, 1);
    invoke(cpu, CB.hrtimer_interrupt, NULL);
  } else {
    mem.count(cpu.counters, IRQ_WORK_IPIS, 1);
    invoke(cpu, CB.irq_work_run, NULL);
  }
}

/**
 * arch_irq_work_raise(): asks for the irq_work self-IPI. In prompt mode it is taken as soon as IRQs are on; in late
 * mode some steps later (heavy-tailed: mostly 1 to 64, sometimes thousands), unless a tick runs the list first.
 *
 * @kernel  arch/x86/kernel/irq_work.c
 * @context Any, NMI included.
 */
export function arch_irq_work_raise(cpu: Cpu): void {
  const mode = cpu.mem.peek(cpu.globals, IRQWORK_MODE);
  if (mode === IRQWORK_PROMPT || (mode !== IRQWORK_LATE && cpu_random(cpu) & 1)) {
    cpu.mem.raise(cpu.pending, P_IRQ_WORK);
    return;
  }
  cpu.mem.poke(cpu.slot, LATE, late_delay(cpu));
  cpu.mem.raise(cpu.pending, P_IRQ_WORK_LATE);
}
/**
 * Asks for the irq_work interrupt of CPU `id`. In late mode that CPU draws the delay when it sees the bit.
 * @context Any
 */
export function arch_irq_work_raise_on(cpu: Cpu, id: number): void {
  const mode = cpu.mem.peek(cpu.globals, IRQWORK_MODE);
  const prompt = mode === IRQWORK_PROMPT || (mode !== IRQWORK_LATE && (cpu_random(cpu) & 1) !== 0);
  cpu.mem.raise(per_cpu_ptr(cpu, PENDING, id), prompt ? P_IRQ_WORK : P_IRQ_WORK_LATE);
}
/** Steps until a late self-IPI: 2^0 .. 2^12, each order of magnitude equally likely. */
function late_delay(cpu: Cpu): number {
  return 1 + below(cpu_random(cpu), 1 << below(cpu_random(cpu), 13));
}
/** arch_irq_work_has_interrupt(): false when irq_work may have to wait for the tick; then irq_work_sync() sleeps. */
export function arch_irq_work_has_interrupt(cpu: Cpu): boolean {
  return cpu.mem.peek(cpu.globals, IRQWORK_MODE) === IRQWORK_PROMPT;
}
/** Counts a late self-IPI down; @returns true when it has just become deliverable. */
function irq_work_is_due(cpu: Cpu): boolean {
  const drawn = cpu.mem.peek(cpu.slot, LATE);
  const left = drawn === 0 ? late_delay(cpu) : drawn - 1; // 0: raised by another CPU.
  const masked = in_nmi(cpu) || in_hardirq(cpu) || irqs_disabled(cpu);
  cpu.mem.poke(cpu.slot, LATE, left > 0 ? left : masked ? 1 : 0);
  if (left > 0 || masked) return false;
  if (cpu.mem.take_pending(P_IRQ_WORK_LATE) !== 0) run_interrupt(cpu, P_IRQ_WORK);
  return true;
}
