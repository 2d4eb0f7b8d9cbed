/**
 * Allocation and release of pages in any context: zone->lock is only tried. mm/page_alloc.c; spec slub 1.10.
 *
 *   lock not obtained        instead
 *   alloc                    the next node; after one pass NULL, which is a normal answer
 *   free                     the block goes on zone->trylock_free_pages, its order in page.order
 *
 * The list is lock-free. It is drained by normal frees only (page_alloc.ts): a block may wait there for ever, but it is
 * not lost. A nolock free never drains it, since that could take an NMI as long as the list is.
 *
 * Context: any, NMI included. No lock is waited for, nothing is retried.
 */
import { PAGE_SIZE } from "../../../base/limits.ts";
import { BUG_PAGE_CHECK_LOCKS, BUG_RT_NOLOCK_ALLOC } from "../../../layout/bugs.ts";
import { NUMA_NO_NODE } from "../../../layout/gfp.ts";
import { Page, PGTY_trylock_free, Zone } from "../../../layout/page.ts";
import { POINT } from "../../../layout/points.ts";
import { embedded, NULL, type Ptr } from "../../../mem/struct.ts";
import { has_bug } from "../../../cpu/bugs.ts";
import { in_hardirq, in_nmi } from "../../../cpu/context.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { point } from "../../../cpu/trace.ts";
import { debug_check_no_obj_freed } from "../../lib/debugobjects.ts";
import { llist_add } from "../../lib/llist.ts";
import { spin_trylock_irqsave, spin_unlock_irqrestore } from "../../sync/spinlock.ts";
import { __free_one_page, __rmqueue_smallest } from "./buddy.ts";
import { free_pages_prepare, prep_new_page, should_fail_alloc_page, zone_has_room } from "./page_alloc.ts";
import { min_watermark } from "./watermark.ts";
import { next_node, node_zone, numa_node_id, page_address, page_to_nid } from "./zone.ts";

const { type: TYPE, llnode: LLNODE } = Page.offset;
const { lock: LOCK, trylock_free_pages: TRYLOCK_FREE_PAGES, nr_trylock_free: NR_TRYLOCK_FREE } = Zone.offset;

/** Largest order that the kernel's per-CPU lists hold (pcp_allowed_order), which bounds what nolock code may ask for. */
export const PAGE_ALLOC_COSTLY_ORDER = 3;
/** spin_trylock_irqsave() did not get the lock. */
const BUSY = -1;

/**
 * can_spin_trylock() - may a spinlock_t be tried in this context? With PREEMPT_RT it has a task for its owner, so not in NMI
 * and hardirq. A machine of one CPU has real spinlocks here: UP without lock debugging is not built.
 */
export function can_spin_trylock(cpu: Cpu): boolean {
  return !cpu.rt || !(in_nmi(cpu) || in_hardirq(cpu)) || has_bug(cpu, BUG_RT_NOLOCK_ALLOC);
}

/**
 * alloc_frozen_pages_nolock() - allocate a block of 2^order pages, trying each node's lock once.
 *
 * @kernel  mm/page_alloc.c
 * @returns NULL: no block, a lock was busy, or the order is not one of the small ones.
 * @context Any, NMI included.
 */
export function alloc_frozen_pages_nolock(cpu: Cpu, order: number, node: number): Ptr<"page"> {
  if (order > PAGE_ALLOC_COSTLY_ORDER || !can_spin_trylock(cpu)) return NULL;
  if (should_fail_alloc_page(cpu, 0)) return NULL;
  const first = node === NUMA_NO_NODE ? numa_node_id(cpu) : node;
  let nid = first;
  do {
    const page = try_zone(cpu, nid, order);
    if (page !== NULL) return page;
    nid = next_node(cpu, nid);
  } while (nid !== first);
  return NULL;
}

function try_zone(cpu: Cpu, nid: number, order: number): Ptr<"page"> {
  const zone = node_zone(cpu, nid);
  if (!zone_has_room(cpu, nid, zone, order, min_watermark(cpu, 0))) return NULL;
  const flags = spin_trylock_irqsave(cpu, embedded(zone, LOCK));
  if (flags === BUSY) {
    point(cpu, POINT.page_trylock_failed);
    return NULL;
  }
  const page = __rmqueue_smallest(cpu, zone, order);
  spin_unlock_irqrestore(cpu, embedded(zone, LOCK), flags);
  return page === NULL ? NULL : prep_new_page(cpu, page, order);
}

/**
 * free_frozen_pages_nolock() - give a block back, or leave it for the next normal free.
 *
 * @kernel  mm/page_alloc.c
 * @context Any, NMI included.
 * @pairs   free_frozen_pages(): its llist_del_all() sees the page as it was before our llist_add().
 */
export function free_frozen_pages_nolock(cpu: Cpu, page: Ptr<"page">, order: number): void {
  if (has_bug(cpu, BUG_PAGE_CHECK_LOCKS)) debug_check_no_obj_freed(cpu, page_address(cpu, page), PAGE_SIZE << order);
  free_pages_prepare(cpu, page, order);
  const zone = node_zone(cpu, page_to_nid(cpu, page));
  const flags = can_spin_trylock(cpu) ? spin_trylock_irqsave(cpu, embedded(zone, LOCK)) : BUSY;
  if (flags === BUSY) {
    point(cpu, POINT.page_trylock_failed);
    add_page_to_zone_llist(cpu, zone, page, order);
    return;
  }
  __free_one_page(cpu, zone, page, order);
  spin_unlock_irqrestore(cpu, embedded(zone, LOCK), flags);
}

function add_page_to_zone_llist(cpu: Cpu, zone: Ptr<"zone">, page: Ptr<"page">, order: number): void {
  cpu.mem.write(page, TYPE, PGTY_trylock_free); // page.order is still what the allocation wrote.
  cpu.mem.fetch_add(zone, NR_TRYLOCK_FREE, 1 << order); // First: the drain subtracts, and the number never falls below 0.
  llist_add(cpu, embedded(page, LLNODE), embedded(zone, TRYLOCK_FREE_PAGES));
}
