/**
 * A task moves to another CPU. kernel/sched/core.c, migration_cpu_stop() in spirit; spec slub 2.2, last point.
 *
 * Two tasks exchange their CPUs, so that each CPU always has one. Who the other one is, and when, is the driver's business
 * (Memory.migrate()): on threads two workers meet; under the explorer it is a decision. Each stands where it could be
 * preempted and nothing of the slot's words is its own: no context, nothing disabled, no reader, no lock, no list on its kernel
 * stack. So nothing has to move but the task itself: its Cpu object stands for the other CPU afterwards.
 *
 * Only migration_point() moves a task. It is called where the sheaf lock has just been dropped and will be taken again,
 * and between operations. What code has read from this_cpu_ptr(), cpu.id and the like before is another CPU's after it:
 * code that goes on with it has the bug that this is to find.
 *
 * Differs: pid and flags of struct task stay with the CPU, so a task under PF_MEMALLOC stays, too: it would leave the flag to
 * somebody else. One that holds a mutex stays, since the mutex knows its owner by the CPU.
 */
import { CpuCounters, CpuSlot, PF_MEMALLOC, Task } from "../layout/cpu.ts";
import { in_task, irqs_disabled } from "./context.ts";
import type { Cpu } from "./cpu.ts";
import { EV_MIGRATE, trace } from "./trace.ts";

const {
  current: CURRENT,
  depth: DEPTH,
  held_depth: HELD_DEPTH,
  pc_depth: PC_DEPTH,
  obj_exts_depth: OBJ_EXTS_DEPTH,
} = CpuSlot.offset;
const {
  preempt_count: PREEMPT_COUNT,
  bh_disabled: BH_DISABLED,
  rcu_read_lock_nesting: NESTING,
  migration_disabled: MIGRATION_DISABLED,
  flags: FLAGS,
} = Task.offset;
const { migrations: MIGRATIONS } = CpuCounters.offset;

/** Could the task that stands here go on on another CPU? No steps. @context Any */
export function can_migrate(cpu: Cpu): boolean {
  const { mem, slot } = cpu;
  if (mem.peek(slot, DEPTH) !== 0 || !in_task(cpu) || irqs_disabled(cpu)) return false;
  const task = mem.peek(slot, CURRENT);
  const disabled = mem.peek(task, PREEMPT_COUNT) | mem.peek(task, BH_DISABLED) | mem.peek(task, MIGRATION_DISABLED);
  const own = mem.peek(slot, HELD_DEPTH) | mem.peek(slot, PC_DEPTH) | mem.peek(slot, OBJ_EXTS_DEPTH);
  const reserves = mem.peek(task, FLAGS) & PF_MEMALLOC;
  return (disabled | own | reserves | mem.peek(task, NESTING)) === 0;
}
/**
 * migration_point() - the task may be on another CPU afterwards, if it can migrate here. Out of line: callers look at
 * cpu.migrates first.
 * @param in_operation  false: between operations of a program.
 * @context Any
 */
export function migration_point(cpu: Cpu, in_operation: boolean): void {
  if (!can_migrate(cpu)) return;
  const from = cpu.id;
  const id = cpu.mem.migrate(in_operation);
  if (id < 0) return;
  cpu.become(id);
  cpu.mem.count(cpu.counters, MIGRATIONS, 1);
  trace(cpu, EV_MIGRATE, from, id);
}
