/**
 * Many objects at once, for a sheaf or a bulk allocation: whole partial slabs are isolated, their freelists taken, and
 * what is too much is given back. mm/slub.c; spec slub 3.5.
 *
 * An isolated slab is nobody's but the refiller's until its freelist is taken. From then on it counts as full, and a free
 * on another CPU puts it on the partial list by the same linkage: hence list_del() comes first.
 *
 * Context: any but NMI, no sheaf or barn lock held. list_lock is spun on to give slabs back even where taking them only
 * tried it: trying is for avoiding contention on remote nodes, not for interrupted holders.
 */
import { MAX_CONTEXTS } from "../../../base/limits.ts";
import { BUG_BULK_LIMIT, BUG_LOCKLESS_RETURN, BUG_REMOTE_SPIN } from "../../../layout/bugs.ts";
import { CpuSlot } from "../../../layout/cpu.ts";
import { NUMA_NO_NODE } from "../../../layout/gfp.ts";
import { PerCpu } from "../../../layout/percpu.ts";
import { KmemCacheNode, ObjectArray, Slab, SlubCpu } from "../../../layout/slab.ts";
import { STAT } from "../../../layout/slab_stat.ts";
import { SLAB_ALLOC_DEFAULT } from "../../../layout/slab_flags.ts";
import { ListHead } from "../../../layout/types.ts";
import { O_FREELIST, O_TRANSIT } from "../../../mem/oracle.ts";
import { container_of, element, embedded, embedded_at, NULL, offsetof, type Ptr } from "../../../mem/struct.ts";
import { assert, bug } from "../../../cpu/bug.ts";
import { has_bug } from "../../../cpu/bugs.ts";
import { describe_context, in_nmi } from "../../../cpu/context.ts";
import { this_cpu_ptr, type Cpu } from "../../../cpu/cpu.ts";
import { oracle_move } from "../../../cpu/oracle.ts";
import { cpuset_node_allowed } from "../../kernel/cpuset.ts";
import { list_add, list_del, list_empty, list_first, list_next, list_splice_tail } from "../../lib/list.ts";
import { next_node, numa_mem_id } from "../page_alloc/zone.ts";
import { __kmem_cache_free_bulk, read_slots } from "./bulk_free.ts";
import { __slab_free } from "./free.ts";
import { kmem_cache_debug } from "./debug_flags.ts";
import { get_partial_node_bulk, has_spare_slabs, may_defrag_remote_nodes } from "./get_partial.ts";
import { maybe_wipe_obj_freeptr } from "./hooks.ts";
import { alloc_from_new_slab, new_slab } from "./new_slab.ts";
import { add_partial, lock_node, set_node_partial_state, unlock_node } from "./partial.ts";
import { get_node } from "./slab.ts";
import { ___slab_alloc } from "./slab_alloc.ts";
import {
  checked_link,
  get_freepointer,
  make_word,
  slab_update_freelist,
  slab_word,
  word_freelist,
  word_full,
  word_inuse,
} from "./slab_word.ts";
import { stat } from "./stat.ts";

const { slub: SLUB } = PerCpu.offset;
const { pc_slabs: PC_SLABS } = SlubCpu.offset;
const { pc_depth: PC_DEPTH } = CpuSlot.offset;
const { slab_list: SLAB_LIST, objects: OBJECTS } = Slab.offset;
const { partial: PARTIAL } = KmemCacheNode.offset;
const { slots: SLOTS } = ObjectArray.offset;

type Cache = Ptr<"kmem_cache">;
type Node = Ptr<"kmem_cache_node">;
type Objects = Ptr<"object_array">;

/** &p[i] */
function slot(p: Objects, i: number): Objects {
  return (p + offsetof(element(SLOTS, i))) as Objects;
}

/**
 * partial_context.slabs: a list head on the kernel stack, which is an array of heads here. Whoever refills on top of
 * another refill takes the next one: an interrupt, or the free of a slab's vector (obj_exts.ts).
 */
function push_stack_list(cpu: Cpu): Ptr<"list_head"> {
  const depth = cpu.mem.peek(cpu.slot, PC_DEPTH);
  assert(cpu, depth <= MAX_CONTEXTS, "more refills on top of each other than list heads");
  cpu.mem.poke(cpu.slot, PC_DEPTH, depth + 1);
  return embedded_at(this_cpu_ptr(cpu, SLUB), PC_SLABS, depth, ListHead.size);
}
function pop_stack_list(cpu: Cpu): void {
  cpu.mem.poke(cpu.slot, PC_DEPTH, cpu.mem.peek(cpu.slot, PC_DEPTH) - 1);
}

/**
 * refill_objects() - get `min` to `max` objects: from partial slabs of this node, of other nodes, from new slabs.
 *
 * @kernel  mm/slub.c
 * @param   p  receives the objects.
 * @returns how many; less than `min` only for lack of memory. They are in transit.
 * @context Hardirq, or Task if gfp may block.
 */
export function refill_objects(cpu: Cpu, s: Cache, p: Objects, gfp: number, min: number, max: number): number {
  if (in_nmi(cpu)) bug(cpu, `refill_objects() in ${describe_context(cpu)}`);
  const local = get_node(cpu, s, numa_mem_id(cpu));
  let refilled = __refill_objects_node(cpu, s, p, gfp, min, max, local, true);
  if (refilled >= min) return refilled;
  refilled += __refill_objects_any(cpu, s, slot(p, refilled), gfp, min - refilled, max - refilled);
  while (refilled < min) {
    const slab = new_slab(cpu, s, gfp, SLAB_ALLOC_DEFAULT, NUMA_NO_NODE);
    if (slab === NULL) break;
    stat(cpu, s, STAT.ALLOC_SLAB);
    refilled += alloc_from_new_slab(cpu, s, slab, slot(p, refilled), max - refilled, true);
  }
  return refilled;
}

/** @kernel mm/slub.c @returns how many objects. @param allow_spin  false: do not wait to take slabs from the node. */
export function __refill_objects_node(
  cpu: Cpu,
  s: Cache,
  p: Objects,
  gfp: number,
  min: number,
  max: number,
  n: Node,
  allow_spin: boolean,
): number {
  const slabs = push_stack_list(cpu);
  const refilled = get_partial_node_bulk(cpu, n, slabs, gfp, min, max, allow_spin)
    ? refill_from(cpu, s, n, slabs, p, max)
    : 0;
  pop_stack_list(cpu);
  return refilled;
}
/** Takes up to `max` objects from isolated slabs, and puts back those that were not needed. */
function refill_from(cpu: Cpu, s: Cache, n: Node, slabs: Ptr<"list_head">, p: Objects, max: number): number {
  let refilled = 0;
  while (refilled < max) {
    const entry = list_first(cpu, slabs);
    if (entry === NULL) break;
    list_del(cpu, entry);
    refilled = take_objects(cpu, s, container_of(entry, SLAB_LIST), n, slabs, p, refilled, max);
  }
  if (!list_empty(cpu, slabs)) return_slabs(cpu, n, slabs);
  return refilled;
}

/** Takes the freelist of an isolated slab; what p has no room for goes back. @returns objects in p now. */
function take_objects(
  cpu: Cpu,
  s: Cache,
  slab: Ptr<"slab">,
  n: Node,
  slabs: Ptr<"list_head">,
  p: Objects,
  have: number,
  max: number,
): number {
  const word = get_freelist_nofreeze(cpu, s, slab);
  // May be more than was estimated: objects have been freed since.
  let count = cpu.mem.read(slab, OBJECTS) - word_inuse(word);
  let object = word_freelist(cpu, s, slab, word);
  let refilled = have;
  const room = has_bug(cpu, BUG_BULK_LIMIT) ? Infinity : max;
  for (; count > 0 && refilled < room; count--, refilled++) {
    const next = checked_link(cpu, s, slab, get_freepointer(cpu, s, object));
    maybe_wipe_obj_freeptr(cpu, s, object);
    cpu.mem.write(p, element(SLOTS, refilled), object);
    oracle_move(cpu, object, O_FREELIST, O_TRANSIT);
    object = next;
  }
  if (count > 0 && !__slab_try_return_freelist(cpu, s, n, slabs, slab, object, count)) {
    free_chain(cpu, s, slab, object, count);
  }
  return refilled;
}

/** Frees a chain whose objects have not left O_FREELIST. */
function free_chain(cpu: Cpu, s: Cache, slab: Ptr<"slab">, head: Ptr<"object">, count: number): void {
  let tail = head;
  for (let left = count; left > 1; left--) tail = get_freepointer(cpu, s, tail);
  if (count === 1) oracle_move(cpu, head, O_FREELIST, O_TRANSIT); // __slab_free() reports single objects.
  __slab_free(cpu, s, slab, head, tail, count);
}

/** Takes all free objects of an isolated slab. @kernel mm/slub.c @returns the slab word as it was. */
function get_freelist_nofreeze(cpu: Cpu, s: Cache, slab: Ptr<"slab">): number {
  const full = make_word(cpu, s, slab, NULL, cpu.mem.read(slab, OBJECTS));
  for (;;) {
    const word = slab_word(cpu, slab);
    if (slab_update_freelist(cpu, s, slab, word, full)) return word;
  }
}

/**
 * __slab_try_return_freelist() - put the rest of a freelist back, if nobody has freed into the slab since it was taken.
 *
 * Why list_lock, and before the update (slub B29): another CPU may have freed into the slab, which put it on the partial
 * list, and a third one, holding list_lock, popped that object and not yet removed the slab. Its freelist is NULL again,
 * but it is linked. BUG_LOCKLESS_RETURN: before, the slab went back to the isolated ones, which are put back together.
 *
 * @kernel  mm/slub.c, as of 7.3-rc2
 * @param   slabs  those that the caller has isolated.
 * @returns false: the objects are still the caller's.
 * @context Any but NMI
 */
export function __slab_try_return_freelist(
  cpu: Cpu,
  s: Cache,
  n: Node,
  slabs: Ptr<"list_head">,
  slab: Ptr<"slab">,
  head: Ptr<"object">,
  count: number,
): boolean {
  const word = slab_word(cpu, slab);
  if (!word_full(word)) return false;
  const new_word = make_word(cpu, s, slab, head, word_inuse(word) - count);
  if (has_bug(cpu, BUG_LOCKLESS_RETURN)) {
    if (!slab_update_freelist(cpu, s, slab, word, new_word)) return false;
    list_add(cpu, embedded(slab, SLAB_LIST), slabs);
    return true;
  }
  const flags = lock_node(cpu, n);
  const returned = slab_update_freelist(cpu, s, slab, word, new_word);
  if (returned) add_partial(cpu, n, slab, "tail");
  unlock_node(cpu, n, flags);
  return returned;
}

/** Puts isolated slabs back. They may have become empty meanwhile; then they stay all the same. */
function return_slabs(cpu: Cpu, n: Node, slabs: Ptr<"list_head">): void {
  const flags = lock_node(cpu, n);
  for (let entry = list_next(cpu, slabs); entry !== slabs; entry = list_next(cpu, entry)) {
    set_node_partial_state(cpu, n, container_of(entry, SLAB_LIST));
  }
  list_splice_tail(cpu, slabs, embedded(n, PARTIAL));
  unlock_node(cpu, n, flags);
}

/** From nodes that have more slabs than they need. @kernel mm/slub.c @returns how many objects. */
function __refill_objects_any(cpu: Cpu, s: Cache, p: Objects, gfp: number, min: number, max: number): number {
  if (!may_defrag_remote_nodes(cpu, s)) return 0;
  const first = numa_mem_id(cpu);
  let refilled = 0;
  let node = first;
  do {
    const n = get_node(cpu, s, node);
    if (cpuset_node_allowed(cpu, node) && has_spare_slabs(cpu, s, n)) {
      const rest = slot(p, refilled);
      const allow_spin = has_bug(cpu, BUG_REMOTE_SPIN);
      refilled += __refill_objects_node(cpu, s, rest, gfp, min - refilled, max - refilled, n, allow_spin);
    }
    node = next_node(cpu, node);
  } while (node !== first && refilled < min);
  return refilled;
}

/**
 * __kmem_cache_alloc_bulk() - allocate exactly `size` objects from slabs, or none.
 *
 * @kernel  mm/slub.c
 * @returns `size`, or 0: too little memory.
 * @context Hardirq, or Task if gfp may block.
 */
export function __kmem_cache_alloc_bulk(cpu: Cpu, s: Cache, gfp: number, size: number, p: Objects): number {
  const refilled = kmem_cache_debug(cpu, s)
    ? alloc_one_by_one(cpu, s, gfp, size, p)
    : refill_objects(cpu, s, p, gfp, size, size);
  if (refilled < size) {
    __kmem_cache_free_bulk(cpu, s, read_slots(cpu, p, refilled));
    return 0;
  }
  if (!kmem_cache_debug(cpu, s)) stat(cpu, s, STAT.ALLOC_SLOWPATH, size);
  return size;
}
/** Debugged caches look at each object. @kernel mm/slub.c @returns how many there were. */
function alloc_one_by_one(cpu: Cpu, s: Cache, gfp: number, size: number, p: Objects): number {
  for (let i = 0; i < size; i++) {
    const object = ___slab_alloc(cpu, s, gfp, NUMA_NO_NODE, SLAB_ALLOC_DEFAULT);
    if (object === NULL) return i;
    cpu.mem.write(p, element(SLOTS, i), object);
  }
  return size;
}
