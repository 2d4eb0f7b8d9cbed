/**
 * race(): plain worker code as a scenario. A thread is a function of the memory and of a pointer to one struct that all
 * threads share; the same functions run on real workers (worker_memory.ts). No kernel is there, only memory: every field
 * is 0 until `setup` writes it.
 */
import { PAGE_SIZE } from "../../shared/base/limits.ts";
import type { Cpu } from "../../shared/cpu/cpu.ts";
import type { Memory } from "../../shared/mem/memory.ts";
import type { Ptr, StructDef } from "../../shared/mem/struct.ts";
import { UsageError } from "../errors.ts";
import { BARE_KERNEL } from "../explore/kernel.ts";
import type { Operation, Scenario } from "../explore/scenario.ts";

/** What a thread may do with memory: each call is a step, under the explorer and on a real worker alike. */
export type ThreadMemory = Pick<
  Memory,
  | "read"
  | "write"
  | "read_once"
  | "write_once"
  | "xchg"
  | "cmpxchg"
  | "fetch_add"
  | "fetch_or"
  | "fetch_and"
  | "init"
  | "data_race_read"
  | "smp_mb"
  | "load_word"
  | "store_word"
  | "load_byte"
  | "store_byte"
  | "fill"
  | "relax"
>;
/**
 * What one thread runs. It keeps nothing outside its own variables and the shared struct, and decides by nothing else:
 * the explorer runs it again from its start, to bring it back to where it was. An exception that it throws is a failure.
 */
export type Thread<S extends string> = (mem: ThreadMemory, shared: Ptr<S>) => void;
/** Looks at the struct while nobody runs. @returns what is wrong, or undefined. */
export type Check<S extends string> = (mem: ThreadMemory, shared: Ptr<S>) => string | undefined;

export interface Race<S extends string, F> {
  /** Letters, digits, "_", "-" and "+". */
  readonly name: string;
  /** One sentence, for lists. */
  readonly summary?: string;
  /** The struct that the threads share. */
  readonly shared: StructDef<S, F>;
  /** 1 to 10. A long thread may be a list of pieces: the explorer goes back to the start of a piece at most. */
  readonly threads: readonly (Thread<NoInfer<S>> | readonly Thread<NoInfer<S>>[])[];
  /** Runs before the threads start. */
  readonly setup?: Thread<NoInfer<S>>;
  /** Interrupts a thread between any two accesses, as a signal handler does; `interrupts` times at most (default 1). */
  readonly interrupt?: Thread<NoInfer<S>>;
  readonly interrupts?: number;
  /** At the end of each execution. */
  readonly check?: Check<NoInfer<S>>;
  /** After each step that changed memory. */
  readonly invariant?: Check<NoInfer<S>>;
  /** Steps in one execution before it is a livelock (default 100,000). */
  readonly steps?: number;
}

const MAX_THREADS = 10;
const MAX_BYTES = 1 << 24;
/** What the machine takes besides the struct. */
const MACHINE_BYTES = 1 << 20;

/** @throws UsageError  that says what to change */
export function race<S extends string, const F>(of: Race<S, F>): Scenario {
  const { name, summary, shared, threads, setup, interrupt, interrupts = 1, check, invariant, steps } = of;
  const problem = problemOf(of);
  if (problem !== undefined) throw new UsageError(`race ${name}: ${problem}`);
  const address = ({ map }: Cpu): Ptr<S> => map.pages as Ptr<S>;
  const operation = (thread: Thread<S>): Operation => {
    return (cpu) => thread(cpu.mem, address(cpu));
  };
  return {
    name,
    ...(summary !== undefined && { summary }),
    kernel: BARE_KERNEL,
    shared,
    bytes: MACHINE_BYTES + Math.ceil(shared.size / PAGE_SIZE) * PAGE_SIZE,
    cpus: threads.map((thread) => piecesOf(thread).map(operation)),
    ...(setup !== undefined && { setup: operation(setup) }),
    ...(interrupt !== undefined && { nmi: operation(interrupt), nmis: interrupts }),
    ...(check !== undefined && { check: (cpu) => check(cpu.mem, address(cpu)) }),
    ...(invariant !== undefined && { invariant: (cpu) => invariant(cpu.mem, address(cpu)) }),
    ...(steps !== undefined && { steps }),
  };
}

/** @returns what is wrong, or undefined. Not everybody's code is checked by a compiler. */
function problemOf<S extends string, F>({ shared, threads, interrupts = 1 }: Race<S, F>): string | undefined {
  if ((shared as { kind?: unknown } | undefined)?.kind !== "struct") return "shared must be what struct() returned";
  if (!Array.isArray(threads)) return "threads must be a list of functions";
  if (threads.length === 0) return "threads is empty: give at least one function";
  if (threads.length > MAX_THREADS) return `${threads.length} threads: at most ${MAX_THREADS} can run`;
  for (const [i, thread] of threads.entries()) {
    const pieces: readonly unknown[] = piecesOf(thread);
    if (pieces.length === 0) return `thread ${i} is an empty list: give at least one function`;
    if (!pieces.every((piece) => typeof piece === "function"))
      return `thread ${i} must be a function or a list of them`;
  }
  if (shared.size > MAX_BYTES)
    return `struct ${shared.name} takes ${shared.size} bytes: at most ${MAX_BYTES} can be shared`;
  if (!Number.isSafeInteger(interrupts) || interrupts < 0) {
    return `interrupts must be an integer from 0 up, not ${interrupts}`;
  }
  return undefined;
}
function piecesOf<T>(thread: T | readonly T[]): readonly T[] {
  return Array.isArray(thread) ? (thread as readonly T[]) : [thread as T];
}
