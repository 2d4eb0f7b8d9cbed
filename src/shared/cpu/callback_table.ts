/**
 * What the callback numbers of layout/callbacks.ts call. Bound once per thread before the CPU starts (linux/init.ts),
 * never changed afterwards: a number means the same function everywhere, so it may lie in shared memory.
 */
import { CALLBACK_NAMES, MAX_CALLBACKS } from "../layout/callbacks.ts";
import type { CallbackId, Ptr } from "../mem/struct.ts";
import type { Cpu } from "./cpu.ts";
import { bug } from "./bug.ts";

/** The argument is the address that the caller of the pointer passes: the work, the rcu_head, or NULL. */
export type CallbackFn = (cpu: Cpu, arg: Ptr<never>) => unknown;

const table: (CallbackFn | undefined)[] = Array.from({ length: MAX_CALLBACKS });

/** Binds a number. Binding the same function again is harmless; a different one replaces it (tests). */
export function bind_callback(id: CallbackId, fn: CallbackFn): void {
  table[id] = fn;
}
/** Calls through a number. */
export function invoke(cpu: Cpu, id: CallbackId, arg: Ptr): unknown {
  const fn = table[id];
  if (fn === undefined) return bug(cpu, `call through ${callback_name(id)} (${id}), which is bound to nothing`);
  return fn(cpu, arg as Ptr<never>);
}
export function callback_name(id: CallbackId): string {
  return CALLBACK_NAMES[id] ?? `callback ${id}`;
}
