/** What a machine can be told to do otherwise, by name: when irq_work comes, the order of a barrier, repairs left out. */
import {
  BARRIER_DFDRK,
  BARRIER_DFRK,
  BARRIER_FDRK,
  IRQWORK_LATE,
  IRQWORK_MIXED,
  IRQWORK_PROMPT,
  KB_INIT_ON_FREE,
  KB_K1,
  KB_K2,
  KB_K3,
  KB_NESTED_PRODUCER,
  KB_RCUWAIT_SHARED,
} from "../shared/layout/globals.ts";

export const IRQWORK = { prompt: IRQWORK_PROMPT, late: IRQWORK_LATE, mixed: IRQWORK_MIXED } as const;
export const BARRIER_ORDER = { dfdrk: BARRIER_DFDRK, dfrk: BARRIER_DFRK, fdrk: BARRIER_FDRK } as const;
/** Each switches one of our repairs off, back to what the kernel does. */
export const KERNEL_BEHAVIOUR = {
  "nested-producer": KB_NESTED_PRODUCER,
  "rcuwait-shared": KB_RCUWAIT_SHARED,
  "K-1": KB_K1,
  "K-2": KB_K2,
  "K-3": KB_K3,
  "init-on-free": KB_INIT_ON_FREE,
} as const;

export function keysOf<K extends string>(table: Readonly<Record<K, number>>): readonly K[] {
  return Object.keys(table) as K[];
}
