/**
 * What the CPUs of a machine have printed (shared/cpu/printk.ts), in order. Read from outside, without steps; exact when
 * nothing runs, otherwise a record that is just being overwritten may be garbled.
 */
import { CONTEXT_NAMES } from "../../shared/layout/cpu.ts";
import type { MachineMap } from "../../shared/layout/map.ts";
import { PerCpu } from "../../shared/layout/percpu.ts";
import { LOG_HEADER, LOG_TEXT_BYTES, LOG_WORDS, PrintkRing } from "../../shared/layout/printk.ts";
import type { Memory } from "../../shared/mem/memory.ts";
import { element, embedded, type Ptr } from "../../shared/mem/struct.ts";

const { printk: PRINTK } = PerCpu.offset;
const { head: HEAD, tail: TAIL, lost: LOST, words: WORDS } = PrintkRing.offset;

export interface LogRecord {
  readonly cpu: number;
  /** KERN_* */
  readonly level: number;
  /** "task", "nmi": the context that printed it. */
  readonly context: string;
  readonly jiffies: number;
  /** Order among all records; two that were printed at the same time may share it. */
  readonly seq: number;
  /** May have several lines. */
  readonly text: string;
}

/** All records that are left, oldest first. */
export function logRecords(mem: Memory, map: MachineMap): readonly LogRecord[] {
  const records = Array.from({ length: map.shape.cpus }, (_, cpu) => [...recordsOf(mem, map, cpu)]).flat();
  return records.toSorted((a, b) => a.seq - b.seq || a.cpu - b.cpu);
}
function ringOf(map: MachineMap, cpu: number): Ptr<"printk_ring"> {
  return embedded(map.section(cpu), PRINTK);
}
function* recordsOf(mem: Memory, map: MachineMap, cpu: number): Generator<LogRecord> {
  const ring = ringOf(map, cpu);
  const head = mem.peek(ring, HEAD);
  const word = (at: number): number => mem.peek(ring, element(WORDS, at & (LOG_WORDS - 1)));
  for (let at = mem.peek(ring, TAIL); at !== head;) {
    const bytes = word(at);
    if (bytes < 0 || bytes > LOG_TEXT_BYTES) return; // Being overwritten.
    let text = "";
    for (let i = 0; i < bytes; i++) {
      text += String.fromCharCode((word(at + LOG_HEADER + (i >> 2)) >>> (8 * (i & 3))) & 0x7f);
    }
    const info = word(at + 1);
    const context = CONTEXT_NAMES[info >> 8] ?? "?";
    yield { cpu, level: info & 0xff, context, jiffies: word(at + 2), seq: word(at + 3), text };
    at = (at + LOG_HEADER + ((bytes + 3) >> 2)) | 0;
    if (((head - at) | 0) < 0) return;
  }
}

/** The log as lines: "[   12] CPU 1 nmi: BUG ..."; the first one says how much was lost. Empty: nothing was printed. */
export function dmesg(mem: Memory, map: MachineMap): readonly string[] {
  let lost = 0;
  for (let cpu = 0; cpu < map.shape.cpus; cpu++) lost += mem.peek(ringOf(map, cpu), LOST);
  const lines = logRecords(mem, map).flatMap(({ cpu, context, jiffies, text }) => {
    const prefix = `[${String(jiffies).padStart(5)}] CPU ${cpu} ${context}: `;
    return text.split("\n").map((line) => (prefix + line).trimEnd());
  });
  return lost === 0 ? lines : [`${lost} older messages were overwritten`, ...lines];
}
