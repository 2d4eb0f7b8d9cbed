/**
 * Fault injection: allocations that fail although there is memory, so that the ways out of it are taken. Which ones is
 * drawn from the CPU's seed. lib/fault-inject.c.
 *
 *   attribute         asked by                                      configuration
 *   fail_page_alloc   should_fail_alloc_page() (mm/page_alloc)      lowmem=P
 *   failslab          should_failslab() (mm/slub/failslab.ts)       failslab=P
 *
 * Boot, and what a program makes before its CPUs run, is spared: arm_fault_injection() comes after it. In Linux the
 * attributes are files, written when the system is up.
 */
import type { Cpu } from "../../cpu/cpu.ts";
import { this_cpu_ptr } from "../../cpu/cpu.ts";
import { cpu_random } from "../../cpu/random.ts";
import { HOOK_FAILSLAB } from "../../layout/debug.ts";
import { FaultInject } from "../../layout/fault_inject.ts";
import { Globals } from "../../layout/globals.ts";
import { PerCpu } from "../../layout/percpu.ts";

const { fault_inject: FAULT_INJECT } = PerCpu.offset;
const { failslab: FAILSLAB, fault_injection: ARMED, hooks: HOOKS } = Globals.offset;

/** From now on allocations fail. @context Task; no other CPU runs yet */
export function arm_fault_injection(cpu: Cpu): void {
  const { mem, globals } = cpu;
  mem.poke(globals, ARMED, 1);
  // So that the fast path of an allocation need not look at a word more.
  if (mem.peek(globals, FAILSLAB) !== 0) mem.poke(globals, HOOKS, mem.peek(globals, HOOKS) | HOOK_FAILSLAB);
}

/**
 * should_fail() - shall what is about to be done fail?
 * @kernel  lib/fault-inject.c
 * @param   probability  in units of 2^-32; the largest means always.
 * @param   counter      counts the failures of this kind.
 * @context Any
 */
export function should_fail(cpu: Cpu, probability: number, counter: keyof typeof FaultInject.offset): boolean {
  if (probability === 0 || cpu.mem.peek(cpu.globals, ARMED) === 0) return false;
  if (probability !== ALWAYS && cpu_random(cpu) >>> 0 >= probability >>> 0) return false;
  cpu.mem.count(this_cpu_ptr(cpu, FAULT_INJECT), FaultInject.offset[counter], 1);
  return true;
}
/** 2^32 - 1, as the machine holds it. */
const ALWAYS = -1;
