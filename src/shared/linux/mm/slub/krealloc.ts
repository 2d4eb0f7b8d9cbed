/**
 * krealloc(): an object that grows or shrinks. mm/slub.c; spec slub 11.1.
 *
 *   the new size                        what happens
 *   fits, and so does its place         the same object
 *   does not                            a new object with the old one's content, which is freed
 *   0                                   the object is freed: ZERO_SIZE_PTR
 *
 * __GFP_ZERO clears what the user gets to see for the first time: it must have been given for every size before, too, as
 * what lies behind the old size is only known to be clear then. With original sizes (kmalloc caches with SLAB_STORE_USER)
 * it is exact. Bytes behind the new size become red zone then.
 *
 * Context: as the allocation. Nobody else uses the object.
 */
import type { Cpu } from "../../../cpu/cpu.ts";
import { __GFP_THISNODE, __GFP_ZERO, NUMA_NO_NODE } from "../../../layout/gfp.ts";
import { KmemCache, Slab } from "../../../layout/slab.ts";
import { SLAB_ALLOC_DEFAULT, SLAB_RED_ZONE, SLAB_STORE_USER } from "../../../layout/slab_flags.ts";
import { NULL, type Ptr } from "../../../mem/struct.ts";
import { memcpy } from "../../lib/string.ts";
import { is_kfence_address, kfence_ksize } from "../debug/kfence_pool.ts";
import { page_to_nid, virt_to_head_page } from "../page_alloc/zone.ts";
import { SLUB_RED_ACTIVE } from "./debug_bytes.ts";
import { kmem_cache_debug_flags } from "./debug_flags.ts";
import { kfree, kmalloc, kmalloc_flags } from "./kmalloc.ts";
import { large_kmalloc_size } from "./large_kmalloc.ts";
import { set_orig_size, user_size } from "./orig_size.ts";
import { ZERO_OR_NULL_PTR, ZERO_SIZE_PTR } from "./size_class.ts";
import { virt_to_slab } from "./slab.ts";
import { slot_of, slub_debug_orig_size } from "./slot.ts";

const { object_size: OBJECT_SIZE } = KmemCache.offset;
const { slab_cache: SLAB_CACHE } = Slab.offset;

type Obj = Ptr<"object">;

/** @kernel mm/slub.c, krealloc() @returns NULL: no memory; the old object is untouched. @context as the allocation */
export function krealloc(cpu: Cpu, p: Obj, new_size: number, gfp: number): Obj {
  return krealloc_node_align(cpu, p, new_size, 1, gfp, NUMA_NO_NODE);
}
/**
 * krealloc_node_align() - the same, at an address that is a multiple of `align`, and on a node.
 *
 * @kernel  mm/slub.c
 * @param   align  a power of two; sizes that are multiples of it are aligned so by kmalloc().
 * @param   node   preferred node; with __GFP_THISNODE an object of another one is moved.
 * @returns NULL: no memory; the old object is untouched.
 * @context Hardirq, or Task if gfp may block.
 */
export function krealloc_node_align(cpu: Cpu, p: Obj, new_size: number, align: number, gfp: number, node: number): Obj {
  if (new_size === 0) {
    kfree(cpu, p);
    return ZERO_SIZE_PTR;
  }
  if (ZERO_OR_NULL_PTR(p)) return kmalloc_flags(cpu, new_size, gfp, SLAB_ALLOC_DEFAULT, node);
  const old = sizes_of(cpu, p);
  if (new_size <= old.room && p % align === 0 && !on_wrong_node(cpu, p, gfp, node)) {
    resize_in_place(cpu, p, old, new_size, gfp);
    return p;
  }
  const object = kmalloc_flags(cpu, new_size, gfp, SLAB_ALLOC_DEFAULT, node);
  if (object === NULL) return NULL;
  memcpy(cpu, object, p, Math.min(new_size, old.requested));
  kfree(cpu, p);
  return object;
}

interface Sizes {
  /** Bytes that the object has. */
  readonly room: number;
  /** Bytes that were asked for, if that is known; else `room`. */
  readonly requested: number;
  /** NULL: it is no slab object, or one of KFENCE. */
  readonly s: Ptr<"kmem_cache">;
}
function sizes_of(cpu: Cpu, p: Obj): Sizes {
  const slab = virt_to_slab(cpu, p);
  if (slab === NULL || is_kfence_address(cpu, p)) {
    const room = slab === NULL ? large_kmalloc_size(cpu, p) : kfence_ksize(cpu, p);
    return { room, requested: room, s: NULL };
  }
  const s = cpu.mem.read(slab, SLAB_CACHE);
  const room = cpu.mem.read(s, OBJECT_SIZE);
  return { room, requested: user_size(cpu, s, p, room), s };
}
function on_wrong_node(cpu: Cpu, p: Obj, gfp: number, node: number): boolean {
  if ((gfp & __GFP_THISNODE) === 0 || node === NUMA_NO_NODE) return false;
  return page_to_nid(cpu, virt_to_head_page(cpu, p)) !== node;
}
function resize_in_place(cpu: Cpu, p: Obj, { room, requested, s }: Sizes, new_size: number, gfp: number): void {
  if (gfp & __GFP_ZERO) {
    // Growing: what comes into sight. Shrinking: what goes out of sight, for when it comes again.
    if (requested < new_size) cpu.mem.fill(p + requested, new_size - requested, 0);
    else if (new_size < room) cpu.mem.fill(p + new_size, room - new_size, 0);
  }
  if (s === NULL || !kmem_cache_debug_flags(cpu, s, SLAB_STORE_USER)) return;
  const slot = slot_of(cpu, s);
  if (!slub_debug_orig_size(slot)) return;
  set_orig_size(cpu, slot, p, new_size);
  if (slot.flags & SLAB_RED_ZONE && new_size < room) cpu.mem.fill(p + new_size, room - new_size, SLUB_RED_ACTIVE);
}

/** A copy of `bytes` bytes. @kernel mm/util.c @returns NULL: no memory. @context as kmalloc() */
export function kmemdup(cpu: Cpu, from: Ptr, bytes: number, gfp: number): Obj {
  const copy = kmalloc(cpu, bytes, gfp);
  if (copy !== NULL) memcpy(cpu, copy, from, bytes);
  return copy;
}
