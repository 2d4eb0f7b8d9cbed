/**
 * synchronize_rcu(): a callback that wakes the caller. kernel/rcu/tree.c, update.c (wait_rcu_gp); spec rcu 4.9.
 *
 * It waits for readers, not for callbacks: those queued before it may still be waiting for their turn.
 *
 * Differs: the kernel's waiters of normal grace periods may also queue on a list of their own (srs_next). rcu_synchronize
 * is on the kernel's stack; here each task has one, with those of its CPU.
 */
import { assert, bug } from "../../cpu/bug.ts";
import { might_sleep } from "../../cpu/context.ts";
import type { Cpu } from "../../cpu/cpu.ts";
import { oracle_grace_period_begin, oracle_grace_period_end } from "../../cpu/oracle.ts";
import { CB } from "../../layout/callbacks.ts";
import { RcuData, RcuSynchronize } from "../../layout/rcu.ts";
import { container_of, embedded, embedded_at, type Ptr } from "../../mem/struct.ts";
import { complete, init_completion, wait_for_completion } from "../sync/completion.ts";
import { this_rcu_data } from "./rcu_node.ts";
import { call_rcu_hurry } from "./tree_cb.ts";
import { rcu_read_lock_held } from "./update.ts";

const { synchronize: SYNCHRONIZE } = RcuData.offset;
const { head: HEAD, completion: COMPLETION, busy: BUSY } = RcuSynchronize.offset;

/**
 * synchronize_rcu() - wait until every reader that is there now has gone.
 * @context Task, may sleep, no reader.
 */
export function synchronize_rcu(cpu: Cpu): void {
  if (rcu_read_lock_held(cpu)) bug(cpu, "synchronize_rcu() in a reader: it would wait for itself");
  might_sleep(cpu, "synchronize_rcu()");
  const rs = embedded_at(this_rcu_data(cpu), SYNCHRONIZE, cpu.task_index, RcuSynchronize.size);
  const key = embedded(rs, COMPLETION); // The head is the key of the callback.
  oracle_grace_period_begin(cpu, key);
  assert(cpu, cpu.mem.read(rs, BUSY) === 0, "a task is in synchronize_rcu() twice");
  cpu.mem.write(rs, BUSY, 1);
  init_completion(cpu, embedded(rs, COMPLETION));
  call_rcu_hurry(cpu, embedded(rs, HEAD), CB.wakeme_after_rcu);
  wait_for_completion(cpu, embedded(rs, COMPLETION));
  cpu.mem.write(rs, BUSY, 0);
  oracle_grace_period_end(cpu, key);
}
/** wakeme_after_rcu(): the callback. @context Softirq */
export function wakeme_after_rcu(cpu: Cpu, head: Ptr<"rcu_head">): void {
  complete(cpu, embedded(container_of(head, HEAD), COMPLETION));
}
