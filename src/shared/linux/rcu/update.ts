/**
 * Readers. include/linux/rcupdate.h, kernel/rcu/tree_plugin.h; spec rcu 4.2.
 *
 * A reader is any of: code between rcu_read_lock() and rcu_read_unlock(); code with preemption, softirqs or IRQs off; a
 * softirq; a handler of an IRQ or NMI. No grace period ends while one goes on that was there when it began.
 *
 * rcu_read_lock() counts in the task and touches nothing that is shared. That the count is 0 says only that there is no
 * reader of the first kind; whether a CPU is quiescent is asked where something interrupted it (rcu_interrupted_reader)
 * or where it gives the CPU up (rcu_note_context_switch).
 *
 * Deferred quiescent states: an unlock inside a reader of another kind ends nothing. The region counts until IRQs,
 * softirqs and preemption are back on, and is reported at the next place that sees all of it over.
 *
 * Differs: without globals.preempt no task is preempted, but there is a count all the same, so that an expedited grace
 * period learns of the end of a section at its unlock. With it, see tree_plugin.ts.
 */
import { bug } from "../../cpu/bug.ts";
import { current_context, describe_context, in_interrupt, in_nmi, irqs_disabled } from "../../cpu/context.ts";
import type { Cpu } from "../../cpu/cpu.ts";
import { oracle_reader_enter, oracle_reader_exit } from "../../cpu/oracle.ts";
import {
  CpuSlot,
  CTX_HARDIRQ,
  CTX_IDLE,
  CTX_ITEM,
  CTX_SOFTIRQ,
  CTX_TASK,
  Task,
  UNLOCK_BLOCKED,
  UNLOCK_EXP_HINT,
} from "../../layout/cpu.ts";
import { element, type Ptr } from "../../mem/struct.ts";
import { raise_softirq, RCU_SOFTIRQ } from "../kernel/softirq.ts";
import { this_rcu_data } from "./rcu_node.ts";
import { rcu_report_exp_rdp } from "./tree_exp_qs.ts";
import { rcu_preempt_deferred_qs } from "./tree_plugin.ts";

const { current: CURRENT, depth: DEPTH, contexts: CONTEXTS } = CpuSlot.offset;
const {
  rcu_read_lock_nesting: NESTING,
  rcu_read_unlock_special: SPECIAL,
  preempt_count: PREEMPT_COUNT,
  bh_disabled: BH_DISABLED,
} = Task.offset;

/**
 * rcu_read_lock() - what this CPU reads from now on will not be reclaimed before the matching rcu_read_unlock(). Nests.
 * @context Any where RCU watches: everything but idle itself. Takes and waits for nothing.
 */
export function rcu_read_lock(cpu: Cpu): void {
  const task = cpu.mem.peek(cpu.slot, CURRENT);
  const nesting = cpu.mem.peek(task, NESTING);
  cpu.mem.poke(task, NESTING, nesting + 1);
  if (nesting !== 0 || !cpu.checked) return;
  if (current_context(cpu) === CTX_IDLE) bug(cpu, "rcu_read_lock() in idle, where RCU does not watch");
  oracle_reader_enter(cpu);
}
/**
 * rcu_read_unlock()
 * @context as rcu_read_lock(). The outermost one may report a quiescent state that somebody waits for.
 */
export function rcu_read_unlock(cpu: Cpu): void {
  const task = cpu.mem.peek(cpu.slot, CURRENT);
  const nesting = cpu.mem.peek(task, NESTING) - 1;
  if (nesting < 0) bug(cpu, "rcu_read_unlock() without rcu_read_lock()");
  if (nesting === 0 && cpu.checked) oracle_reader_exit(cpu);
  cpu.mem.poke(task, NESTING, nesting);
  if (nesting === 0 && cpu.mem.peek(task, SPECIAL) !== 0) rcu_read_unlock_special(cpu);
}
/** rcu_read_lock_held(): inside rcu_read_lock()? Readers of the other kinds do not count. @context Any */
export function rcu_read_lock_held(cpu: Cpu): boolean {
  return cpu.mem.peek(cpu.mem.peek(cpu.slot, CURRENT), NESTING) !== 0;
}

/**
 * A grace period waits for the section that has just ended: an expedited one, or any if the task has been preempted in it.
 * Report it, or see to it that it is reported.
 */
function rcu_read_unlock_special(cpu: Cpu): void {
  // Why: only a hardirq of this CPU sets the flag, and it has nudged already if the section was inside another reader.
  if (in_nmi(cpu)) return;
  if (in_interrupt(cpu) || irqs_disabled(cpu) || task_is_reader(cpu, cpu.mem.peek(cpu.slot, CURRENT))) {
    raise_softirq(cpu, RCU_SOFTIRQ); // rcu_core() looks whether the region is over; the next context switch at the latest.
    return;
  }
  const special = cpu.mem.peek(cpu.mem.peek(cpu.slot, CURRENT), SPECIAL);
  if ((special & UNLOCK_BLOCKED) !== 0) rcu_preempt_deferred_qs(cpu);
  if ((special & UNLOCK_EXP_HINT) !== 0) rcu_report_exp_rdp(cpu, this_rcu_data(cpu));
}

/** The counts of a task that make its code a reader. */
function task_is_reader(cpu: Cpu, task: Ptr<"task">): boolean {
  const { mem } = cpu;
  return mem.peek(task, NESTING) !== 0 || mem.peek(task, PREEMPT_COUNT) !== 0 || mem.peek(task, BH_DISABLED) !== 0;
}
/**
 * rcu_interrupted_reader() - was what this hardirq interrupted a reader? That the interrupt came says that IRQs were on.
 *
 * A task, or an item between its operations, is one if it holds something; idle never is; a softirq always. An item runs
 * where its task may sleep, so the task below it is no reader.
 *
 * @context Hardirq, as its outermost function: what it disabled itself would count.
 */
export function rcu_interrupted_reader(cpu: Cpu): boolean {
  const depth = cpu.mem.peek(cpu.slot, DEPTH);
  if (current_context(cpu) !== CTX_HARDIRQ) bug(cpu, `no hardirq that interrupted something: ${describe_context(cpu)}`);
  return context_is_reader(cpu, depth - 1);
}
/**
 * rcu_softirq_over_reader() - is the code below this softirq a reader? rcu_core() holds no reference itself, softirqs do
 * not nest, and none runs with IRQs off below it: if the answer is no, the CPU is quiescent.
 * @context Softirq, rcu_core() only.
 */
export function rcu_softirq_over_reader(cpu: Cpu): boolean {
  const depth = cpu.mem.peek(cpu.slot, DEPTH);
  if (current_context(cpu) !== CTX_SOFTIRQ) bug(cpu, `not in softirq: ${describe_context(cpu)}`);
  return context_is_reader(cpu, depth - 1);
}
/** Is the code in the context below entry `top` of the context stack a reader? */
function context_is_reader(cpu: Cpu, top: number): boolean {
  const below = top === 0 ? CTX_TASK : cpu.mem.peek(cpu.slot, element(CONTEXTS, top - 1)) & 0xff;
  if (below === CTX_IDLE) return false;
  if (below !== CTX_TASK && below !== CTX_ITEM) return true;
  return task_is_reader(cpu, cpu.mem.peek(cpu.slot, CURRENT));
}
