/**
 * Cpu: a CPU slot as the code that runs on it sees it. Passed as the first argument of every kernel function, it holds
 * addresses only: whatever changes lies in shared memory, where reports, other CPUs and a rebuild can see it.
 */
import { SchedTask } from "../layout/cpu.ts";
import { Globals } from "../layout/globals.ts";
import type { MachineMap } from "../layout/map.ts";
import { PerCpu } from "../layout/percpu.ts";
import { SlubPercpuSheaves } from "../layout/slab.ts";
import type { Memory } from "../mem/memory.ts";
import type { Oracle } from "../mem/oracle.ts";
import { embedded, embedded_at, type Inner, type Ptr } from "../mem/struct.ts";

const { slot: SLOT, pending: PENDING, counters: COUNTERS, tasks: TASKS } = PerCpu.offset;
const { preempt: PREEMPT, rt: RT, migrate: MIGRATE } = Globals.offset;

/** A task's number is that of its CPU, plus its index there shifted by so much. The main task's is the CPU's. */
export const TASK_INDEX_SHIFT = 4;

export class Cpu {
  readonly mem: Memory;
  readonly map: MachineMap;
  /** 0 .. nr_cpus - 1. This, and what follows from it, changes where a task migrates (migrate.ts), and nowhere else. */
  id: number;
  /** This CPU's section of per-CPU variables. */
  section: Ptr<"percpu">;
  slot: Ptr<"cpu_slot">;
  pending: Ptr<"cpu_pending">;
  counters: Ptr<"cpu_counters">;
  /** Bytes from CPU 0's sheaves of a cache to this CPU's. */
  sheaves: number;
  /** The CPU that this thread began as. Its own words lie there: what a task keeps for itself, in a program. */
  readonly home_id: number;
  readonly home: Ptr<"percpu">;
  /** Do tasks move to other CPUs (globals.migrate)? */
  readonly migrates: boolean;
  readonly globals: Ptr<"globals">;
  readonly oracle: Oracle;
  /** The task for which this object is: each task of a CPU has its own. See TASK_INDEX_SHIFT. */
  task_id: number;
  readonly task_index: number;
  sched: Ptr<"sched_task">;
  /** Does the machine run several tasks per CPU, and preempt them (globals.preempt)? Is it PREEMPT_RT? Constant. */
  readonly preempt: boolean;
  readonly rt: boolean;
  /** Does the machine have more than one node? */
  readonly isNuma: boolean;
  /** As in map: address of page 0, how many there are, and their struct pages. */
  readonly pages: number;
  readonly nrPages: number;
  readonly memMap: Ptr<"page">;
  /** As mem.checked. */
  readonly checked: boolean;
  /** Turns of a spin loop before the CPU parks; 0 under the explorer. */
  readonly spinBound: number;

  /** @param index  of its task on the CPU: 0, the main one, to MAX_TASKS - 1. */
  constructor(mem: Memory, map: MachineMap, id: number, spinBound: number, oracle: Oracle, index = 0) {
    this.mem = mem;
    this.map = map;
    this.id = id;
    this.section = map.section(id);
    this.slot = embedded(this.section, SLOT);
    this.pending = embedded(this.section, PENDING);
    this.counters = embedded(this.section, COUNTERS);
    this.sheaves = id * SlubPercpuSheaves.size;
    this.home_id = id;
    this.home = this.section;
    this.globals = map.globals;
    this.migrates = mem.peek(this.globals, MIGRATE) !== 0;
    this.spinBound = spinBound;
    this.oracle = oracle;
    this.task_id = id + (index << TASK_INDEX_SHIFT);
    this.task_index = index;
    this.sched = embedded_at(this.section, TASKS, index, SchedTask.size);
    this.rt = mem.peek(this.globals, RT) !== 0;
    this.preempt = this.rt || mem.peek(this.globals, PREEMPT) !== 0;
    this.isNuma = map.shape.nodes > 1;
    this.pages = map.pages;
    this.nrPages = map.nrPages;
    this.memMap = map.memMap;
    this.checked = mem.checked;
  }

  /** From now on this object stands for CPU `id`. For who moves a task there: see migrate.ts. */
  become(id: number): void {
    this.id = id;
    this.section = this.map.section(id);
    this.slot = embedded(this.section, SLOT);
    this.pending = embedded(this.section, PENDING);
    this.counters = embedded(this.section, COUNTERS);
    this.sheaves = id * SlubPercpuSheaves.size;
    this.task_id = id + (this.task_index << TASK_INDEX_SHIFT);
    this.sched = embedded_at(this.section, TASKS, this.task_index, SchedTask.size);
  }
}

/**
 * The Cpu of a thread that has no other as long as it lives: the given one is its prototype. What a prototype holds V8 takes
 * for constants, until it changes, so where memory lies and how long it is, and all fields above, are in the machine code.
 * Why not for all: each is a class of its own to V8, and several at one call site cost several times as much.
 */
export function onlyCpu(cpu: Cpu): Cpu {
  return Object.create(cpu) as Cpu;
}

/** this_cpu_ptr(): this CPU's instance of a per-CPU variable. */
export function this_cpu_ptr<T extends string>(cpu: Cpu, variable: Inner<"percpu", T>): Ptr<T> {
  return embedded(cpu.section, variable);
}
/** per_cpu_ptr(): CPU `id`'s instance of a per-CPU variable. */
export function per_cpu_ptr<T extends string>(cpu: Cpu, variable: Inner<"percpu", T>, id: number): Ptr<T> {
  return embedded(cpu.map.section(id), variable);
}
