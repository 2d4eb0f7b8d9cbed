/**
 * Allocation and release of blocks of 2^order pages, with locks that are waited for. mm/page_alloc.c; spec slub 1.10.
 *
 *   page, by its head     type                         set by
 *   free                  PGTY_buddy, or NONE inside   free_one_page(), under zone->lock
 *   waits to be free      PGTY_trylock_free            free_frozen_pages_nolock()
 *   allocated             PGTY_frozen, or the owner's  alloc; the owner, who changes it back before the free
 *
 * Pages are frozen (no reference count: the slab allocator is the only user) and compound. A normal free that holds
 * zone->lock also takes in what nolock frees have left on zone->trylock_free_pages; nothing else does.
 *
 * Context: any but NMI; zone->lock, irqsave, is the innermost lock.
 *
 * Differs: no per-CPU page lists. Sheaves already keep most allocations away from the zone, and what matters of the
 * lists, that nolock code only tries their lock, holds for zone->lock in the same way. No reclaim, no
 * migrate types, one watermark: an allocation fails when no node has a block that it may have.
 */
import { PAGE_SIZE } from "../../../base/limits.ts";
import { HOOK_INIT_ON_FREE } from "../../../layout/debug.ts";
import { __GFP_KSWAPD_RECLAIM, __GFP_NOFAIL, __GFP_THISNODE, NUMA_NO_NODE } from "../../../layout/gfp.ts";
import { Globals } from "../../../layout/globals.ts";
import { nodesWithMemory } from "../../../layout/map.ts";
import {
  FreeArea,
  MAX_PAGE_ORDER,
  NR_PAGE_ORDERS,
  Page,
  PG_pfmemalloc,
  PGTY_frozen,
  PGTY_NONE,
  PGTY_tail,
  Zone,
} from "../../../layout/page.ts";
import { container_of, embedded, NULL, type Ptr } from "../../../mem/struct.ts";
import { bug } from "../../../cpu/bug.ts";
import { describe_context, in_nmi } from "../../../cpu/context.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { debug_check_no_obj_freed } from "../../lib/debugobjects.ts";
import { should_fail } from "../../lib/fault_inject.ts";
import { INIT_LIST_HEAD } from "../../lib/list.ts";
import { llist_del_all, llist_empty, llist_next } from "../../lib/llist.ts";
import { LC } from "../../sync/lockdep.ts";
import { spin_lock_init, spin_lock_irqsave, spin_unlock_irqrestore } from "../../sync/spinlock.ts";
import { __free_one_page, __rmqueue_smallest, free_area_of } from "./buddy.ts";
import { kswapd_init, wakeup_kswapd } from "./kswapd.ts";
import { gfp_pfmemalloc_allowed, min_watermark } from "./watermark.ts";
import { next_node, node_has_memory, node_zone, numa_node_id, page_address, page_to_nid, pfn_to_page } from "./zone.ts";

const {
  flags: FLAGS,
  type: TYPE,
  order: ORDER,
  node: NODE,
  compound_head: COMPOUND_HEAD,
  llnode: LLNODE,
} = Page.offset;
const {
  lock: LOCK,
  node: ZONE_NODE,
  start_page: START_PAGE,
  nr_pages: NR_PAGES,
  nr_free_pages: NR_FREE_PAGES,
  trylock_free_pages: TRYLOCK_FREE_PAGES,
  nr_trylock_free: NR_TRYLOCK_FREE,
} = Zone.offset;
const { free_list: FREE_LIST, nr_free: NR_FREE } = FreeArea.offset;
const { hooks: HOOKS, lowmem: LOWMEM } = Globals.offset;

/** Makes all pages of all nodes free. @context Task, at boot, alone. */
export function page_alloc_init(cpu: Cpu): void {
  const { pagesPerNode, shape } = cpu.map;
  const with_memory = nodesWithMemory(shape);
  for (let node = 0; node < shape.nodes; node++) {
    init_zone(cpu, node, node * pagesPerNode, node < with_memory ? pagesPerNode : 0);
  }
  kswapd_init(cpu);
}

function init_zone(cpu: Cpu, node: number, start: number, nr_pages: number): void {
  const mem = cpu.mem;
  const zone = node_zone(cpu, node);
  spin_lock_init(cpu, embedded(zone, LOCK), LC.zone);
  mem.init(zone, ZONE_NODE, node);
  mem.init(zone, START_PAGE, start);
  mem.init(zone, NR_PAGES, nr_pages);
  mem.init(zone, NR_FREE_PAGES, 0);
  mem.init(zone, NR_TRYLOCK_FREE, 0);
  for (let order = 0; order < NR_PAGE_ORDERS; order++) {
    INIT_LIST_HEAD(cpu, embedded(free_area_of(zone, order), FREE_LIST));
    mem.init(free_area_of(zone, order), NR_FREE, 0);
  }
  for (let i = 0; i < nr_pages; i++) mem.init(pfn_to_page(cpu, start + i), NODE, node);
  // Largest aligned blocks first: a free one of the rest never has a free buddy, so nothing is left to merge.
  let index = 0;
  while (index < nr_pages) {
    let order = MAX_PAGE_ORDER;
    while (index & ((1 << order) - 1) || index + (1 << order) > nr_pages) order--;
    __free_one_page(cpu, zone, pfn_to_page(cpu, start + index), order);
    index += 1 << order;
  }
}

/**
 * alloc_frozen_pages() - allocate a block of 2^order pages.
 *
 * @kernel  mm/page_alloc.c
 * @param   node  preferred node; NUMA_NO_NODE: this CPU's.
 * @param   gfp   __GFP_THISNODE: from no other node. Who may have emergency reserves gets them when nothing else is left.
 * @returns NULL: no node has such a block.
 * @context Hardirq. Spins on zone->lock; if nothing is found and gfp wakes kswapd, on the pi_lock of that.
 */
export function alloc_frozen_pages(cpu: Cpu, order: number, node: number, gfp = 0): Ptr<"page"> {
  if (in_nmi(cpu)) bug(cpu, `alloc_frozen_pages() in ${describe_context(cpu)}`);
  if (should_fail_alloc_page(cpu, gfp)) return NULL;
  const min = min_watermark(cpu, gfp);
  const page = get_page_from_freelist(cpu, order, node, gfp, min);
  if (page === NULL && gfp & __GFP_KSWAPD_RECLAIM) wakeup_kswapd(cpu, node === NUMA_NO_NODE ? numa_node_id(cpu) : node);
  if (page !== NULL || min === 0 || !gfp_pfmemalloc_allowed(cpu, gfp)) return page;
  const reserved = get_page_from_freelist(cpu, order, node, gfp, 0);
  if (reserved !== NULL) cpu.mem.init(reserved, FLAGS, PG_pfmemalloc);
  return reserved;
}

/** Fault injection. Differs: it does not spare what may wait for memory. @kernel mm/fail_page_alloc.c @context Any */
export function should_fail_alloc_page(cpu: Cpu, gfp: number): boolean {
  return (gfp & __GFP_NOFAIL) === 0 && should_fail(cpu, cpu.mem.peek(cpu.globals, LOWMEM), "fail_page_alloc");
}

/** A block of any node that has `min` pages besides it. @kernel mm/page_alloc.c @returns NULL: none has. */
function get_page_from_freelist(cpu: Cpu, order: number, node: number, gfp: number, min: number): Ptr<"page"> {
  const first = node === NUMA_NO_NODE ? numa_node_id(cpu) : node;
  for (let nid = first; ;) {
    const page = rmqueue(cpu, nid, order, min);
    if (page !== NULL) return page;
    nid = next_node(cpu, nid);
    if (nid === first || gfp & __GFP_THISNODE) return NULL;
  }
}
/** A block of one node. @kernel mm/page_alloc.c @returns NULL: it has none. */
function rmqueue(cpu: Cpu, nid: number, order: number, min: number): Ptr<"page"> {
  const zone = node_zone(cpu, nid);
  if (!zone_has_room(cpu, nid, zone, order, min)) return NULL;
  const flags = spin_lock_irqsave(cpu, embedded(zone, LOCK));
  const page = __rmqueue_smallest(cpu, zone, order);
  spin_unlock_irqrestore(cpu, embedded(zone, LOCK), flags);
  return page === NULL ? NULL : prep_new_page(cpu, page, order);
}

/** Is it worth taking the lock, and are `min` pages left then? @kernel mm/page_alloc.c, zone_watermark_ok() */
export function zone_has_room(cpu: Cpu, node: number, zone: Ptr<"zone">, order: number, min: number): boolean {
  // Race: a wrong answer is the right one of a moment ago; the free lists are looked at under the lock. So several CPUs
  // at once may take some pages of a reserve.
  return node_has_memory(cpu, node) && cpu.mem.data_race_read(zone, NR_FREE_PAGES) >= (1 << order) + min;
}

/** Makes a block that has left the free lists usable. */
export function prep_new_page(cpu: Cpu, page: Ptr<"page">, order: number): Ptr<"page"> {
  const mem = cpu.mem;
  mem.init(page, ORDER, order);
  mem.init(page, FLAGS, 0);
  for (let i = 1; i < 1 << order; i++) {
    const tail = (page + i * Page.size) as Ptr<"page">;
    mem.init(tail, TYPE, PGTY_tail);
    mem.init(tail, COMPOUND_HEAD, page);
  }
  return page;
}

/**
 * free_frozen_pages() - give a block back.
 *
 * @kernel  mm/page_alloc.c
 * @context Hardirq. Spins on zone->lock.
 */
export function free_frozen_pages(cpu: Cpu, page: Ptr<"page">, order: number): void {
  if (in_nmi(cpu)) bug(cpu, `free_frozen_pages() in ${describe_context(cpu)}`);
  debug_check_no_obj_freed(cpu, page_address(cpu, page), PAGE_SIZE << order); // Not in a nolock free: it waits.
  free_pages_prepare(cpu, page, order);
  const zone = node_zone(cpu, page_to_nid(cpu, page));
  const flags = spin_lock_irqsave(cpu, embedded(zone, LOCK));
  drain_trylock_free_pages(cpu, zone);
  __free_one_page(cpu, zone, page, order);
  spin_unlock_irqrestore(cpu, embedded(zone, LOCK), flags);
}

/** Checks that this is an allocated block that its owner has let go of, clears it (init_on_free), and takes it apart. */
export function free_pages_prepare(cpu: Cpu, page: Ptr<"page">, order: number): void {
  const mem = cpu.mem;
  const type = mem.read(page, TYPE);
  if (type !== PGTY_frozen) bug(cpu, `page ${page} is freed with type ${type}: free already, a tail, or still in use`);
  if (mem.read(page, ORDER) !== order) {
    bug(cpu, `page ${page} of order ${mem.read(page, ORDER)} is freed with order ${order}`);
  }
  for (let i = 1; i < 1 << order; i++) {
    const tail = (page + i * Page.size) as Ptr<"page">;
    if (mem.read(tail, COMPOUND_HEAD) !== page) bug(cpu, `page ${tail} is no tail of ${page}, which is freed`);
    mem.write(tail, TYPE, PGTY_NONE);
    mem.write(tail, COMPOUND_HEAD, NULL);
  }
  if (mem.peek(cpu.globals, HOOKS) & HOOK_INIT_ON_FREE) mem.fill(page_address(cpu, page), PAGE_SIZE << order, 0);
  mem.write(page, TYPE, PGTY_NONE);
}

/** Takes in the blocks that nolock frees could not put back themselves. zone->lock held. */
function drain_trylock_free_pages(cpu: Cpu, zone: Ptr<"zone">): void {
  const list = embedded(zone, TRYLOCK_FREE_PAGES);
  if (llist_empty(cpu, list)) return;
  for (let node = llist_del_all(cpu, list); node !== NULL;) {
    const page = container_of(node, LLNODE);
    node = llist_next(cpu, node); // Before the free, which puts another link there.
    const order = cpu.mem.read(page, ORDER);
    cpu.mem.fetch_add(zone, NR_TRYLOCK_FREE, -(1 << order));
    cpu.mem.write(page, TYPE, PGTY_NONE);
    __free_one_page(cpu, zone, page, order);
  }
}

/** Pages in the free lists of all nodes; those that wait on trylock_free_pages are not among them. @context Any */
export function nr_free_pages(cpu: Cpu): number {
  let sum = 0;
  // Race: a sum of numbers of slightly different moments, exact when nobody allocates.
  for (let node = 0; node < cpu.map.shape.nodes; node++) {
    sum += cpu.mem.data_race_read(node_zone(cpu, node), NR_FREE_PAGES);
  }
  return sum;
}
/** Pages that nolock frees have left behind for the next normal free. @context Any */
export function nr_trylock_free_pages(cpu: Cpu): number {
  let sum = 0;
  for (let node = 0; node < cpu.map.shape.nodes; node++) {
    sum += cpu.mem.read_once(node_zone(cpu, node), NR_TRYLOCK_FREE);
  }
  return sum;
}
