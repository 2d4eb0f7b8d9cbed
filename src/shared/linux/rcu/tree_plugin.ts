/**
 * Readers that are preempted: grace periods wait for their tasks. kernel/rcu/tree_plugin.h; spec rcu 4.2.
 *
 * A task that is preempted in a reader goes on blkd_tasks of its CPU's leaf. Then the CPU itself is quiescent, and
 * the leaf reports nothing upwards while gp_tasks is set: gp_tasks names the first task on the list that blocks the
 * present grace period, and all behind it block it too; exp_tasks the same for the expedited one. So a task that
 * blocks nothing goes to the head, any other to the tail. A grace period that begins waits for all that are on the
 * list by then.
 *
 * The outermost rcu_read_unlock() takes the task off, if it may take the leaf's lock there: not with IRQs, softirqs or
 * preemption off. Then the region counts until those are over, and a softirq or the next context switch does it.
 *
 * All of it under the leaf's lock, IRQs off.
 *
 * Differs: a task that blocks one kind of grace period goes behind all that block the other kind, which then waits
 * for it too; the kernel finds it a better place. No priority boosting.
 */
import { local_irq_restore, local_irq_save } from "../../cpu/context.ts";
import type { Cpu } from "../../cpu/cpu.ts";
import { CpuSlot, SchedTask, Task, UNLOCK_BLOCKED } from "../../layout/cpu.ts";
import { Globals, PREEMPT_FORGETS_READERS } from "../../layout/globals.ts";
import { RcuNode } from "../../layout/rcu.ts";
import { embedded, NULL, type Ptr } from "../../mem/struct.ts";
import { list_add, list_add_tail, list_del_init, list_empty, list_first, list_next } from "../lib/list.ts";
import {
  lock_rcu_node,
  rcu_cpu_mask,
  rcu_exp_done,
  rcu_mynode,
  rcu_preempt_blocked_readers_cgp,
  this_rcu_data,
  unlock_rcu_node,
} from "./rcu_node.ts";
import { __rcu_report_exp_rnp } from "./tree_exp_qs.ts";
import { note_gp_changes, rcu_qs, rcu_report_qs_rdp_if_due, rcu_report_unblock_qs_rnp } from "./tree_qs.ts";

const { current: CURRENT } = CpuSlot.offset;
const { rcu_read_lock_nesting: NESTING, rcu_read_unlock_special: SPECIAL } = Task.offset;
const { rcu_blocked_node: BLOCKED_NODE, rcu_node_entry: ENTRY } = SchedTask.offset;
const {
  blkd_tasks: BLKD_TASKS,
  gp_tasks: GP_TASKS,
  exp_tasks: EXP_TASKS,
  qsmask: QSMASK,
  expmask: EXPMASK,
} = RcuNode.offset;
const { preempt: PREEMPT } = Globals.offset;

/**
 * rcu_note_context_switch(true) - the task is about to be preempted, or waits for a lock of PREEMPT_RT: as a reader
 * or not. The CPU is quiescent then, since whoever was a reader on it is known by its task.
 * @kernel  kernel/rcu/tree_plugin.h
 * @context Task, nothing disabled but IRQs
 */
export function rcu_note_preemption(cpu: Cpu): void {
  const { mem } = cpu;
  const flags = local_irq_save(cpu);
  const rdp = this_rcu_data(cpu);
  const task = mem.peek(cpu.slot, CURRENT);
  note_gp_changes(cpu, rdp, true);
  if (mem.peek(task, NESTING) === 0) rcu_preempt_deferred_qs(cpu);
  else if ((mem.peek(task, SPECIAL) & UNLOCK_BLOCKED) === 0) rcu_preempt_ctxt_queue(cpu);
  rcu_qs(cpu, rdp);
  rcu_report_qs_rdp_if_due(cpu, rdp);
  local_irq_restore(cpu, flags);
}
/** Puts the running task on the list of its CPU's leaf. */
function rcu_preempt_ctxt_queue(cpu: Cpu): void {
  const { mem } = cpu;
  if (mem.peek(cpu.globals, PREEMPT) === PREEMPT_FORGETS_READERS) return;
  const rdp = this_rcu_data(cpu);
  const rnp = rcu_mynode(cpu, rdp);
  const task = mem.peek(cpu.slot, CURRENT);
  const entry = embedded(cpu.sched, ENTRY);
  const list = embedded(rnp, BLKD_TASKS);
  const flags = lock_rcu_node(cpu, rnp);
  mem.poke(task, SPECIAL, mem.peek(task, SPECIAL) | UNLOCK_BLOCKED);
  mem.write(cpu.sched, BLOCKED_NODE, rnp);
  const mask = rcu_cpu_mask(cpu, rdp);
  const blocks_gp = (mem.read(rnp, QSMASK) & mask) !== 0;
  const blocks_exp = (mem.read_once(rnp, EXPMASK) & mask) !== 0;
  if (blocks_gp || blocks_exp) list_add_tail(cpu, entry, list);
  else list_add(cpu, entry, list);
  if (blocks_gp && mem.read(rnp, GP_TASKS) === NULL) mem.write(rnp, GP_TASKS, entry);
  if (blocks_exp && mem.read_once(rnp, EXP_TASKS) === NULL) mem.write_once(rnp, EXP_TASKS, entry);
  unlock_rcu_node(cpu, rnp, flags);
}

/** rcu_preempt_check_blocked_tasks(): a grace period begins and waits for all that are blocked. Leaf's lock held. */
export function rcu_preempt_check_blocked_tasks(cpu: Cpu, rnp: Ptr<"rcu_node">): void {
  const list = embedded(rnp, BLKD_TASKS);
  if (!list_empty(cpu, list)) cpu.mem.write(rnp, GP_TASKS, list_first(cpu, list));
}
/** The same for an expedited one. Leaf's lock held. */
export function rcu_preempt_exp_tasks(cpu: Cpu, rnp: Ptr<"rcu_node">): void {
  const list = embedded(rnp, BLKD_TASKS);
  if (!list_empty(cpu, list)) cpu.mem.write_once(rnp, EXP_TASKS, list_first(cpu, list));
}

/**
 * rcu_preempt_deferred_qs() - a reader that had been preempted is over: its task blocks nothing any longer.
 * @kernel  kernel/rcu/tree_plugin.h
 * @context Any but NMI, and the task is in no reader of any kind: the caller has made sure.
 */
export function rcu_preempt_deferred_qs(cpu: Cpu): void {
  const { mem } = cpu;
  const task = mem.peek(cpu.slot, CURRENT);
  if ((mem.peek(task, SPECIAL) & UNLOCK_BLOCKED) === 0) return;
  const irqs = local_irq_save(cpu);
  mem.poke(task, SPECIAL, mem.peek(task, SPECIAL) & ~UNLOCK_BLOCKED);
  // Only the task itself, which we are, changes it.
  const rnp = mem.read(cpu.sched, BLOCKED_NODE);
  const flags = lock_rcu_node(cpu, rnp);
  mem.write(cpu.sched, BLOCKED_NODE, NULL);
  const blocked_gp = rcu_preempt_blocked_readers_cgp(cpu, rnp);
  const blocked_exp = !rcu_exp_done(cpu, rnp);
  const entry = embedded(cpu.sched, ENTRY);
  const behind = list_next(cpu, entry);
  const next = behind === embedded(rnp, BLKD_TASKS) ? NULL : behind;
  list_del_init(cpu, entry);
  if (mem.read(rnp, GP_TASKS) === entry) mem.write(rnp, GP_TASKS, next);
  if (mem.read_once(rnp, EXP_TASKS) === entry) mem.write_once(rnp, EXP_TASKS, next);
  const ends_exp = blocked_exp && rcu_exp_done(cpu, rnp);
  if (blocked_gp && !rcu_preempt_blocked_readers_cgp(cpu, rnp)) rcu_report_unblock_qs_rnp(cpu, rnp, flags);
  else unlock_rcu_node(cpu, rnp, flags);
  if (ends_exp) __rcu_report_exp_rnp(cpu, rnp, 0, lock_rcu_node(cpu, rnp), true);
  local_irq_restore(cpu, irqs);
}
/** Is the running task on a list although it is in no rcu_read_lock()? @context Any */
export function rcu_preempt_need_deferred_qs(cpu: Cpu): boolean {
  const task = cpu.mem.peek(cpu.slot, CURRENT);
  return cpu.mem.peek(task, NESTING) === 0 && (cpu.mem.peek(task, SPECIAL) & UNLOCK_BLOCKED) !== 0;
}
