/**
 * A machine with the locks, lists and interrupt machinery of src/shared/linux/{sync,lib,kernel} and nothing above them:
 * RCU is a set of stand-ins that count. For tests of these layers, sequential and explored.
 */
import { Explorer, type Budget, type Exploration, type ExplorerOptions } from "../../../src/main/explore/explore.ts";
import type { Kernel } from "../../../src/main/explore/kernel.ts";
import type { Scenario } from "../../../src/main/explore/scenario.ts";
import { bind_callback, type CallbackFn } from "../../../src/shared/cpu/callback_table.ts";
import type { Cpu } from "../../../src/shared/cpu/cpu.ts";
import { run_interrupt } from "../../../src/shared/cpu/interrupt.ts";
import { CB, FIRST_FREE_CALLBACK } from "../../../src/shared/layout/callbacks.ts";
import { P_IRQ, P_NMI, P_TICK } from "../../../src/shared/layout/cpu.ts";
import { Globals } from "../../../src/shared/layout/globals.ts";
import { bind_kernel, kernel_init } from "../../../src/shared/linux/kernel/init.ts";
import {
  do_softirq,
  raise_softirq,
  RCU_SOFTIRQ,
  run_leftover_softirqs,
} from "../../../src/shared/linux/kernel/softirq.ts";
import { get_next_timer_interrupt } from "../../../src/shared/linux/kernel/tick.ts";
import { run_work_items } from "../../../src/shared/linux/kernel/workqueue.ts";
import type { CallbackId, Ptr } from "../../../src/shared/mem/struct.ts";
import { sequentialMachine } from "../../machine.ts";

const { nmi_handler: NMI_HANDLER, irq_handler: IRQ_HANDLER, jiffies: JIFFIES } = Globals.offset;

function bind(): void {
  bind_kernel();
  const nothing = (): undefined => undefined;
  const rcu = [CB.rcu_note_context_switch, CB.rcu_note_preemption, CB.rcu_sched_clock_irq, CB.synchronize_rcu];
  for (const id of [...rcu, CB.rcu_core, CB.rcu_read_lock, CB.rcu_read_unlock]) bind_callback(id, nothing);
  bind_callback(CB.rcu_needs_cpu, () => false);
  bind_callback(CB.run_items, (cpu) => {
    const softirqs = run_leftover_softirqs(cpu);
    return run_work_items(cpu) || softirqs;
  });
}
/** For the explorer. */
export const LAYER: Kernel = { bind, boot: kernel_init, nextTimer: get_next_timer_interrupt };
export function exploreLayer(scenario: Scenario, budget: Budget = {}, options: ExplorerOptions = {}): Exploration {
  return new Explorer({ ...scenario, kernel: LAYER }, options).explore({ random: 60, ...budget });
}

/** The CPUs of a sequential machine. */
export function boot(cpus = 2): readonly Cpu[] {
  const machine = sequentialMachine({ cpus, bytes: 1 << 20 });
  bind();
  kernel_init(machine.cpus[0]);
  return machine.cpus;
}

/** Room number `i` for a struct of up to 256 bytes, zeroed at power-on. */
export function room<T extends string>(cpu: Cpu, i: number): Ptr<T> {
  return (cpu.map.pages + 256 * i) as Ptr<T>;
}
/** Callback number `i` of a test, bound to `fn`. */
export function callbackOf(i: number, fn: CallbackFn): CallbackId {
  const id = (FIRST_FREE_CALLBACK + 32 + i) as CallbackId;
  bind_callback(id, fn);
  return id;
}

/** `n` ticks, which every CPU takes at once. */
export function tickAll(cpus: readonly Cpu[], n = 1): void {
  const { globals, mem } = cpus[0];
  for (let i = 0; i < n; i++) {
    mem.fetch_add(globals, JIFFIES, 1);
    for (const cpu of cpus) run_interrupt(cpu, P_TICK);
  }
}
/** Runs `fn` in an NMI of `cpu`. */
export function inNmi(cpu: Cpu, fn: (cpu: Cpu) => void): void {
  cpu.mem.poke(cpu.globals, NMI_HANDLER, callbackOf(90, fn));
  run_interrupt(cpu, P_NMI);
}
/** Runs `fn` in a hardirq of `cpu`; softirqs that it raises follow. */
export function inHardirq(cpu: Cpu, fn: (cpu: Cpu) => void): void {
  cpu.mem.poke(cpu.globals, IRQ_HANDLER, callbackOf(91, fn));
  run_interrupt(cpu, P_IRQ);
}
/** Runs `fn` in a softirq of `cpu`. */
export function inSoftirq(cpu: Cpu, fn: (cpu: Cpu) => void): void {
  bind_callback(CB.rcu_core, fn);
  raise_softirq(cpu, RCU_SOFTIRQ);
  do_softirq(cpu);
}
