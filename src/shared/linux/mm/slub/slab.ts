/**
 * From addresses to slabs and objects and back. mm/slab.h, mm/slub.c; spec slub 1.2, 1.5.
 *
 * A slab is a block of pages; struct slab overlays the struct page of its head, which PGTY_slab marks. Object i starts
 * at address(slab) + i * s->size + s->red_left_pad: that is what users, freelists and sheaves hold.
 *
 * Context: any, for whoever has an object of the slab or holds its list_lock: then the slab stays.
 */
import { MAX_NUMNODES } from "../../../base/limits.ts";
import { PGTY_slab } from "../../../layout/page.ts";
import { KmemCache, KmemCachePerNode, OO_MASK, OO_SHIFT, Slab } from "../../../layout/slab.ts";
import { embedded_at, NULL, type Ptr } from "../../../mem/struct.ts";
import { bug } from "../../../cpu/bug.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { oracle_slab } from "../../../cpu/oracle.ts";
import { page_address, virt_to_head_page } from "../page_alloc/zone.ts";

export { numa_mem_id, numa_node_id } from "../page_alloc/zone.ts";

const { type: TYPE, node: NODE, objects: OBJECTS } = Slab.offset;
const { size: SIZE, red_left_pad: RED_LEFT_PAD, per_node: PER_NODE } = KmemCache.offset;
const { node: PER_NODE_NODE } = KmemCachePerNode.offset;

/** The struct page that a slab overlays, and the other way round. */
export function slab_page(slab: Ptr<"slab">): Ptr<"page"> {
  return slab as Ptr as Ptr<"page">;
}
export function page_slab(page: Ptr<"page">): Ptr<"slab"> {
  return page as Ptr as Ptr<"slab">;
}
/** The slab that an address lies in. @kernel mm/slab.h @returns NULL: a page that is no slab. */
export function virt_to_slab(cpu: Cpu, address: Ptr): Ptr<"slab"> {
  const slab = page_slab(virt_to_head_page(cpu, address));
  return cpu.mem.read(slab, TYPE) === PGTY_slab ? slab : NULL;
}
/** Address of the slab's first byte. @kernel mm/slab.h */
export function slab_address(cpu: Cpu, slab: Ptr<"slab">): Ptr {
  return page_address(cpu, slab_page(slab));
}
/** The node that the slab's memory belongs to. @kernel mm/slab.h */
export function slab_nid(cpu: Cpu, slab: Ptr<"slab">): number {
  return cpu.mem.read(slab, NODE);
}
/** Number of the object at `object`. @kernel mm/slab.h. Differs: divides by s->size, not by multiplying with its inverse. */
export function obj_to_index(cpu: Cpu, s: Ptr<"kmem_cache">, slab: Ptr<"slab">, object: Ptr): number {
  return ((object - slab_address(cpu, slab)) / cpu.mem.read(s, SIZE)) | 0;
}
/** The object with this number. */
export function index_to_obj(cpu: Cpu, s: Ptr<"kmem_cache">, slab: Ptr<"slab">, index: number): Ptr<"object"> {
  return (slab_address(cpu, slab) + index * cpu.mem.read(s, SIZE) + cpu.mem.read(s, RED_LEFT_PAD)) as Ptr<"object">;
}

export function oo_make(order: number, objects: number): number {
  return (order << OO_SHIFT) | objects;
}
export function oo_order(oo: number): number {
  return oo >> OO_SHIFT;
}
export function oo_objects(oo: number): number {
  return oo & OO_MASK;
}

/** get_node(): what the cache keeps for a node. @kernel mm/slab.h @returns NULL: nothing there. */
export function get_node(cpu: Cpu, s: Ptr<"kmem_cache">, node: number): Ptr<"kmem_cache_node"> {
  if (node < 0 || node >= MAX_NUMNODES) bug(cpu, `there is no node ${node}`);
  return cpu.mem.read(embedded_at(s, PER_NODE, node, KmemCachePerNode.size), PER_NODE_NODE);
}

/** Tells the oracle that all objects of a slab change place together. */
export function report_objects(cpu: Cpu, s: Ptr<"kmem_cache">, slab: Ptr<"slab">, from: number, to: number): void {
  const first = index_to_obj(cpu, s, slab, 0);
  oracle_slab(cpu, first, cpu.mem.read(s, SIZE), cpu.mem.read(slab, OBJECTS), from, to);
}
