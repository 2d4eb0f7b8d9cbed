/**
 * Looks for what kfree_rcu() and the nolock functions left behind on a machine in which nothing runs: after a barrier
 * nothing may wait any more. For oracles and tests (spec slub 14 item 6, rcu I-KV-3, I-KV-6 and I-RCU-14).
 *
 * Takes no lock and makes no step (peek only), so it is of no use while a CPU is inside this code.
 */
import { IRQ_WORK_CLAIMED, IrqWork } from "../../../layout/irq_work.ts";
import { DeferredPercpuWork } from "../../../layout/kvfree_rcu.ts";
import { PerCpu } from "../../../layout/percpu.ts";
import { LlistHead, LlistNode } from "../../../layout/types.ts";
import { embedded, NULL, type Ptr } from "../../../mem/struct.ts";
import { per_cpu_ptr, type Cpu } from "../../../cpu/cpu.ts";
import { check_krc } from "./check_krc.ts";
import { check_nolock_rfc } from "./check_nolock_rfc.ts";

const { deferred_percpu_work: DEFERRED_PERCPU_WORK, krc: KRC, nolock_rfc: NOLOCK_RFC } = PerCpu.offset;
const {
  objects: OBJECTS,
  objects_by_rcu: OBJECTS_BY_RCU,
  rcu_sheaves: RCU_SHEAVES,
  work: WORK,
} = DeferredPercpuWork.offset;
const { flags: FLAGS } = IrqWork.offset;
const { first: FIRST } = LlistHead.offset;
const { next: LLIST_NEXT } = LlistNode.offset;

/** What still waits on any CPU, in words; nothing if all has been given back. @context Any, machine at rest. */
export function check_deferred(cpu: Cpu): string[] {
  const problems: string[] = [];
  for (let id = 0; id < cpu.map.shape.cpus; id++) {
    const complain = (what: string): number => problems.push(`CPU ${id}: ${what}`);
    check_deferred_percpu_work(cpu, per_cpu_ptr(cpu, DEFERRED_PERCPU_WORK, id), complain);
    check_nolock_rfc(cpu, per_cpu_ptr(cpu, NOLOCK_RFC, id), complain);
    check_krc(cpu, per_cpu_ptr(cpu, KRC, id), complain);
  }
  return problems;
}

function check_deferred_percpu_work(
  cpu: Cpu,
  dpw: Ptr<"deferred_percpu_work">,
  complain: (what: string) => number,
): void {
  const claimed = cpu.mem.peek(embedded(dpw, WORK), FLAGS) & IRQ_WORK_CLAIMED;
  const check = (name: string, list: Ptr<"llist_head">): void => {
    let entries = 0;
    for (let node = cpu.mem.peek(list, FIRST); node !== NULL; node = cpu.mem.peek(node, LLIST_NEXT)) entries++;
    if (entries === 0) return;
    complain(`${entries} on deferred ${name}, ${claimed ? "work pending" : "stranded: no work is pending"}`);
  };
  check("objects", embedded(dpw, OBJECTS));
  check("objects_by_rcu", embedded(dpw, OBJECTS_BY_RCU));
  check("rcu_sheaves", embedded(dpw, RCU_SHEAVES));
  if (claimed) complain("deferred work is pending or running");
}
