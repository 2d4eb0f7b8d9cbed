/** Emergency reserves are for those who may have them (slub B12): what users of ordinary objects look at. */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { object_bug } from "../../shared/cpu/oracle.ts";
import { SL_pfmemalloc, Slab } from "../../shared/layout/slab.ts";
import { virt_to_slab } from "../../shared/linux/mm/slub/slab.ts";
import type { Ptr } from "../../shared/mem/struct.ts";

const { flags: SLAB_FLAGS } = Slab.offset;

/**
 * Was the object allocated without reserves? Finds something only where the machine keeps some: --config reserve=N.
 * @param object  the caller's, new, from a slab. @context Any
 */
export function check_ordinary(cpu: Cpu, object: Ptr): void {
  const slab = virt_to_slab(cpu, object);
  if (cpu.mem.data_race_read(slab, SLAB_FLAGS) & SL_pfmemalloc) {
    object_bug(cpu, object, "an ordinary allocation got an object from emergency reserves");
  }
}
