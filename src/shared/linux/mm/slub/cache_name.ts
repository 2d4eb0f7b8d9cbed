/**
 * Names of caches. They are packed into struct kmem_cache, so that a report on any thread can read them: Linux keeps
 * a pointer to a string there.
 */
import { CACHE_NAME_BYTES, KmemCache } from "../../../layout/slab.ts";
import type { Memory } from "../../../mem/memory.ts";
import { element, type Ptr } from "../../../mem/struct.ts";

const { name: NAME } = KmemCache.offset;

/** Writes the first CACHE_NAME_BYTES characters of `name`, ASCII, to a cache that nobody uses yet. */
export function set_cache_name(mem: Memory, s: Ptr<"kmem_cache">, name: string): void {
  for (let word = 0; word < CACHE_NAME_BYTES / 4; word++) {
    let value = 0;
    for (let byte = 0; byte < 4; byte++) value |= (name.charCodeAt(4 * word + byte) & 0x7f) << (8 * byte);
    mem.init(s, element(NAME, word), value);
  }
}
/** Name of a cache. No step: also for who looks at a machine from outside, as `cache_name({ mem }, s)`. */
export function cache_name(cpu: { readonly mem: Memory }, s: Ptr<"kmem_cache">): string {
  let name = "";
  for (let byte = 0; byte < CACHE_NAME_BYTES; byte++) {
    const code = (cpu.mem.peek(s, element(NAME, byte >> 2)) >> (8 * (byte & 3))) & 0x7f;
    if (code === 0) break;
    name += String.fromCharCode(code);
  }
  return name;
}
