/**
 * The buddy system of one zone: free blocks of 2^order pages, orders 0 to 10, a list for each order. A block starts at
 * a multiple of its size from the start of the zone; two free buddies of one order never lie side by side, since
 * whoever frees the second one merges them.
 *
 * Context: zone->lock held for all of it. Kernel: mm/page_alloc.c.
 */
import {
  FreeArea,
  MAX_PAGE_ORDER,
  NR_PAGE_ORDERS,
  Page,
  PGTY_buddy,
  PGTY_frozen,
  PGTY_NONE,
  Zone,
} from "../../../layout/page.ts";
import { container_of, embedded, embedded_at, NULL, type Ptr } from "../../../mem/struct.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { list_add, list_del, list_first } from "../../lib/list.ts";
import { page_to_pfn, pfn_to_page } from "./zone.ts";

const { type: TYPE, order: ORDER, lru: LRU } = Page.offset;
const { start_page: START_PAGE, nr_pages: NR_PAGES, free_area: FREE_AREA, nr_free_pages: NR_FREE_PAGES } = Zone.offset;
const { free_list: FREE_LIST, nr_free: NR_FREE } = FreeArea.offset;

export function free_area_of(zone: Ptr<"zone">, order: number): Ptr<"free_area"> {
  return embedded_at(zone, FREE_AREA, order, FreeArea.size);
}

function add_to_free_list(cpu: Cpu, zone: Ptr<"zone">, page: Ptr<"page">, order: number): void {
  const area = free_area_of(zone, order);
  cpu.mem.write(page, ORDER, order);
  cpu.mem.write(page, TYPE, PGTY_buddy);
  list_add(cpu, embedded(page, LRU), embedded(area, FREE_LIST));
  cpu.mem.write(area, NR_FREE, cpu.mem.read(area, NR_FREE) + 1);
}
/** @param type  what the block's head is from now on; never PGTY_buddy, or a freer would merge with it. */
function del_page_from_free_list(cpu: Cpu, zone: Ptr<"zone">, page: Ptr<"page">, order: number, type: number): void {
  const area = free_area_of(zone, order);
  list_del(cpu, embedded(page, LRU));
  cpu.mem.write(page, TYPE, type);
  cpu.mem.write(area, NR_FREE, cpu.mem.read(area, NR_FREE) - 1);
}

/**
 * __rmqueue_smallest() - take a block of `order` out of the smallest free one that holds it, and give back the halves.
 * @kernel  mm/page_alloc.c
 * @returns its head, PGTY_frozen but otherwise not yet prepared; NULL: there is none.
 * @context Any, zone->lock held.
 */
export function __rmqueue_smallest(cpu: Cpu, zone: Ptr<"zone">, order: number): Ptr<"page"> {
  for (let current = order; current < NR_PAGE_ORDERS; current++) {
    const entry = list_first(cpu, embedded(free_area_of(zone, current), FREE_LIST));
    if (entry === NULL) continue;
    const page = container_of(entry, LRU);
    del_page_from_free_list(cpu, zone, page, current, PGTY_frozen);
    expand(cpu, zone, page, order, current);
    cpu.mem.write(zone, NR_FREE_PAGES, cpu.mem.read(zone, NR_FREE_PAGES) - (1 << order));
    return page;
  }
  return NULL;
}

/** Gives the upper halves of a block of order `high` back until one of order `low` is left. */
function expand(cpu: Cpu, zone: Ptr<"zone">, page: Ptr<"page">, low: number, high: number): void {
  const pfn = page_to_pfn(cpu, page);
  for (let order = high - 1; order >= low; order--) {
    add_to_free_list(cpu, zone, pfn_to_page(cpu, pfn + (1 << order)), order);
  }
}

/**
 * __free_one_page() - make a block free, and merge it with its buddy as long as that is free too.
 * @kernel  mm/page_alloc.c
 * @context Any, zone->lock held.
 */
export function __free_one_page(cpu: Cpu, zone: Ptr<"zone">, page: Ptr<"page">, order: number): void {
  const start = cpu.mem.read(zone, START_PAGE);
  const nr_pages = cpu.mem.read(zone, NR_PAGES);
  let index = page_to_pfn(cpu, page) - start;
  let merged = order;
  cpu.mem.write(zone, NR_FREE_PAGES, cpu.mem.read(zone, NR_FREE_PAGES) + (1 << order));
  while (merged < MAX_PAGE_ORDER) {
    const buddy_index = index ^ (1 << merged);
    if (buddy_index + (1 << merged) > nr_pages) break;
    const buddy = pfn_to_page(cpu, start + buddy_index);
    if (!page_is_buddy(cpu, buddy, merged)) break;
    del_page_from_free_list(cpu, zone, buddy, merged, PGTY_NONE);
    index &= buddy_index;
    merged++;
  }
  add_to_free_list(cpu, zone, pfn_to_page(cpu, start + index), merged);
}

/** Is this the head of a free block of `order`? */
function page_is_buddy(cpu: Cpu, page: Ptr<"page">, order: number): boolean {
  // Race: the owner of an allocated page may be changing its type, but never from or to PGTY_buddy; that takes the lock.
  return cpu.mem.data_race_read(page, TYPE) === PGTY_buddy && cpu.mem.read(page, ORDER) === order;
}
