/**
 * bug() and warn(): what happens when an invariant is broken. Kernel code only throws; the thread's outermost frame
 * (src/workers, src/main) reports the slot as it stands and stops the other CPUs.
 */
import { MachineBug, NoMemory } from "../base/verdict.ts";
import { CpuCounters, CpuSlot } from "../layout/cpu.ts";
import { Globals } from "../layout/globals.ts";
import { KERN_WARNING } from "../layout/printk.ts";
import type { Cpu } from "./cpu.ts";
import { printk } from "./printk.ts";

const { warnings: WARNINGS } = CpuCounters.offset;
const { panic_on_warn: PANIC_ON_WARN } = Globals.offset;
const { warnings: SLOT_WARNINGS } = CpuSlot.offset;

/** Stops the machine: FAILURE. @context Any */
export function bug(cpu: Cpu, message: string): never {
  throw new MachineBug(cpu.id, message);
}
/** For what a machine cannot do without, and has no memory for. @context Task, at boot or in the set-up of a program */
export function no_memory(cpu: Cpu, what: string): never {
  throw new NoMemory(cpu.id, `no memory for ${what}`);
}
/** A bug unless `condition` holds. @context Any */
export function assert(cpu: Cpu, condition: boolean, message: string): asserts condition {
  if (!condition) bug(cpu, message);
}
/** WARN(): stops the machine unless boot has cleared panic_on_warn; then it is printed and counted. @context Any */
export function warn(cpu: Cpu, message: string): void {
  count_warning(cpu, message);
  printk(cpu, KERN_WARNING, `WARNING: ${message}`);
}
/** The same of what has been printed already. @context Any */
export function count_warning(cpu: Cpu, message: string): void {
  if (cpu.mem.peek(cpu.globals, PANIC_ON_WARN) !== 0) bug(cpu, `WARNING: ${message}`);
  cpu.mem.poke(cpu.slot, SLOT_WARNINGS, cpu.mem.peek(cpu.slot, SLOT_WARNINGS) + 1);
  cpu.mem.count(cpu.counters, WARNINGS, 1);
}
