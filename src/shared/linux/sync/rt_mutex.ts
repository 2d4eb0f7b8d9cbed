/**
 * PREEMPT_RT: spinlock_t and local_lock_t are locks that sleep. kernel/locking/{rtmutex,spinlock_rt}.c, local_lock.h.
 *
 *   spinlock_t     IRQs and preemption stay on: only a task may wait for it, or hold it. A holder is an RCU reader.
 *   local_lock_t   the same per CPU: the other task of the CPU may hold it. A trylock fails in NMI and hardirq.
 *
 * Which spinlocks these are is said by their class (lockdep.ts, sleeps_on_rt); all others are raw_spinlock_t and as
 * ever. Words and wake-ups are those of spinlock.ts with tasks in place of CPUs: a waiter publishes the lock in
 * blocked_on, then marks it contended or takes it; the owner's release is one xchg, and whoever names the
 * lock in blocked_on is woken.
 *
 * A local lock is touched by tasks of one CPU only, so plain accesses with preemption off do for it.
 *
 * Differs: no priority inheritance, and whoever comes first after a release gets the lock. Waiting on the way to
 * another sleep ends that sleep early, where the kernel saves the state.
 */
import { bug } from "../../cpu/bug.ts";
import { invoke } from "../../cpu/callback_table.ts";
import {
  describe_context,
  in_hardirq,
  in_nmi,
  irqs_disabled,
  preempt_count,
  preempt_disable,
  preempt_enable,
} from "../../cpu/context.ts";
import { TASK_INDEX_SHIFT, type Cpu } from "../../cpu/cpu.ts";
import { fails_spuriously } from "../../cpu/random.ts";
import { __schedule } from "../../cpu/sched.ts";
import { finish_sleep, prepare_to_sleep, sched_task, wake_up_process } from "../../cpu/task.ts";
import { point } from "../../cpu/trace.ts";
import { CB } from "../../layout/callbacks.ts";
import { CpuSlot, SchedTask, Task } from "../../layout/cpu.ts";
import { POINT } from "../../layout/points.ts";
import { LOCK_CONTENDED, LocalTrylock, Spinlock } from "../../layout/types.ts";
import { NULL, type Ptr } from "../../mem/struct.ts";
import {
  class_sleeps_on_rt,
  lock_acquire,
  lock_check,
  lock_class_name,
  lock_class_point,
  lock_release,
} from "./lockdep.ts";

const { val: VAL, cls: CLS } = Spinlock.offset;
const { acquired: ACQUIRED, cls: LOCAL_CLS } = LocalTrylock.offset;
const { blocked_on: BLOCKED_ON } = SchedTask.offset;
const { current: CURRENT } = CpuSlot.offset;
const { migration_disabled: MIGRATION_DISABLED } = Task.offset;
const OWNER_MASK = LOCK_CONTENDED - 1;
const { local_trylock_acquired: TAKEN, local_unlock: UNLOCK } = POINT;

type Lock = Ptr<"spinlock">;
type LocalLock = Ptr<"local_trylock">;

/**
 * Is it a lock that sleeps on this machine? The class is constant once the lock is initialised: no step.
 * @context Any
 */
export function is_rt_mutex(cpu: Cpu, lock: Lock): boolean {
  return cpu.rt && class_sleeps_on_rt(cpu.mem.peek(lock, CLS));
}

/** migrate_disable(): the task stays on its CPU. */
function migrate_disable(cpu: Cpu): void {
  const task = cpu.mem.peek(cpu.slot, CURRENT);
  cpu.mem.poke(task, MIGRATION_DISABLED, cpu.mem.peek(task, MIGRATION_DISABLED) + 1);
}
function migrate_enable(cpu: Cpu): void {
  const task = cpu.mem.peek(cpu.slot, CURRENT);
  cpu.mem.poke(task, MIGRATION_DISABLED, cpu.mem.peek(task, MIGRATION_DISABLED) - 1);
}
/** rtlock_might_resched(): a bug where a task may not sleep for a lock. It may be in a reader, and in a softirq. */
function check_may_block(cpu: Cpu, what: string): void {
  if (!in_nmi(cpu) && !in_hardirq(cpu) && !irqs_disabled(cpu) && preempt_count(cpu) === 0) return;
  bug(cpu, `${what} sleeps on PREEMPT_RT, in atomic context (${describe_context(cpu)})`);
}
/** Sleeps until `attempt` succeeds. It publishes the lock first: @pairs rt_spin_unlock(), rt_local_unlock() */
function sleep_for(cpu: Cpu, lock: Lock, attempt: (cpu: Cpu, lock: Lock) => boolean): void {
  for (;;) {
    prepare_to_sleep(cpu);
    cpu.mem.write_once(cpu.sched, BLOCKED_ON, lock);
    if (attempt(cpu, lock)) break;
    __schedule(cpu, true);
  }
  finish_sleep(cpu);
  cpu.mem.write_once(cpu.sched, BLOCKED_ON, NULL);
}

/** rt_spin_lock() @kernel kernel/locking/spinlock_rt.c @context Task, or a softirq, which is one; nothing disabled. */
export function rt_spin_lock(cpu: Cpu, lock: Lock): void {
  const cls = cpu.mem.read(lock, CLS);
  check_may_block(cpu, `spin_lock(${lock_class_name(cls)})`);
  lock_check(cpu, lock, cls);
  if (cpu.mem.cmpxchg(lock, VAL, 0, cpu.task_id + 1) !== 0) sleep_for(cpu, lock, lock_or_mark_contended);
  acquired(cpu, lock, cls);
}
/** As in spinlock.ts. @returns true if the lock has been taken. */
function lock_or_mark_contended(cpu: Cpu, lock: Lock): boolean {
  let found = cpu.mem.cmpxchg(lock, VAL, 0, cpu.task_id + 1);
  while (found !== 0 && (found & LOCK_CONTENDED) === 0) {
    const before = found;
    found = cpu.mem.cmpxchg(lock, VAL, before, before | LOCK_CONTENDED);
    if (found === before) return false;
    if (found === 0) found = cpu.mem.cmpxchg(lock, VAL, 0, cpu.task_id + 1);
  }
  return found === 0;
}
function acquired(cpu: Cpu, lock: Lock, cls: number): void {
  invoke(cpu, CB.rcu_read_lock, NULL);
  migrate_disable(cpu);
  lock_acquire(cpu, lock, cls, true);
  point(cpu, lock_class_point(cls));
}
/**
 * rt_spin_trylock() - may be tried with IRQs off, but not where there is no task that could be the owner.
 * @kernel  kernel/locking/spinlock_rt.c
 * @context Task, Softirq
 */
export function rt_spin_trylock(cpu: Cpu, lock: Lock): boolean {
  const cls = cpu.mem.read(lock, CLS);
  if (in_nmi(cpu) || in_hardirq(cpu)) {
    bug(cpu, `spin_trylock(${lock_class_name(cls)}) of a sleeping lock (${describe_context(cpu)})`);
  }
  if (fails_spuriously(cpu) || cpu.mem.cmpxchg(lock, VAL, 0, cpu.task_id + 1) !== 0) return false;
  acquired(cpu, lock, cls);
  return true;
}
/** rt_spin_unlock() @kernel kernel/locking/spinlock_rt.c @context that of the holder */
export function rt_spin_unlock(cpu: Cpu, lock: Lock): void {
  lock_release(cpu, lock);
  migrate_enable(cpu);
  invoke(cpu, CB.rcu_read_unlock, NULL);
  const found = cpu.mem.xchg(lock, VAL, 0); // From here on its memory may be freed.
  if ((found & OWNER_MASK) !== cpu.task_id + 1) bug(cpu, `releases lock ${lock}, whose value is ${found}`);
  if ((found & LOCK_CONTENDED) === 0) return;
  for (let id = 0; id < cpu.map.shape.cpus; id++) {
    wake_if_blocked(cpu, id, lock);
    wake_if_blocked(cpu, id | (1 << TASK_INDEX_SHIFT), lock);
  }
}
function wake_if_blocked(cpu: Cpu, id: number, lock: Lock): void {
  if (cpu.mem.read_once(sched_task(cpu, id), BLOCKED_ON) === lock) wake_up_process(cpu, id);
}

/** Takes a free local lock. Nobody but tasks of this CPU looks at it, and none runs meanwhile. */
function take_local(cpu: Cpu, lock: Lock): boolean {
  const l = lock as Ptr as LocalLock;
  preempt_disable(cpu);
  const free = cpu.mem.read(l, ACQUIRED) === 0;
  if (free) cpu.mem.write(l, ACQUIRED, cpu.task_id + 1);
  preempt_enable(cpu);
  return free;
}
/**
 * local_lock()
 * @kernel include/linux/local_lock_internal.h
 * @context Task, nothing disabled: sleeps while the other task of this CPU holds it
 */
export function rt_local_lock(cpu: Cpu, l: LocalLock): void {
  const cls = cpu.mem.read(l, LOCAL_CLS);
  check_may_block(cpu, `local_lock(${lock_class_name(cls)})`);
  lock_check(cpu, l, cls);
  migrate_disable(cpu); // Before the look: it must be the lock of the CPU on which we stay.
  const lock = l as Ptr as Lock;
  if (!take_local(cpu, lock)) sleep_for(cpu, lock, take_local);
  point(cpu, TAKEN);
}
/** local_trylock() @context Any; false in NMI and hardirq, where there is no task that could be the owner. */
export function rt_local_trylock(cpu: Cpu, l: LocalLock): boolean {
  if (in_nmi(cpu) || in_hardirq(cpu)) return false;
  migrate_disable(cpu);
  if (!take_local(cpu, l as Ptr as Lock)) {
    migrate_enable(cpu);
    return false;
  }
  point(cpu, TAKEN);
  return true;
}
/** local_unlock() @context that of the holder */
export function rt_local_unlock(cpu: Cpu, l: LocalLock): void {
  point(cpu, UNLOCK);
  const owner = cpu.mem.read(l, ACQUIRED);
  if (owner !== cpu.task_id + 1) bug(cpu, `local_unlock() of ${l}, whose owner is ${owner}`);
  preempt_disable(cpu); // Else the other task could begin to wait between the two.
  cpu.mem.write(l, ACQUIRED, 0);
  wake_if_blocked(cpu, cpu.task_id ^ (1 << TASK_INDEX_SHIFT), l as Ptr as Lock);
  preempt_enable(cpu);
  migrate_enable(cpu);
}
