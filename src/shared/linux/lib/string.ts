/** memcpy(): bytes from one object to another, a word at a time. lib/string.c. Context: any. */
import type { Cpu } from "../../cpu/cpu.ts";
import type { Ptr } from "../../mem/struct.ts";

/** Copies `bytes` bytes; the two do not overlap, and both start on a word. @kernel lib/string.c @context Any */
export function memcpy(cpu: Cpu, to: Ptr, from: Ptr, bytes: number): void {
  const words = bytes & ~3;
  for (let i = 0; i < words; i += 4) cpu.mem.store_word(to + i, cpu.mem.load_word(from + i));
  for (let i = words; i < bytes; i++) cpu.mem.store_byte(to + i, cpu.mem.load_byte(from + i));
}
