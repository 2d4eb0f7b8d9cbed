/**
 * Trace events and named points of a CPU. The ring lies in the CPU's section, so a report can show the last events of
 * a CPU that died; writing it is no step. include/linux/tracepoint.h in spirit.
 */
import { CpuCounters, CpuSlot, TRACE_ENTRIES, TraceRing } from "../layout/cpu.ts";
import { Globals } from "../layout/globals.ts";
import { PerCpu } from "../layout/percpu.ts";
import { element } from "../mem/struct.ts";
import { this_cpu_ptr, type Cpu } from "./cpu.ts";

const { trace: TRACE } = PerCpu.offset;
const { head: HEAD, entries: ENTRIES } = TraceRing.offset;
const { point: POINT } = CpuSlot.offset;
const { points_visited: VISITED } = CpuCounters.offset;
const { jiffies: JIFFIES } = Globals.offset;

/** Events: number = index. `a` and `b` mean what the name says. */
export const EVENT_NAMES = [
  "-",
  "nmi", // pending bit, point it hit
  "irq", // pending bit, point it hit
  "softirq",
  "item", // work item or grace-period step: callback
  "park", // lock
  "idle",
  "gp_start", // gp_seq
  "gp_end", // gp_seq
  "qs", // gp_seq
  "call_rcu", // head, function
  "rcu_callback", // head, function
  "rcu_barrier", // barrier_sequence
  "alloc", // object, cache
  "free", // object, cache
  "kfree_rcu", // object, cache
  "defer", // list node, list
  "irq_work_queue", // work
  "irq_work_run", // work
  "cache_create", // cache
  "cache_destroy", // cache
  "op", // scenario operation
  "migrate", // CPU that the task comes from, CPU that it is on now
  "cpuhp", // 0: this CPU goes offline; 1: it is back
  "switch", // index of the task that gives way, index of the one that goes on
] as const;
export const EV_NMI = 1;
export const EV_IRQ = 2;
export const EV_SOFTIRQ = 3;
export const EV_ITEM = 4;
export const EV_PARK = 5;
export const EV_IDLE = 6;
export const EV_GP_START = 7;
export const EV_GP_END = 8;
export const EV_QS = 9;
export const EV_CALL_RCU = 10;
export const EV_RCU_CALLBACK = 11;
export const EV_RCU_BARRIER = 12;
export const EV_ALLOC = 13;
export const EV_FREE = 14;
export const EV_KFREE_RCU = 15;
export const EV_DEFER = 16;
export const EV_IRQ_WORK_QUEUE = 17;
export const EV_IRQ_WORK_RUN = 18;
export const EV_CACHE_CREATE = 19;
export const EV_CACHE_DESTROY = 20;
export const EV_OP = 21;
export const EV_MIGRATE = 22;
export const EV_CPUHP = 23;
export const EV_SWITCH = 24;

/** Records an event. @context Any */
export function trace(cpu: Cpu, event: number, a: number, b: number): void {
  const mem = cpu.mem;
  if (!mem.tracing) return;
  const ring = this_cpu_ptr(cpu, TRACE);
  const head = mem.peek(ring, HEAD);
  const at = (head % TRACE_ENTRIES) * 4;
  mem.poke(ring, element(ENTRIES, at), event);
  mem.poke(ring, element(ENTRIES, at + 1), a);
  mem.poke(ring, element(ENTRIES, at + 2), b);
  mem.poke(ring, element(ENTRIES, at + 3), mem.peek(cpu.globals, JIFFIES));
  mem.poke(ring, HEAD, head + 1);
}

/** Marks a named point: an interrupt may come here, and sources may be aimed at it. @context Any */
export function point(cpu: Cpu, id: number): void {
  if (!cpu.checked) return;
  cpu.mem.count(cpu.counters, element(VISITED, id), 1);
  cpu.mem.poke(cpu.slot, POINT, id);
  cpu.mem.poll(id);
  cpu.mem.poke(cpu.slot, POINT, 0);
}
