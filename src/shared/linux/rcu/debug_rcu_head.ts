/** Is an rcu_head queued already? kernel/rcu/rcu.h, kernel/rcu/tree.c; spec rcu 3.3. Nothing happens with debugobjects off. */
import type { Cpu } from "../../cpu/cpu.ts";
import type { Ptr } from "../../mem/struct.ts";
import { debug_object_activate, debug_object_deactivate } from "../lib/debugobjects.ts";

/**
 * debug_rcu_head_queue() - an rcu_head, or an object given to kfree_rcu(), is being queued.
 * @kernel  kernel/rcu/rcu.h
 * @returns false: it is queued already, and must not be queued again.
 * @context Any but NMI. Waits for bucket locks.
 */
export function debug_rcu_head_queue(cpu: Cpu, head: Ptr): boolean {
  return debug_object_activate(cpu, head);
}
/** It is about to be invoked, or freed. @kernel kernel/rcu/rcu.h @context Any but NMI. Waits for bucket locks. */
export function debug_rcu_head_unqueue(cpu: Cpu, head: Ptr): void {
  debug_object_deactivate(cpu, head);
}
/** What becomes of a callback that has been queued twice: nobody knows whose it is, so nothing. @kernel kernel/rcu/tree.c */
export function rcu_leak_callback(): void {
  // Its object leaks.
}
