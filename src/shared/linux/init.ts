/**
 * Boot: start_kernel() writes the initial state of every subsystem, once, on CPU 0, before any other CPU runs;
 * bind_all() connects callback numbers to functions, once per thread. init/main.c.
 */
import { assert } from "../cpu/bug.ts";
import { bind_callback } from "../cpu/callback_table.ts";
import type { Cpu } from "../cpu/cpu.ts";
import { CB } from "../layout/callbacks.ts";
import { Globals } from "../layout/globals.ts";
import { bind_kernel, kernel_init } from "./kernel/init.ts";
import { run_leftover_softirqs, softirqs_left } from "./kernel/softirq.ts";
import { get_next_timer_interrupt } from "./kernel/tick.ts";
import { run_work_items, works_left } from "./kernel/workqueue.ts";
import { bind_kvfree_rcu, kvfree_rcu_init } from "./mm/kvfree_rcu/init.ts";
import { kfree_rcu_scheduler_running } from "./mm/kvfree_rcu/krc_init.ts";
import { bind_debug } from "./mm/debug/bind.ts";
import { debug_init } from "./mm/debug/facilities.ts";
import { page_alloc_init } from "./mm/page_alloc/page_alloc.ts";
import { bind_slub, kmem_cache_init } from "./mm/slub/init.ts";
import { bind_vmalloc, vmalloc_init } from "./mm/vmalloc.ts";
import { rcu_gp_step } from "./rcu/tree_gp.ts";
import { bind_rcu, rcu_init } from "./rcu/tree.ts";

/** What a CPU does between operations and in sleeping waits. @returns true if there was anything to do. */
function run_items(cpu: Cpu): boolean {
  const softirqs = run_leftover_softirqs(cpu);
  const items = run_work_items(cpu);
  const gp = rcu_gp_step(cpu);
  return softirqs || items || gp;
}

/** Is anything left for run_items() but steps of a grace period? No step: for a machine that stands still. */
export function owes_items(cpu: Cpu): boolean {
  return softirqs_left(cpu) || works_left(cpu);
}

/** Connects every callback number. Once per thread, before its CPU starts. */
export function bind_all(): void {
  bind_kernel();
  bind_rcu();
  bind_slub();
  bind_debug();
  bind_vmalloc();
  bind_kvfree_rcu();
  bind_callback(CB.run_items, run_items);
}

const { hooks, poison_free, spurious, failslab, preempt, rt, migrate } = Globals.offset;
/** What only checked CPUs do; the last three rely on the preemption count of local_lock sections. */
const FOR_CHECKED_CPUS = [hooks, poison_free, spurious, failslab, preempt, rt, migrate];

/** Brings all subsystems up. @context Task on CPU 0, everything else stopped; callbacks are bound. */
export function start_kernel(cpu: Cpu): void {
  assert(
    cpu,
    cpu.checked || !wants_checks(cpu),
    "a CPU without checks has no hooks, poison, injected failures or tasks that preempt or migrate",
  );
  kernel_init(cpu);
  rcu_init(cpu);
  page_alloc_init(cpu);
  debug_init(cpu);
  kmem_cache_init(cpu);
  vmalloc_init(cpu);
  kvfree_rcu_init(cpu);
  kfree_rcu_scheduler_running(cpu);
}
function wants_checks({ mem, globals }: Cpu): boolean {
  return FOR_CHECKED_CPUS.some((word) => mem.peek(globals, word) !== 0);
}
export { get_next_timer_interrupt };
