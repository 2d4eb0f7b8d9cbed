/**
 * local_lock_t and local_trylock_t: per-CPU locks, which exclude what runs on the same CPU. include/linux/local_lock.h.
 *
 *   local_lock      task context only; never waits: the lock is free whenever a task asks
 *   local_trylock   any context, NMI included; fails in an interrupt that hit a holder
 *   local_unlock    that of the holder
 *
 * All three leave IRQs alone; a holder has preemption disabled. `acquired` is a plain word that only its own CPU reads
 * and writes. The test and the store need not be one step: whatever interrupts in between runs to its end, so it has
 * released the lock again before we go on, and what we read still holds. Other CPUs' flushes never take it: they run a
 * work item here.
 *
 * Where the CPU is not checked (Memory.checked) preemption stays as it is: there is one task, which does not sleep in a
 * section of the lock, and no other reader of the count minds: nothing in a section relies on RCU.
 *
 * With PREEMPT_RT they sleep, and the other task of the CPU may hold them: sync/rt_mutex.ts.
 *
 * Why no list of held locks: the fast paths of the allocator take this lock. lockdep_assert_held() looks at `acquired`.
 */
import { bug } from "../../cpu/bug.ts";
import { describe_context, in_task, preempt_disable, preempt_enable } from "../../cpu/context.ts";
import type { Cpu } from "../../cpu/cpu.ts";
import { fails_spuriously } from "../../cpu/random.ts";
import { point } from "../../cpu/trace.ts";
import { POINT } from "../../layout/points.ts";
import { LocalTrylock } from "../../layout/types.ts";
import type { Ptr } from "../../mem/struct.ts";
import { lock_check } from "./lockdep.ts";
import { rt_local_lock, rt_local_trylock, rt_local_unlock } from "./rt_mutex.ts";

const { acquired: ACQUIRED, cls: CLS } = LocalTrylock.offset;
const { local_trylock_acquired: TAKEN, local_unlock: UNLOCK } = POINT;

/** A free lock of class `cls` (LC). @context Any; nobody else can see it */
export function local_lock_init(cpu: Cpu, l: Ptr<"local_trylock">, cls: number): void {
  cpu.mem.init(l, ACQUIRED, 0);
  cpu.mem.init(l, CLS, cls);
}

/** local_lock() - take the lock of this CPU. @context Task; disables preemption */
export function local_lock(cpu: Cpu, l: Ptr<"local_trylock">): void {
  if (cpu.rt) return rt_local_lock(cpu, l);
  if (!in_task(cpu)) bug(cpu, `local_lock() outside task context: ${describe_context(cpu)}`);
  lock_check(cpu, l, cpu.mem.read(l, CLS));
  if (cpu.checked) preempt_disable(cpu);
  if (cpu.mem.read(l, ACQUIRED) !== 0) bug(cpu, `local_lock() of ${l}, which this task holds`);
  cpu.mem.write(l, ACQUIRED, 1);
  point(cpu, TAKEN);
}

/**
 * local_trylock() - take the lock of this CPU unless the interrupted code holds it.
 * @returns false then, or for no reason at all (globals.spurious).
 * @context Any, NMI included; disables preemption on success.
 */
export function local_trylock(cpu: Cpu, l: Ptr<"local_trylock">): boolean {
  if (cpu.checked) return __local_trylock(cpu, l);
  if (cpu.mem.read(l, ACQUIRED) !== 0) return false;
  cpu.mem.write(l, ACQUIRED, 1);
  return true;
}
function __local_trylock(cpu: Cpu, l: Ptr<"local_trylock">): boolean {
  if (cpu.rt) return !fails_spuriously(cpu) && rt_local_trylock(cpu, l);
  preempt_disable(cpu);
  if (cpu.mem.read(l, ACQUIRED) !== 0 || fails_spuriously(cpu)) {
    preempt_enable(cpu);
    return false;
  }
  cpu.mem.write(l, ACQUIRED, 1);
  point(cpu, TAKEN);
  return true;
}

/** @context that of the holder */
export function local_unlock(cpu: Cpu, l: Ptr<"local_trylock">): void {
  if (cpu.checked) __local_unlock(cpu, l);
  else cpu.mem.write(l, ACQUIRED, 0);
}
function __local_unlock(cpu: Cpu, l: Ptr<"local_trylock">): void {
  if (cpu.rt) return rt_local_unlock(cpu, l);
  point(cpu, UNLOCK);
  if (cpu.mem.read(l, ACQUIRED) === 0) bug(cpu, `local_unlock() of ${l}, which is not held`);
  cpu.mem.write(l, ACQUIRED, 0);
  preempt_enable(cpu);
}
