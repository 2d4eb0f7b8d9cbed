/** What is said of a kmem_cache_free() of an object of another cache, or of none. mm/slub.c; spec slub 3.7. */
import { warn } from "../../../cpu/bug.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { printk } from "../../../cpu/printk.ts";
import { KERN_ERR } from "../../../layout/printk.ts";
import { Slab } from "../../../layout/slab.ts";
import { NULL, type Ptr } from "../../../mem/struct.ts";
import { cache_name } from "./cache_name.ts";
import { peek_slot } from "./slot.ts";
import { print_tracking } from "./track.ts";

const { slab_cache: SLAB_CACHE } = Slab.offset;

/**
 * Warns, and says who has had the object if that is known. The object is leaked.
 * @kernel  mm/slub.c, warn_free_bad_obj()
 * @param   slab  that the object lies in; NULL: none.
 * @context Any. No step.
 */
export function warn_free_bad_obj(cpu: Cpu, s: Ptr<"kmem_cache">, slab: Ptr<"slab">, object: Ptr): void {
  const call = `kmem_cache_free(${cache_name(cpu, s)}, 0x${object.toString(16)})`;
  if (slab === NULL) {
    warn(cpu, `${call}: the object is not from that cache, nor from any other`);
    return;
  }
  const owner = cpu.mem.peek(slab, SLAB_CACHE);
  const tracks = print_tracking(cpu, peek_slot(cpu.mem, owner), object);
  if (tracks.length > 0) printk(cpu, KERN_ERR, tracks.join("\n"));
  warn(cpu, `${call}: the object is not from that cache, but from ${cache_name(cpu, owner)}`);
}
