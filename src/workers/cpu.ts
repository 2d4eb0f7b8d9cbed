/**
 * A CPU: the thread that boots a slot, runs its program until the machine stops, and comes to rest.
 *
 *   boot    callback numbers are bound; CPU 0 starts the kernel and sets the program up; all meet at the boot barrier
 *   run     operations, with a quiescent state and the CPU's other duties between them, until globals.stopping; or
 *           all the work that the program has
 *   rest    what this CPU holds is given back; then it sleeps, and still serves interrupts, softirqs and work items
 *   check   CPU 0, once all rest: everything is drained and counted; then it wakes the others, and all return
 *
 * A machine that is too small ends in boot, which is nobody's bug.
 *
 * The only place at which a MachineBug is caught: the slot stays as it was at the failure, and the other CPUs are
 * stopped at their next step, so that the host can show what each was doing.
 */
import { mixSeed } from "../shared/base/random.ts";
import { MachineBug, MachineStopped, NoMemory } from "../shared/base/verdict.ts";
import { attachOnlyCpu, SPIN_BOUND } from "../shared/cpu/boot.ts";
import { bind_callback } from "../shared/cpu/callback_table.ts";
import type { Cpu } from "../shared/cpu/cpu.ts";
import { migration_point } from "../shared/cpu/migrate.ts";
import { random_below } from "../shared/cpu/random.ts";
import { cond_resched, schedule, wait_event, wake_up } from "../shared/cpu/sched.ts";
import { EV_OP, trace } from "../shared/cpu/trace.ts";
import { leave_to_other } from "../shared/cpu/task.ts";
import { CB } from "../shared/layout/callbacks.ts";
import { P_KICK, SchedTask } from "../shared/layout/cpu.ts";
import { Globals } from "../shared/layout/globals.ts";
import { MachineMap, type MachineShape } from "../shared/layout/map.ts";
import { PerCpu } from "../shared/layout/percpu.ts";
import { TortureCpu, TortureGlobals } from "../shared/layout/torture.ts";
import { bind_all, start_kernel } from "../shared/linux/init.ts";
import { cpu_hotplug_disable, cpuhp_refuse } from "../shared/linux/kernel/cpu.ts";
import { run_irq_workd } from "../shared/linux/kernel/irq_workd.ts";
import { schedule_timeout } from "../shared/linux/kernel/timer.ts";
import { serve_sysfs_write } from "../shared/linux/mm/slub/sysfs.ts";
import { hotplug_is_configured } from "../shared/linux/sync/cpu_hotplug.ts";
import { BareMemory } from "../shared/mem/bare_memory.ts";
import { InterruptibleMemory } from "../shared/mem/interruptible_memory.ts";
import { NULL_ORACLE } from "../shared/mem/oracle.ts";
import { SharedOracle } from "../shared/mem/shared_oracle.ts";
import { embedded, NULL } from "../shared/mem/struct.ts";
import { Barrier } from "../shared/sync/index.ts";
import { bind_irq_handler } from "../nmi/irq_handler.ts";
import { LocalSource } from "../nmi/local_source.ts";
import { arm_fault_injection } from "../shared/linux/lib/fault_inject.ts";
import { bind_nmi_handler } from "../nmi/nmi_handler.ts";
import { Control } from "./control.ts";
import { ThreadMigrator } from "./migrator.ts";
import { torture_onoff } from "./onoff.ts";
import type { Program } from "./program.ts";
import { type Account, check_quiescence, take_account } from "./quiescence.ts";
import { allCpus, haltMachine } from "./stop.ts";

const { pending: PENDING, torture: TORTURE_CPU } = PerCpu.offset;
const { stopping: STOPPING, torture: TORTURE, nohz: NOHZ } = Globals.offset;
const { resting: RESTING, finished: FINISHED, sleepers: SLEEPERS } = TortureGlobals.offset;
const { ops: OPS } = TortureCpu.offset;
const { on_cpu: ON_CPU } = SchedTask.offset;

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
  /** Which task of the CPU the thread is: 0, the main one, or with PREEMPT_RT 1, irq_work/N. */
  readonly index: number;
}

/** The machine cannot boot, or its program cannot be set up, with so little memory. */
class TooSmall extends Error {}

/** How a CPU's thread ended. A thread that dies sends none: the host reports it as lost. */
export type CpuOutcome =
  | { readonly kind: "rested"; readonly cpu: number }
  | { readonly kind: "stopped"; readonly cpu: number } // by another CPU's failure, or by the host
  | { readonly kind: "too small"; readonly cpu: number; readonly message: string } // CPU 0 has found no memory at boot
  | { readonly kind: "bug" | "crashed"; readonly cpu: number; readonly message: string; readonly stack: string };

/** Runs a task of CPU `task.cpu` of the machine from boot to rest. @returns how it ended; throws nothing. */
export function runCpu(task: CpuTask, program: Program): CpuOutcome {
  const control = Control.at(task.control);
  const map = new MachineMap(task.shape);
  try {
    const mem = new InterruptibleMemory(task.buffer, embedded(map.section(task.cpu), PENDING));
    const oracle = task.oracle === undefined ? NULL_ORACLE : new SharedOracle(task.oracle);
    const cpu = attachOnlyCpu(mem, map, task.cpu, SPIN_BOUND, oracle, task.index);
    if (task.index === 0) runMain(cpu, mem, control, task, program);
    else runIrqWorkd(cpu, mem, task, program);
    return { kind: "rested", cpu: task.cpu };
  } catch (error) {
    return outcomeOf(error, task, control, map);
  }
}
function runMain(cpu: Cpu, mem: InterruptibleMemory, control: Control, task: CpuTask, program: Program): void {
  const baseline = boot(cpu, program);
  Barrier.wait(control.bootBarrier, cpu.id + 1);
  new LocalSource(cpu, mem, task).start();
  if (cpu.migrates) mem.attachMigrator(new ThreadMigrator(cpu, mem, control, task.seed));
  if ("main" in program) program.main(cpu);
  else run_operations(cpu, program.operation);
  rest(cpu, program, baseline);
  if (cpu.rt) leave_to_other(cpu);
}
/**
 * Runs irq_work/N of a machine with PREEMPT_RT: the second task of the CPU, on a thread of its own. It has its first turn
 * when the main task gives way, which is after boot, and its last one when that leaves the CPU for good.
 */
function runIrqWorkd(cpu: Cpu, mem: InterruptibleMemory, task: CpuTask, program: Program): void {
  bindProgram(program);
  mem.wait_for_turn(cpu.sched + ON_CPU);
  new LocalSource(cpu, mem, { ...task, seed: mixSeed(task.seed, cpu.task_id) }).start();
  while (!is_finished(cpu)) run_irq_workd(cpu, is_finished);
}
function outcomeOf(error: unknown, { cpu, buffer }: CpuTask, control: Control, map: MachineMap): CpuOutcome {
  if (error instanceof MachineStopped) return { kind: "stopped", cpu };
  control.fail(cpu);
  haltMachine(new BareMemory(buffer, 0), map);
  const { message, stack = "" } = error instanceof Error ? error : new Error(String(error));
  if (error instanceof TooSmall) return { kind: "too small", cpu, message };
  return { kind: error instanceof MachineBug ? "bug" : "crashed", cpu, message, stack };
}

function bindProgram(program: Program): void {
  bind_all();
  bind_nmi_handler();
  bind_irq_handler();
  bind_callback(CB.torture_nmi, program.nmi);
  bind_callback(CB.torture_irq, program.irq);
  program.bind();
}
/**
 * @returns what the machine uses before the program has made anything; on CPU 0.
 * @throws TooSmall
 */
function boot(cpu: Cpu, program: Program): Account | undefined {
  bindProgram(program);
  if (cpu.id !== 0) return undefined;
  try {
    start_kernel(cpu);
    const baseline = take_account(cpu);
    program.setup(cpu);
    arm_fault_injection(cpu);
    return baseline;
  } catch (error) {
    throw error instanceof NoMemory ? new TooSmall(error.message) : error;
  }
}

/** Operations until the machine stops. */
export function run_operations(cpu: Cpu, operation: (cpu: Cpu) => void): void {
  const { mem, globals } = cpu;
  const counters = embedded(cpu.home, TORTURE_CPU);
  const hotplug = hotplug_is_configured(cpu);
  while (mem.read_once(globals, STOPPING) === 0) {
    trace(cpu, EV_OP, mem.peek(counters, OPS), 0);
    operation(cpu);
    mem.count(counters, OPS, 1);
    serve_sysfs_write(cpu);
    if (hotplug) torture_onoff(cpu);
    if (cpu.migrates) migration_point(cpu, false);
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
  if (hotplug_is_configured(cpu)) {
    cpuhp_refuse(cpu);
    if (cpu.id === 0) cpu_hotplug_disable(cpu);
  }
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
