/**
 * Cross-CPU function calls. A request is a number: the caller adds 1 to request[f] of the target and raises the call
 * vector; the target reads the number, runs f, and stores the number to done[f]. So each request is served by a run
 * that began after it was made, and requests that came together share one. kernel/smp.c.
 *
 * Differs: functions have no argument (what they need lies in per-CPU memory) and no queue of call_single_data.
 */
import { CALLBACK_NAMES, FIRST_IPI, NR_IPIS } from "../layout/callbacks.ts";
import { CallQueue, P_IPI_CALL } from "../layout/cpu.ts";
import { Globals } from "../layout/globals.ts";
import { PerCpu } from "../layout/percpu.ts";
import { embedded, element, NULL, type CallbackId, type Ptr } from "../mem/struct.ts";
import { WaitQueue } from "../layout/types.ts";
import { bug } from "./bug.ts";
import { invoke } from "./callback_table.ts";
import {
  in_nmi,
  irqs_disabled,
  local_irq_restore,
  local_irq_save,
  preempt_disable,
  preempt_enable,
} from "./context.ts";
import { per_cpu_ptr, this_cpu_ptr, type Cpu } from "./cpu.ts";
import { kick_cpus, park } from "./sched.ts";

const { calls: CALLS, pending: PENDING } = PerCpu.offset;
const { online: ONLINE, hotplug: HOTPLUG } = Globals.offset;
const { cpus: CPUS } = WaitQueue.offset;
const { request: REQUEST, done: DONE, waiters: WAITERS } = CallQueue.offset;

/** No such CPU: it is offline. */
export const ENXIO = 6;

/**
 * smp_call_function_single() - run function `f` (one of the ipi_* callbacks) in hardirq context on CPU `target`.
 * Preemption is off from the look whether the CPU is online to the call: cpu_down() waits for that before the CPU goes.
 * @param wait  return only after it has run there.
 * @returns 0; -ENXIO: the CPU is offline.
 * @context Task or Softirq, IRQs on (with them off two CPUs could wait for each other). Never NMI.
 */
export function smp_call_function_single(cpu: Cpu, target: number, f: CallbackId, wait: boolean): number {
  const index = f - FIRST_IPI;
  if (index < 0 || index >= NR_IPIS) bug(cpu, `${CALLBACK_NAMES[f]} is no cross-CPU function`);
  if (in_nmi(cpu) || irqs_disabled(cpu)) bug(cpu, "smp_call_function_single() with IRQs off");
  let error = 0;
  preempt_disable(cpu);
  if (target === cpu.id) {
    const flags = local_irq_save(cpu);
    invoke(cpu, f, NULL);
    local_irq_restore(cpu, flags);
  } else if (is_offline(cpu, target)) {
    error = -ENXIO;
  } else {
    const calls = per_cpu_ptr(cpu, CALLS, target);
    const number = (cpu.mem.fetch_add(calls, element(REQUEST, index), 1) + 1) | 0;
    cpu.mem.raise(per_cpu_ptr(cpu, PENDING, target), P_IPI_CALL);
    if (wait) wait_for_call(cpu, calls, index, number);
  }
  preempt_enable(cpu);
  return error;
}
function is_offline(cpu: Cpu, id: number): boolean {
  return cpu.mem.peek(cpu.globals, HOTPLUG) !== 0 && (cpu.mem.read_once(cpu.globals, ONLINE) & (1 << id)) === 0;
}
/** Is a call left that this CPU has not served? @context Hardirq, or IRQs off */
export function smp_calls_pending(cpu: Cpu): boolean {
  const calls = this_cpu_ptr(cpu, CALLS);
  for (let index = 0; index < NR_IPIS; index++) {
    if (cpu.mem.read_once(calls, element(REQUEST, index)) !== cpu.mem.read_once(calls, element(DONE, index)))
      return true;
  }
  return false;
}

/** Spins a while, then parks; takes interrupts meanwhile, so two CPUs that call each other both get served. */
function wait_for_call(cpu: Cpu, calls: Ptr<"call_queue">, index: number, number: number): void {
  const served = (): boolean => ((cpu.mem.read_once(calls, element(DONE, index)) - number) | 0) >= 0;
  for (let turns = cpu.spinBound; turns > 0; turns--) {
    if (served()) return;
    cpu.mem.relax();
  }
  const waiters = embedded(calls, WAITERS);
  // Published before the look: the target empties `waiters` after it stored `done`, so it finds us or we see `done`.
  park(
    cpu,
    () => {
      cpu.mem.fetch_or(waiters, CPUS, 1 << cpu.id);
      return served();
    },
    calls,
  );
}

/** The call vector's handler. @context Hardirq */
export function flush_smp_call_function_queue(cpu: Cpu): void {
  const calls = this_cpu_ptr(cpu, CALLS);
  for (let index = 0; index < NR_IPIS; index++) {
    const request = cpu.mem.read_once(calls, element(REQUEST, index));
    if (request === cpu.mem.read_once(calls, element(DONE, index))) continue;
    invoke(cpu, (FIRST_IPI + index) as CallbackId, NULL);
    cpu.mem.write_once(calls, element(DONE, index), request);
  }
  kick_cpus(cpu, embedded(calls, WAITERS));
}
