/**
 * The nodes that a task may have memory of, and the sequence that tells a reader that they have changed meanwhile.
 * include/linux/cpuset.h, kernel/cgroup/cpuset.c; spec slub 3.3, B5.
 *
 * A reader takes the sequence, which it waits for while a writer is at work, and looks again if it failed to get memory
 * and the sequence has moved. An NMI may have interrupted the writer: it must not wait, so nolock code does not look.
 *
 * Differs: each CPU has one such task, whose own nodes are changed by itself alone.
 */
import { local_irq_restore, local_irq_save } from "../../cpu/context.ts";
import { this_cpu_ptr, type Cpu } from "../../cpu/cpu.ts";
import { Cpuset } from "../../layout/cpuset.ts";
import { PerCpu } from "../../layout/percpu.ts";

const { cpuset: CPUSET } = PerCpu.offset;
const { mems_allowed_seq: SEQ, mems_allowed: MEMS_ALLOWED } = Cpuset.offset;

/** set_mems_allowed() - the current task may have memory of these nodes. @kernel include/linux/cpuset.h @context Task */
export function set_mems_allowed(cpu: Cpu, nodes: number): void {
  const { mem } = cpu;
  const cpuset = this_cpu_ptr(cpu, CPUSET);
  const flags = local_irq_save(cpu);
  mem.fetch_add(cpuset, SEQ, 1);
  mem.write_once(cpuset, MEMS_ALLOWED, nodes);
  mem.fetch_add(cpuset, SEQ, 1);
  local_irq_restore(cpu, flags);
}
/** @kernel include/linux/cpuset.h @returns for the retry. @context Hardirq: waits for a writer on another CPU. */
export function read_mems_allowed_begin(cpu: Cpu): number {
  const { mem } = cpu;
  const cpuset = this_cpu_ptr(cpu, CPUSET);
  for (;;) {
    const seq = mem.read_once(cpuset, SEQ);
    if ((seq & 1) === 0) return seq;
    mem.relax();
  }
}
/** Have the nodes changed since? @kernel include/linux/cpuset.h @context Any */
export function read_mems_allowed_retry(cpu: Cpu, seq: number): boolean {
  return cpu.mem.read_once(this_cpu_ptr(cpu, CPUSET), SEQ) !== seq;
}
/** May the current task have memory of this node? @kernel kernel/cgroup/cpuset.c, cpuset_zone_allowed() @context Any */
export function cpuset_node_allowed(cpu: Cpu, node: number): boolean {
  const nodes = cpu.mem.read_once(this_cpu_ptr(cpu, CPUSET), MEMS_ALLOWED);
  return nodes === 0 || (nodes & (1 << node)) !== 0;
}
