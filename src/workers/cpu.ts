/**
 * A CPU: the thread that boots a slot, runs its program until the machine stops, and comes to rest.
 *
 *   boot    callback numbers are bound; CPU 0 starts the kernel and sets the program up; all meet at the boot barrier
 *   run     operations, with a quiescent state and the CPU's other duties between them, until globals.stopping; or
 *           all the work that the program has
 *   rest    what this CPU holds is given back; then it sleeps, and still serves interrupts, softirqs and work items
 *   check   CPU 0, once all rest: everything is drained and counted; then it wakes the others, and all return
 *
 * The only place at which a MachineBug is caught: the slot stays as it was at the failure, and the other CPUs are
 * stopped at their next step, so that the host can show what each was doing.
 */
import { MachineBug, MachineStopped } from "../shared/base/verdict.ts";
import { attachCpu, SPIN_BOUND } from "../shared/cpu/boot.ts";
import { bind_callback } from "../shared/cpu/callback_table.ts";
import type { Cpu } from "../shared/cpu/cpu.ts";
import { random_below } from "../shared/cpu/random.ts";
import { cond_resched, schedule, wait_event, wake_up } from "../shared/cpu/sched.ts";
import { EV_OP, trace } from "../shared/cpu/trace.ts";
import { CB } from "../shared/layout/callbacks.ts";
import { P_KICK } from "../shared/layout/cpu.ts";
import { Globals } from "../shared/layout/globals.ts";
import { MachineMap, type MachineShape } from "../shared/layout/map.ts";
import { PerCpu } from "../shared/layout/percpu.ts";
import { TortureCpu, TortureGlobals } from "../shared/layout/torture.ts";
import { bind_all, start_kernel } from "../shared/linux/init.ts";
import { schedule_timeout } from "../shared/linux/kernel/timer.ts";
import { BareMemory } from "../shared/mem/bare_memory.ts";
import { InterruptibleMemory } from "../shared/mem/interruptible_memory.ts";
import { NULL_ORACLE } from "../shared/mem/oracle.ts";
import { SharedOracle } from "../shared/mem/shared_oracle.ts";
import { embedded, NULL } from "../shared/mem/struct.ts";
import { Barrier } from "../shared/sync/index.ts";
import { bind_irq_handler } from "../nmi/irq_handler.ts";
import { LocalSource } from "../nmi/local_source.ts";
import { bind_nmi_handler } from "../nmi/nmi_handler.ts";
import { Control } from "./control.ts";
import type { Program } from "./program.ts";
import { type Account, check_quiescence, take_account } from "./quiescence.ts";
import { allCpus, haltMachine } from "./stop.ts";

const { pending: PENDING, torture: TORTURE_CPU } = PerCpu.offset;
const { stopping: STOPPING, torture: TORTURE, nohz: NOHZ } = Globals.offset;
const { resting: RESTING, finished: FINISHED, sleepers: SLEEPERS } = TortureGlobals.offset;
const { ops: OPS } = TortureCpu.offset;

/** A CPU looks after its other duties every so many operations, and goes idle once in so many. */
const RESCHED_ONE_IN = 4;
const IDLE_ONE_IN = 2048;
/** Where ticks stop it sleeps so many ticks at most. */
const MAX_IDLE_TICKS = 8;

export interface CpuTask {
  readonly buffer: SharedArrayBuffer;
  readonly control: SharedArrayBuffer;
  /** Of a SharedOracle; undefined: nobody watches. */
  readonly oracle: SharedArrayBuffer | undefined;
  readonly shape: MachineShape;
  readonly cpu: number;
  readonly seed: number;
  /** NMIs that the local source raises at this CPU with each tick. */
  readonly nmisPerTick: number;
  readonly noise: boolean;
}

/** How a CPU's thread ended. A thread that dies sends none: the host reports it as lost. */
export type CpuOutcome =
  | { readonly kind: "rested"; readonly cpu: number }
  | { readonly kind: "stopped"; readonly cpu: number } // by another CPU's failure, or by the host
  | { readonly kind: "bug" | "crashed"; readonly cpu: number; readonly message: string; readonly stack: string };

/** Runs CPU `task.cpu` of the machine from boot to rest. @returns how it ended; throws nothing. */
export function runCpu(task: CpuTask, program: Program): CpuOutcome {
  const { cpu: id } = task;
  const control = Control.at(task.control);
  const map = new MachineMap(task.shape);
  try {
    const mem = new InterruptibleMemory(task.buffer, embedded(map.section(id), PENDING));
    const oracle = task.oracle === undefined ? NULL_ORACLE : new SharedOracle(task.oracle);
    const cpu = attachCpu(mem, map, id, SPIN_BOUND, oracle);
    const baseline = boot(cpu, program);
    Barrier.wait(control.bootBarrier, id + 1);
    new LocalSource(cpu, mem, task).start();
    if ("main" in program) program.main(cpu);
    else run_operations(cpu, program.operation);
    rest(cpu, program, baseline);
    return { kind: "rested", cpu: id };
  } catch (error) {
    if (error instanceof MachineStopped) return { kind: "stopped", cpu: id };
    control.fail(id);
    haltMachine(new BareMemory(task.buffer, 0), map);
    const { message, stack = "" } = error instanceof Error ? error : new Error(String(error));
    return { kind: error instanceof MachineBug ? "bug" : "crashed", cpu: id, message, stack };
  }
}

/** @returns what the machine uses before the program has made anything; on CPU 0. */
function boot(cpu: Cpu, program: Program): Account | undefined {
  bind_all();
  bind_nmi_handler();
  bind_irq_handler();
  bind_callback(CB.torture_nmi, program.nmi);
  bind_callback(CB.torture_irq, program.irq);
  program.bind();
  if (cpu.id !== 0) return undefined;
  start_kernel(cpu);
  const baseline = take_account(cpu);
  program.setup(cpu);
  return baseline;
}

/** Operations until the machine stops. */
export function run_operations(cpu: Cpu, operation: (cpu: Cpu) => void): void {
  const { mem, globals } = cpu;
  const counters = embedded(cpu.section, TORTURE_CPU);
  while (mem.read_once(globals, STOPPING) === 0) {
    trace(cpu, EV_OP, mem.peek(counters, OPS), 0);
    operation(cpu);
    mem.count(counters, OPS, 1);
    // Nobody sleeps here: a kick that came too late for its sleeper would only make every further step look for it.
    mem.take_pending(P_KICK);
    if (random_below(cpu, RESCHED_ONE_IN) === 0) cond_resched(cpu);
    if (random_below(cpu, IDLE_ONE_IN) === 0) idle(cpu);
  }
}

function idle(cpu: Cpu): void {
  if (cpu.mem.peek(cpu.globals, NOHZ) === 0) schedule(cpu);
  else schedule_timeout(cpu, 1 + random_below(cpu, MAX_IDLE_TICKS));
}

function rest(cpu: Cpu, program: Program, baseline: Account | undefined): void {
  const { mem } = cpu;
  const torture = embedded(cpu.globals, TORTURE);
  const sleepers = embedded(torture, SLEEPERS);
  program.teardown(cpu);
  mem.fetch_or(torture, RESTING, 1 << cpu.id);
  wake_up(cpu, sleepers);
  if (baseline !== undefined) {
    wait_event(cpu, sleepers, all_rest, NULL);
    program.finish(cpu);
    check_quiescence(cpu, baseline);
    mem.write_once(torture, FINISHED, 1);
    wake_up(cpu, sleepers);
  } else {
    wait_event(cpu, sleepers, is_finished, NULL);
  }
}

function all_rest(cpu: Cpu): boolean {
  return cpu.mem.read_once(embedded(cpu.globals, TORTURE), RESTING) === allCpus(cpu.map.shape);
}
function is_finished(cpu: Cpu): boolean {
  return cpu.mem.read_once(embedded(cpu.globals, TORTURE), FINISHED) !== 0;
}
