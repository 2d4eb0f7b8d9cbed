/** One torture run: boots a machine, lets it run for the given time, and tells how it ended (supervise.ts). */
import { Machine, type MachineThreads, threadModule } from "../machine.ts";
import { type Summary, summarise } from "../report/summary.ts";
import { type SupervisedRun, supervise } from "../supervise.ts";
import type { Watchdog } from "./watchdog.ts";
import { machineConfig, nmiShares, type TortureConfig } from "./config.ts";

export interface TortureResult extends SupervisedRun {
  readonly config: TortureConfig;
  readonly summary: Summary;
}

export interface TortureHooks {
  /** The machine has been built; its threads are starting. */
  readonly onMachine?: (machine: Machine) => void;
  /** All CPUs are up. */
  readonly onBoot?: (bootMs: number) => void;
  /** Now and then while it runs. */
  readonly onProgress?: (summary: Summary, elapsedMs: number) => void;
  /** Ends the run early, in order. */
  readonly signal?: AbortSignal;
  /** Other code for the CPUs' threads, and what it gets besides the scenarios. */
  readonly cpuModule?: URL;
  readonly cpuTask?: object;
  /** See MachineThreads. */
  readonly cpu0?: MachineThreads["cpu0"];
  /** For tests: other limits. */
  readonly watchdog?: Watchdog;
}

export async function runTorture(config: TortureConfig, hooks: TortureHooks = {}): Promise<TortureResult> {
  const machine = buildMachine(config, hooks);
  hooks.onMachine?.(machine);
  const summary = (): Summary => summarise(machine.mem, machine.map, machine.control, machine.oracle);
  const { signal, watchdog, onBoot, onProgress } = hooks;
  const run = await supervise(machine, {
    durationMs: config.durationMs,
    signal,
    watchdog,
    onBoot,
    onProgress: (elapsedMs) => onProgress?.(summary(), elapsedMs),
  });
  return { config, ...run, summary: summary() };
}

/** The machine of a torture run, whose threads start at once. */
export function buildMachine(config: TortureConfig, { cpuModule, cpuTask, cpu0 }: TortureHooks = {}): Machine {
  const { controller, perTick } = nmiShares(config);
  return new Machine(machineConfig(config), {
    cpuModule: cpuModule ?? threadModule("./cpu_thread", import.meta.url),
    cpuTask: { scenarios: config.scenarios, ...cpuTask },
    cpu0,
    watched: true,
    nmisPerTick: perTick,
    noise: config.settings.noise ?? true,
    nmiRate: controller,
    irqRate: config.irqRate,
  });
}
