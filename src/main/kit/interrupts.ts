/** Device interrupts of a scenario: some program raises one, and the strategy chooses when the CPU takes it. */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { P_IRQ } from "../../shared/layout/cpu.ts";
import { PerCpu } from "../../shared/layout/percpu.ts";
import { embedded } from "../../shared/mem/struct.ts";

/** Raises a device interrupt on CPU `target`, which will run the scenario's `irq`. One step. */
export function raiseIrq(cpu: Cpu, target: number): void {
  cpu.mem.raise(embedded(cpu.map.section(target), PerCpu.offset.pending), P_IRQ);
}
