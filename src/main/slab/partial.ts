/**
 * The slabs on the partial lists of a cache, counted by somebody who holds no list_lock. mm/slub.c, count_partial();
 * spec slub 10.1.
 *
 * Linux counts under list_lock. The host cannot take it: it takes only links that agree from both sides and lead to a
 * slab of this cache, and begins again where they do not. A list that holds still for one walk is counted exactly; of one
 * that never does the last walk counts. No walk is longer than its bound, since slabs may go round in circles under it.
 */
import { KmemCache, KmemCacheNode, KmemCachePerNode, Slab, SLAB_INUSE_MASK } from "../../shared/layout/slab.ts";
import { Page, PGTY_slab } from "../../shared/layout/page.ts";
import { ListHead } from "../../shared/layout/types.ts";
import { container_of, embedded, embedded_at, NULL, type Ptr } from "../../shared/mem/struct.ts";
import { ATTEMPTS, type Cache, isAddress, type Seen } from "./seen.ts";

const { partial: PARTIAL, nr_partial: NR_PARTIAL, nr_slabs, total_objects } = KmemCacheNode.offset;
const { per_node: PER_NODE } = KmemCache.offset;
const { node: NODE } = KmemCachePerNode.offset;
const { slab_list: SLAB_LIST, slab_cache: SLAB_CACHE, type: TYPE, counters: COUNTERS, objects: OBJECTS } = Slab.offset;
const { next: NEXT, prev: PREV } = ListHead.offset;

/** Longer lists are sampled at both ends. @kernel mm/slub.c */
const MAX_PARTIAL_TO_SCAN = 10_000;

type Node = Ptr<"kmem_cache_node">;
type Entry = Ptr<"list_head">;
type Direction = typeof NEXT; // Or that of PREV: links are alike.

/** What a walk has seen. */
interface Walk {
  slabs: number;
  free: number;
  inuse: number;
  /** It has not met a link that was being changed. */
  held: boolean;
}

/** What the cache keeps for each node that has memory. */
export function nodesOf(seen: Seen, s: Cache): readonly (readonly [node: number, n: Node])[] {
  const nodes: (readonly [number, Node])[] = [];
  for (let node = 0; node < seen.map.shape.nodes; node++) {
    const n = seen.mem.peek(embedded_at(s, PER_NODE, node, KmemCachePerNode.size), NODE);
    if (n !== NULL && isAddress(seen, n)) nodes.push([node, n]);
  }
  return nodes;
}
/** Slabs of the node. @kernel mm/slab.h, node_nr_slabs() */
export function nodeSlabs({ mem }: Seen, n: Node): number {
  return Math.max(mem.peek(n, nr_slabs), 0);
}
/** Objects of these, free or not. @kernel mm/slab.h, node_nr_objs() */
export function nodeObjects({ mem }: Seen, n: Node): number {
  return Math.max(mem.peek(n, total_objects), 0);
}
export function nodePartial({ mem }: Seen, n: Node): number {
  return mem.peek(n, NR_PARTIAL);
}

/** Objects in use in slabs on the list. @kernel mm/slub.c, count_partial(n, count_inuse) */
export function countInuse(seen: Seen, s: Cache, n: Node): number {
  return steadyWalk(seen, s, n, NEXT, seen.map.nrPages).inuse;
}
/** Free objects in slabs on the list. @kernel mm/slub.c, count_partial(n, count_free) */
export function countFree(seen: Seen, s: Cache, n: Node): number {
  return Math.min(steadyWalk(seen, s, n, NEXT, seen.map.nrPages).free, nodeObjects(seen, n));
}
/**
 * The same, in bounded time: of a long list half of `scan` slabs from each end, scaled up.
 * @kernel mm/slub.c, count_partial_free_approx()
 */
export function countFreeApprox(seen: Seen, s: Cache, n: Node, scan = MAX_PARTIAL_TO_SCAN): number {
  const listed = nodePartial(seen, n);
  if (listed <= scan) return countFree(seen, s, n);
  const head = steadyWalk(seen, s, n, NEXT, scan >> 1);
  const tail = steadyWalk(seen, s, n, PREV, scan - (scan >> 1));
  const scaled = Math.floor(((head.free + tail.free) * listed) / Math.max(head.slabs + tail.slabs, 1));
  return Math.min(scaled, nodeObjects(seen, n));
}

/** A walk that nothing was changed under; after some attempts, any. */
function steadyWalk(seen: Seen, s: Cache, n: Node, direction: Direction, most: number): Walk {
  let seenWalk = walk(seen, s, n, direction, most);
  for (let attempt = 1; attempt < ATTEMPTS && !seenWalk.held; attempt++) seenWalk = walk(seen, s, n, direction, most);
  return seenWalk;
}
function walk(seen: Seen, s: Cache, n: Node, direction: Direction, most: number): Walk {
  const { mem } = seen;
  const back = direction === NEXT ? PREV : NEXT;
  const head = embedded(n, PARTIAL);
  const found: Walk = { slabs: 0, free: 0, inuse: 0, held: true };
  let last: Entry = head;
  while (found.slabs < most) {
    const entry = mem.peek(last, direction);
    if (entry === head) return found;
    const slab = slabAt(seen, s, entry);
    if (slab === undefined || mem.peek(entry, back) !== last) return { ...found, held: false };
    const objects = mem.peek(slab, OBJECTS);
    const inuse = Math.min(mem.peek(slab, COUNTERS) & SLAB_INUSE_MASK, objects);
    found.slabs++;
    found.inuse += inuse;
    found.free += objects - inuse;
    last = entry;
  }
  return found;
}
/** The slab of this cache that is linked by `entry`, if there is one. */
function slabAt({ mem, map }: Seen, s: Cache, entry: Entry): Ptr<"slab"> | undefined {
  const slab = container_of(entry, SLAB_LIST);
  const offset = slab - map.memMap;
  if (offset < 0 || offset >= map.nrPages * Page.size || offset % Page.size !== 0) return undefined;
  return mem.peek(slab, TYPE) === PGTY_slab && mem.peek(slab, SLAB_CACHE) === s ? slab : undefined;
}
