/**
 * What a CPU of the heap does before its call ends: the interrupts, softirqs and work items that it owes, and the next
 * pieces of a grace period. There are no ticks, and nobody else would do it: when a call ends, either nothing is left
 * that can be done now, or it waits for a reader or for a call on another CPU, each of whom is told.
 */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { this_cpu_ptr } from "../../shared/cpu/cpu.ts";
import { run_items } from "../../shared/cpu/sched.ts";
import { P_KICK } from "../../shared/layout/cpu.ts";
import { PerCpu } from "../../shared/layout/percpu.ts";
import { RcuData, RcuSegcblist } from "../../shared/layout/rcu.ts";
import { WorkerPool } from "../../shared/layout/workqueue.ts";
import { local_softirq_pending } from "../../shared/linux/kernel/softirq.ts";
import { list_empty_careless } from "../../shared/linux/lib/list.ts";
import { this_rcu_data } from "../../shared/linux/rcu/rcu_node.ts";
import { rcu_note_context_switch } from "../../shared/linux/rcu/tree.ts";
import { rcu_gp_in_progress } from "../../shared/linux/rcu/tree_request.ts";
import { embedded } from "../../shared/mem/struct.ts";
import { type ReaderMap, report_readers } from "./readers.ts";

const { workers: WORKERS } = PerCpu.offset;
const { worklist: WORKLIST } = WorkerPool.offset;
const { cblist: CBLIST } = RcuData.offset;
const { len: LEN } = RcuSegcblist.offset;

/** More rounds than that, and the rest is left to the next call: somebody waits for this one to end. */
const MAX_ROUNDS = 1000;

/** Is there anything that settle() would do, or help along? @context Task on the CPU */
export function is_unsettled(cpu: Cpu): boolean {
  return (
    has_work(cpu) || cpu.mem.data_race_read(embedded(this_rcu_data(cpu), CBLIST), LEN) !== 0 || rcu_gp_in_progress(cpu)
  );
}
function has_work(cpu: Cpu): boolean {
  return (
    cpu.mem.pending() !== 0 ||
    local_softirq_pending(cpu) !== 0 ||
    !list_empty_careless(cpu, embedded(this_cpu_ptr(cpu, WORKERS), WORKLIST))
  );
}

/** Does all that can be done now. @returns whether there was anything. @context Task on the CPU, may sleep */
export function settle(cpu: Cpu, map: ReaderMap): boolean {
  const { mem } = cpu;
  for (let round = 0; round < MAX_ROUNDS; round++) {
    mem.take_pending(P_KICK);
    mem.poll(0);
    const did = run_items(cpu);
    rcu_note_context_switch(cpu);
    report_readers(cpu, map);
    if (!did && !has_work(cpu)) return round > 0;
  }
  mem.raise(cpu.pending, P_KICK);
  return true;
}
