/** What a machine can be told to do otherwise, by name: when irq_work comes, the order of a barrier, repairs left out. */
import { HOOK_BITS } from "../shared/layout/debug.ts";
import {
  BARRIER_DFDRK,
  BARRIER_DFRK,
  BARRIER_FDRK,
  IRQWORK_LATE,
  IRQWORK_MIXED,
  IRQWORK_PROMPT,
  KB_ABORT_SINGLE,
  KB_INIT_ON_FREE,
  KB_K1,
  KB_K2,
  KB_K3,
  KB_KMEMLEAK_UNKNOWN,
  KB_NESTED_PRODUCER,
  KB_NOLOCK_ORIGIN,
  KB_NOSPIN_ALLOC,
  KB_OBJ_EXT_RECURSION,
  KB_OBJCG_SPIN,
  KB_ON_CACHE,
  KB_RCUWAIT_SHARED,
  KB_UNPOLLED,
  VARIANT_MERGED,
  VARIANT_RFC,
  VARIANT_V3,
} from "../shared/layout/globals.ts";

export const IRQWORK = { prompt: IRQWORK_PROMPT, late: IRQWORK_LATE, mixed: IRQWORK_MIXED } as const;
/** Forms of kfree_rcu_nolock(), and where they are from. */
export const VARIANT = { merged: VARIANT_MERGED, v3: VARIANT_V3, rfc: VARIANT_RFC } as const;
export const VARIANT_SUMMARIES: Readonly<Record<keyof typeof VARIANT, string>> = {
  merged: "7.3: into a sheaf, else onto a list whose irq_work calls kvfree_call_rcu() (default)",
  v3: "June 2026: the same, but an object of another node enters a sheaf, and one on no slab draws a warning",
  rfc: "February 2026: into a sheaf unless that fills it, else onto krc->head by trylock, a lazy irq_work arms the monitor",
};
export const BARRIER_ORDER = { dfdrk: BARRIER_DFDRK, dfrk: BARRIER_DFRK, fdrk: BARRIER_FDRK } as const;
/** Each switches one of our repairs off, back to what the kernel does, or a change of the series, back to what it did. */
export const KERNEL_BEHAVIOUR = {
  "nested-producer": KB_NESTED_PRODUCER,
  "rcuwait-shared": KB_RCUWAIT_SHARED,
  "K-1": KB_K1,
  "K-2": KB_K2,
  "K-3": KB_K3,
  "init-on-free": KB_INIT_ON_FREE,
  "nolock-origin": KB_NOLOCK_ORIGIN,
  "kmemleak-unknown": KB_KMEMLEAK_UNKNOWN,
  unpolled: KB_UNPOLLED,
  "on-cache": KB_ON_CACHE,
  "abort-single": KB_ABORT_SINGLE,
  "objcg-spin": KB_OBJCG_SPIN,
  "nospin-alloc": KB_NOSPIN_ALLOC,
  "obj-ext-recursion": KB_OBJ_EXT_RECURSION,
} as const;

/** Debugging and accounting facilities. */
export const HOOKS = HOOK_BITS;

export function keysOf<K extends string>(table: Readonly<Record<K, number>>): readonly K[] {
  return Object.keys(table) as K[];
}
