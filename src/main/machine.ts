/**
 * Machine: the threads of one machine and the memory they share. The main thread only looks: it never blocks, so that
 * progress, Ctrl-C and dead threads reach it at any time.
 *
 * Each CPU and the controller is one piscina task on a thread of its own. Whatever happens to a CPU's thread, `outcomes`
 * settles: a thread that exits or is killed is a CPU that is lost, and stops the machine; one that does not return
 * after the machine was stopped is given up and terminated.
 */
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Piscina } from "piscina";
import { init_cpu_slots, init_further_task } from "../shared/cpu/boot.ts";
import { TASK_INDEX_SHIFT } from "../shared/cpu/cpu.ts";
import { CB } from "../shared/layout/callbacks.ts";
import { MAX_TASKS } from "../shared/layout/cpu.ts";
import { Globals, VARIANT_RFC } from "../shared/layout/globals.ts";
import { MachineMap, type MachineShape } from "../shared/layout/map.ts";
import { TortureGlobals } from "../shared/layout/torture.ts";
import { BareMemory } from "../shared/mem/bare_memory.ts";
import { SharedOracle } from "../shared/mem/shared_oracle.ts";
import { embedded } from "../shared/mem/struct.ts";
import { Barrier, type BarrierOutcome, deadlineAfter } from "../shared/sync/index.ts";
import { Control } from "../workers/control.ts";
import type { ControllerTask } from "../workers/controller.ts";
import type { CpuOutcome, CpuTask } from "../workers/cpu.ts";
import { haltMachine, stopMachine } from "../workers/stop.ts";
import { UnsupportedError } from "./errors.ts";
import type { ConfigWord, GlobalsWords, SlabDebug } from "./settings.ts";
import { writeSlabDebug } from "./slab_debug.ts";

const {
  nr_cpus: NR_CPUS,
  nr_nodes: NR_NODES,
  seed: SEED,
  torture: TORTURE,
  panic_on_warn: PANIC_ON_WARN,
  nmi_handler: NMI_HANDLER,
  irq_handler: IRQ_HANDLER,
  online: ONLINE,
} = Globals.offset;
const { head_bytes: HEAD_BYTES } = TortureGlobals.offset;

/** The main thread's number at the boot barrier. */
const THREAD_ID = 101;
const BOOT_TIMEOUT_MS = 60_000;
const BOOT_SLICE_MS = 200;
/** How long a stopped machine's threads may take to return. Each stops at its next step. */
const HALT_TIMEOUT_MS = 10_000;
const RFC_WITHOUT_RT = "--variant rfc and --config rt exclude each other: that series refused PREEMPT_RT";
/** Numbers of tasks leave room for so many. */
const MAX_RT_CPUS = 1 << TASK_INDEX_SHIFT;

/** What the machine's memory says about it from the start. */
export interface MachineConfig {
  readonly shape: MachineShape;
  readonly seed: number;
  /** Words of its globals; those that are left out are 0. */
  readonly globals: GlobalsWords;
  /** Caches that are debugged from boot on; absent: those that are created so. */
  readonly slabDebug?: SlabDebug | undefined;
  /** The words of --config, for messages. */
  readonly words?: readonly string[];
  /** Bytes of the heads of torture's objects: 8 or 16; 0 or absent: both kinds. */
  readonly headBytes?: number;
}
/** What its threads do. */
export interface MachineThreads {
  /** Module whose default export is the CPUs' task function, and what it gets besides the CpuTask. */
  readonly cpuModule: URL;
  readonly cpuTask: object;
  /** Has CPU 0 run by a thread of the caller's; undefined: by one of ours, as the others. */
  readonly cpu0?: ((task: CpuTask) => Promise<CpuOutcome>) | undefined;
  /** Whether the oracle watches. Watching costs as much as what is watched. */
  readonly watched: boolean;
  readonly nmisPerTick: number;
  readonly noise: boolean;
  /** Events per second that the controller raises. */
  readonly nmiRate: number;
  readonly irqRate: number;
}

/** As CpuOutcome, or: the thread died, or did not return. */
export type Outcome = CpuOutcome | { readonly kind: "lost"; readonly cpu: number; readonly message: string };

export class Machine {
  readonly map: MachineMap;
  /** As in its MachineConfig. */
  readonly words: readonly string[];
  readonly control: Control;
  readonly oracle: SharedOracle;
  /** The machine's memory as the main thread sees it. */
  readonly mem: BareMemory;
  /** Whether all CPUs have booted; false: one has ended before, or does not come. */
  readonly booted: Promise<boolean>;
  /** How each CPU ended; by CPU. */
  readonly outcomes: Promise<readonly Outcome[]>;
  /** What went wrong besides the CPUs, if anything. */
  trouble: string | undefined;
  private readonly pool: Piscina;
  private readonly controller: Promise<void>;
  private readonly runs: readonly Promise<Outcome>[];
  /** Of second tasks; by CPU, or empty. */
  private readonly furtherRuns: readonly Promise<Outcome>[];
  /** Aborted when the machine has been told to stop at once. */
  private readonly halted = new AbortController();

  constructor(config: MachineConfig, threads: MachineThreads) {
    const { shape, seed } = config;
    const isRt = (config.globals.rt ?? 0) !== 0;
    if (isRt && shape.cpus > MAX_RT_CPUS)
      throw new UnsupportedError(`with rt a machine has ${MAX_RT_CPUS} CPUs at most`);
    if (isRt && config.globals.nolock_variant === VARIANT_RFC) throw new UnsupportedError(RFC_WITHOUT_RT);
    const { buffer, oracle } = allocate(shape, isRt ? MAX_TASKS << TASK_INDEX_SHIFT : shape.cpus);
    this.map = new MachineMap(shape);
    this.words = config.words ?? [];
    this.mem = new BareMemory(buffer, 0);
    this.control = Control.create(shape.cpus + 2);
    this.oracle = oracle;
    powerOn(this.mem, this.map, config);

    const cpuThreads = isRt ? 2 * shape.cpus : shape.cpus;
    const poolThreads = threads.cpu0 === undefined ? cpuThreads + 1 : cpuThreads;
    this.pool = new Piscina({
      minThreads: poolThreads,
      maxThreads: poolThreads,
      concurrentTasksPerWorker: 1,
      idleTimeout: Infinity,
      recordTiming: false,
      env: { ...process.env, NODE_OPTIONS: "" },
    });
    this.pool.on("error", () => this.halt()); // The run that broke rejects, too; this is for errors between runs.
    const common = { buffer, control: this.control.buffer, shape, seed };
    const { nmiRate, irqRate, nmisPerTick, noise } = threads;
    const cpuTask = { ...common, ...threads.cpuTask, oracle: threads.watched ? oracle.buffer : undefined };
    this.runs = Array.from({ length: shape.cpus }, (_, cpu) =>
      this.runCpu({ ...cpuTask, cpu, nmisPerTick, noise, index: 0 }, threads),
    );
    this.furtherRuns = Array.from({ length: isRt ? shape.cpus : 0 }, (_, cpu) =>
      this.runCpu({ ...cpuTask, cpu, nmisPerTick, noise, index: 1 }, threads),
    );
    const controllerTask: ControllerTask = { ...common, nmiRate, irqRate };
    this.controller = this.runOn(threadModule("../workers/controller", import.meta.url), controllerTask).then(
      () => undefined,
      (error: unknown) => {
        if (this.halted.signal.aborted) return; // We ended it.
        this.trouble = `the controller's thread ended: ${messageOf(error)}`;
        this.halt(); // Without ticks nothing would end.
      },
    );
    this.booted = this.waitForBoot();
    this.outcomes = this.collect();
  }

  /** Lets all CPUs finish, drain and check; outcomes settles then. */
  stop(): void {
    stopMachine(this.mem, this.map);
  }
  /** Stops all CPUs where they stand. */
  halt(): void {
    haltMachine(this.mem, this.map);
    this.halted.abort();
  }
  /** Ends all threads. The memory can still be read. */
  async shutDown(): Promise<void> {
    this.control.quit();
    await Promise.race([this.controller, delay(HALT_TIMEOUT_MS, undefined, { ref: false })]);
    await this.pool.destroy();
  }
  /** The threads, for tests that kill one. */
  get threads(): Piscina["threads"] {
    return this.pool.threads;
  }

  private runOn(module: URL, task: object): Promise<unknown> {
    return this.pool.run(task, { filename: fileURLToPath(module) }) as Promise<unknown>;
  }
  private async runCpu(task: CpuTask, { cpuModule, cpu0 }: MachineThreads): Promise<Outcome> {
    try {
      const isOurs = task.cpu !== 0 || task.index !== 0 || cpu0 === undefined;
      const run = !isOurs ? cpu0(task) : this.runOn(cpuModule, task);
      const outcome = (await run) as CpuOutcome;
      if (outcome.kind !== "rested") this.halted.abort();
      return outcome;
    } catch (error) {
      if (this.halted.signal.aborted) return { kind: "stopped", cpu: task.cpu }; // We ended it.
      this.control.fail(task.cpu);
      this.halt();
      return { kind: "lost", cpu: task.cpu, message: `its thread ended: ${messageOf(error)}` };
    }
  }
  private async waitForBoot(): Promise<boolean> {
    const ended = Promise.race(this.runs).then(() => "ended" as const);
    const deadlineMs = performance.now() + BOOT_TIMEOUT_MS;
    let outcome: BarrierOutcome | "ended" = "timed-out";
    while (outcome === "timed-out" && performance.now() < deadlineMs) {
      // In slices: a wait for threads that will never come must not outlive them.
      const barrier = Barrier.waitAsync(this.control.bootBarrier, THREAD_ID, deadlineAfter(BOOT_SLICE_MS));
      outcome = await Promise.race([ended, barrier]);
    }
    if (outcome === "last" || outcome === "released") return true;
    if (outcome === "timed-out") this.trouble = `not all threads were up after ${BOOT_TIMEOUT_MS / 1000} s`;
    // The others stand at the barrier, where no interrupt reaches them.
    this.halt();
    await this.pool.destroy();
    return false;
  }
  private async collect(): Promise<readonly Outcome[]> {
    const giveUp = haltTimeout(this.halted.signal);
    return Promise.all(
      this.runs.map((run, cpu) =>
        Promise.race([
          bothOf(run, this.furtherRuns[cpu]),
          giveUp.then((): Outcome => ({ kind: "lost", cpu, message: "its thread does not return: it takes no step" })),
        ]),
      ),
    );
  }
}

/** How a CPU ended that may have two threads: the one that failed says it. */
async function bothOf(main: Promise<Outcome>, further: Promise<Outcome> | undefined): Promise<Outcome> {
  const outcome = await main;
  const other = await further;
  return other === undefined || other.kind === "rested" || other.kind === "stopped" ? outcome : other;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** @throws UnsupportedError  the computer has not got that much */
function allocate({ bytes }: MachineShape, oracleBlocks: number): { buffer: SharedArrayBuffer; oracle: SharedOracle } {
  try {
    return { buffer: new SharedArrayBuffer(bytes), oracle: SharedOracle.create(bytes, oracleBlocks) };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new UnsupportedError("there is not enough memory for such a machine: give a smaller --memory");
  }
}

/** Settles some time after the signal. */
async function haltTimeout(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
  await delay(HALT_TIMEOUT_MS, undefined, { ref: false });
}

/** The URL of a module that is a thread's entry, named without its extension: in dist it is .js. */
export function threadModule(path: string, from: string): URL {
  return new URL(`${path}${from.endsWith(".ts") ? ".ts" : ".js"}`, from);
}

/** Writes the configuration, and the power-on state of every CPU. */
function powerOn(mem: BareMemory, map: MachineMap, config: MachineConfig): void {
  const { globals } = map;
  const { shape } = config;
  mem.poke(globals, NR_CPUS, shape.cpus);
  mem.poke(globals, NR_NODES, shape.nodes);
  mem.poke(globals, SEED, config.seed | 0);
  mem.poke(embedded(globals, TORTURE), HEAD_BYTES, config.headBytes ?? 0);
  mem.poke(globals, PANIC_ON_WARN, 1);
  for (const [word, value] of Object.entries(config.globals)) {
    mem.poke(globals, Globals.offset[word as ConfigWord], value | 0);
  }
  if (config.slabDebug !== undefined) writeSlabDebug(mem, globals, config.slabDebug);
  mem.poke(globals, NMI_HANDLER, CB.nmi_handler);
  mem.poke(globals, IRQ_HANDLER, CB.irq_handler);
  mem.poke(globals, ONLINE, 2 ** shape.cpus - 1);
  init_cpu_slots(mem, map);
  if ((config.globals.rt ?? 0) !== 0) {
    for (let cpu = 0; cpu < shape.cpus; cpu++) init_further_task(mem, map, cpu);
  }
}
