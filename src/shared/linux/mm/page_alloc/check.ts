/**
 * Walks the page allocator of a machine in which nothing runs: every page is in exactly one block; the head of a free
 * block is on the list of its order; free buddies are merged; the counters are right. For oracles and tests.
 *
 * Takes no lock and makes no step (peek only), so it is of no use while a CPU is inside the allocator.
 */
import {
  FreeArea,
  MAX_PAGE_ORDER,
  NR_PAGE_ORDERS,
  Page,
  PGTY_buddy,
  PGTY_NONE,
  PGTY_tail,
  PGTY_trylock_free,
  Zone,
} from "../../../layout/page.ts";
import { ListHead, LlistHead, LlistNode } from "../../../layout/types.ts";
import { container_of, embedded, NULL, type Ptr } from "../../../mem/struct.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { free_area_of } from "./buddy.ts";
import { node_zone, page_to_pfn, pfn_to_page } from "./zone.ts";

const { type: TYPE, order: ORDER, node: NODE, compound_head: COMPOUND_HEAD, lru: LRU, llnode: LLNODE } = Page.offset;
const { start_page: START_PAGE, nr_pages: NR_PAGES, nr_free_pages: NR_FREE_PAGES } = Zone.offset;
const { trylock_free_pages: TRYLOCK_FREE_PAGES, nr_trylock_free: NR_TRYLOCK_FREE } = Zone.offset;
const { free_list: FREE_LIST, nr_free: NR_FREE } = FreeArea.offset;
const { next: NEXT } = ListHead.offset;
const { first: FIRST } = LlistHead.offset;
const { next: LLIST_NEXT } = LlistNode.offset;

/** What is wrong, in words; nothing if all is well. @context Any, machine at rest. */
export function check_page_allocator(cpu: Cpu): string[] {
  const problems: string[] = [];
  for (let node = 0; node < cpu.map.shape.nodes; node++) check_zone(cpu, node, problems);
  return problems;
}

function check_zone(cpu: Cpu, node: number, problems: string[]): void {
  const mem = cpu.mem;
  const zone = node_zone(cpu, node);
  const complain = (what: string): number => problems.push(`node ${node}: ${what}`);
  const listed = pages_on_free_lists(cpu, zone, complain);
  const waiting = pages_on_llist(cpu, zone, complain);
  const start = mem.peek(zone, START_PAGE);
  const end = start + mem.peek(zone, NR_PAGES);
  let free = 0;
  let left = 0;
  for (let pfn = start; pfn < end;) {
    const page = pfn_to_page(cpu, pfn);
    const type = mem.peek(page, TYPE);
    const order = mem.peek(page, ORDER);
    if (mem.peek(page, NODE) !== node) complain(`page ${pfn} says it is on node ${mem.peek(page, NODE)}`);
    if (type === PGTY_NONE || type === PGTY_tail || order > MAX_PAGE_ORDER || pfn + (1 << order) > end) {
      complain(`page ${pfn} is in no block: type ${type}, order ${order}`);
      pfn++;
      continue;
    }
    if ((pfn - start) & ((1 << order) - 1)) complain(`block ${pfn} of order ${order} is not aligned`);
    if (mem.peek(page, COMPOUND_HEAD) !== NULL) complain(`block ${pfn} begins with a tail`);
    check_tails(cpu, page, type === PGTY_buddy || type === PGTY_trylock_free, complain);
    if (type === PGTY_buddy) {
      free += 1 << order;
      if (!listed.delete(page)) complain(`free block ${pfn} is not on the free list of order ${order}`);
      if (has_free_buddy(cpu, start, end, pfn, order)) complain(`free block ${pfn} of order ${order} is not merged`);
    } else if (type === PGTY_trylock_free) {
      left += 1 << order;
      if (!waiting.delete(page)) complain(`block ${pfn} is not on trylock_free_pages`);
    }
    pfn += 1 << order;
  }
  for (const page of listed) complain(`free list holds page ${page_to_pfn(cpu, page)}, which is no free block`);
  for (const page of waiting) complain(`trylock_free_pages holds page ${page_to_pfn(cpu, page)}, which is not waiting`);
  if (free !== mem.peek(zone, NR_FREE_PAGES))
    complain(`${free} pages free, counter says ${mem.peek(zone, NR_FREE_PAGES)}`);
  const counted = mem.peek(zone, NR_TRYLOCK_FREE);
  if (left !== counted) complain(`${left} pages on trylock_free_pages, counter says ${counted}`);
}

function check_tails(cpu: Cpu, head: Ptr<"page">, free: boolean, complain: (what: string) => number): void {
  const order = cpu.mem.peek(head, ORDER);
  for (let i = 1; i < 1 << order; i++) {
    const tail = (head + i * Page.size) as Ptr<"page">;
    const found = cpu.mem.peek(tail, COMPOUND_HEAD);
    if (found !== (free ? NULL : head) || cpu.mem.peek(tail, TYPE) !== (free ? PGTY_NONE : PGTY_tail)) {
      complain(`page ${page_to_pfn(cpu, tail)} has head ${found}, type ${cpu.mem.peek(tail, TYPE)}`);
    }
  }
}

function has_free_buddy(cpu: Cpu, start: number, end: number, pfn: number, order: number): boolean {
  const buddy = start + ((pfn - start) ^ (1 << order));
  if (order === MAX_PAGE_ORDER || buddy + (1 << order) > end) return false;
  const page = pfn_to_page(cpu, buddy);
  return cpu.mem.peek(page, TYPE) === PGTY_buddy && cpu.mem.peek(page, ORDER) === order;
}

function pages_on_free_lists(cpu: Cpu, zone: Ptr<"zone">, complain: (what: string) => number): Set<Ptr<"page">> {
  const pages = new Set<Ptr<"page">>();
  for (let order = 0; order < NR_PAGE_ORDERS; order++) {
    const area = free_area_of(zone, order);
    const head = embedded(area, FREE_LIST);
    let length = 0;
    for (let entry = cpu.mem.peek(head, NEXT); entry !== head; entry = cpu.mem.peek(entry, NEXT)) {
      const page = container_of(entry, LRU);
      if (entry === NULL || pages.has(page)) {
        complain(`free list of order ${order} is broken after ${length} blocks`);
        break;
      }
      pages.add(page);
      length++;
      if (cpu.mem.peek(page, ORDER) !== order)
        complain(`page ${page_to_pfn(cpu, page)} is on the list of order ${order}`);
    }
    const counted = cpu.mem.peek(area, NR_FREE);
    if (length !== counted) complain(`${length} free blocks of order ${order}, counter says ${counted}`);
  }
  return pages;
}

function pages_on_llist(cpu: Cpu, zone: Ptr<"zone">, complain: (what: string) => number): Set<Ptr<"page">> {
  const pages = new Set<Ptr<"page">>();
  let node = cpu.mem.peek(embedded(zone, TRYLOCK_FREE_PAGES), FIRST);
  while (node !== NULL) {
    const page = container_of(node, LLNODE);
    if (pages.has(page)) {
      complain("trylock_free_pages is a ring");
      break;
    }
    pages.add(page);
    node = cpu.mem.peek(node, LLIST_NEXT);
  }
  return pages;
}
