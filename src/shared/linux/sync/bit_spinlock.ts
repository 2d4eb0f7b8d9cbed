/**
 * Bit spinlocks: one bit of an atomic word whose other bits have uses of their own. include/linux/bit_spinlock.h.
 *
 * The bit has no room for an owner, so a CPU that waits for itself shows as a hang; bit_spin_lock() in NMI is a bug at
 * once. A holder has preemption disabled. There is no class either: who wants the order checked calls lock_acquire().
 */
import { bug } from "../../cpu/bug.ts";
import { describe_context, in_nmi, preempt_disable, preempt_enable } from "../../cpu/context.ts";
import type { Cpu } from "../../cpu/cpu.ts";
import { fails_spuriously } from "../../cpu/random.ts";
import type { Field, Ptr } from "../../mem/struct.ts";

/** Takes bit number `bit`; spins while it is held. @context Task, Softirq, Hardirq; disables preemption */
export function bit_spin_lock<S extends string>(
  cpu: Cpu,
  p: Ptr<NoInfer<S>>,
  field: Field<S, "atomic", number>,
  bit: number,
): void {
  if (in_nmi(cpu)) bug(cpu, `spins in NMI: bit ${bit} of ${p} (${describe_context(cpu)})`);
  preempt_disable(cpu);
  while ((cpu.mem.fetch_or(p, field, 1 << bit) & (1 << bit)) !== 0) {
    while ((cpu.mem.read_once(p, field) & (1 << bit)) !== 0) cpu.mem.relax();
  }
}
/** Takes the bit if it is free. @context Any, NMI included; disables preemption on success */
export function bit_spin_trylock<S extends string>(
  cpu: Cpu,
  p: Ptr<NoInfer<S>>,
  field: Field<S, "atomic", number>,
  bit: number,
): boolean {
  preempt_disable(cpu);
  if (!fails_spuriously(cpu) && (cpu.mem.fetch_or(p, field, 1 << bit) & (1 << bit)) === 0) return true;
  preempt_enable(cpu);
  return false;
}
/** Releases the bit and leaves the others alone. @context that of the holder */
export function bit_spin_unlock<S extends string>(
  cpu: Cpu,
  p: Ptr<NoInfer<S>>,
  field: Field<S, "atomic", number>,
  bit: number,
): void {
  if ((cpu.mem.fetch_and(p, field, ~(1 << bit)) & (1 << bit)) === 0) bug(cpu, `bit ${bit} of ${p} is not held`);
  preempt_enable(cpu);
}
