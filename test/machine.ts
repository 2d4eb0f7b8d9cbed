/**
 * A machine for sequential tests: every CPU slot has a Cpu of this one thread on a BareMemory, so a test calls kernel
 * functions on any CPU in any order. Interrupts come where the code polls: points, IRQs on, waits.
 */
import { attachCpu, init_cpu_slots } from "../src/shared/cpu/boot.ts";
import type { Cpu } from "../src/shared/cpu/cpu.ts";
import { Globals } from "../src/shared/layout/globals.ts";
import { MachineMap, shapeProblem, type MachineShape } from "../src/shared/layout/map.ts";
import { PerCpu } from "../src/shared/layout/percpu.ts";
import { BareMemory } from "../src/shared/mem/bare_memory.ts";
import { NULL_ORACLE, type Oracle } from "../src/shared/mem/oracle.ts";
import { embedded } from "../src/shared/mem/struct.ts";

const { nr_cpus: NR_CPUS, nr_nodes: NR_NODES, seed: SEED, online: ONLINE, panic_on_warn: PANIC } = Globals.offset;
const { pending: PENDING } = PerCpu.offset;

export interface SequentialMachine {
  readonly buffer: SharedArrayBuffer;
  readonly map: MachineMap;
  readonly cpus: readonly Cpu[];
}

/** Powers on a machine; no subsystem is initialised yet. */
export function sequentialMachine(shape: Partial<MachineShape> = {}, oracle: Oracle = NULL_ORACLE): SequentialMachine {
  const full: MachineShape = { bytes: 4 << 20, cpus: 2, nodes: 1, ...shape };
  const problem = shapeProblem(full);
  if (problem !== undefined) throw new RangeError(problem);
  const buffer = new SharedArrayBuffer(full.bytes);
  const map = new MachineMap(full);
  const boot = new BareMemory(buffer, 0);
  boot.poke(map.globals, NR_CPUS, full.cpus);
  boot.poke(map.globals, NR_NODES, full.nodes);
  boot.poke(map.globals, SEED, 1);
  boot.poke(map.globals, PANIC, 1);
  boot.poke(map.globals, ONLINE, (1 << full.cpus) - 1);
  init_cpu_slots(boot, map);
  const cpus = Array.from({ length: full.cpus }, (_, id) => {
    const memory = new BareMemory(buffer, embedded(map.section(id), PENDING));
    return attachCpu(memory, map, id, 4, oracle);
  });
  return { buffer, map, cpus };
}
