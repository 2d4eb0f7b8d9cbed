/**
 * kvmalloc_obj_start_addr(): the start of an object from an address inside it. kfree_rcu() keeps no more of an object
 * than the address of its head. mm/slub.c; spec rcu 2.1.
 *
 *   slab object      its number, by division, gives its start
 *   large kmalloc    starts on a page: rounding down finds it
 *   vmalloc          likewise
 *   KFENCE object    anywhere in its page: KFENCE knows
 *
 * The last two are right for the first page of an object only. That is why the head's offset must be below
 * KVFREE_RCU_OFFSET_LIMIT: one page on, rounding would find an address inside the object.
 */
import { PAGE_SIZE } from "../../../base/limits.ts";
import { Slab } from "../../../layout/slab.ts";
import { NULL, type Ptr } from "../../../mem/struct.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { is_kfence_address, kfence_object_start } from "../debug/kfence_pool.ts";
import { index_to_obj, obj_to_index, virt_to_slab } from "../slub/slab.ts";
import { is_vmalloc_addr } from "../vmalloc.ts";

const { slab_cache: SLAB_CACHE } = Slab.offset;

/**
 * kvmalloc_obj_start_addr() - start of the object that `address` lies in, less than a page behind its start.
 *
 * @kernel  mm/slub.c
 * @context Any. The object is allocated, or waits for its grace period: slab and cache stay.
 */
export function kvmalloc_obj_start_addr(cpu: Cpu, address: Ptr): Ptr {
  if (is_kfence_address(cpu, address)) return kfence_object_start(cpu, address);
  const slab = is_vmalloc_addr(cpu, address) ? NULL : virt_to_slab(cpu, address);
  if (slab === NULL) return (address & -PAGE_SIZE) as Ptr;
  const s = cpu.mem.read(slab, SLAB_CACHE);
  return index_to_obj(cpu, s, slab, obj_to_index(cpu, s, slab, address));
}
