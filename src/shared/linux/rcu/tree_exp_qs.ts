/**
 * Quiescent states of expedited grace periods: from a CPU up to the root. kernel/rcu/tree_exp.h; spec rcu 4.9.
 *
 * expmask of a leaf has a bit for each CPU that the grace period waits for. Whoever clears the last bit of a node clears
 * that node's bit in its parent; whoever clears the root's last bit wakes the CPU that waits.
 */
import { assert } from "../../cpu/bug.ts";
import type { Cpu } from "../../cpu/cpu.ts";
import { wake_up } from "../../cpu/sched.ts";
import { CpuSlot, Task, UNLOCK_EXP_HINT } from "../../layout/cpu.ts";
import { RcuData, RcuNode, RcuState } from "../../layout/rcu.ts";
import { embedded, NULL, type Ptr } from "../../mem/struct.ts";
import {
  lock_rcu_node,
  rcu_cpu_mask,
  rcu_grpmask,
  rcu_mynode,
  rcu_parent,
  rcu_state,
  unlock_rcu_node,
} from "./rcu_node.ts";

const { expmask: EXPMASK, exp_tasks: EXP_TASKS } = RcuNode.offset;
const { expedited_wq: EXPEDITED_WQ } = RcuState.offset;
const { cpu_no_qs_exp: CPU_NO_QS_EXP } = RcuData.offset;
const { current: CURRENT } = CpuSlot.offset;
const { rcu_read_unlock_special: SPECIAL } = Task.offset;

/**
 * __rcu_report_exp_rnp() - clear `mask` in a node, and climb while nodes become empty.
 * @param flags  of the lock of rnp, which the caller holds; it is released.
 * @param unblocked  the last task that it waited for here has ended its reader.
 * @context IRQs off
 */
export function __rcu_report_exp_rnp(
  cpu: Cpu,
  start: Ptr<"rcu_node">,
  bits: number,
  flags: number,
  unblocked = false,
): void {
  const { mem } = cpu;
  let rnp = start;
  let mask = bits;
  for (let irqs = flags; ; irqs = lock_rcu_node(cpu, rnp)) {
    const before = mem.read_once(rnp, EXPMASK);
    // Above the first node a bit is cleared once, by whoever emptied the child.
    assert(cpu, rnp === start || (before & mask) === mask, "an expedited quiescent state is reported twice");
    mem.write_once(rnp, EXPMASK, before & ~mask);
    const parent = rcu_parent(cpu, rnp);
    const waited = before !== 0 || (unblocked && rnp === start);
    const climbs = waited && (before & ~mask) === 0 && !rcu_preempt_blocked_exp(cpu, rnp);
    mask = rcu_grpmask(cpu, rnp);
    unlock_rcu_node(cpu, rnp, irqs);
    if (!climbs) return;
    if (parent === NULL) {
      wake_up(cpu, embedded(rcu_state(cpu), EXPEDITED_WQ));
      return;
    }
    rnp = parent;
  }
}
function rcu_preempt_blocked_exp(cpu: Cpu, rnp: Ptr<"rcu_node">): boolean {
  return cpu.preempt && cpu.mem.read_once(rnp, EXP_TASKS) !== NULL;
}
/**
 * rcu_report_exp_rdp() - this CPU is quiescent: the expedited grace period need not wait for it any longer.
 * @context Any but NMI, and not a reader: its caller has made sure.
 */
export function rcu_report_exp_rdp(cpu: Cpu, rdp: Ptr<"rcu_data">): void {
  const rnp = rcu_mynode(cpu, rdp);
  const flags = lock_rcu_node(cpu, rnp);
  cpu.mem.write(rdp, CPU_NO_QS_EXP, 0);
  const task = cpu.mem.peek(cpu.slot, CURRENT);
  cpu.mem.poke(task, SPECIAL, cpu.mem.peek(task, SPECIAL) & ~UNLOCK_EXP_HINT);
  __rcu_report_exp_rnp(cpu, rnp, rcu_cpu_mask(cpu, rdp), flags);
}
