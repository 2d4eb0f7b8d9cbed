/**
 * struct mutex: a lock whose waiters sleep, so its holder may sleep too. kernel/locking/mutex.c.
 *
 * owner is 0 or the number of the holder's task + 1: non-blocking items may not sleep. Waiters sleep on the
 * mutex's queue and all look again after a release; who comes first gets it, there is no order among them.
 *
 * Differs: mutex_trylock() is legal in items only as long as they release it before they end.
 */
import { bug } from "../../cpu/bug.ts";
import { describe_context, in_task, might_sleep } from "../../cpu/context.ts";
import type { Cpu } from "../../cpu/cpu.ts";
import { wait_event, wake_up } from "../../cpu/sched.ts";
import { Mutex } from "../../layout/types.ts";
import { WaitQueue } from "../../layout/types.ts";
import { embedded, type Ptr } from "../../mem/struct.ts";
import { lock_acquire, lock_check, lock_class_name, lock_is_held, lock_release } from "./lockdep.ts";

const { owner: OWNER, cls: CLS, waiters: WAITERS } = Mutex.offset;
const { cpus: CPUS } = WaitQueue.offset;

/** A free mutex of class `cls` (LC). @context Any; nobody else can see it */
export function mutex_init(cpu: Cpu, m: Ptr<"mutex">, cls: number): void {
  cpu.mem.init(m, OWNER, 0);
  cpu.mem.init(m, CLS, cls);
  cpu.mem.init(embedded(m, WAITERS), CPUS, 0);
}

const take = (cpu: Cpu, m: Ptr<"mutex">): boolean => cpu.mem.cmpxchg(m, OWNER, 0, cpu.task_id + 1) === 0;

/** mutex_lock() - take the mutex; sleep until it is free. @context Task, may sleep. @pairs mutex_unlock() */
export function mutex_lock(cpu: Cpu, m: Ptr<"mutex">): void {
  const cls = cpu.mem.read(m, CLS);
  might_sleep(cpu, `mutex_lock(${lock_class_name(cls)})`);
  if (lock_is_held(cpu, m)) bug(cpu, `self-deadlock: mutex ${lock_class_name(cls)} is held by this task`);
  lock_check(cpu, m, cls);
  if (!take(cpu, m)) wait_event(cpu, embedded(m, WAITERS), take, m);
  lock_acquire(cpu, m, cls, true);
}
/** mutex_trylock() - take the mutex if it is free. @context Task, item */
export function mutex_trylock(cpu: Cpu, m: Ptr<"mutex">): boolean {
  if (!in_task(cpu)) bug(cpu, `mutex_trylock() in ${describe_context(cpu)}`);
  const cls = cpu.mem.read(m, CLS);
  if (!take(cpu, m)) return false;
  lock_acquire(cpu, m, cls, true);
  return true;
}
/** mutex_unlock(). The mutex may not be freed before it returns. @context Task, the holder. @pairs mutex_lock() */
export function mutex_unlock(cpu: Cpu, m: Ptr<"mutex">): void {
  if (!in_task(cpu)) bug(cpu, `mutex_unlock() in ${describe_context(cpu)}`);
  lock_release(cpu, m);
  const found = cpu.mem.xchg(m, OWNER, 0);
  if (found !== cpu.task_id + 1) bug(cpu, `mutex_unlock() of ${m}, whose owner is ${found}`);
  wake_up(cpu, embedded(m, WAITERS));
}
/** Is it held by anybody? @context Any */
export function mutex_is_locked(cpu: Cpu, m: Ptr<"mutex">): boolean {
  return cpu.mem.read_once(m, OWNER) !== 0;
}
