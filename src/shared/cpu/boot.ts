/** Brings a CPU slot to life: its words at power-on, and the Cpu object of the thread that runs it. */
import { MAX_CONTEXTS } from "../base/limits.ts";
import { mixSeed } from "../base/random.ts";
import { MachineStopped } from "../base/verdict.ts";
import { ContextTracking, CpuSlot, P_STOP, SchedTask, Task, TASK_RUNNING, TaskStack } from "../layout/cpu.ts";
import { Globals } from "../layout/globals.ts";
import type { MachineMap } from "../layout/map.ts";
import { PerCpu } from "../layout/percpu.ts";
import type { InterruptSink, Memory } from "../mem/memory.ts";
import type { Oracle } from "../mem/oracle.ts";
import { embedded, embedded_at } from "../mem/struct.ts";
import { CT_RCU_WATCHING } from "./context_tracking.ts";
import { Cpu, onlyCpu } from "./cpu.ts";
import { deliver_pending } from "./interrupt.ts";

const { slot: SLOT, ct: CT, tasks: TASKS } = PerCpu.offset;
const { id: ID, node: NODE, online: ONLINE, current: CURRENT, random: RANDOM, main_task: MAIN_TASK } = CpuSlot.offset;
const { further_task: FURTHER_TASK, stacks: STACKS } = CpuSlot.offset;
const { pid: PID, index: INDEX } = Task.offset;
const { pc_depth: PC_DEPTH } = TaskStack.offset;
const { pid: SCHED_PID, state: TASK_STATE } = SchedTask.offset;
const { state: STATE, nesting: NESTING } = ContextTracking.offset;
const { seed: SEED } = Globals.offset;

/** Pids of further tasks begin here. */
const FURTHER_PID = 64;
/** The first of the partial_context lists of its CPU that a further task uses: both have half of them. */
const FURTHER_PC_DEPTH = (MAX_CONTEXTS + 1) >> 1;
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
    const sched = embedded_at(map.section(id), TASKS, 0, SchedTask.size);
    mem.poke(sched, SCHED_PID, id + 1);
    mem.poke(sched, TASK_STATE, TASK_RUNNING);
    mem.poke(ct, STATE, CT_RCU_WATCHING);
    mem.poke(ct, NESTING, 1);
  }
}

/** Adds a further task to a CPU of a machine that has several (globals.preempt, globals.rt), before the machine runs. */
export function init_further_task(mem: Memory, map: MachineMap, id: number): void {
  const slot = embedded(map.section(id), SLOT);
  const task = embedded(slot, FURTHER_TASK);
  mem.poke(task, PID, FURTHER_PID + id);
  mem.poke(task, INDEX, 1);
  mem.poke(embedded_at(slot, STACKS, 1, TaskStack.size), PC_DEPTH, FURTHER_PC_DEPTH);
  const sched = embedded_at(map.section(id), TASKS, 1, SchedTask.size);
  mem.poke(sched, SCHED_PID, FURTHER_PID + id);
  mem.poke(sched, TASK_STATE, TASK_RUNNING);
}

type AttachableMemory = Memory & { attach(sink: InterruptSink): void };
/** As Cpu's constructor takes them. */
type Attached = [mem: AttachableMemory, map: MachineMap, id: number, spinBound: number, oracle: Oracle, index?: number];

/** The Cpu of this thread, with its interrupts connected. */
export function attachCpu(...args: Attached): Cpu {
  return connect(args[0], new Cpu(...args));
}
/** The same for a thread that has no other Cpu as long as it lives: onlyCpu(). */
export function attachOnlyCpu(...args: Attached): Cpu {
  return connect(args[0], onlyCpu(new Cpu(...args)));
}
function connect(mem: AttachableMemory, cpu: Cpu): Cpu {
  mem.attach({
    deliver: () => deliver_pending(cpu),
    check_stop: () => {
      if (cpu.mem.pending() & P_STOP) throw new MachineStopped();
    },
  });
  return cpu;
}
