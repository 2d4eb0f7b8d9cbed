/**
 * Values in words, by the field that holds them: pointers by what they point to, bits by their names, a slab's word as
 * freelist and inuse, everything else as a number.
 */
import { CALLBACK_NAMES, FIRST_FREE_CALLBACK } from "../../shared/layout/callbacks.ts";
import * as C from "../../shared/layout/cpu.ts";
import { IRQ_WORK_BUSY, IRQ_WORK_HARD_IRQ, IRQ_WORK_LAZY, IRQ_WORK_PENDING } from "../../shared/layout/irq_work.ts";
import { GP_STATE_NAMES } from "../../shared/layout/rcu.ts";
import {
  SL_locked,
  SL_partial,
  SL_pfmemalloc,
  SLAB_FREELIST_SHIFT,
  SLAB_INUSE_MASK,
} from "../../shared/layout/slab.ts";
import { TIMER_CPUMASK, TIMER_MIGRATING, TIMER_PENDING } from "../../shared/layout/timer.ts";
import { LOCK_CONTENDED } from "../../shared/layout/types.ts";
import {
  WORK_CPU_SHIFT,
  WORK_STRUCT_CANCELING,
  WORK_STRUCT_PENDING,
  WORK_STRUCT_PWQ,
} from "../../shared/layout/workqueue.ts";

type Bits = readonly (readonly [bit: number, name: string])[];

export const PENDING_BITS: Bits = [
  [C.P_STOP, "STOP"],
  [C.P_KICK, "KICK"],
  [C.P_NMI, "NMI"],
  [C.P_NMI_LOCAL, "NMI"],
  [C.P_IPI_CALL, "CALL"],
  [C.P_IRQ, "IRQ"],
  [C.P_TICK, "TICK"],
  [C.P_IRQ_WORK, "IRQ_WORK"],
  [C.P_IRQ_WORK_LATE, "IRQ_WORK_LATE"],
  [C.P_HRTIMER, "HRTIMER"],
  [C.P_RESCHED, "RESCHED"],
];
const IRQ_WORK_BITS: Bits = [
  [IRQ_WORK_PENDING, "PENDING"],
  [IRQ_WORK_BUSY, "BUSY"],
  [IRQ_WORK_LAZY, "LAZY"],
  [IRQ_WORK_HARD_IRQ, "HARD_IRQ"],
];
const WORK_BITS: Bits = [
  [WORK_STRUCT_PENDING, "PENDING"],
  [WORK_STRUCT_PWQ, "PWQ"],
  [WORK_STRUCT_CANCELING, "CANCELING"],
];
const SLAB_BITS: Bits = [
  [SL_locked, "locked"],
  [SL_partial, "partial"],
  [SL_pfmemalloc, "pfmemalloc"],
];
const TIMER_BITS: Bits = [
  [TIMER_PENDING, "PENDING"],
  [TIMER_MIGRATING, "MIGRATING"],
];

/** The names of the bits that are set, or "0". */
export function bits(names: Bits, value: number): string {
  const set = names.filter(([bit]) => (value & bit) !== 0).map(([, name]) => name);
  return set.length === 0 ? "0" : set.join("|");
}
const owner = (value: number): string => (value === 0 ? "free" : `CPU ${(value & 0xff) - 1}`);
function cpus(mask: number): string {
  const set = Array.from({ length: 32 }, (_, id) => id).filter((id) => (mask >>> id) & 1);
  return `{${set.map((id) => `CPU ${id}`).join(", ")}}`;
}

const DECODERS: ReadonlyMap<string, (value: number) => string> = new Map([
  ["cpu_pending.bits", (v: number) => bits(PENDING_BITS, v)],
  ["irq_work.flags", (v: number) => bits(IRQ_WORK_BITS, v)],
  ["local_trylock.acquired", (v: number) => (v === 0 ? "free" : "held")],
  ["mutex.owner", owner],
  ["rcu_state.gp_leader", (v: number) => (v === 0 ? "none" : `CPU ${v - 1}`)],
  ["rcu_state.gp_state", (v: number) => GP_STATE_NAMES[v] ?? String(v)],
  ["rcuwait.task", (v: number) => (v === 0 ? "none" : `CPU ${v - 1}`)],
  ["slab.counters", slabWord],
  ["slab.flags", (v: number) => bits(SLAB_BITS, v)],
  ["spinlock.val", (v: number) => (v & LOCK_CONTENDED ? `${owner(v & 0xff)} (contended)` : owner(v))],
  ["timer_list.flags", (v: number) => onCpu(bits(TIMER_BITS, v), v & TIMER_CPUMASK)],
  ["wait_queue.cpus", cpus],
  ["work_struct.data", workData],
]);

function slabWord(value: number): string {
  const first = value >>> SLAB_FREELIST_SHIFT;
  return `(freelist ${first === 0 ? "NULL" : `#${first - 1}`}, inuse ${value & SLAB_INUSE_MASK})`;
}
function workData(value: number): string {
  return onCpu(bits(WORK_BITS, value), (value >> WORK_CPU_SHIFT) - 1);
}
/** The CPU matters while something is set. */
function onCpu(set: string, cpu: number): string {
  return set === "0" || cpu < 0 ? set : `${set} (CPU ${cpu})`;
}

/** A value that is no pointer. @param field  "irq_work.flags", or "". @param ctype  C type of the field, or "". */
export function valueName(field: string, ctype: string, value: number): string {
  if (ctype === "callback") return callbackName(value);
  const decode = DECODERS.get(field);
  if (decode !== undefined) return decode(value);
  return Math.abs(value) < 1 << 20 ? String(value) : `0x${(value >>> 0).toString(16)}`;
}
function callbackName(id: number): string {
  const scenario = ["nmi", "irq"][id - FIRST_FREE_CALLBACK] ?? `callbacks[${id - FIRST_FREE_CALLBACK - 2}]`;
  return id < FIRST_FREE_CALLBACK ? (CALLBACK_NAMES[id] ?? String(id)) : scenario;
}
