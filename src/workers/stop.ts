/** Ends a machine: at once (a verdict has been reached), or in order. For any thread; nothing here blocks. */
import { P_KICK, P_STOP } from "../shared/layout/cpu.ts";
import { Globals } from "../shared/layout/globals.ts";
import type { MachineMap, MachineShape } from "../shared/layout/map.ts";
import { PerCpu } from "../shared/layout/percpu.ts";
import type { BareMemory } from "../shared/mem/bare_memory.ts";
import { embedded } from "../shared/mem/struct.ts";

const { pending: PENDING } = PerCpu.offset;
const { stopping: STOPPING } = Globals.offset;

/** Sets bits in the pending word of every CPU and wakes it. `mem` belongs to no CPU, or to one that has left it. */
function raiseAll(mem: BareMemory, map: MachineMap, bits: number): void {
  for (let id = 0; id < map.shape.cpus; id++) mem.raise(embedded(map.section(id), PENDING), bits);
}
/** Every CPU leaves kernel code at its next step; what it was doing stays as it is, for the report. */
export function haltMachine(mem: BareMemory, map: MachineMap): void {
  raiseAll(mem, map, P_STOP);
}
/** CPUs finish their operation, give back what they hold, and come to rest. */
export function stopMachine(mem: BareMemory, map: MachineMap): void {
  mem.write_once(map.globals, STOPPING, 1);
  raiseAll(mem, map, P_KICK);
}

/** The mask of all CPUs: what globals.torture.resting is once all have come to rest. */
export function allCpus({ cpus }: MachineShape): number {
  return 2 ** cpus - 1;
}
