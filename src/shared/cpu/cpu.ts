/**
 * Cpu: a CPU slot as the code that runs on it sees it. Passed as the first argument of every kernel function, it holds
 * addresses only: whatever changes lies in shared memory, where reports, other CPUs and a rebuild can see it.
 */
import type { MachineMap } from "../layout/map.ts";
import { PerCpu } from "../layout/percpu.ts";
import type { Memory } from "../mem/memory.ts";
import type { Oracle } from "../mem/oracle.ts";
import { embedded, type Inner, type Ptr } from "../mem/struct.ts";

const { slot: SLOT, pending: PENDING, counters: COUNTERS } = PerCpu.offset;

export class Cpu {
  readonly mem: Memory;
  readonly map: MachineMap;
  /** 0 .. nr_cpus - 1. */
  readonly id: number;
  /** This CPU's section of per-CPU variables. */
  readonly section: Ptr<"percpu">;
  readonly slot: Ptr<"cpu_slot">;
  readonly pending: Ptr<"cpu_pending">;
  readonly counters: Ptr<"cpu_counters">;
  readonly globals: Ptr<"globals">;
  readonly oracle: Oracle;
  /** Does the machine have more than one node? */
  readonly isNuma: boolean;
  /** As mem.checked. */
  readonly checked: boolean;
  /** Turns of a spin loop before the CPU parks; 0 under the explorer. */
  readonly spinBound: number;

  constructor(mem: Memory, map: MachineMap, id: number, spinBound: number, oracle: Oracle) {
    this.mem = mem;
    this.map = map;
    this.id = id;
    this.section = map.section(id);
    this.slot = embedded(this.section, SLOT);
    this.pending = embedded(this.section, PENDING);
    this.counters = embedded(this.section, COUNTERS);
    this.globals = map.globals;
    this.spinBound = spinBound;
    this.oracle = oracle;
    this.isNuma = map.shape.nodes > 1;
    this.checked = mem.checked;
  }
}

/** this_cpu_ptr(): this CPU's instance of a per-CPU variable. */
export function this_cpu_ptr<T extends string>(cpu: Cpu, variable: Inner<"percpu", T>): Ptr<T> {
  return embedded(cpu.section, variable);
}
/** per_cpu_ptr(): CPU `id`'s instance of a per-CPU variable. */
export function per_cpu_ptr<T extends string>(cpu: Cpu, variable: Inner<"percpu", T>, id: number): Ptr<T> {
  return embedded(cpu.map.section(id), variable);
}
