/**
 * Several tasks on one CPU: who of them runs, and how one gives way to another. kernel/sched/core.c in spirit.
 *
 *   RUNNING --- says that it wants to sleep ---> GOING_TO_SLEEP --- __schedule() ---> BLOCKED
 *      ^                                               |                                |
 *      +------------------- wake_up_process() ---------+--------------------------------+
 *
 * Every task has a thread of its own, or a lane of the explorer. Exactly one of a CPU's threads runs at a time: the one
 * whose task is slot.current. The slot's words belong to it; what is its own among them it leaves in slot.stacks when
 * it gives way. Whoever gives way loads the words of the other, names it in slot.current and wakes its thread.
 *
 * A switch happens in task context only, with preempt_count 0: where the task sleeps or yields, or wherever P_RESCHED
 * finds it preemptible. What an interrupt interrupts is thus always the same task before and after.
 *
 * Differs: two tasks per CPU at most, both of the same priority, and no queue of runnable ones: the other one is next.
 */
import { CB } from "../layout/callbacks.ts";
import {
  CpuSlot,
  P_KICK,
  P_RESCHED,
  SchedTask,
  TASK_BLOCKED,
  TASK_DEAD,
  TASK_GOING_TO_SLEEP,
  TASK_RUNNING,
  Task,
  TaskStack,
} from "../layout/cpu.ts";
import { PerCpu } from "../layout/percpu.ts";
import { element, embedded, embedded_at, NULL, type Ptr } from "../mem/struct.ts";
import { bug } from "./bug.ts";
import { invoke } from "./callback_table.ts";
import { describe_context, local_irq_disable, local_irq_restore } from "./context.ts";
import { TASK_INDEX_SHIFT, type Cpu } from "./cpu.ts";
import { EV_SWITCH, trace } from "./trace.ts";

const {
  current: CURRENT,
  irqs_off: IRQS_OFF,
  softirq: SOFTIRQ,
  depth: DEPTH,
  contexts: CONTEXTS,
  point: POINT,
  held_depth: HELD_DEPTH,
  held: HELD,
  pc_depth: PC_DEPTH,
  obj_exts_depth: EXTS_DEPTH,
  items: ITEMS,
  main_task: MAIN_TASK,
  further_task: FURTHER_TASK,
  stacks: STACKS,
} = CpuSlot.offset;
const S = TaskStack.offset;
const { state: STATE, on_cpu: ON_CPU } = SchedTask.offset;
const { index: INDEX } = Task.offset;
const { tasks: TASKS, pending: PENDING } = PerCpu.offset;

/** Task `id` as others see it: number of its CPU, and on top of that its index there. @context Any */
export function sched_task(cpu: Cpu, id: number): Ptr<"sched_task"> {
  const section = cpu.map.section(id & ((1 << TASK_INDEX_SHIFT) - 1));
  return embedded_at(section, TASKS, id >> TASK_INDEX_SHIFT, SchedTask.size);
}
/** The other task of this CPU. */
const other_task = (cpu: Cpu): Ptr<"sched_task"> => sched_task(cpu, cpu.task_id ^ (1 << TASK_INDEX_SHIFT));

/**
 * Could the other task of this CPU run now? Race: somebody may be waking it; then P_RESCHED or KICK comes.
 * @context Task
 */
export function other_is_runnable(cpu: Cpu): boolean {
  const state = cpu.mem.read_once(other_task(cpu), STATE);
  return state === TASK_RUNNING || state === TASK_GOING_TO_SLEEP;
}

/**
 * set_current_state(TASK_UNINTERRUPTIBLE) - before the last look at what the task is about to sleep for.
 * @context Task
 */
export function prepare_to_sleep(cpu: Cpu): void {
  cpu.mem.write_once(cpu.sched, STATE, TASK_GOING_TO_SLEEP);
}
/** set_current_state(TASK_RUNNING): it does not want to sleep after all. @context Task */
export function finish_sleep(cpu: Cpu): void {
  cpu.mem.write_once(cpu.sched, STATE, TASK_RUNNING);
}
/** After prepare_to_sleep(), or in the sleep: has it been woken? @context Task */
export function is_woken(cpu: Cpu): boolean {
  return cpu.mem.read_once(cpu.sched, STATE) === TASK_RUNNING;
}

/**
 * wake_up_process() - task `id` may run. Its CPU looks again if it has nothing to do, and else at the next place
 * where what it runs is preemptible.
 * @kernel  kernel/sched/core.c
 * @context Any but NMI
 * @pairs   __schedule(): takes KICK, then looks at the states, and sleeps only while KICK is clear.
 */
export function wake_up_process(cpu: Cpu, id: number): void {
  const before = cpu.mem.xchg(sched_task(cpu, id), STATE, TASK_RUNNING);
  const section = cpu.map.section(id & ((1 << TASK_INDEX_SHIFT) - 1));
  // One that is not off the CPU looks once more anyway; but it may be parked (park()).
  cpu.mem.raise(embedded(section, PENDING), before === TASK_BLOCKED ? P_KICK | P_RESCHED : P_KICK);
}

/** Leaves the running task's words of the slot in slot.stacks[from]. No steps. */
function save_stack(cpu: Cpu, from: number): void {
  const { mem, slot } = cpu;
  const stack = embedded_at(slot, STACKS, from, TaskStack.size);
  mem.poke(stack, S.softirq, mem.peek(slot, SOFTIRQ));
  const depth = mem.peek(slot, DEPTH);
  mem.poke(stack, S.depth, depth);
  for (let i = 0; i < depth; i++) mem.poke(stack, element(S.contexts, i), mem.peek(slot, element(CONTEXTS, i)));
  mem.poke(stack, S.point, mem.peek(slot, POINT));
  const held = mem.peek(slot, HELD_DEPTH);
  mem.poke(stack, S.held_depth, held);
  for (let i = 0; i < 2 * held; i++) mem.poke(stack, element(S.held, i), mem.peek(slot, element(HELD, i)));
  mem.poke(stack, S.pc_depth, mem.peek(slot, PC_DEPTH));
  mem.poke(stack, S.obj_exts_depth, mem.peek(slot, EXTS_DEPTH));
  mem.poke(stack, S.items, mem.peek(slot, ITEMS));
}
/** The way back. */
function load_stack(cpu: Cpu, to: number): void {
  const { mem, slot } = cpu;
  const stack = embedded_at(slot, STACKS, to, TaskStack.size);
  mem.poke(slot, SOFTIRQ, mem.peek(stack, S.softirq));
  const depth = mem.peek(stack, S.depth);
  mem.poke(slot, DEPTH, depth);
  for (let i = 0; i < depth; i++) mem.poke(slot, element(CONTEXTS, i), mem.peek(stack, element(S.contexts, i)));
  mem.poke(slot, POINT, mem.peek(stack, S.point));
  const held = mem.peek(stack, S.held_depth);
  mem.poke(slot, HELD_DEPTH, held);
  for (let i = 0; i < 2 * held; i++) mem.poke(slot, element(HELD, i), mem.peek(stack, element(S.held, i)));
  mem.poke(slot, PC_DEPTH, mem.peek(stack, S.pc_depth));
  mem.poke(slot, EXTS_DEPTH, mem.peek(stack, S.obj_exts_depth));
  mem.poke(slot, ITEMS, mem.peek(stack, S.items));
}

/**
 * context_switch() - the other task goes on; returns when it is our turn again. A task that has never run begins with
 * IRQs on.
 * @param stays  false: the running task has ended, and nobody comes back.
 * @context IRQs off, preempt_count 0
 */
function context_switch(cpu: Cpu, stays: boolean): void {
  const { mem, slot } = cpu;
  const from = mem.peek(mem.peek(slot, CURRENT), INDEX);
  const to = 1 - from;
  trace(cpu, EV_SWITCH, from, to);
  save_stack(cpu, from);
  load_stack(cpu, to);
  mem.poke(slot, IRQS_OFF, 0);
  mem.poke(slot, CURRENT, embedded(slot, to === 0 ? MAIN_TASK : FURTHER_TASK));
  mem.switch_to(stays ? cpu.sched + ON_CPU : 0, other_task(cpu) + ON_CPU);
  mem.poke(slot, IRQS_OFF, 1);
}

/** Lets the other task run, if it can. @returns whether it did. @context Task, IRQs on, preempt_count 0 */
export function switch_to_other(cpu: Cpu): boolean {
  local_irq_disable(cpu); // From the look to the switch nobody may preempt us: the other task could block meanwhile.
  const runnable = other_is_runnable(cpu);
  if (runnable) context_switch(cpu, true);
  local_irq_restore(cpu, 0);
  return runnable;
}

/**
 * scheduler_tick(): each task runs for a tick at most, if the other one can.
 * @kernel kernel/sched/core.c
 * @context Hardirq
 */
export function scheduler_tick(cpu: Cpu): void {
  if (other_is_runnable(cpu)) cpu.mem.raise(cpu.pending, P_RESCHED);
}
/**
 * preempt_schedule_irq() - P_RESCHED has found the task preemptible. It stays runnable, whatever its state.
 * @kernel  kernel/sched/core.c
 * @context Task, preemptible; may be an RCU reader, which RCU then knows by its task.
 */
export function preempt_schedule_irq(cpu: Cpu): void {
  local_irq_disable(cpu);
  if (other_is_runnable(cpu)) {
    invoke(cpu, CB.rcu_note_preemption, NULL);
    context_switch(cpu, true);
  }
  local_irq_restore(cpu, 0);
}

/**
 * leave_to_other() - the main task is done with its CPU for good, and leaves it to the other one, which may sleep.
 * For a machine that ends: the thread of the caller does not come back. @context Task, holds nothing
 */
export function leave_to_other(cpu: Cpu): void {
  cpu.mem.write_once(cpu.sched, STATE, TASK_DEAD);
  cpu.mem.write_once(other_task(cpu), STATE, TASK_RUNNING);
  local_irq_disable(cpu);
  context_switch(cpu, false);
}
/**
 * do_exit() - the running task, which is not the main one, ends. The CPU goes to the main task, as soon as that can
 * run.
 * @param wait_for_work  what the CPU does until then.
 * @kernel  kernel/exit.c
 * @context Task, holds nothing, no reader
 */
export function do_exit(cpu: Cpu, wait_for_work: (cpu: Cpu) => void): void {
  if (cpu.task_index === 0) bug(cpu, `the main task ends (${describe_context(cpu)})`);
  cpu.mem.write_once(cpu.sched, STATE, TASK_DEAD);
  for (;;) {
    cpu.mem.take_pending(P_KICK | P_RESCHED);
    local_irq_disable(cpu);
    if (other_is_runnable(cpu)) break;
    local_irq_restore(cpu, 0);
    wait_for_work(cpu);
  }
  context_switch(cpu, false);
}
