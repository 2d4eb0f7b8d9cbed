/** Brings a CPU slot to life: its words at power-on, and the Cpu object of the thread that runs it. */
import { mixSeed } from "../base/random.ts";
import { ContextTracking, CpuSlot, Task } from "../layout/cpu.ts";
import { Globals } from "../layout/globals.ts";
import type { MachineMap } from "../layout/map.ts";
import { PerCpu } from "../layout/percpu.ts";
import type { InterruptSink, Memory } from "../mem/memory.ts";
import type { Oracle } from "../mem/oracle.ts";
import { embedded } from "../mem/struct.ts";
import { CT_RCU_WATCHING } from "./context_tracking.ts";
import { Cpu } from "./cpu.ts";
import { deliver_pending } from "./interrupt.ts";

const { slot: SLOT, ct: CT } = PerCpu.offset;
const { id: ID, node: NODE, online: ONLINE, current: CURRENT, random: RANDOM, main_task: MAIN_TASK } = CpuSlot.offset;
const { pid: PID } = Task.offset;
const { state: STATE, nesting: NESTING } = ContextTracking.offset;
const { seed: SEED } = Globals.offset;

/** Turns of a spin loop before a CPU parks: about 2 microseconds. */
export const SPIN_BOUND = 100;

/** Writes the power-on state of every CPU slot. `mem` may be any Memory; globals.seed is already set. */
export function init_cpu_slots(mem: Memory, map: MachineMap): void {
  for (let id = 0; id < map.shape.cpus; id++) {
    const slot = embedded(map.section(id), SLOT);
    const task = embedded(slot, MAIN_TASK);
    const ct = embedded(map.section(id), CT);
    mem.poke(slot, ID, id);
    mem.poke(slot, NODE, map.nodeOfCpu(id));
    mem.poke(slot, ONLINE, 1);
    mem.poke(slot, CURRENT, task);
    mem.poke(slot, RANDOM, mixSeed(mem.peek(map.globals, SEED), id));
    mem.poke(task, PID, id + 1);
    mem.poke(ct, STATE, CT_RCU_WATCHING);
    mem.poke(ct, NESTING, 1);
  }
}

/** The Cpu of this thread, with its interrupts connected. */
export function attachCpu(
  mem: Memory & { attach(sink: InterruptSink): void },
  map: MachineMap,
  id: number,
  spinBound: number,
  oracle: Oracle,
): Cpu {
  const cpu = new Cpu(mem, map, id, spinBound, oracle);
  mem.attach({ deliver: () => deliver_pending(cpu) });
  return cpu;
}
