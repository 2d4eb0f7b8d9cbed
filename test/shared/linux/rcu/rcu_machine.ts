/**
 * A machine whose kernel ends with RCU, for its tests. Sequential: one thread plays all CPUs in any order, as long as none
 * has to wait for another. Explored: the same kernel under the explorer.
 */
import { Explorer, type Budget, type Exploration, type ExplorerOptions } from "../../../../src/main/explore/explore.ts";
import type { Kernel } from "../../../../src/main/explore/kernel.ts";
import type { Scenario } from "../../../../src/main/explore/scenario.ts";
import { bind_callback } from "../../../../src/shared/cpu/callback_table.ts";
import { pop_context, push_context } from "../../../../src/shared/cpu/context.ts";
import { ct_idle_enter, ct_idle_exit } from "../../../../src/shared/cpu/context_tracking.ts";
import { per_cpu_ptr, type Cpu } from "../../../../src/shared/cpu/cpu.ts";
import { run_interrupt } from "../../../../src/shared/cpu/interrupt.ts";
import { cond_resched } from "../../../../src/shared/cpu/sched.ts";
import { CB } from "../../../../src/shared/layout/callbacks.ts";
import { CTX_IDLE, IrqStat, P_TICK } from "../../../../src/shared/layout/cpu.ts";
import { Globals } from "../../../../src/shared/layout/globals.ts";
import { PerCpu } from "../../../../src/shared/layout/percpu.ts";
import { RcuData, RcuSegcblist, RcuState } from "../../../../src/shared/layout/rcu.ts";
import { bind_kernel, kernel_init } from "../../../../src/shared/linux/kernel/init.ts";
import { run_leftover_softirqs } from "../../../../src/shared/linux/kernel/softirq.ts";
import { get_next_timer_interrupt } from "../../../../src/shared/linux/kernel/tick.ts";
import { run_work_items } from "../../../../src/shared/linux/kernel/workqueue.ts";
import { per_rcu_data, rcu_state } from "../../../../src/shared/linux/rcu/rcu_node.ts";
import { bind_rcu, rcu_gp_step, rcu_init } from "../../../../src/shared/linux/rcu/tree.ts";
import { NULL_ORACLE, type Oracle } from "../../../../src/shared/mem/oracle.ts";
import { embedded, type Ptr } from "../../../../src/shared/mem/struct.ts";
import { sequentialMachine } from "../../../machine.ts";
import { callbackOf, room } from "../layer.ts";

export { callbackOf, inHardirq, inNmi, room } from "../layer.ts";

const { gp_seq: GP_SEQ } = RcuState.offset;
const { cblist: CBLIST } = RcuData.offset;
const { len: LEN } = RcuSegcblist.offset;
const { jiffies: JIFFIES } = Globals.offset;
const { irq_stat: IRQ_STAT } = PerCpu.offset;

export function bindRcuMachine(): void {
  bind_kernel();
  bind_rcu();
  bind_callback(CB.run_items, (cpu) => {
    const softirqs = run_leftover_softirqs(cpu);
    const items = run_work_items(cpu);
    return rcu_gp_step(cpu) || items || softirqs;
  });
}
function init(cpu: Cpu): void {
  kernel_init(cpu);
  rcu_init(cpu);
}
export const RCU_KERNEL: Kernel = { bind: bindRcuMachine, boot: init, nextTimer: get_next_timer_interrupt };
export function exploreRcu(scenario: Scenario, budget: Budget = {}, options: ExplorerOptions = {}): Exploration {
  return new Explorer({ ...scenario, kernel: RCU_KERNEL }, options).explore({ random: 60, ...budget });
}

/** The CPUs of a sequential machine, all in task context and awake. */
export function bootRcu(cpus: number, oracle: Oracle = NULL_ORACLE): readonly Cpu[] {
  const machine = sequentialMachine({ cpus, bytes: 4 << 20 }, oracle);
  bindRcuMachine();
  init(machine.cpus[0]);
  for (const { id, mem } of machine.cpus) {
    // Nobody else is there: what would have to wait would wait for ever.
    mem.wait = (seen) => {
      if (mem.pending() === seen) throw new Error(`CPU ${id} sleeps, and there is nobody to wake it`);
    };
  }
  return machine.cpus;
}
/** Repeats `step` until `done`; for loops that a bug would make endless. */
export function until(done: () => boolean, step: () => unknown): void {
  for (let i = 0; i < 1000; i++) {
    if (done()) return;
    step();
  }
  throw new Error("does not come to an end");
}

export const head = (cpu: Cpu, i: number): Ptr<"rcu_head"> => room(cpu, i);

/** An RCU callback that appends its head's room number to the returned list. */
export function recordingCallback(i = 0): { readonly ran: number[]; readonly id: ReturnType<typeof callbackOf> } {
  const ran: number[] = [];
  const id = callbackOf(i, (cpu, rhp) => ran.push((rhp - cpu.map.pages) / 256));
  return { ran, id };
}

export function idleEnter(cpu: Cpu): void {
  push_context(cpu, CTX_IDLE, 0);
  ct_idle_enter(cpu);
}
export function idleExit(cpu: Cpu): void {
  ct_idle_exit(cpu);
  pop_context(cpu, CTX_IDLE);
}
/** A tick that this CPU takes now. */
export function tick(cpu: Cpu): void {
  cpu.mem.fetch_add(cpu.globals, JIFFIES, 1);
  run_interrupt(cpu, P_TICK);
}
/** Every CPU passes through the places between its operations until nothing changes any more. */
export function settle(cpus: readonly Cpu[], rounds = 12): void {
  for (let i = 0; i < rounds; i++) for (const cpu of cpus) cond_resched(cpu);
}
/** Drives the engine on one CPU until it has to wait. */
export function drive(cpu: Cpu): number {
  let pieces = 0;
  until(
    () => !rcu_gp_step(cpu),
    () => pieces++,
  );
  return pieces;
}

export const gpSeq = (cpu: Cpu): number => cpu.mem.peek(rcu_state(cpu), GP_SEQ);
/** Grace periods that ended between two values of gpSeq(). */
export const gpsBetween = (from: number, to: number): number => ((to >> 2) - (from >> 2)) | 0;
export const qlen = (cpu: Cpu): number => cpu.mem.peek(embedded(per_rcu_data(cpu, cpu.id), CBLIST), LEN);
export const softirqsPending = (cpu: Cpu): number =>
  cpu.mem.peek(per_cpu_ptr(cpu, IRQ_STAT, cpu.id), IrqStat.offset.softirq_pending);
