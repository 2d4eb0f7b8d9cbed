/**
 * Scenario: what every CPU runs, what the interrupts run, and what must hold. The form in which litmus tests, races
 * of the kernel and races of user code are given to the explorer.
 *
 * A scenario is rebuilt from its module on every thread that runs it, so it keeps nothing in JavaScript: what its
 * programs share lies in shared memory (get, set, result), and what is called through a number is in `callbacks`.
 */
import type { CallbackFn } from "../../shared/cpu/callback_table.ts";
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { FIRST_FREE_CALLBACK } from "../../shared/layout/callbacks.ts";
import { Globals } from "../../shared/layout/globals.ts";
import { type AnyStruct, element, type CallbackId } from "../../shared/mem/struct.ts";
import { bugNamed, wordsOf } from "../bugs.ts";
import { parseConfigWords } from "../config_option.ts";
import type { GlobalsWords } from "../settings.ts";
import type { Kernel } from "./kernel.ts";

/** One small piece of a program, run on its CPU. It must be deterministic given what it reads from shared memory. */
export type Operation = (cpu: Cpu) => void;

export interface Scenario {
  /** Names it on command lines and in tokens: letters, digits, "_", "-" and "+". */
  readonly name: string;
  /** One sentence, for lists. */
  readonly summary?: string;
  /** Operations of each CPU; as many CPUs as lists. */
  readonly cpus: readonly (readonly Operation[])[];
  /**
   * A second task for some CPUs, at most one each. The machine must be preemptible: globals.preempt, or rt, where the
   * task becomes irq_work/N once its program has ended.
   */
  readonly tasks?: readonly { readonly cpu: number; readonly program: readonly Operation[] }[];
  /** Functions that are called through a pointer: irq_work functions, RCU callbacks, ... Number: callbackId(index). */
  readonly callbacks?: readonly CallbackFn[];
  /** Runs on CPU 0 before everything else, alone, after boot. */
  readonly setup?: Operation;
  /** What an NMI runs, on the CPU that it hits. */
  readonly nmi?: Operation;
  /** What a device interrupt runs. */
  readonly irq?: Operation;
  /** Runs on CPU 0 when all programs have ended; may wait for other CPUs. */
  readonly final?: Operation;
  /** Looks at the end of each execution, alone. @returns what is wrong, or undefined. */
  readonly check?: (cpu: Cpu) => string | undefined;
  /** Looks after each step that changed memory, from outside: its accesses are no steps. @returns what is wrong. */
  readonly invariant?: (cpu: Cpu) => string | undefined;
  /** NMIs per execution (default: 1 if there is an `nmi`), ticks per execution (default 0). */
  readonly nmis?: number;
  readonly ticks?: number;
  /** NMIs only at these named points (layout/points.ts); default: before any step. */
  readonly nmiPoints?: readonly number[];
  /** Steps in one execution before it is a livelock (default 100,000). */
  readonly steps?: number;
  /** Machine: words of --config, such as "tiny"; these come first, what is said below comes on top. */
  readonly config?: readonly string[];
  /** Machine: bytes (default 1 MiB), nodes (default 1), whether the last one has memory (default: it has). */
  readonly bytes?: number;
  readonly nodes?: number;
  readonly memless?: boolean;
  /** Machine: words of globals; those that are left out are 0. */
  readonly globals?: GlobalsWords;
  /** Machine: known bugs that it has, by name ('sheaf list bugs'). */
  readonly bugs?: readonly string[];
  /** What the machine boots (default: the whole kernel). */
  readonly kernel?: Kernel;
  /** What lies in the first page, for reports: races of users' own code keep their shared struct there. */
  readonly shared?: AnyStruct;
  /** True: an oracle watches every object, reader, grace period and barrier. */
  readonly oracle?: boolean;
}
/** Declares a scenario: the identity, with the type. */
export function scenario(of: Scenario): Scenario {
  return of;
}

/** The words of globals that a scenario asks for. */
export function globalsOf({ config, globals, bugs }: Scenario): GlobalsWords {
  const words = config === undefined ? (globals ?? {}) : { ...parseConfigWords("explore", config).globals, ...globals };
  return bugs === undefined ? words : { ...words, ...wordsOf(bugs.map(bugNamed), words) };
}
/** The nodes that it asks for. */
export function nodesOf({ config = [], nodes, memless }: Scenario): {
  readonly nodes: number;
  readonly memless: boolean;
} {
  const settings = parseConfigWords("explore", config);
  return { nodes: nodes ?? settings.nodes ?? 1, memless: memless ?? settings.memless ?? false };
}

/** Callback numbers that the explorer binds to the handlers of the scenario. */
export const CB_SCENARIO_NMI = FIRST_FREE_CALLBACK as CallbackId;
export const CB_SCENARIO_IRQ = (FIRST_FREE_CALLBACK + 1) as CallbackId;
const FIRST_SCENARIO_CALLBACK = FIRST_FREE_CALLBACK + 2;
/** Number under which `callbacks[i]` of the scenario is called. */
export function callbackId(i: number): CallbackId {
  return (FIRST_SCENARIO_CALLBACK + i) as CallbackId;
}

const { scenario: WORDS } = Globals.offset;

/** Shared variable number i of a scenario: reads and writes are steps. */
export function get(cpu: Cpu, i: number): number {
  return cpu.mem.read_once(cpu.globals, element(WORDS, i));
}
export function set(cpu: Cpu, i: number, v: number): void {
  cpu.mem.write_once(cpu.globals, element(WORDS, i), v);
}
const FIRST_RESULT = 128;
/** Stores a result ("register") of a program: not a step. */
export function result(cpu: Cpu, i: number, v: number): void {
  cpu.mem.poke(cpu.globals, element(WORDS, FIRST_RESULT + i), v);
}
export function resultOf(cpu: Cpu, i: number): number {
  return cpu.mem.peek(cpu.globals, element(WORDS, FIRST_RESULT + i));
}
