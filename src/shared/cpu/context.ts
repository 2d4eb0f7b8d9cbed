/**
 * Where a CPU is: task, softirq, hardirq or NMI, with IRQs on or off, preemptible or not. include/linux/preempt.h and
 * irqflags.h. All words belong to the slot: interrupts nest, so a change made by an interrupt is undone before the
 * interrupted code looks again.
 *
 *   local_irq_save / local_irq_restore   hard interrupts of this CPU; NMIs are not masked
 *   preempt_disable / preempt_enable     no other task here; interrupts still come
 *   local_bh_disable / local_bh_enable   no softirq here
 */
import { MAX_CONTEXTS } from "../base/limits.ts";
import { CB } from "../layout/callbacks.ts";
import { CONTEXT_NAMES, CpuSlot, CTX_TASK, IrqStat, P_ANY_IRQ, P_ANY_NMI, P_RESCHED, Task } from "../layout/cpu.ts";
import { PerCpu } from "../layout/percpu.ts";
import { NULL, element } from "../mem/struct.ts";
import { bug } from "./bug.ts";
import { invoke } from "./callback_table.ts";
import { this_cpu_ptr, type Cpu } from "./cpu.ts";

const {
  irqs_off: IRQS_OFF,
  nmi: NMI,
  hardirq: HARDIRQ,
  softirq: SOFTIRQ,
  depth: DEPTH,
  contexts: CONTEXTS,
  current: CURRENT,
  items: ITEMS,
  online: ONLINE,
} = CpuSlot.offset;
const { preempt_count: PREEMPT_COUNT, bh_disabled: BH_DISABLED, rcu_read_lock_nesting: NESTING } = Task.offset;
const { irq_stat: IRQ_STAT } = PerCpu.offset;
const { softirq_pending: SOFTIRQ_PENDING } = IrqStat.offset;

/** Hard interrupts are masked; always so in NMI. */
export function irqs_disabled(cpu: Cpu): boolean {
  return cpu.mem.peek(cpu.slot, IRQS_OFF) !== 0;
}
/** @returns what local_irq_restore() takes. @context Any */
export function local_irq_save(cpu: Cpu): number {
  const flags = cpu.mem.peek(cpu.slot, IRQS_OFF);
  cpu.mem.poke(cpu.slot, IRQS_OFF, 1);
  return flags;
}
/** Pending interrupts that may not wait are taken before this returns, if it turns IRQs on. @context Any */
export function local_irq_restore(cpu: Cpu, flags: number): void {
  cpu.mem.poke(cpu.slot, IRQS_OFF, flags);
  if (flags === 0) cpu.mem.irqs_enabled();
}
export function local_irq_disable(cpu: Cpu): void {
  cpu.mem.poke(cpu.slot, IRQS_OFF, 1);
}
/** @context Task or Softirq */
export function local_irq_enable(cpu: Cpu): void {
  if (in_nmi(cpu) || in_hardirq(cpu)) bug(cpu, "local_irq_enable() in an interrupt handler");
  local_irq_restore(cpu, 0);
}

export function in_nmi(cpu: Cpu): boolean {
  return cpu.mem.peek(cpu.slot, NMI) !== 0;
}
export function in_hardirq(cpu: Cpu): boolean {
  return cpu.mem.peek(cpu.slot, HARDIRQ) !== 0;
}
/** A softirq is being served. With softirqs merely disabled it is false; in_softirq() of the kernel covers both. */
export function in_serving_softirq(cpu: Cpu): boolean {
  return cpu.mem.peek(cpu.slot, SOFTIRQ) !== 0;
}
/** Any interrupt context. */
export function in_interrupt(cpu: Cpu): boolean {
  return in_nmi(cpu) || in_hardirq(cpu) || in_serving_softirq(cpu);
}
/** No interrupt is active: task, or a non-blocking item that runs between its operations. */
export function in_task(cpu: Cpu): boolean {
  return !in_interrupt(cpu);
}
/** A non-blocking item is running: it has a task's rights but may not sleep. */
export function in_item(cpu: Cpu): boolean {
  return cpu.mem.peek(cpu.slot, ITEMS) !== 0;
}
/** May this code sleep now? No reader, nothing disabled, no interrupt, no non-blocking item. */
export function may_sleep(cpu: Cpu): boolean {
  const task = cpu.mem.peek(cpu.slot, CURRENT);
  return (
    in_task(cpu) &&
    !in_item(cpu) &&
    !irqs_disabled(cpu) &&
    cpu.mem.peek(task, PREEMPT_COUNT) === 0 &&
    cpu.mem.peek(task, BH_DISABLED) === 0 &&
    cpu.mem.peek(task, NESTING) === 0
  );
}
/** might_sleep(): a bug unless this code may sleep. */
export function might_sleep(cpu: Cpu, what: string): void {
  if (!may_sleep(cpu)) bug(cpu, `${what}: sleeps in atomic context (${describe_context(cpu)})`);
}

export function preempt_disable(cpu: Cpu): void {
  const task = cpu.mem.peek(cpu.slot, CURRENT);
  cpu.mem.poke(task, PREEMPT_COUNT, cpu.mem.peek(task, PREEMPT_COUNT) + 1);
}
export function preempt_enable(cpu: Cpu): void {
  const task = cpu.mem.peek(cpu.slot, CURRENT);
  const count = cpu.mem.peek(task, PREEMPT_COUNT) - 1;
  if (count < 0) bug(cpu, "preempt_enable() without preempt_disable()");
  cpu.mem.poke(task, PREEMPT_COUNT, count);
}
/**
 * preemptible() - may another task of this CPU take over here? Nothing disabled, no interrupt, no item; an RCU reader
 * may be preempted. @kernel include/linux/preempt.h
 */
export function preemptible(cpu: Cpu): boolean {
  const task = cpu.mem.peek(cpu.slot, CURRENT);
  return (
    cpu.preempt &&
    cpu.mem.peek(cpu.slot, DEPTH) === 0 &&
    !irqs_disabled(cpu) &&
    cpu.mem.peek(task, PREEMPT_COUNT) === 0 &&
    cpu.mem.peek(task, BH_DISABLED) === 0
  );
}
export function preempt_count(cpu: Cpu): number {
  return cpu.mem.peek(cpu.mem.peek(cpu.slot, CURRENT), PREEMPT_COUNT);
}
export function local_bh_disable(cpu: Cpu): void {
  const task = cpu.mem.peek(cpu.slot, CURRENT);
  cpu.mem.poke(task, BH_DISABLED, cpu.mem.peek(task, BH_DISABLED) + 1);
}
/** Runs softirqs that became pending meanwhile. @context Task or Softirq, IRQs on */
export function local_bh_enable(cpu: Cpu): void {
  const task = cpu.mem.peek(cpu.slot, CURRENT);
  const count = cpu.mem.peek(task, BH_DISABLED) - 1;
  if (count < 0) bug(cpu, "local_bh_enable() without local_bh_disable()");
  cpu.mem.poke(task, BH_DISABLED, count);
  if (count === 0) run_pending_softirqs(cpu);
}
/** What irq_exit() and local_bh_enable() do: serve pending softirqs if this is a place for them. */
export function run_pending_softirqs(cpu: Cpu): void {
  const task = cpu.mem.peek(cpu.slot, CURRENT);
  if (in_interrupt(cpu) || cpu.mem.peek(task, BH_DISABLED) !== 0) return;
  if (cpu.mem.read(this_cpu_ptr(cpu, IRQ_STAT), SOFTIRQ_PENDING) !== 0) invoke(cpu, CB.do_softirq, NULL);
}

/** NMIs do not nest, and do not reach a CPU that is offline. */
export function takes_nmis(cpu: Cpu): boolean {
  return !in_nmi(cpu) && cpu.mem.peek(cpu.slot, ONLINE) !== 0;
}
/** The pending interrupt that this CPU would take next in its present context, as one bit; 0: none. Last: P_RESCHED. */
export function deliverable(cpu: Cpu, bits: number): number {
  if (bits & P_ANY_NMI && takes_nmis(cpu)) return lowestBit(bits & P_ANY_NMI);
  if (bits & P_ANY_IRQ && !irqs_disabled(cpu)) return lowestBit(bits & P_ANY_IRQ);
  if (bits & P_RESCHED && preemptible(cpu)) return P_RESCHED;
  return 0;
}
const lowestBit = (bits: number): number => bits & -bits;

/** Pushes a context. `vector` says which interrupt. */
export function push_context(cpu: Cpu, kind: number, vector: number): void {
  const depth = cpu.mem.peek(cpu.slot, DEPTH);
  if (depth === MAX_CONTEXTS) bug(cpu, `contexts nest deeper than ${MAX_CONTEXTS}: ${describe_context(cpu)}`);
  cpu.mem.poke(cpu.slot, element(CONTEXTS, depth), kind | (vector << 8));
  cpu.mem.poke(cpu.slot, DEPTH, depth + 1);
}
export function pop_context(cpu: Cpu, kind: number): void {
  const depth = cpu.mem.peek(cpu.slot, DEPTH) - 1;
  if (depth < 0 || (cpu.mem.peek(cpu.slot, element(CONTEXTS, depth)) & 0xff) !== kind) {
    bug(cpu, `leaves ${CONTEXT_NAMES[kind]} context, but is in ${describe_context(cpu)}`);
  }
  cpu.mem.poke(cpu.slot, DEPTH, depth);
}
/** Kind of the innermost context. */
export function current_context(cpu: Cpu): number {
  const depth = cpu.mem.peek(cpu.slot, DEPTH);
  return depth === 0 ? CTX_TASK : cpu.mem.peek(cpu.slot, element(CONTEXTS, depth - 1)) & 0xff;
}
/** The context stack in words, outermost first: "task > hardirq > nmi, IRQs off". */
export function describe_context(cpu: Cpu): string {
  const names: string[] = [CONTEXT_NAMES[CTX_TASK]];
  for (let i = 0; i < cpu.mem.peek(cpu.slot, DEPTH); i++) {
    names.push(CONTEXT_NAMES[cpu.mem.peek(cpu.slot, element(CONTEXTS, i)) & 0xff] ?? "?");
  }
  const task = cpu.mem.peek(cpu.slot, CURRENT);
  const irqs = irqs_disabled(cpu) ? "IRQs off" : "IRQs on";
  const preempt = `preempt ${cpu.mem.peek(task, PREEMPT_COUNT)}`;
  if (cpu.mem.peek(cpu.slot, ONLINE) === 0) names.push("offline");
  return `${names.join(" > ")}, ${irqs}, ${preempt}, readers ${cpu.mem.peek(task, NESTING)}`;
}
