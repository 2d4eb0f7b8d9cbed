/**
 * Lock classes, their order, and the checks on every acquisition. kernel/locking/lockdep.c in spirit: the order that is
 * written here is the order that is enforced, so there is nothing to learn at run time.
 *
 *   order     a lock is waited for only under locks with a smaller number, taken in the same kind of context;
 *             a trylock waits for nothing and is exempt, but what it took counts for those that follow
 *   IRQs      a class that an interrupt waits for is never held where that interrupt could come
 *   leaving   no handler returns with a lock that it took
 *
 * The locks that a CPU holds lie in its slot as pairs (address, class | level << 8), newest last: two words of
 * slot.held each. Per-CPU local locks are not among them, see sync/local_lock.ts.
 *
 * Nothing here is a step. The usage words of the IRQ check are shared by all CPUs without atomics. Race: a lost update
 * delays the report to the next acquisition. They are left alone in a rebuild, which must not see the future.
 */
import { MAX_HELD_LOCKS } from "../../base/limits.ts";
import { bug } from "../../cpu/bug.ts";
import { describe_context, irqs_disabled } from "../../cpu/context.ts";
import type { Cpu } from "../../cpu/cpu.ts";
import { CpuSlot, Task } from "../../layout/cpu.ts";
import { Globals } from "../../layout/globals.ts";
import { POINT } from "../../layout/points.ts";
import { LocalTrylock } from "../../layout/types.ts";
import { element, NULL, type Ptr } from "../../mem/struct.ts";

const {
  held: HELD,
  held_depth: HELD_DEPTH,
  nmi: NMI,
  hardirq: HARDIRQ,
  softirq: SOFTIRQ,
  current: CURRENT,
} = CpuSlot.offset;
const { bh_disabled: BH_DISABLED } = Task.offset;
const { lockdep_usage: USAGE } = Globals.offset;
const { acquired: ACQUIRED, cls: CLS } = LocalTrylock.offset;

export type LockKind = "sleeping" | "local" | "spin" | "bit";
export interface LockClass {
  readonly name: string;
  /** Taken after all with a smaller number. */
  readonly order: number;
  readonly kind: LockKind;
  /** Never waited for under this class either, though the numbers would allow it. */
  readonly not_under?: string;
  /** With PREEMPT_RT it is a spinlock_t that sleeps (sync/rt_mutex.ts); the others are raw_spinlock_t. */
  readonly sleeps_on_rt?: true;
  /** Named point right after the acquisition. */
  readonly point?: number;
}

/** Outermost first. Numbers 0 to 6 are those of the comment at the top of mm/slub.c. */
const classes = [
  { name: "cpu_hotplug_lock", order: 0, kind: "sleeping" },
  { name: "slab_mutex", order: 1, kind: "sleeping" },
  { name: "flush_lock", order: 1.1, kind: "sleeping" },
  { name: "rcu_barrier_mutex", order: 1.2, kind: "sleeping" },
  { name: "rcu_exp_mutex", order: 1.3, kind: "sleeping" },
  { name: "irq_work_sync_mutex", order: 1.4, kind: "sleeping" },
  { name: "krc_shrink_mutex", order: 1.5, kind: "sleeping" },
  { name: "percpu_charge_mutex", order: 1.7, kind: "sleeping" },
  { name: "test_mutex", order: 1.8, kind: "sleeping" },
  { name: "test_mutex_inner", order: 1.9, kind: "sleeping" },
  { name: "ma_lock", order: 1.92, kind: "spin" },
  { name: "pi_lock", order: 1.95, kind: "spin" },
  { name: "pcs", order: 2, kind: "local" },
  { name: "obj_stock", order: 2.1, kind: "local" },
  { name: "barn", order: 3, kind: "spin", sleeps_on_rt: true, point: POINT.barn_lock_held },
  { name: "list_lock", order: 4, kind: "spin", sleeps_on_rt: true, not_under: "barn", point: POINT.list_lock_held },
  { name: "slab_lock", order: 5, kind: "bit" },
  { name: "object_map_lock", order: 6, kind: "spin", sleeps_on_rt: true },
  { name: "vmap_area", order: 6.5, kind: "spin", sleeps_on_rt: true },
  { name: "zone", order: 7, kind: "spin", sleeps_on_rt: true, point: POINT.zone_lock_held },
  { name: "krc", order: 8, kind: "spin", point: POINT.krc_lock_held },
  { name: "timer_base", order: 9, kind: "spin" },
  { name: "workqueue_pool", order: 10, kind: "spin" },
  { name: "rcu_barrier_lock", order: 11, kind: "spin" },
  { name: "rcu_node_leaf", order: 12, kind: "spin" },
  { name: "rcu_node_mid", order: 13, kind: "spin" },
  { name: "rcu_node_root", order: 14, kind: "spin" },
  { name: "rcu_gp", order: 15, kind: "spin" },
  { name: "kasan_quarantine", order: 16, kind: "spin" },
  { name: "kfence_freelist", order: 17, kind: "spin" },
  { name: "objcg", order: 18, kind: "spin" },
  { name: "kmemleak", order: 19, kind: "spin" },
  { name: "debug_bucket", order: 19.1, kind: "spin" },
  { name: "debug_pool", order: 19.2, kind: "spin" },
  { name: "test", order: 20, kind: "spin" },
  { name: "test_inner", order: 21, kind: "spin" },
  { name: "hrtimer_base", order: 22, kind: "spin" },
] as const satisfies readonly LockClass[];
export type LockClassName = (typeof classes)[number]["name"];

/** Class numbers, from 1 on: 0 is the class of a lock that nobody has initialised. */
export const LC = Object.fromEntries(classes.map((c, i) => [c.name, i + 1])) as {
  readonly [N in LockClassName]: number;
};
/** The table, outermost first; for reports and documentation. */
export const LOCK_CLASSES: readonly LockClass[] = classes;

const UNINITIALISED: LockClass = { name: "uninitialised lock", order: -1, kind: "spin" };
const table: readonly LockClass[] = [UNINITIALISED, ...classes];
const lock_class = (cls: number): LockClass => table[cls] ?? UNINITIALISED;
/** A class in words. */
export const lock_class_name = (cls: number): string => lock_class(cls).name;
/** Does a spinlock of this class sleep with PREEMPT_RT? */
export const class_sleeps_on_rt = (cls: number): boolean => lock_class(cls).sleeps_on_rt === true;
/** The point that an acquisition of this class visits. */
export const lock_class_point = (cls: number): number => lock_class(cls).point ?? POINT.spin_lock_held;

// Levels: contexts that nest. Work items count as task; so does idle.
const LEVEL_NAMES = ["task", "softirq", "hardirq", "NMI"] as const;
const LEVEL_SOFTIRQ = 1;
const LEVEL_HARDIRQ = 2;
function level_of(cpu: Cpu): number {
  const { mem, slot } = cpu;
  if (mem.peek(slot, NMI) !== 0) return 3;
  if (mem.peek(slot, HARDIRQ) !== 0) return LEVEL_HARDIRQ;
  return mem.peek(slot, SOFTIRQ) !== 0 ? LEVEL_SOFTIRQ : 0;
}

// Usage of a class, ever.
const WAITED_IN_HARDIRQ = 1;
const WAITED_IN_SOFTIRQ = 2;
const HELD_WITH_IRQS_ON = 4;
const HELD_WITH_SOFTIRQS_ON = 8;

const held_address = (cpu: Cpu, i: number): number => cpu.mem.peek(cpu.slot, element(HELD, 2 * i));
const held_info = (cpu: Cpu, i: number): number => cpu.mem.peek(cpu.slot, element(HELD, 2 * i + 1));
const held_class = (cpu: Cpu, i: number): LockClass => lock_class(held_info(cpu, i) & 0xff);
const held_level = (cpu: Cpu, i: number): number => held_info(cpu, i) >> 8;

/** The locks that this CPU holds, in words, oldest first. */
export function describe_held_locks(cpu: Cpu): string {
  const locks: string[] = [];
  for (let i = 0; i < cpu.mem.peek(cpu.slot, HELD_DEPTH); i++) {
    locks.push(`${held_class(cpu, i).name} ${held_address(cpu, i)} (taken in ${LEVEL_NAMES[held_level(cpu, i)]})`);
  }
  return locks.length === 0 ? "no locks held" : `holds ${locks.join(", ")}`;
}
/** In which context this CPU took `lock`, in words. */
export function describe_holder(cpu: Cpu, lock: Ptr): string {
  for (let i = cpu.mem.peek(cpu.slot, HELD_DEPTH) - 1; i >= 0; i--) {
    if (held_address(cpu, i) === lock) return `taken in ${LEVEL_NAMES[held_level(cpu, i)] ?? "?"} context`;
  }
  return "not on the stack of held locks";
}

/** May this code wait for `lock` now? A bug unless so. Called before the wait. @context Any */
export function lock_check(cpu: Cpu, lock: Ptr, cls: number): void {
  const { name, order } = lock_class(cls);
  if (order < 0) bug(cpu, `lock ${lock} was never initialised`);
  const level = level_of(cpu);
  for (let i = cpu.mem.peek(cpu.slot, HELD_DEPTH) - 1; i >= 0; i--) {
    if (held_level(cpu, i) !== level) continue;
    const held = held_class(cpu, i);
    if (held_address(cpu, i) === lock) bug(cpu, `${name} ${lock} is taken twice (${describe_context(cpu)})`);
    if (held.order >= order || (lock_class(cls).not_under ?? "") === held.name) {
      bug(cpu, `lock order: waits for ${name} (${order}), but ${describe_held_locks(cpu)}`);
    }
  }
  if (level === LEVEL_HARDIRQ) note_usage(cpu, cls, WAITED_IN_HARDIRQ, HELD_WITH_IRQS_ON);
  else if (level === LEVEL_SOFTIRQ && !(cpu.rt && class_sleeps_on_rt(cls)))
    note_usage(cpu, cls, WAITED_IN_SOFTIRQ, HELD_WITH_SOFTIRQS_ON);
}

/**
 * lock_acquire() - the lock has been obtained, or is waited for by somebody who does no more than wait: check, record.
 * @param trylock  nothing was waited for (or lock_check() has been called): the order does not matter.
 * @context Any
 */
export function lock_acquire(cpu: Cpu, lock: Ptr, cls: number, trylock: boolean): void {
  if (!trylock) lock_check(cpu, lock, cls);
  const { mem, slot } = cpu;
  const depth = mem.peek(slot, HELD_DEPTH);
  if (2 * depth + 1 >= MAX_HELD_LOCKS) bug(cpu, `too many locks: ${describe_held_locks(cpu)}`);
  const level = level_of(cpu);
  mem.poke(slot, element(HELD, 2 * depth), lock);
  mem.poke(slot, element(HELD, 2 * depth + 1), cls | (level << 8));
  mem.poke(slot, HELD_DEPTH, depth + 1);
  const { kind } = lock_class(cls);
  if (level >= LEVEL_HARDIRQ || irqs_disabled(cpu) || (kind !== "spin" && kind !== "bit")) return;
  if (cpu.rt && class_sleeps_on_rt(cls)) return; // No interrupt waits for it; a softirq is a task.
  note_usage(cpu, cls, HELD_WITH_IRQS_ON, WAITED_IN_HARDIRQ);
  if (level === 0 && mem.peek(mem.peek(slot, CURRENT), BH_DISABLED) === 0) {
    note_usage(cpu, cls, HELD_WITH_SOFTIRQS_ON, WAITED_IN_SOFTIRQ);
  }
}

/** The lock is about to be released. A bug if this CPU does not hold it. @context Any */
export function lock_release(cpu: Cpu, lock: Ptr): void {
  const { mem, slot } = cpu;
  const last = mem.peek(slot, HELD_DEPTH) - 1;
  let i = last;
  while (i >= 0 && held_address(cpu, i) !== lock) i--;
  if (i < 0) bug(cpu, `releases lock ${lock}, which it does not hold: ${describe_held_locks(cpu)}`);
  if (held_level(cpu, i) !== level_of(cpu)) {
    bug(cpu, `releases ${held_class(cpu, i).name}, ${describe_holder(cpu, lock)} (${describe_context(cpu)})`);
  }
  for (; i < last; i++) {
    mem.poke(slot, element(HELD, 2 * i), held_address(cpu, i + 1));
    mem.poke(slot, element(HELD, 2 * i + 1), held_info(cpu, i + 1));
  }
  mem.poke(slot, HELD_DEPTH, last);
}

/** Does this CPU hold the lock, in whatever context? */
export function lock_is_held(cpu: Cpu, lock: Ptr): boolean {
  for (let i = cpu.mem.peek(cpu.slot, HELD_DEPTH) - 1; i >= 0; i--) {
    if (held_address(cpu, i) === lock) return true;
  }
  return false;
}
/**
 * debug_check_no_locks_freed() - the memory is being freed: does this CPU hold a lock in it?
 * @kernel  kernel/locking/lockdep.c
 * @returns the lock, or NULL. Other CPUs' locks and local locks are not known here.
 * @context Any
 */
export function debug_check_no_locks_freed(cpu: Cpu, mem_from: Ptr, mem_len: number): Ptr {
  for (let i = cpu.mem.peek(cpu.slot, HELD_DEPTH) - 1; i >= 0; i--) {
    const lock = held_address(cpu, i);
    if (lock >= mem_from && lock < mem_from + mem_len) return lock as Ptr;
  }
  return NULL;
}
/**
 * lockdep_assert_held(): a bug unless this CPU holds the lock. A local lock says so itself: it is in no list.
 * @context Any
 */
export function lockdep_assert_held(
  cpu: Cpu,
  lock: Ptr<"spinlock"> | Ptr<"mutex"> | Ptr<"percpu_rw_semaphore"> | Ptr<"local_trylock">,
): void {
  if (lock_is_held(cpu, lock) || cpu.mem.rebuilding) return;
  const local = lock as Ptr as Ptr<"local_trylock">; // The class is the second word of every lock.
  if (lock_class(cpu.mem.peek(local, CLS)).kind === "local" && cpu.mem.peek(local, ACQUIRED) !== 0) return;
  bug(cpu, `lock ${lock} is not held: ${describe_held_locks(cpu)}`);
}
/** A bug if what runs in the present kind of context holds a lock: it is about to return. @context Any */
export function lockdep_check_no_locks(cpu: Cpu, what: string): void {
  const last = cpu.mem.peek(cpu.slot, HELD_DEPTH) - 1;
  if (last >= 0 && held_level(cpu, last) >= level_of(cpu)) bug(cpu, `${what}: ${describe_held_locks(cpu)}`);
}
/** A bug if this CPU holds a lock that must not be held while sleeping. @context Task */
export function lockdep_check_may_sleep(cpu: Cpu, what: string): void {
  for (let i = cpu.mem.peek(cpu.slot, HELD_DEPTH) - 1; i >= 0; i--) {
    if (held_class(cpu, i).kind !== "sleeping") bug(cpu, `${what} in atomic context: ${describe_held_locks(cpu)}`);
  }
}

function note_usage(cpu: Cpu, cls: number, usage: number, conflict: number): void {
  if (cpu.mem.rebuilding) return;
  const word = element(USAGE, cls);
  const before = cpu.mem.peek(cpu.globals, word);
  if ((before & usage) === 0) cpu.mem.poke(cpu.globals, word, before | usage);
  if ((before & conflict) !== 0) {
    const where = usage & (WAITED_IN_HARDIRQ | HELD_WITH_IRQS_ON) ? "hardirqs" : "softirqs";
    bug(cpu, `${lock_class_name(cls)}: ${where} wait for it, and it is held with ${where} on: they could meet`);
  }
}
