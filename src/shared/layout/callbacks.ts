/**
 * Numbers of all functions that are called through a pointer in shared memory, or upward through the layers. Each is
 * bound to its function once per thread at boot (linux/init.ts); a number means the same function on every thread.
 */
import type { CallbackId } from "../mem/struct.ts";

const names = [
  // Called by src/shared/cpu.
  "do_softirq", // irq_exit() with softirqs pending
  "tick", // the timer interrupt
  "irq_work_run", // the irq_work self-IPI
  "rcu_note_context_switch", // a task is about to sleep, or called cond_resched()
  "rcu_all_qs", // cond_resched()
  "rcu_sched_clock_irq", // RCU's part of the tick
  "run_items", // what a CPU does between operations: softirq, work items, a grace-period step; returns 1 if it did any
  "synchronize_rcu", // the RCU tail of irq_work_sync()
  "nmi_handler", // src/nmi: what an NMI runs
  "irq_handler", // src/nmi: what a device interrupt runs
  // Functions of cross-CPU calls: smp_call_function_single(). Their numbers are also indices: keep them together.
  "ipi_rcu_barrier_handler",
  "ipi_rcu_exp_handler",
  "ipi_test",
  // Softirqs.
  "rcu_core",
  "run_timer_softirq",
  // irq_work functions.
  "deferred_percpu_work_fn",
  "rcu_iw_handler",
  "torture_irq_work",
  // RCU callbacks: (cpu, rcu_head).
  "wakeme_after_rcu",
  "rcu_barrier_callback",
  "rcu_work_rcufn",
  "rcu_free_sheaf",
  "rcu_free_sheaf_nobarn",
  "rcu_free_slab",
  "kvfree_rcu_cb",
  "torture_rcu_cb",
  // Timers and work items: (cpu, work).
  "delayed_work_timer_fn",
  "wq_barrier_func",
  "flush_cpu_sheaves",
  "flush_rcu_sheaf",
  "kfree_rcu_monitor",
  "kfree_rcu_work",
  "torture_work",
  // slub calls up to kvfree_rcu.
  "kvfree_call_rcu",
  "kvfree_rcu_barrier_on_cache",
  "deferred_work_barrier",
  "defer_free",
  // What the scenarios of a torture run add to the interrupt handlers, and their RCU callbacks.
  "torture_nmi",
  "torture_irq",
  "rcu_torture_cb",
  "llist_torture_irq_work",
] as const;
export type CallbackName = (typeof names)[number];

/** 0 is the NULL function pointer. */
export const CB = Object.fromEntries(names.map((name, i) => [name, i + 1])) as {
  readonly [N in CallbackName]: CallbackId;
};
export const CALLBACK_NAMES: readonly string[] = ["NULL", ...names];
/** Numbers from here on are free for tests and scenarios. */
export const FIRST_FREE_CALLBACK = 128;
export const MAX_CALLBACKS = 256;
/** Cross-CPU functions: first number, and how many. */
export const FIRST_IPI = CB.ipi_rcu_barrier_handler;
export const NR_IPIS = 3;
