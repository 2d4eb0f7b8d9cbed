/**
 * What is shown of a machine that has failed: the failure, then for each CPU where it stands, what it holds and what it
 * did last. Everything is read from the machine's memory, which nobody touches any more.
 */
import { describe_context } from "../../shared/cpu/context.ts";
import { Cpu } from "../../shared/cpu/cpu.ts";
import {
  EV_CALL_RCU,
  EV_GP_END,
  EV_GP_START,
  EV_IRQ,
  EV_ITEM,
  EV_NMI,
  EV_OP,
  EV_QS,
  EV_RCU_BARRIER,
  EV_RCU_CALLBACK,
  EV_SOFTIRQ,
  EVENT_NAMES,
} from "../../shared/cpu/trace.ts";
import { CALLBACK_NAMES } from "../../shared/layout/callbacks.ts";
import { CpuPending, CpuSlot, TRACE_ENTRIES, TraceRing } from "../../shared/layout/cpu.ts";
import { Globals } from "../../shared/layout/globals.ts";
import type { MachineMap } from "../../shared/layout/map.ts";
import { PerCpu } from "../../shared/layout/percpu.ts";
import { POINT_NAMES } from "../../shared/layout/points.ts";
import { TortureCpu } from "../../shared/layout/torture.ts";
import { describe_held_locks } from "../../shared/linux/sync/lockdep.ts";
import { NULL_ORACLE } from "../../shared/mem/oracle.ts";
import { element, embedded } from "../../shared/mem/struct.ts";
import type { Machine } from "../machine.ts";
import { addressName } from "./symbols.ts";

const { trace: TRACE, torture: TORTURE } = PerCpu.offset;
const { head: HEAD, entries: ENTRIES } = TraceRing.offset;
const { bits: BITS, waits_for: WAITS_FOR } = CpuPending.offset;
const { point: POINT, ticks: TICKS } = CpuSlot.offset;
const { ops: OPS } = TortureCpu.offset;
const { jiffies: JIFFIES } = Globals.offset;

/** Events shown of each CPU. */
const EVENTS = 16;

/** Where every CPU stands. */
export function describeCpus({ mem, map }: Machine): readonly string[] {
  const lines = [`jiffies ${mem.peek(map.globals, JIFFIES)}`];
  for (let id = 0; id < map.shape.cpus; id++) {
    lines.push(...describeCpu(new Cpu(mem, map, id, 0, NULL_ORACLE)));
  }
  return lines;
}

function describeCpu(cpu: Cpu): readonly string[] {
  const { mem, map } = cpu;
  const point = mem.peek(cpu.slot, POINT);
  const waitsFor = mem.peek(cpu.pending, WAITS_FOR);
  const locks = describe_held_locks(cpu);
  return [
    `CPU ${cpu.id}: ${describe_context(cpu)}`,
    `  operations ${mem.peek(embedded(cpu.section, TORTURE), OPS)}, ticks ${mem.peek(cpu.slot, TICKS)}, pending 0x${mem.peek(cpu.pending, BITS).toString(16)}`,
    ...(point === 0 ? [] : [`  at point ${POINT_NAMES[point]}`]),
    `  ${locks}`,
    ...(waitsFor === 0 ? [] : [`  waits for lock ${addressName(map, waitsFor)}`]),
    "  last events (jiffies: event, arguments):",
    ...lastEvents(cpu).map((line) => `    ${line}`),
  ];
}

function lastEvents(cpu: Cpu): readonly string[] {
  const { mem, map } = cpu;
  const ring = embedded(cpu.section, TRACE);
  const head = mem.peek(ring, HEAD);
  const lines: string[] = [];
  for (let n = Math.max(0, head - EVENTS); n < head; n++) {
    const at = (n % TRACE_ENTRIES) * 4;
    const [event, a, b, jiffies] = [0, 1, 2, 3].map((i) => mem.peek(ring, element(ENTRIES, at + i)));
    const name = EVENT_NAMES[event] ?? `event ${event}`;
    lines.push(`${jiffies}: ${name} ${describeArguments(map, event, a, b)}`);
  }
  return lines;
}

/** What the arguments are depends on the event (cpu/trace.ts). */
function describeArguments(map: MachineMap, event: number, a: number, b: number): string {
  switch (event) {
    case EV_NMI:
    case EV_IRQ:
      return `bit 0x${a.toString(16)}${b === 0 ? "" : ` at ${POINT_NAMES[b]}`}`;
    case EV_ITEM:
      return `${CALLBACK_NAMES[a] ?? a} ${addressName(map, b)}`;
    case EV_CALL_RCU:
    case EV_RCU_CALLBACK:
      return `${addressName(map, a)} ${CALLBACK_NAMES[b] ?? b}`;
    case EV_OP:
    case EV_SOFTIRQ:
    case EV_GP_START:
    case EV_GP_END:
    case EV_QS:
    case EV_RCU_BARRIER:
      return String(a);
    default:
      return [a, b]
        .filter((each) => each !== 0)
        .map((each) => addressName(map, each))
        .join(", ");
  }
}
