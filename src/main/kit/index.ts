/**
 * sheaf/test: what a file needs that describes a scenario of the kernel, or a race of its own code, to `sheaf explore`.
 * docs/EXPLORING.md is its guide.
 */

// Own code.
export { type Check, race, type Race, type Thread, type ThreadMemory } from "./race.ts";
export { attachMemory, sharedBuffer } from "./worker_memory.ts";

// Memory.
export {
  aligned,
  array,
  atomic32,
  atomic_long,
  atomic_ptr,
  callback,
  container_of,
  element,
  embedded,
  embedded_at,
  NULL,
  offsetof,
  overlay,
  ptr,
  struct,
  u32,
  ulong,
} from "../../shared/mem/struct.ts";
export type { CallbackId, Field, Inner, Ptr, StructDef } from "../../shared/mem/struct.ts";
export type { Memory } from "../../shared/mem/memory.ts";

// Scenarios on the machine.
export type { ConfigWord } from "../settings.ts";
export {
  callbackId,
  get,
  type Operation,
  result,
  resultOf,
  scenario,
  type Scenario,
  set,
} from "../explore/scenario.ts";
export { BARE_KERNEL, KERNEL, type Kernel } from "../explore/kernel.ts";
export { raiseIrq } from "./interrupts.ts";
export { bug } from "../../shared/cpu/bug.ts";
export type { Cpu } from "../../shared/cpu/cpu.ts";
export { wait_event, wake_up } from "../../shared/cpu/sched.ts";
export { POINT } from "../../shared/layout/points.ts";

// The kernel: its functions, flags, and the words of a scenario's `globals`.
export * as linux from "../../shared/linux/api.ts";
export * as gfp from "../../shared/layout/gfp.ts";
export {
  BARRIER_DFDRK,
  BARRIER_DFRK,
  BARRIER_FDRK,
  IRQWORK_LATE,
  IRQWORK_MIXED,
  IRQWORK_PROMPT,
} from "../../shared/layout/globals.ts";

// Exploring from a test.
export { type Budget, type Exploration, Explorer, type ExplorerOptions, type Failure } from "../explore/explore.ts";
export { type Schedule, scheduleFromText, scheduleToText } from "../explore/strategy.ts";
