/** slab_debug: tells a machine that has not booted yet which caches to debug (shared/linux/mm/slub/debug_flags.ts). */
import { Globals, SLAB_DEBUG_CACHES_BYTES } from "../shared/layout/globals.ts";
import type { Memory } from "../shared/mem/memory.ts";
import { element, type Ptr } from "../shared/mem/struct.ts";
import type { SlabDebug } from "./settings.ts";

const { slab_debug: SLAB_DEBUG, slab_debug_caches: CACHES } = Globals.offset;

/** @throws RangeError  the names of the caches are too long together, or not ASCII */
export function writeSlabDebug(mem: Memory, globals: Ptr<"globals">, { flags, caches }: SlabDebug): void {
  const text = caches.join(",");
  if (text.length > SLAB_DEBUG_CACHES_BYTES) {
    throw new RangeError(`the names of debugged caches take ${text.length} bytes: at most ${SLAB_DEBUG_CACHES_BYTES}`);
  }
  if (/[^!-~]/.test(text)) throw new RangeError("the names of debugged caches must be printable ASCII");
  mem.poke(globals, SLAB_DEBUG, flags);
  for (let word = 0; word < SLAB_DEBUG_CACHES_BYTES / 4; word++) {
    let value = 0;
    for (let byte = 0; byte < 4; byte++) value |= (text.charCodeAt(4 * word + byte) || 0) << (8 * byte);
    mem.poke(globals, element(CACHES, word), value);
  }
}
