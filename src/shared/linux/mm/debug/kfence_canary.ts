/**
 * What KFENCE looks at: bytes around an object, when it is freed, and of it, when its page is used again. mm/kfence/core.c.
 *
 * Differs: a page fault does most of this in the kernel, at the access itself and for whole pages.
 */
import { warn } from "../../../cpu/bug.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { KFENCE_CANARY, KFENCE_CANARY_BYTES } from "../../../layout/debug_kfence.ts";
import type { Ptr } from "../../../mem/struct.ts";
import { POISON_FREE } from "./init_on_free.ts";

/** So many bytes of a freed object are looked at. */
const FREED_BYTES = 64;

/** Nobody may have written to the bytes around an object. @kernel mm/kfence/core.c @context Any, as its owner */
export function check_canary(cpu: Cpu, object: Ptr, size: number): void {
  const end = object + size;
  const what = "memory corruption: written out of bounds of";
  report(cpu, what, object, first_other(cpu, object - KFENCE_CANARY_BYTES, object, KFENCE_CANARY));
  report(cpu, what, object, first_other(cpu, end, end + KFENCE_CANARY_BYTES, KFENCE_CANARY));
}
/** Nobody may have written to an object since it was freed. @context Any, as the owner of its page */
export function check_freed(cpu: Cpu, object: Ptr, size: number): void {
  const bytes = Math.min(size, FREED_BYTES);
  report(cpu, "use-after-free: written to", object, first_other(cpu, object, object + bytes, POISON_FREE));
}
/** First of the bytes from `from` to `to` that is not `byte`; 0: all are. */
function first_other(cpu: Cpu, from: number, to: number, byte: number): number {
  const { mem } = cpu;
  const word = byte * 0x01010101;
  for (let at = from; at < to;) {
    if ((at & 3) === 0 && at + 4 <= to && mem.load_word(at) === (word | 0)) {
      at += 4;
    } else if (mem.load_byte(at) === byte) {
      at++;
    } else {
      return at;
    }
  }
  return 0;
}
function report(cpu: Cpu, what: string, object: Ptr, bad: number): void {
  if (bad !== 0) warn(cpu, `KFENCE: ${what} object 0x${object.toString(16)}, at 0x${bad.toString(16)}`);
}
