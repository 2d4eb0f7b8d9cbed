/**
 * spinlock_t and raw_spinlock_t. include/linux/spinlock.h. They are the same, but with PREEMPT_RT the first sleeps:
 * sync/rt_mutex.ts, to which every function here hands locks of such classes over.
 *
 *   val == 0                       free
 *   val == cpu + 1                 held by that CPU
 *   val == cpu + 1 | CONTENDED     held, and somebody is parked until it is released
 *
 * A holder has preemption disabled. spin_lock() is legal in task, softirq and hardirq (the usual rules of IRQ safety are
 * checked by lockdep), never in NMI: an NMI may have interrupted the holder. spin_trylock() is legal anywhere. What the
 * interrupted code of this CPU holds is waited for in vain: that is a bug at once.
 *
 * A waiter spins cpu.spinBound turns and then parks. No wake-up is lost. The waiter clears its KICK, publishes the lock
 * in waits_for (1), and then finds CONTENDED set in val or sets it (2), or takes the lock. The holder's release is one
 * xchg(0) (3). Because (3) is the first store to val after the value found in (2), it returns CONTENDED, and the holder
 * then reads waits_for of every CPU (4). All four are sequentially consistent, so (4) sees (1), and the KICK comes after
 * the clearing and ends the block. The new holder does not inherit CONTENDED, but whoever was parked has been kicked,
 * and goes through (1) and (2) again. An interrupt of the waiter may park too and overwrite waits_for: it puts it back
 * and kicks its own CPU, so that the interrupted waiter looks once more.
 */
import { bug } from "../../cpu/bug.ts";
import { has_bug } from "../../cpu/bugs.ts";
import {
  describe_context,
  in_nmi,
  local_irq_disable,
  local_irq_enable,
  local_irq_restore,
  local_irq_save,
  preempt_disable,
  preempt_enable,
} from "../../cpu/context.ts";
import { per_cpu_ptr, type Cpu } from "../../cpu/cpu.ts";
import { fails_spuriously } from "../../cpu/random.ts";
import { kick_cpu, park } from "../../cpu/sched.ts";
import { point } from "../../cpu/trace.ts";
import { BUG_UP_TRYLOCK } from "../../layout/bugs.ts";
import { CpuPending, P_KICK } from "../../layout/cpu.ts";
import { PerCpu } from "../../layout/percpu.ts";
import { LOCK_CONTENDED, Spinlock } from "../../layout/types.ts";
import { NULL, type Ptr } from "../../mem/struct.ts";
import {
  describe_holder,
  lock_acquire,
  lock_check,
  lock_class_name,
  lock_class_point,
  lock_release,
  lockdep_assert_held,
} from "./lockdep.ts";
import { is_rt_mutex, rt_spin_lock, rt_spin_trylock, rt_spin_unlock } from "./rt_mutex.ts";

const { val: VAL, cls: CLS } = Spinlock.offset;
const { waits_for: WAITS_FOR } = CpuPending.offset;
const { pending: PENDING } = PerCpu.offset;
const OWNER_MASK = LOCK_CONTENDED - 1;

type Lock = Ptr<"spinlock">;

/** A free lock of class `cls` (LC). @context Any; nobody else can see it */
export function spin_lock_init(cpu: Cpu, lock: Lock, cls: number): void {
  cpu.mem.init(lock, VAL, 0);
  cpu.mem.init(lock, CLS, cls);
}

/**
 * spin_lock() - take the lock; wait for it if need be.
 * @context Task, Softirq, Hardirq; disables preemption. Waits for other CPUs only.
 * @pairs   spin_unlock(): what the last holder did is visible.
 */
export function spin_lock(cpu: Cpu, lock: Lock): void {
  if (is_rt_mutex(cpu, lock)) return rt_spin_lock(cpu, lock);
  preempt_disable(cpu);
  const cls = cpu.mem.read(lock, CLS);
  if (in_nmi(cpu)) bug(cpu, `spins in NMI: ${lock_class_name(cls)} ${lock} (${describe_context(cpu)})`);
  lock_check(cpu, lock, cls);
  const found = cpu.mem.cmpxchg(lock, VAL, 0, cpu.id + 1);
  if (found !== 0) spin_lock_slowpath(cpu, lock, cls, found);
  acquired(cpu, lock, cls);
}
function acquired(cpu: Cpu, lock: Lock, cls: number): void {
  lock_acquire(cpu, lock, cls, true);
  point(cpu, lock_class_point(cls));
}

function spin_lock_slowpath(cpu: Cpu, lock: Lock, cls: number, found: number): void {
  if ((found & OWNER_MASK) === cpu.id + 1) {
    const now = `waited for in ${describe_context(cpu)}`;
    bug(cpu, `self-deadlock: ${lock_class_name(cls)} ${lock}, ${describe_holder(cpu, lock)}, is ${now}`);
  }
  for (let turns = cpu.spinBound; turns > 0; turns--) {
    cpu.mem.relax();
    if (cpu.mem.read_once(lock, VAL) === 0 && cpu.mem.cmpxchg(lock, VAL, 0, cpu.id + 1) === 0) return;
  }
  const outer = cpu.mem.read_once(cpu.pending, WAITS_FOR); // What the code that we interrupted waits for.
  park(cpu, lock_or_mark_contended, lock);
  cpu.mem.write_once(cpu.pending, WAITS_FOR, outer);
  if (outer !== NULL) cpu.mem.raise(cpu.pending, P_KICK);
}
/** One look of a parked waiter, see the proof above. @returns true if the lock has been taken. */
function lock_or_mark_contended(cpu: Cpu, lock: Lock): boolean {
  cpu.mem.write_once(cpu.pending, WAITS_FOR, lock);
  let found = cpu.mem.cmpxchg(lock, VAL, 0, cpu.id + 1);
  while (found !== 0 && (found & LOCK_CONTENDED) === 0) {
    const before = found;
    found = cpu.mem.cmpxchg(lock, VAL, before, before | LOCK_CONTENDED);
    if (found === before) return false;
    if (found === 0) found = cpu.mem.cmpxchg(lock, VAL, 0, cpu.id + 1);
  }
  return found === 0;
}

/**
 * spin_trylock() - take the lock if it is free.
 * @returns false if it was held, or for no reason at all (globals.spurious).
 * @context Any, NMI included; disables preemption on success.
 */
export function spin_trylock(cpu: Cpu, lock: Lock): boolean {
  if (is_rt_mutex(cpu, lock)) return rt_spin_trylock(cpu, lock);
  preempt_disable(cpu);
  if (!fails_spuriously(cpu)) {
    const cls = cpu.mem.read(lock, CLS);
    if (cpu.mem.cmpxchg(lock, VAL, 0, cpu.id + 1) === 0 || takes_without_state(cpu, lock)) {
      acquired(cpu, lock, cls);
      return true;
    }
  }
  preempt_enable(cpu);
  return false;
}
/**
 * Without SMP a spinlock has no state, so that it can always be had, also by an NMI that has interrupted its holder (slub
 * B28). BUG_UP_TRYLOCK, on a machine of one CPU: CONTENDED, which nobody else sets there, tells the inner release.
 */
function takes_without_state(cpu: Cpu, lock: Lock): boolean {
  if (cpu.map.shape.cpus !== 1 || !has_bug(cpu, BUG_UP_TRYLOCK)) return false;
  cpu.mem.write_once(lock, VAL, (cpu.id + 1) | LOCK_CONTENDED);
  return true;
}

/** Makes the lock free. The last access to it: from the xchg on another CPU may free the memory it lies in. */
function release(cpu: Cpu, lock: Lock): void {
  lock_release(cpu, lock);
  const found = cpu.mem.xchg(lock, VAL, 0);
  if ((found & OWNER_MASK) !== cpu.id + 1) bug(cpu, `releases spinlock ${lock}, whose value is ${found}`);
  if ((found & LOCK_CONTENDED) === 0) return;
  if (cpu.map.shape.cpus === 1) cpu.mem.write_once(lock, VAL, cpu.id + 1); // Of the interrupted holder again.
  for (let id = 0; id < cpu.map.shape.cpus; id++) {
    if (cpu.mem.read_once(per_cpu_ptr(cpu, PENDING, id), WAITS_FOR) === lock) kick_cpu(cpu, id);
  }
}
/** spin_unlock(). @context that of the holder @pairs spin_lock(), spin_trylock() */
export function spin_unlock(cpu: Cpu, lock: Lock): void {
  if (is_rt_mutex(cpu, lock)) return rt_spin_unlock(cpu, lock);
  release(cpu, lock);
  preempt_enable(cpu);
}

/** spin_lock() with IRQs off. @returns flags for spin_unlock_irqrestore(). @context as spin_lock() */
export function spin_lock_irqsave(cpu: Cpu, lock: Lock): number {
  if (is_rt_mutex(cpu, lock)) {
    rt_spin_lock(cpu, lock); // IRQs stay on.
    return 0;
  }
  const flags = local_irq_save(cpu);
  spin_lock(cpu, lock);
  return flags;
}
/** @context that of the holder */
export function spin_unlock_irqrestore(cpu: Cpu, lock: Lock, flags: number): void {
  if (is_rt_mutex(cpu, lock)) return rt_spin_unlock(cpu, lock);
  release(cpu, lock);
  local_irq_restore(cpu, flags);
  preempt_enable(cpu);
}
/** spin_trylock() with IRQs off. @returns flags, or -1 if the lock was not obtained; then IRQs are as before. */
export function spin_trylock_irqsave(cpu: Cpu, lock: Lock): number {
  if (is_rt_mutex(cpu, lock)) return rt_spin_trylock(cpu, lock) ? 0 : -1;
  const flags = local_irq_save(cpu);
  if (spin_trylock(cpu, lock)) return flags;
  local_irq_restore(cpu, flags);
  return -1;
}
/** spin_lock() for a caller that knows IRQs to be on. @context Task, Softirq */
export function spin_lock_irq(cpu: Cpu, lock: Lock): void {
  if (is_rt_mutex(cpu, lock)) return rt_spin_lock(cpu, lock);
  local_irq_disable(cpu);
  spin_lock(cpu, lock);
}
/** Turns IRQs on, whatever they were. @context that of the holder */
export function spin_unlock_irq(cpu: Cpu, lock: Lock): void {
  if (is_rt_mutex(cpu, lock)) return rt_spin_unlock(cpu, lock);
  release(cpu, lock);
  local_irq_enable(cpu);
  preempt_enable(cpu);
}

/** Is it held by anybody? Race: the answer may be old when it is used. @context Any */
export function spin_is_locked(cpu: Cpu, lock: Lock): boolean {
  return cpu.mem.read_once(lock, VAL) !== 0;
}
/** A bug unless this CPU holds the lock. @context Any */
export function assert_spin_locked(cpu: Cpu, lock: Lock): void {
  lockdep_assert_held(cpu, lock);
}

export {
  spin_lock_init as raw_spin_lock_init,
  spin_lock as raw_spin_lock,
  spin_unlock as raw_spin_unlock,
  spin_trylock as raw_spin_trylock,
  spin_lock_irqsave as raw_spin_lock_irqsave,
  spin_unlock_irqrestore as raw_spin_unlock_irqrestore,
};
