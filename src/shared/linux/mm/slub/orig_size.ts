/**
 * The size that a user of kmalloc() asked for, in debugged caches: what lies between it and the size of the bucket is red
 * zone too. mm/slub.c; spec slub 1.5.
 *
 * Context: any, for whoever has the object.
 */
import type { Cpu } from "../../../cpu/cpu.ts";
import { OrigSize } from "../../../layout/slab.ts";
import { SLAB_STORE_USER } from "../../../layout/slab_flags.ts";
import type { Ptr } from "../../../mem/struct.ts";
import { is_kfence_address, kfence_ksize } from "../debug/kfence_pool.ts";
import { kmem_cache_debug_flags } from "./debug_flags.ts";
import { orig_size_of, slot_of, slub_debug_orig_size, type Slot } from "./slot.ts";

const { size: ORIG_SIZE } = OrigSize.offset;

/** @kernel mm/slub.c @param orig_size  0: the whole object */
export function set_orig_size(cpu: Cpu, slot: Slot, object: Ptr, orig_size: number): void {
  if (!slub_debug_orig_size(slot) || is_kfence_address(cpu, object)) return;
  cpu.mem.write(orig_size_of(slot, object), ORIG_SIZE, orig_size === 0 ? slot.object_size : orig_size);
}
/** @kernel mm/slub.c @returns object_size where it is not kept. */
export function get_orig_size(cpu: Cpu, slot: Slot, object: Ptr): number {
  if (is_kfence_address(cpu, object)) return kfence_ksize(cpu, object);
  if (!slub_debug_orig_size(slot)) return slot.object_size;
  return cpu.mem.read(orig_size_of(slot, object), ORIG_SIZE);
}
/** The user has learnt the object's real size, and may use all of it. @kernel mm/slub.c @context Any */
export function skip_orig_size_check(cpu: Cpu, s: Ptr<"kmem_cache">, object: Ptr): void {
  if (kmem_cache_debug_flags(cpu, s, SLAB_STORE_USER)) set_orig_size(cpu, slot_of(cpu, s), object, 0);
}
/** Bytes of an object that its user may see cleared; `object_size` is the cache's. @context Any */
export function user_size(cpu: Cpu, s: Ptr<"kmem_cache">, object: Ptr, object_size: number): number {
  if (!kmem_cache_debug_flags(cpu, s, SLAB_STORE_USER)) return object_size;
  return get_orig_size(cpu, slot_of(cpu, s), object);
}
