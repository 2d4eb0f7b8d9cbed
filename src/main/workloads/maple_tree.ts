/**
 * A tree in the manner of the maple tree: readers walk it under RCU, writers never change what readers look at, but put a
 * copy in its place. lib/maple_tree.c; spec rcu 2.1. A node goes in one of two ways, and cannot know beforehand in which:
 *
 *   mtree_store()     a leaf alone, by kfree_rcu()
 *   mtree_replace()   a node with everything below it, by call_rcu(mt_free_walk)
 *
 * So nodes have the long head. It lies over pivots, and is written while readers may still read these: a node is marked
 * dead before, and a reader that has read pivots looks whether it is, and starts again if so.
 *
 *   mtree_load()                      Any; a reader
 *   mtree_store(), mtree_replace()    Task; ma_lock
 *   mt_free_walk()                    Softirq; RCU callback
 *
 * Nodes are allocated before the lock is taken: one by itself, more as a prefilled sheaf, of which the writer then takes
 * what it needs under the lock, where it may neither sleep nor fail.
 *
 * Differs: FANOUT entries in a node, always in use; a value tells its index and how often it was stored.
 */
import { bug, no_memory } from "../../shared/cpu/bug.ts";
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { CB } from "../../shared/layout/callbacks.ts";
import { GFP_KERNEL, GFP_NOWAIT } from "../../shared/layout/gfp.ts";
import { Globals } from "../../shared/layout/globals.ts";
import { MAPLE_RANGE64_SLOTS, MapleNode, MapleTree, WorkloadGlobals } from "../../shared/layout/workloads.ts";
import {
  call_rcu,
  kfree_rcu,
  kmem_cache_alloc,
  kmem_cache_alloc_from_sheaf,
  kmem_cache_create,
  kmem_cache_destroy,
  kmem_cache_free,
  kmem_cache_prefill_sheaf,
  kmem_cache_return_sheaf,
  LC,
  rcu_barrier,
  rcu_read_lock,
  rcu_read_unlock,
  spin_lock_init,
  spin_lock_irqsave,
  spin_unlock_irqrestore,
} from "../../shared/linux/api.ts";
import { container_of, element, embedded, NULL, type Ptr } from "../../shared/mem/struct.ts";

const { workloads: WORKLOADS } = Globals.offset;
const { maple_tree: MAPLE_TREE } = WorkloadGlobals.offset;
const { ma_lock: MA_LOCK, ma_root: MA_ROOT, node_cache: NODE_CACHE } = MapleTree.offset;
const { parent: PARENT, pivot: PIVOT, rcu: RCU, slot: SLOT } = MapleNode.offset;

type Node = Ptr<"maple_node">;

/** Entries of a node. */
export const FANOUT = 4;
/** What a node of a tree of `height` levels covers. */
export const indices = (height: number): number => FANOUT ** height;
/** Nodes that a sheaf holds at least: enough for what a store may need. */
const SHEAF_CAPACITY = 32;
/** Behind the last pivot of a node. */
const MAX_INDEX = 0x7fffffff;

const tree_of = (cpu: Cpu): Ptr<"maple_tree"> => embedded(embedded(cpu.globals, WORKLOADS), MAPLE_TREE);

// Values, as xa_mk_value() makes them: odd, so that they are no pointers.
const value_of = (index: number, stored: number): Node =>
  ((((stored & 0xffff) << 10) | (index << 1) | 1) >>> 0) as Node;
const is_value = (entry: Node): boolean => (entry & 1) !== 0;
const index_of = (value: Node): number => (value >> 1) & 0x1ff;
const stored_of = (value: Node): number => (value >>> 10) & 0xffff;

/** What a writer has of struct ma_state: nodes that nobody else knows. */
interface MaState {
  /** If there is one only. */
  readonly alloc: Node;
  readonly sheaf: Ptr<"slab_sheaf">;
}
const cache_of = (cpu: Cpu): Ptr<"kmem_cache"> => cpu.mem.peek(tree_of(cpu), NODE_CACHE);
/** Nodes of a tree of `height` levels. */
const nodes_of = (height: number): number => (indices(height) - 1) / (FANOUT - 1);

/** mas_alloc_nodes(). @returns undefined: no memory. @context Task, may sleep */
function mas_alloc_nodes(cpu: Cpu, request: number): MaState | undefined {
  if (request > 1) {
    const sheaf = kmem_cache_prefill_sheaf(cpu, cache_of(cpu), GFP_KERNEL, request);
    return sheaf === NULL ? undefined : { alloc: NULL, sheaf };
  }
  const alloc = kmem_cache_alloc(cpu, cache_of(cpu), GFP_KERNEL) as Ptr as Node;
  return alloc === NULL ? undefined : { alloc, sheaf: NULL };
}
/** mas_pop_node(): one of those that were asked for. @context Any but NMI */
function mas_pop_node(cpu: Cpu, { alloc, sheaf }: MaState): Node {
  if (sheaf === NULL) return alloc;
  const node = kmem_cache_alloc_from_sheaf(cpu, cache_of(cpu), GFP_NOWAIT, sheaf) as Ptr as Node;
  if (node === NULL) bug(cpu, "a prefilled sheaf had fewer nodes than were asked for");
  return node;
}
/** mas_destroy(): the rest goes back. @context Task, may sleep */
function mas_destroy(cpu: Cpu, { sheaf }: MaState): void {
  if (sheaf !== NULL) kmem_cache_return_sheaf(cpu, cache_of(cpu), GFP_NOWAIT, sheaf);
}

/** A node for `height` levels from index `first` on, its slots empty. */
function new_node(cpu: Cpu, mas: MaState, first: number, height: number): Node {
  const { mem } = cpu;
  const node = mas_pop_node(cpu, mas);
  const span = indices(height - 1);
  mem.init(node, PARENT, NULL);
  for (let i = 0; i < MAPLE_RANGE64_SLOTS; i++) {
    if (i < MAPLE_RANGE64_SLOTS - 1)
      mem.init(node, element(PIVOT, i), i < FANOUT - 1 ? first + (i + 1) * span - 1 : MAX_INDEX);
    mem.init(node, element(SLOT, i), NULL);
  }
  return node;
}
/** A subtree for indices from `first` on, every value stored 0 times. */
function build(cpu: Cpu, mas: MaState, first: number, height: number): Node {
  const { mem } = cpu;
  const node = new_node(cpu, mas, first, height);
  const span = indices(height - 1);
  for (let i = 0; i < FANOUT; i++) {
    const entry = height === 1 ? value_of(first + i, 0) : build(cpu, mas, first + i * span, height - 1);
    if (height > 1) mem.init(entry, PARENT, node);
    mem.init(node, element(SLOT, i), entry);
  }
  return node;
}
/** @context Any but NMI; nobody else knows the nodes */
function free_subtree(cpu: Cpu, node: Node): void {
  const { mem } = cpu;
  for (let i = 0; i < FANOUT; i++) {
    const entry = mem.read_once(node, element(SLOT, i));
    if (entry !== NULL && !is_value(entry)) free_subtree(cpu, entry);
  }
  kmem_cache_free(cpu, mem.peek(tree_of(cpu), NODE_CACHE), node);
}
/** mt_free_walk() - a node that was replaced together with all below it. @kernel lib/maple_tree.c @context Softirq */
export function mt_free_walk(cpu: Cpu, head: Ptr<"rcu_head">): void {
  free_subtree(cpu, container_of(head, RCU));
}

/**
 * The node's slot for an index. Race: the pivots may be an rcu_head already; then the node is dead, and the answer must
 * not be used.
 */
function slot_for(cpu: Cpu, node: Node, index: number): number {
  let slot = 0;
  while (slot < MAPLE_RANGE64_SLOTS - 1 && index > cpu.mem.data_race_read(node, element(PIVOT, slot))) slot++;
  return slot;
}
/** ma_dead_node(). @context A reader */
const is_dead = (cpu: Cpu, node: Node): boolean => cpu.mem.read_once(node, PARENT) === node;

/**
 * mtree_load() - looks an index up, whose value is always there. @returns how often it was stored.
 * @context Any
 * @pairs   put_in_place(): a reader that meets a dead node starts again, and finds the new one.
 */
export function mtree_load(cpu: Cpu, index: number): number {
  rcu_read_lock(cpu);
  let entry = cpu.mem.read_once(tree_of(cpu), MA_ROOT);
  while (!is_value(entry)) {
    const node = entry;
    if (node === NULL) bug(cpu, `mtree_load(${index}): a walk ends without a value`);
    entry = cpu.mem.read_once(node, element(SLOT, slot_for(cpu, node, index)));
    if (is_dead(cpu, node)) entry = cpu.mem.read_once(tree_of(cpu), MA_ROOT);
  }
  rcu_read_unlock(cpu);
  if (index_of(entry) !== index) bug(cpu, `mtree_load(${index}): the walk has led to the value of ${index_of(entry)}`);
  return stored_of(entry);
}

/** Where a node hangs. */
interface Place {
  readonly node: Node;
  /** NULL: it is the root. */
  readonly parent: Node;
  readonly slot: number;
}
/** The node for an index `depth` levels below the root. @context ma_lock held */
function find(cpu: Cpu, index: number, depth: number): Place {
  let at: Place = { node: cpu.mem.read_once(tree_of(cpu), MA_ROOT), parent: NULL, slot: 0 };
  for (let left = depth; left > 0; left--) {
    const slot = slot_for(cpu, at.node, index);
    at = { node: cpu.mem.read_once(at.node, element(SLOT, slot)), parent: at.node, slot };
  }
  return at;
}
/** mas_replace_node(): first the new node, then the old one is dead: it may be freed. @context ma_lock held */
function put_in_place(cpu: Cpu, { node: old, parent, slot }: Place, node: Node): void {
  const { mem } = cpu;
  mem.init(node, PARENT, parent);
  if (parent === NULL) mem.write_once(tree_of(cpu), MA_ROOT, node);
  else mem.write_once(parent, element(SLOT, slot), node);
  mem.write_once(old, PARENT, old);
}

/** mtree_store() - stores the value of an index once more. @returns false: no memory. @context Task, may sleep */
export function mtree_store(cpu: Cpu, index: number, height: number): boolean {
  const { mem } = cpu;
  const tree = tree_of(cpu);
  const mas = mas_alloc_nodes(cpu, 1);
  if (mas === undefined) return false;
  const leaf = new_node(cpu, mas, index - (index % FANOUT), 1);
  const flags = spin_lock_irqsave(cpu, embedded(tree, MA_LOCK));
  const place = find(cpu, index, height - 1);
  for (let i = 0; i < FANOUT; i++) mem.init(leaf, element(SLOT, i), mem.read_once(place.node, element(SLOT, i)));
  const own = element(SLOT, index % FANOUT);
  mem.init(leaf, own, value_of(index, stored_of(mem.read_once(leaf, own)) + 1));
  put_in_place(cpu, place, leaf);
  spin_unlock_irqrestore(cpu, embedded(tree, MA_LOCK), flags);
  kfree_rcu(cpu, place.node, RCU);
  return true;
}
/**
 * Replaces a node `depth` levels below the root, and all below it, by new ones: what a store does that spans many nodes.
 * @returns false: no memory, nothing is changed. @context Task, may sleep
 */
export function mtree_replace(cpu: Cpu, index: number, depth: number, height: number): boolean {
  const tree = tree_of(cpu);
  const levels = height - depth;
  const mas = mas_alloc_nodes(cpu, nodes_of(levels));
  if (mas === undefined) return false;
  const flags = spin_lock_irqsave(cpu, embedded(tree, MA_LOCK));
  const place = find(cpu, index, depth);
  put_in_place(cpu, place, build(cpu, mas, index - (index % indices(levels)), levels));
  spin_unlock_irqrestore(cpu, embedded(tree, MA_LOCK), flags);
  mas_destroy(cpu, mas);
  call_rcu(cpu, embedded(place.node, RCU), CB.mt_free_walk);
  return true;
}

/** A tree of `height` levels. @param flags  SLAB_* of maple_node_cache. @context Task, alone */
export function maple_tree_init(cpu: Cpu, height: number, flags = 0): void {
  const tree = tree_of(cpu);
  spin_lock_init(cpu, embedded(tree, MA_LOCK), LC.ma_lock);
  const args = { flags, sheaf_capacity: SHEAF_CAPACITY };
  const s = kmem_cache_create(cpu, "maple_node", MapleNode.size, args);
  if (s === NULL) no_memory(cpu, "the cache maple_node");
  cpu.mem.poke(tree, NODE_CACHE, s);
  const mas = mas_alloc_nodes(cpu, nodes_of(height));
  if (mas === undefined) no_memory(cpu, "a maple tree");
  cpu.mem.write_once(tree, MA_ROOT, build(cpu, mas, 0, height));
  mas_destroy(cpu, mas);
}
/** Gives everything back. @context Task, alone, may sleep */
export function maple_tree_destroy(cpu: Cpu): void {
  const tree = tree_of(cpu);
  const root = cpu.mem.xchg(tree, MA_ROOT, NULL);
  call_rcu(cpu, embedded(root, RCU), CB.mt_free_walk);
  rcu_barrier(cpu); // It is not among what kmem_cache_destroy() waits for.
  kmem_cache_destroy(cpu, cpu.mem.peek(tree, NODE_CACHE));
}
