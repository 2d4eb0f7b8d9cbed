/**
 * Pages, their addresses, and the zone of each node. include/linux/mm.h, mmzone.h, topology.h; spec slub 1.10.
 *
 * Every page has a struct page in mem_map. The first page of an allocated block is its head: it has a type and an
 * order; the others are tails and point to the head. A node's pages are consecutive, and so are the nodes.
 */
import { PAGE_SHIFT, PAGE_SIZE } from "../../../base/limits.ts";
import { CpuSlot } from "../../../layout/cpu.ts";
import { Globals } from "../../../layout/globals.ts";
import { Page, Zone } from "../../../layout/page.ts";
import { embedded_at, NULL, type Ptr } from "../../../mem/struct.ts";
import { bug } from "../../../cpu/bug.ts";
import type { Cpu } from "../../../cpu/cpu.ts";

const { compound_head: COMPOUND_HEAD, node: PAGE_NODE } = Page.offset;
const { nr_pages: NR_PAGES } = Zone.offset;
const { zones: ZONES, no_memoryless: NO_MEMORYLESS } = Globals.offset;
const { node: SLOT_NODE } = CpuSlot.offset;
/** log2 of sizeof(struct page). */
const STRUCT_PAGE_SHIFT = 31 - Math.clz32(Page.size);

/** NODE_DATA(): the zone of a node. */
export function node_zone(cpu: Cpu, node: number): Ptr<"zone"> {
  return embedded_at(cpu.globals, ZONES, node, Zone.size);
}
/** Index of a page in mem_map: what a pfn is here. */
export function page_to_pfn(cpu: Cpu, page: Ptr<"page">): number {
  return (page - cpu.memMap) >> STRUCT_PAGE_SHIFT;
}
export function pfn_to_page(cpu: Cpu, pfn: number): Ptr<"page"> {
  return (cpu.memMap + (pfn << STRUCT_PAGE_SHIFT)) as Ptr<"page">;
}
/** Address of the first byte of a page. @context Any */
export function page_address(cpu: Cpu, page: Ptr<"page">): Ptr {
  return (cpu.pages + (page_to_pfn(cpu, page) << PAGE_SHIFT)) as Ptr;
}
/** The page that an address lies in; a bug if it lies in none. @context Any */
export function virt_to_page(cpu: Cpu, address: Ptr): Ptr<"page"> {
  const pfn = (address - cpu.pages) >>> PAGE_SHIFT; // Unsigned: below the first page it is too large as well.
  if (pfn >= cpu.nrPages) no_page(cpu, address);
  return ((cpu.memMap + (pfn << STRUCT_PAGE_SHIFT)) | 0) as Ptr<"page">; // | 0: see element().
}
function no_page(cpu: Cpu, address: number): never {
  return bug(cpu, `${address} is no address in a page`);
}
/** The head of the block that a page belongs to. */
export function compound_head(cpu: Cpu, page: Ptr<"page">): Ptr<"page"> {
  const head = cpu.mem.read(page, COMPOUND_HEAD);
  return head === NULL ? page : head;
}
/** The head of the block that an address lies in. @context Any. The block is allocated, and stays so. */
export function virt_to_head_page(cpu: Cpu, address: Ptr): Ptr<"page"> {
  return compound_head(cpu, virt_to_page(cpu, address));
}
export function page_to_nid(cpu: Cpu, page: Ptr<"page">): number {
  return cpu.mem.read(page, PAGE_NODE);
}
/** The node that this CPU belongs to, with or without memory. @context Any */
export function numa_node_id(cpu: Cpu): number {
  return cpu.mem.peek(cpu.slot, SLOT_NODE);
}
/**
 * The nearest node that has memory: this CPU's own, or the next one that has some. Without CONFIG_HAVE_MEMORYLESS_NODES
 * this CPU's own in any case.
 * @context Any
 */
export function numa_mem_id(cpu: Cpu): number {
  if (!cpu.isNuma) return 0;
  const node = numa_node_id(cpu);
  if (node_has_memory(cpu, node) || cpu.mem.peek(cpu.globals, NO_MEMORYLESS) !== 0) return node;
  return node_with_memory(cpu, node);
}
/** `node`, or the next one that has memory. Which nodes have some never changes, hence no step. */
export function node_with_memory(cpu: Cpu, node: number): number {
  let candidate = node;
  while (!node_has_memory(cpu, candidate)) {
    candidate = next_node(cpu, candidate);
    if (candidate === node) bug(cpu, "no node has memory");
  }
  return candidate;
}
export function node_has_memory(cpu: Cpu, node: number): boolean {
  return cpu.mem.peek(node_zone(cpu, node), NR_PAGES) !== 0;
}
/** The node after `node` in a zonelist, round and round. */
export function next_node(cpu: Cpu, node: number): number {
  return node + 1 === cpu.map.shape.nodes ? 0 : node + 1;
}
/** Smallest order whose block holds `bytes`. */
export function get_order(bytes: number): number {
  return bytes <= PAGE_SIZE ? 0 : 32 - Math.clz32((bytes - 1) >> PAGE_SHIFT);
}
