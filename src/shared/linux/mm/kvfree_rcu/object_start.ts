/**
 * kvmalloc_obj_start_addr(): the start of an object from an address inside it. kfree_rcu() keeps no more of an object
 * than the address of its head; include/linux/slab.h limits the head's offset to one page, so that rounding down finds
 * the start of a large kmalloc, which starts on a page. mm/slub.c; spec rcu 2.1.
 */
import { PAGE_SIZE } from "../../../base/limits.ts";
import { Slab } from "../../../layout/slab.ts";
import { NULL, type Ptr } from "../../../mem/struct.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { index_to_obj, obj_to_index, virt_to_slab } from "../slub/slab.ts";

const { slab_cache: SLAB_CACHE } = Slab.offset;

/**
 * kvmalloc_obj_start_addr() - start of the object that `address` lies in.
 *
 * @kernel  mm/slub.c
 * @context Any. The object is allocated, or waits for its grace period: slab and cache stay.
 */
export function kvmalloc_obj_start_addr(cpu: Cpu, address: Ptr): Ptr {
  const slab = virt_to_slab(cpu, address);
  if (slab === NULL) return (address & -PAGE_SIZE) as Ptr;
  const s = cpu.mem.read(slab, SLAB_CACHE);
  return index_to_obj(cpu, s, slab, obj_to_index(cpu, s, slab, address));
}
