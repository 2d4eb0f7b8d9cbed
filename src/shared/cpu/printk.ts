/**
 * printk(): text for whoever looks at the machine from outside (main/report/dmesg.ts). kernel/printk.
 *
 * Each CPU writes to a ring of its own and takes no step. Its interrupts come between steps only, so a record is never
 * torn, and it needs neither a lock nor an atomic reservation. A number that all CPUs draw from gives the order.
 *
 * Context: any, NMI included, on top of any lock. When an operation is executed again nothing is printed twice.
 *
 * Differs: the kernel has one ring, and NMIs reserve their room in it by cmpxchg.
 */
import { CpuSlot, CTX_TASK } from "../layout/cpu.ts";
import { Globals } from "../layout/globals.ts";
import { PerCpu } from "../layout/percpu.ts";
import { LOG_HEADER, LOG_TEXT_BYTES, LOG_WORDS, PrintkRing } from "../layout/printk.ts";
import { element, type Ptr } from "../mem/struct.ts";
import { this_cpu_ptr, type Cpu } from "./cpu.ts";

const { printk: PRINTK } = PerCpu.offset;
const { head: HEAD, tail: TAIL, lost: LOST, words: WORDS } = PrintkRing.offset;
const { depth: DEPTH, contexts: CONTEXTS } = CpuSlot.offset;
const { jiffies: JIFFIES, printk_seq: PRINTK_SEQ } = Globals.offset;

/** @param text  ASCII, may have several lines; no newline at its end. @context Any */
export function printk(cpu: Cpu, level: number, text: string): void {
  const { mem } = cpu;
  if (mem.rebuilding) return;
  const ring = this_cpu_ptr(cpu, PRINTK);
  const bytes = Math.min(text.length, LOG_TEXT_BYTES);
  const length = LOG_HEADER + ((bytes + 3) >> 2);
  make_room(cpu, ring, length);
  // Race: two CPUs may draw the same number. Then neither was first.
  const seq = mem.peek(cpu.globals, PRINTK_SEQ);
  mem.poke(cpu.globals, PRINTK_SEQ, seq + 1);
  const head = mem.peek(ring, HEAD);
  const put = (at: number, value: number): void => mem.poke(ring, element(WORDS, (head + at) & (LOG_WORDS - 1)), value);
  put(0, bytes);
  put(1, level | (context_of(cpu) << 8));
  put(2, mem.peek(cpu.globals, JIFFIES));
  put(3, seq);
  for (let at = 0; at < bytes; at += 4) {
    let word = 0;
    for (let i = at; i < Math.min(at + 4, bytes); i++) word |= (text.charCodeAt(i) & 0x7f) << (8 * (i & 3));
    put(LOG_HEADER + (at >> 2), word);
  }
  mem.poke(ring, HEAD, head + length);
}

/** current_context() of context.ts, which knows of bug(), which prints. */
function context_of({ mem, slot }: Cpu): number {
  const depth = mem.peek(slot, DEPTH);
  return depth === 0 ? CTX_TASK : mem.peek(slot, element(CONTEXTS, depth - 1)) & 0xff;
}
/** The oldest records make room for `length` words. */
function make_room(cpu: Cpu, ring: Ptr<"printk_ring">, length: number): void {
  const { mem } = cpu;
  let tail = mem.peek(ring, TAIL);
  while (((mem.peek(ring, HEAD) - tail) >>> 0) + length > LOG_WORDS) {
    const bytes = mem.peek(ring, element(WORDS, tail & (LOG_WORDS - 1)));
    tail += LOG_HEADER + ((bytes + 3) >> 2);
    mem.poke(ring, LOST, mem.peek(ring, LOST) + 1);
  }
  mem.poke(ring, TAIL, tail);
}
