/**
 * Looks for what kfree_rcu_nolock() of February 2026 (nolock_rfc.ts) left behind: its lists, and its works.
 *
 * Takes no lock and makes no step (peek only): for a machine in which no CPU is inside this code.
 */
import { IRQ_WORK_CLAIMED, IrqWork } from "../../../layout/irq_work.ts";
import { NolockRfc } from "../../../layout/nolock_rfc.ts";
import { PerCpu } from "../../../layout/percpu.ts";
import { LlistHead, LlistNode } from "../../../layout/types.ts";
import { container_of, embedded, NULL, type Ptr } from "../../../mem/struct.ts";
import type { Cpu } from "../../../cpu/cpu.ts";

const { krc: KRC, nolock_rfc: NOLOCK_RFC } = PerCpu.offset;
const { deferred: DEFERRED, deferred_work: DEFERRED_WORK, monitor_work: MONITOR_WORK } = NolockRfc.offset;

function is_claimed(cpu: Cpu, work: Ptr<"irq_work">): boolean {
  return (cpu.mem.peek(work, IrqWork.offset.flags) & IRQ_WORK_CLAIMED) !== 0;
}

/** Complains about what still waits on one CPU. @context Any, machine at rest */
export function check_nolock_rfc(cpu: Cpu, rfc: Ptr<"nolock_rfc">, complain: (what: string) => number): void {
  let entries = 0;
  const first = cpu.mem.peek(embedded(rfc, DEFERRED), LlistHead.offset.first);
  for (let node = first; node !== NULL; node = cpu.mem.peek(node, LlistNode.offset.next)) entries++;
  const claimed = is_claimed(cpu, embedded(rfc, DEFERRED_WORK));
  if (entries !== 0) {
    complain(`${entries} on the deferred list of krc, ${claimed ? "work pending" : "stranded: no work is pending"}`);
  }
  if (claimed) complain("deferred work of krc is pending or running");
}
/** Will the lazy irq_work of this krc's CPU arm the monitor? @context Any, machine at rest */
export function arms_monitor(cpu: Cpu, krcp: Ptr<"kfree_rcu_cpu">): boolean {
  return is_claimed(cpu, embedded(embedded(container_of(krcp, KRC), NOLOCK_RFC), MONITOR_WORK));
}
