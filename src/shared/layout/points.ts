/**
 * Named points: places in kernel code at which an interrupt is most interesting. point(cpu, POINT.x) marks one; sources
 * can be aimed at it, reports count how often an interrupt hit it, and the explorer can restrict injections to points.
 */
const names = [
  "slab_attach_kprobe_locked", // where the kernel's kprobe test hooks: a slab lock is asserted held
  "local_trylock_acquired", // after `acquired` was set
  "local_unlock", // before `acquired` is cleared
  "spin_lock_held", // a raw spinlock has just been taken
  "barn_lock_held",
  "list_lock_held",
  "zone_lock_held",
  "llist_add_before_cmpxchg",
  "llist_added_before_queue", // between llist_add() == true and irq_work_queue()
  "irq_work_claimed", // claimed, not yet on a list
  "irq_work_pending_cleared", // between clearing PENDING and running the function
  "irq_work_func_done", // between the function and clearing BUSY
  "slab_read_before_cmpxchg", // between reading the slab word and updating it
  "rcu_free_detached", // rcu_free is NULL, the sheaf not yet submitted
  "pcs_unlocked_window", // the sheaf lock is dropped inside an operation that will take it again
  "call_rcu_enqueue", // inside call_rcu's IRQ-off section
  "rcu_callback", // before a callback is invoked
  "krc_lock_held",
  "page_trylock_failed",
  "deferred_list_taken", // the handler has taken one of the three lists
] as const;
export type PointName = (typeof names)[number];

export const POINT = Object.fromEntries(names.map((name, i) => [name, i + 1])) as {
  readonly [N in PointName]: number;
};
/** Index = number; 0 is "no point". */
export const POINT_NAMES: readonly string[] = ["-", ...names];
/** Room for points in counters. */
export const MAX_POINTS = 64;
