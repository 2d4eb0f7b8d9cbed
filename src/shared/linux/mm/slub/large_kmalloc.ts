/**
 * Large kmalloc: sizes above KMALLOC_MAX_CACHE_SIZE get pages of their own. The head page's type tells kfree() so.
 * Context: any but NMI; takes zone->lock. Kernel: mm/slub.c. Spec: slub 1.8.
 */
import { PAGE_SIZE } from "../../../base/limits.ts";
import { warn } from "../../../cpu/bug.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { oracle_move } from "../../../cpu/oracle.ts";
import { EV_ALLOC, EV_FREE, trace } from "../../../cpu/trace.ts";
import { __GFP_ZERO } from "../../../layout/gfp.ts";
import { MAX_PAGE_ORDER, Page, PGTY_frozen, PGTY_large_kmalloc } from "../../../layout/page.ts";
import { O_NONE, O_USER } from "../../../mem/oracle.ts";
import { NULL, type Ptr } from "../../../mem/struct.ts";
import { FREE, hooks_enabled, POST_ALLOC, run_hooks } from "../debug/facilities.ts";
import { PATH } from "../debug/facility.ts";
import { alloc_frozen_pages, free_frozen_pages } from "../page_alloc/page_alloc.ts";
import { get_order, page_address, virt_to_head_page } from "../page_alloc/zone.ts";

const { type: TYPE, order: ORDER } = Page.offset;

/** @kernel mm/slub.c @returns NULL: no such block. @context Hardirq; spins on zone->lock. */
export function __kmalloc_large_node(cpu: Cpu, size: number, gfp: number, node: number): Ptr<"object"> {
  const order = get_order(size);
  if (order > MAX_PAGE_ORDER) return NULL;
  const page = alloc_frozen_pages(cpu, order, node, gfp);
  if (page === NULL) return NULL;
  cpu.mem.init(page, TYPE, PGTY_large_kmalloc);
  const object = page_address(cpu, page) as Ptr<"object">;
  if (gfp & __GFP_ZERO) cpu.mem.fill(object, PAGE_SIZE << order, 0);
  oracle_move(cpu, object, O_NONE, O_USER);
  trace(cpu, EV_ALLOC, object, 0);
  if (hooks_enabled(cpu)) run_hooks(cpu, POST_ALLOC, PATH.kmalloc, NULL, object, PAGE_SIZE << order, gfp);
  return object;
}
/** Is this the start of a large kmalloc? @context Any, while the block stays allocated. */
function is_large_kmalloc(cpu: Cpu, page: Ptr<"page">, object: Ptr): boolean {
  return cpu.mem.read(page, TYPE) === PGTY_large_kmalloc && page_address(cpu, page) === object;
}
/** @kernel mm/slub.c @context Hardirq; spins on zone->lock. What is no large kmalloc is reported and leaks. */
export function free_large_kmalloc(cpu: Cpu, object: Ptr): void {
  const page = virt_to_head_page(cpu, object);
  if (!is_large_kmalloc(cpu, page, object)) {
    warn(cpu, `kfree(${object}): neither a slab object nor a large kmalloc (page type ${cpu.mem.read(page, TYPE)})`);
    return;
  }
  if (hooks_enabled(cpu)) run_hooks(cpu, FREE, PATH.kfree, NULL, object, PAGE_SIZE << cpu.mem.peek(page, ORDER));
  oracle_move(cpu, object, O_USER, O_NONE);
  trace(cpu, EV_FREE, object, 0);
  cpu.mem.write(page, TYPE, PGTY_frozen);
  free_frozen_pages(cpu, page, cpu.mem.read(page, ORDER));
}
/** Bytes of a large kmalloc. @kernel mm/slub.c @context Any, while the block stays allocated. */
export function large_kmalloc_size(cpu: Cpu, object: Ptr): number {
  const page = virt_to_head_page(cpu, object);
  if (is_large_kmalloc(cpu, page, object)) return PAGE_SIZE << cpu.mem.read(page, ORDER);
  warn(cpu, `ksize(${object}): neither a slab object nor a large kmalloc`);
  return 0;
}
