/**
 * Taking objects, or whole slabs, from partial lists. mm/slub.c; spec slub 3.3, 3.5.
 *
 *   get_from_partial_node   one object of the first slab on the list, which stays there unless that was its last one
 *   get_partial_node_bulk   whole slabs, isolated: off the list, and nobody's but the caller's
 *   get_from_any_partial    one object, from the first node that has more slabs than it needs
 *
 * Context: any; list_lock is only tried where the caller may not spin. No lock is held on return.
 */
import { BUG_MEMS_ALLOWED_SEQ } from "../../../layout/bugs.ts";
import { __GFP_THISNODE, NUMA_NO_NODE } from "../../../layout/gfp.ts";
import { KmemCache, KmemCacheNode, SL_pfmemalloc, Slab } from "../../../layout/slab.ts";
import { ListHead } from "../../../layout/types.ts";
import { O_FREELIST, O_TRANSIT } from "../../../mem/oracle.ts";
import { container_of, embedded, NULL, type Ptr } from "../../../mem/struct.ts";
import { assert } from "../../../cpu/bug.ts";
import { has_bug } from "../../../cpu/bugs.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { oracle_move } from "../../../cpu/oracle.ts";
import { random_below } from "../../../cpu/random.ts";
import { cpuset_node_allowed, read_mems_allowed_begin, read_mems_allowed_retry } from "../../kernel/cpuset.ts";
import { INIT_LIST_HEAD, list_bulk_move_tail } from "../../lib/list.ts";
import { gfp_pfmemalloc_allowed } from "../page_alloc/watermark.ts";
import { next_node, numa_mem_id } from "../page_alloc/zone.ts";
import { alloc_single_from_partial } from "./debug_alloc.ts";
import { kmem_cache_debug } from "./debug_flags.ts";
import {
  BUSY,
  clear_node_partial_state,
  lock_node_if,
  node_nr_partial,
  remove_partial,
  unlock_node,
} from "./partial.ts";
import { get_node } from "./slab.ts";
import { slot_of } from "./slot.ts";
import {
  __slab_update_freelist,
  checked_link,
  get_freepointer,
  make_word,
  slab_word,
  word_freelist,
  word_inuse,
} from "./slab_word.ts";

const { partial: PARTIAL } = KmemCacheNode.offset;
const { flags: FLAGS, slab_list: SLAB_LIST, objects: OBJECTS } = Slab.offset;
const { next: NEXT } = ListHead.offset;
const { min_partial: MIN_PARTIAL, remote_node_defrag_ratio: REMOTE_NODE_DEFRAG_RATIO } = KmemCache.offset;

type Cache = Ptr<"kmem_cache">;
type Node = Ptr<"kmem_cache_node">;

/** May an allocation with these flags have objects of this slab? @kernel mm/slub.c */
export function pfmemalloc_match(cpu: Cpu, slab: Ptr<"slab">, gfp: number): boolean {
  return (cpu.mem.read_once(slab, FLAGS) & SL_pfmemalloc) === 0 || gfp_pfmemalloc_allowed(cpu, gfp);
}

/**
 * get_from_partial_node() - take one object from the first partial slab of a node.
 *
 * @kernel  mm/slub.c
 * @param   orig_size  bytes asked for, for debugged caches; 0: all of the object.
 * @returns NULL: no partial slab, or !allow_spin and locked.
 * @context Any; without allow_spin list_lock is only tried.
 */
export function get_from_partial_node(
  cpu: Cpu,
  s: Cache,
  n: Node,
  gfp: number,
  allow_spin: boolean,
  orig_size = 0,
): Ptr<"object"> {
  if (n === NULL || node_nr_partial(cpu, n) === 0) return NULL;
  const flags = lock_node_if(cpu, n, allow_spin);
  if (flags === BUSY) return NULL;
  if (kmem_cache_debug(cpu, s)) {
    const object = get_debug_object(cpu, s, n, gfp, orig_size);
    unlock_node(cpu, n, flags);
    return object;
  }
  let object: Ptr<"object"> = NULL;
  const head = embedded(n, PARTIAL);
  for (let entry = cpu.mem.read(head, NEXT); entry !== head; entry = cpu.mem.read(entry, NEXT)) {
    const slab = container_of(entry, SLAB_LIST);
    if (!pfmemalloc_match(cpu, slab, gfp)) continue;
    object = pop_object(cpu, s, n, slab);
    break;
  }
  unlock_node(cpu, n, flags);
  return object;
}

/** The same under list_lock for debugged caches. A slab that fails its checks leaves the list; the next one is tried. */
function get_debug_object(cpu: Cpu, s: Cache, n: Node, gfp: number, orig_size: number): Ptr<"object"> {
  const slot = slot_of(cpu, s);
  const head = embedded(n, PARTIAL);
  for (let entry = cpu.mem.read(head, NEXT); entry !== head;) {
    const next = cpu.mem.read(entry, NEXT);
    const slab = container_of(entry, SLAB_LIST);
    if (pfmemalloc_match(cpu, slab, gfp)) {
      const object = alloc_single_from_partial(cpu, slot, n, slab, orig_size);
      if (object !== NULL) return object;
    }
    entry = next;
  }
  return NULL;
}

/** Pops the first free object of a slab on the list, under list_lock: others may push meanwhile, but not pop. */
function pop_object(cpu: Cpu, s: Cache, n: Node, slab: Ptr<"slab">): Ptr<"object"> {
  for (;;) {
    const word = slab_word(cpu, slab);
    const object = word_freelist(cpu, s, slab, word);
    assert(cpu, object !== NULL, `slab ${slab} is on the partial list, but full`);
    const next = checked_link(cpu, s, slab, get_freepointer(cpu, s, object));
    if (!__slab_update_freelist(cpu, s, slab, word, make_word(cpu, s, slab, next, word_inuse(word) + 1))) continue;
    oracle_move(cpu, object, O_FREELIST, O_TRANSIT);
    if (next === NULL) remove_partial(cpu, n, slab);
    return object;
  }
}

/**
 * get_partial_node_bulk() - isolate partial slabs that have about `min` to `max` free objects between them.
 *
 * @kernel  mm/slub.c
 * @param   slabs  list that receives them; initialised here.
 * @returns false: none; the list is empty then, or not touched.
 * @context Any but NMI; without allow_spin list_lock is only tried.
 */
export function get_partial_node_bulk(
  cpu: Cpu,
  n: Node,
  slabs: Ptr<"list_head">,
  gfp: number,
  min: number,
  max: number,
  allow_spin: boolean,
): boolean {
  if (n === NULL || node_nr_partial(cpu, n) === 0) return false;
  INIT_LIST_HEAD(cpu, slabs);
  const flags = lock_node_if(cpu, n, allow_spin);
  if (flags === BUSY) return false;
  const head = embedded(n, PARTIAL);
  let total = 0;
  // The run of slabs that are taken and not yet moved; a slab that may not be taken ends it.
  let first: Ptr<"list_head"> = NULL;
  let last: Ptr<"list_head"> = NULL;
  for (let entry = cpu.mem.read(head, NEXT); entry !== head;) {
    const next = cpu.mem.read(entry, NEXT);
    const slab = container_of(entry, SLAB_LIST);
    if (pfmemalloc_match(cpu, slab, gfp)) {
      // A lower bound: frees may add to it until the freelist is taken, nobody else takes from it.
      const free = cpu.mem.read(slab, OBJECTS) - word_inuse(slab_word(cpu, slab));
      if (total >= min && total + free > max) break;
      if (first === NULL) first = entry;
      last = entry;
      clear_node_partial_state(cpu, n, slab);
      total += free;
      if (total >= max) break;
    } else if (first !== NULL) {
      list_bulk_move_tail(cpu, slabs, first, last);
      first = NULL;
    }
    entry = next;
  }
  if (first !== NULL) list_bulk_move_tail(cpu, slabs, first, last);
  unlock_node(cpu, n, flags);
  return total > 0;
}

/**
 * get_from_partial() - take one object from a partial slab: of the node asked for (or the nearest), then of any other.
 *
 * @kernel  mm/slub.c
 * @param   gfp  __GFP_THISNODE: of no other.
 * @returns NULL: none.
 * @context Any; without allow_spin list_lock is only tried.
 */
export function get_from_partial(
  cpu: Cpu,
  s: Cache,
  node: number,
  gfp: number,
  allow_spin: boolean,
  orig_size: number,
): Ptr<"object"> {
  const near = node === NUMA_NO_NODE ? numa_mem_id(cpu) : node;
  const object = get_from_partial_node(cpu, s, get_node(cpu, s, near), gfp, allow_spin, orig_size);
  if (object !== NULL || gfp & __GFP_THISNODE) return object;
  return get_from_any_partial(cpu, s, gfp, allow_spin, orig_size);
}

/** @kernel mm/slub.c @context As get_from_partial(). */
function get_from_any_partial(cpu: Cpu, s: Cache, gfp: number, allow_spin: boolean, orig_size: number): Ptr<"object"> {
  if (!may_defrag_remote_nodes(cpu, s)) return NULL;
  // Why: an NMI may have interrupted the writer, and must not wait for it (slub B5).
  const looks_again = allow_spin || has_bug(cpu, BUG_MEMS_ALLOWED_SEQ);
  for (;;) {
    const seq = looks_again ? read_mems_allowed_begin(cpu) : 0;
    const object = get_from_remote_nodes(cpu, s, gfp, allow_spin, orig_size);
    if (object !== NULL || !looks_again || !read_mems_allowed_retry(cpu, seq)) return object;
  }
}
function get_from_remote_nodes(cpu: Cpu, s: Cache, gfp: number, allow_spin: boolean, orig_size: number): Ptr<"object"> {
  const first = numa_mem_id(cpu);
  let node = first;
  do {
    const n = get_node(cpu, s, node);
    if (cpuset_node_allowed(cpu, node) && has_spare_slabs(cpu, s, n)) {
      const object = get_from_partial_node(cpu, s, n, gfp, allow_spin, orig_size);
      if (object !== NULL) return object;
    }
    node = next_node(cpu, node);
  } while (node !== first);
  return NULL;
}

/** Shall partial slabs of other nodes be used now? Only sometimes: it keeps most objects local. */
export function may_defrag_remote_nodes(cpu: Cpu, s: Cache): boolean {
  if (cpu.map.shape.nodes === 1) return false;
  const ratio = cpu.mem.read(s, REMOTE_NODE_DEFRAG_RATIO);
  return ratio !== 0 && random_below(cpu, 1024) <= ratio;
}
/** Has the node more partial slabs than it should keep for itself? */
export function has_spare_slabs(cpu: Cpu, s: Cache, n: Node): boolean {
  return n !== NULL && node_nr_partial(cpu, n) > cpu.mem.read(s, MIN_PARTIAL);
}
