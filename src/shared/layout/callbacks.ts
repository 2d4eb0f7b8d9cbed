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
  "hrtimer_interrupt", // an hrtimer is due
  "rcu_note_context_switch", // a task is about to sleep, or called cond_resched()
  "rcu_note_preemption", // a task is about to be preempted
  "rcu_all_qs", // cond_resched()
  "rcu_sched_clock_irq", // RCU's part of the tick
  "rcu_needs_cpu", // does RCU need the tick of a CPU that goes idle?
  "tick_nohz_idle_stop_tick", // a CPU goes idle
  "tick_nohz_idle_restart_tick", // it is idle no more
  "tick_nohz_irq_exit", // an interrupt returns to a CPU that is idle without ticks
  "run_items", // what a CPU does between operations: softirq, work items, a grace-period step; returns 1 if it did any
  "synchronize_rcu", // the RCU tail of irq_work_sync(); what stands for stop_machine() in cpu_down()
  "rcu_read_lock", // with PREEMPT_RT a holder of a spinlock_t is a reader
  "rcu_read_unlock",
  // Steps of a CPU that goes down or comes up (linux/kernel/cpu.ts): (cpu, section of the CPU that it is about).
  "rcutree_report_cpu_dead",
  "rcutree_report_cpu_starting",
  "rcutree_migrate_callbacks",
  "slub_cpu_dead",
  "memcg_hotplug_cpu_dead",
  "kasan_cpu_offline",
  "nmi_handler", // src/nmi: what an NMI runs
  "irq_handler", // src/nmi: what a device interrupt runs
  // Functions of cross-CPU calls: smp_call_function_single(). Their numbers are also indices: keep them together.
  "ipi_rcu_barrier_handler",
  "ipi_rcu_exp_handler",
  "ipi_test",
  "ipi_kasan_remove_cache",
  // Softirqs.
  "rcu_core",
  "run_timer_softirq",
  // irq_work functions.
  "irq_work_wake",
  "deferred_percpu_work_fn",
  "nolock_rfc_deferred_fn",
  "nolock_rfc_monitor_fn",
  "rcu_iw_handler",
  "obj_cgroup_release_workfn",
  "torture_irq_work",
  // RCU callbacks: (cpu, rcu_head).
  "wakeme_after_rcu",
  "rcu_barrier_callback",
  "rcu_leak_callback",
  "rcu_work_rcufn",
  "rcu_free_sheaf",
  "rcu_free_sheaf_nobarn",
  "rcu_free_slab",
  "kvfree_rcu_cb",
  "slab_free_after_rcu_debug",
  "rcu_guarded_free",
  "obj_cgroup_free",
  "torture_rcu_cb",
  // hrtimers: (cpu, timer).
  "schedule_page_work_fn",
  // Timers and work items: (cpu, work).
  "process_timeout",
  "delayed_work_timer_fn",
  "wq_barrier_func",
  "delayed_vfree_work",
  "flush_cpu_sheaves",
  "flush_rcu_sheaf",
  "drain_local_obj_stock",
  "kfree_rcu_monitor",
  "kfree_rcu_work",
  "fill_page_cache_func",
  "torture_work",
  // slub calls up to kvfree_rcu.
  "kvfree_call_rcu",
  "kvfree_rcu_barrier_on_cache",
  "deferred_work_barrier",
  "defer_free",
  // mm/debug calls up to slub.
  "___cache_free",
  "slab_free_rcu_debug",
  "alloc_slab_obj_exts",
  "alloc_slab_obj_exts_nolock",
  "memcg_alloc_abort_single",
  "memcg_alloc_abort_single_nolock",
  // What the scenarios of a torture run add to the interrupt handlers, and their RCU callbacks.
  "torture_nmi",
  "torture_irq",
  "rcu_torture_cb",
  "llist_torture_irq_work",
  "mt_free_walk",
  "typesafe_ctor",
  // The heap facade: src/main/heap.
  "heap_construct",
  "heap_retired",
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
export const NR_IPIS = 4;
