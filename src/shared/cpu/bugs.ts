/**
 * Known bugs that a machine has been given back (layout/bugs.ts). Each is asked for in one place, which does what the kernel
 * did before its fix. That place is never a fast path: a machine without bugs does not pay for the question.
 */
import { Globals } from "../layout/globals.ts";
import type { Cpu } from "./cpu.ts";

const { bugs: BUGS, bugs_high: BUGS_HIGH } = Globals.offset;

/** Has this machine known bug `bug` (BUG_*)? No step: boot has decided it. @context Any */
export function has_bug(cpu: Cpu, bug: number): boolean {
  return (cpu.mem.peek(cpu.globals, bug < 32 ? BUGS : BUGS_HIGH) & (1 << (bug & 31))) !== 0;
}
