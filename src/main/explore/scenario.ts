/**
 * Scenario: what every CPU runs, what the interrupts run, and what must hold. The form in which litmus tests and races
 * are given to the explorer.
 */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { bind_callback } from "../../shared/cpu/callback_table.ts";
import { FIRST_FREE_CALLBACK } from "../../shared/layout/callbacks.ts";
import { Globals } from "../../shared/layout/globals.ts";
import { element, type CallbackId, type Ptr } from "../../shared/mem/struct.ts";
import type { Operation } from "./lane.ts";

export interface Scenario {
  readonly name: string;
  /** Operations of each CPU; as many CPUs as programs. */
  readonly programs: readonly (readonly Operation[])[];
  /** Runs on CPU 0 before everything else, alone, after boot. */
  readonly setup?: (cpu: Cpu) => void;
  /** What an NMI runs, on the CPU that it hits. */
  readonly nmi?: Operation;
  /** What a device interrupt runs. */
  readonly irq?: Operation;
  /** Runs on CPU 0 when all programs have ended; may wait for other CPUs. */
  readonly final?: Operation;
  /** Looks at the end of each execution, alone. @returns what is wrong, or undefined. */
  readonly check?: (cpu: Cpu) => string | undefined;
  /** NMIs per execution (default 0), ticks per execution (default 0). */
  readonly nmis?: number;
  readonly ticks?: number;
  /** Steps in one execution before it is a livelock (default 100,000). */
  readonly steps?: number;
  /** Machine: bytes (default 1 MiB), nodes (default 1), words of globals. */
  readonly bytes?: number;
  readonly nodes?: number;
  readonly globals?: Partial<Record<ConfigWord, number>>;
}
export type ConfigWord = "irqwork_mode" | "barrier_order" | "kernel_behaviour" | "spurious" | "tiny" | "panic_on_warn";

/** Callback numbers that the explorer binds to the handlers of the scenario. */
export const CB_SCENARIO_NMI = FIRST_FREE_CALLBACK as CallbackId;
export const CB_SCENARIO_IRQ = (FIRST_FREE_CALLBACK + 1) as CallbackId;
/** The first number that is free for a scenario's own callbacks. */
export const FIRST_SCENARIO_CALLBACK = FIRST_FREE_CALLBACK + 2;

/** Binds a function of the scenario to number FIRST_SCENARIO_CALLBACK + i. @returns the number. */
export function scenarioCallback(i: number, fn: (cpu: Cpu, arg: Ptr<never>) => void): CallbackId {
  const id = (FIRST_SCENARIO_CALLBACK + i) as CallbackId;
  bind_callback(id, fn);
  return id;
}

const { scenario: WORDS } = Globals.offset;

/** Shared variable number i of a litmus test: reads and writes are steps. */
export function get(cpu: Cpu, i: number): number {
  return cpu.mem.read_once(cpu.globals, element(WORDS, i));
}
export function set(cpu: Cpu, i: number, v: number): void {
  cpu.mem.write_once(cpu.globals, element(WORDS, i), v);
}
const FIRST_RESULT = 128;
/** Stores a result ("register") of a litmus program: not a step. */
export function result(cpu: Cpu, i: number, v: number): void {
  cpu.mem.poke(cpu.globals, element(WORDS, FIRST_RESULT + i), v);
}
export function resultOf(cpu: Cpu, i: number): number {
  return cpu.mem.peek(cpu.globals, element(WORDS, FIRST_RESULT + i));
}
