/**
 * Per-CPU sheaves: the fast paths of allocation and free. A CPU has, per cache, a main sheaf that it takes from and
 * puts to (LIFO), a spare, and an rcu_free sheaf (kvfree_rcu), all under a local_trylock.
 *
 *   lock       only tried, in every context: an interrupt may have interrupted the holder. It does not disable IRQs.
 *   main       never NULL while the lock is free; caches without sheaves share one of capacity 0, never written
 *   spare      NULL, empty or full in the normal flow; after races and migrations anything between
 *
 * A failed trylock is no error: the caller goes to the slab. Only this CPU touches its sheaves, so they are plain words.
 *
 * Context: any. Lock order: the sheaf lock may be held while a barn's is taken, and is dropped around everything that
 * allocates, frees or takes list_lock. Kernel: mm/slub.c. Spec: slub 2.2, 2.3, 2.6, 2.7.
 */
import { bug } from "../../../cpu/bug.ts";
import { has_bug } from "../../../cpu/bugs.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { oracle_move } from "../../../cpu/oracle.ts";
import { BUG_MEMORYLESS_BARN, BUG_PFMEMALLOC_SHEAF } from "../../../layout/bugs.ts";
import { NUMA_NO_NODE } from "../../../layout/gfp.ts";
import { Globals } from "../../../layout/globals.ts";
import {
  KmemCache,
  KmemCachePerNode,
  SL_pfmemalloc,
  Slab,
  SlabSheaf,
  SlubPercpuSheaves,
} from "../../../layout/slab.ts";
import { STAT } from "../../../layout/slab_stat.ts";
import { O_SHEAF, O_TRANSIT } from "../../../mem/oracle.ts";
import { element, embedded, embedded_at, low_word, NULL, type Ptr } from "../../../mem/struct.ts";
import { local_trylock, local_unlock } from "../../sync/local_lock.ts";
import { node_has_memory, numa_mem_id, numa_node_id } from "../page_alloc/zone.ts";
import { __pcs_replace_empty_main, __pcs_replace_full_main } from "./pcs_replace.ts";
import { get_node, virt_to_slab } from "./slab.ts";
import { stat } from "./stat.ts";

const { cpu_sheaves: CPU_SHEAVES, sheaf_capacity: SHEAF_CAPACITY, per_node: PER_NODE } = KmemCache.offset;
const { barn: BARN } = KmemCachePerNode.offset;
const { lock: LOCK, main: MAIN } = SlubPercpuSheaves.offset;
const { size: SIZE, objects: OBJECTS } = SlabSheaf.offset;
const { flags: SLAB_FLAGS, node: SLAB_NODE } = Slab.offset;
const { no_memoryless: NO_MEMORYLESS } = Globals.offset;
const { ALLOC_FASTPATH, ALLOC_NODE_MISMATCH, FREE_FASTPATH } = STAT;
const PCS_BYTES = SlubPercpuSheaves.size;
const PER_NODE_BYTES = KmemCachePerNode.size;

type Cache = Ptr<"kmem_cache">;
type Pcs = Ptr<"slub_percpu_sheaves">;
type Sheaf = Ptr<"slab_sheaf">;
type Barn = Ptr<"node_barn">;

/** The sheaves of CPU `id`. */
export function per_cpu_sheaves(cpu: Cpu, s: Cache, id: number): Pcs {
  return (cpu.mem.read(s, CPU_SHEAVES) + id * PCS_BYTES) as Pcs;
}
/** The sheaves of this CPU: read again after every window in which the sheaf lock was dropped. */
export function this_cpu_sheaves(cpu: Cpu, s: Cache): Pcs {
  return ((cpu.mem.read(s, CPU_SHEAVES) + cpu.sheaves) | 0) as Pcs; // | 0: see element().
}
/** The barn of a node. @returns NULL: the cache has no sheaves, or the node none yet. */
export function get_node_barn(cpu: Cpu, s: Cache, node: number): Barn {
  return cpu.mem.read(embedded_at(s, PER_NODE, node, PER_NODE_BYTES), BARN);
}
/** The barn of this CPU's node; stale after a migration, which only costs locality. @returns NULL: there is none. */
export function get_barn(cpu: Cpu, s: Cache): Barn {
  const node = numa_node_id(cpu);
  // It was a part of the node's kmem_cache_node.
  if (has_bug(cpu, BUG_MEMORYLESS_BARN) && get_node(cpu, s, node) === NULL) {
    bug(cpu, `NULL pointer dereference: the barn of node ${node}, which has no memory (slub B1)`);
  }
  return get_node_barn(cpu, s, node);
}

/**
 * alloc_from_pcs() - take the object that was put last.
 *
 * @kernel  mm/slub.c
 * @param   node  the object must come from this node; NUMA_NO_NODE: any.
 * @returns NULL: the caller tries the slabs.
 * @context Any with SLAB_ALLOC_NOLOCK; else Hardirq, or Task if gfp may block.
 */
export function alloc_from_pcs(cpu: Cpu, s: Cache, gfp: number, alloc_flags: number, node: number): Ptr<"object"> {
  const { mem } = cpu;
  if (node !== NUMA_NO_NODE && node !== numa_mem_id(cpu)) return node_mismatch(cpu, s);
  const pcs = this_cpu_sheaves(cpu, s);
  if (!local_trylock(cpu, embedded(pcs, LOCK))) return NULL;
  const main = mem.read(pcs, MAIN);
  const size = mem.read(main, SIZE);
  if (size === 0) return alloc_from_next_sheaf(cpu, s, pcs, gfp, alloc_flags, node);
  if (node !== NUMA_NO_NODE) return take_object_of_node(cpu, s, pcs, main, size, node);
  return take_object(cpu, s, pcs, main, size);
}
/**
 * Main is empty. Why functions of their own, here and below: V8 reads and checks again after a call what it knew before. So
 * on the fast path none comes first, also not in the other branch; and what is rare is not inlined with it.
 */
function alloc_from_next_sheaf(
  cpu: Cpu,
  s: Cache,
  locked: Pcs,
  gfp: number,
  alloc_flags: number,
  node: number,
): Ptr<"object"> {
  const pcs = __pcs_replace_empty_main(cpu, s, locked, gfp, alloc_flags);
  if (pcs === NULL) return NULL;
  const main = cpu.mem.read(pcs, MAIN);
  const size = cpu.mem.read(main, SIZE);
  if (node !== NUMA_NO_NODE) return take_object_of_node(cpu, s, pcs, main, size, node);
  return take_object(cpu, s, pcs, main, size);
}
/** Takes the last of `size` objects, and gives the lock back. */
function take_object(cpu: Cpu, s: Cache, pcs: Pcs, main: Sheaf, size: number): Ptr<"object"> {
  const { mem } = cpu;
  const left = (size - 1) | 0;
  const object = mem.read(main, element(OBJECTS, left));
  mem.write(main, SIZE, left);
  local_unlock(cpu, embedded(pcs, LOCK));
  if (cpu.checked) stat(cpu, s, ALLOC_FASTPATH);
  return object;
}
/** The same, but leaves an object of another node. */
function take_object_of_node(cpu: Cpu, s: Cache, pcs: Pcs, main: Sheaf, size: number, node: number): Ptr<"object"> {
  const object = cpu.mem.read(main, element(OBJECTS, size - 1));
  // Put here by a CPU that had migrated between can_free_to_pcs() and the lock, or by one without local memory.
  const other = cpu.mem.read(virt_to_slab(cpu, object), SLAB_NODE) !== node;
  if (!other) cpu.mem.write(main, SIZE, size - 1);
  local_unlock(cpu, embedded(pcs, LOCK));
  if (other) return node_mismatch(cpu, s);
  stat(cpu, s, ALLOC_FASTPATH);
  return object;
}
function node_mismatch(cpu: Cpu, s: Cache): Ptr<"object"> {
  stat(cpu, s, ALLOC_NODE_MISMATCH, 1);
  return NULL;
}

/**
 * free_to_pcs() - put an object, whose free hooks have run, into the main sheaf.
 *
 * @kernel  mm/slub.c
 * @returns false: the caller frees it to its slab, or defers that.
 * @context Any without `allow_spin`, else Hardirq.
 */
export function free_to_pcs(cpu: Cpu, s: Cache, object: Ptr, allow_spin: boolean): boolean {
  const { mem } = cpu;
  const pcs = this_cpu_sheaves(cpu, s);
  if (!local_trylock(cpu, embedded(pcs, LOCK))) return false;
  const main = mem.read(pcs, MAIN);
  const size = mem.read(main, SIZE);
  if (size === mem.read(s, SHEAF_CAPACITY)) return free_to_next_sheaf(cpu, s, pcs, object, allow_spin);
  return put_object(cpu, s, pcs, main, size, object);
}
/** Main is full. */
function free_to_next_sheaf(cpu: Cpu, s: Cache, locked: Pcs, object: Ptr, allow_spin: boolean): boolean {
  const pcs = __pcs_replace_full_main(cpu, s, locked, allow_spin);
  if (pcs === NULL) return false;
  const main = cpu.mem.read(pcs, MAIN);
  return put_object(cpu, s, pcs, main, cpu.mem.read(main, SIZE), object);
}
/** Puts an object behind the `size` that are there, and gives the lock back. @returns true */
function put_object(cpu: Cpu, s: Cache, pcs: Pcs, main: Sheaf, size: number, object: Ptr): boolean {
  const { mem } = cpu;
  if (cpu.checked) note_put(cpu, s, object);
  mem.write(main, low_word(element(OBJECTS, size)), object as Ptr<"object">); // A sheaf is allocated as zeroes.
  mem.write(main, SIZE, (size + 1) | 0);
  local_unlock(cpu, embedded(pcs, LOCK));
  return true;
}
function note_put(cpu: Cpu, s: Cache, object: Ptr): void {
  oracle_move(cpu, object, O_TRANSIT, O_SHEAF);
  stat(cpu, s, FREE_FASTPATH);
}

/**
 * can_free_to_pcs() - may an object of this slab be kept by this CPU? Not if it lies on another node, and not if its
 * memory came from emergency reserves: that must not reach ordinary users (slub B12). "Another node" is one that is not
 * numa_mem_id(); without CONFIG_HAVE_MEMORYLESS_NODES a CPU whose node has no memory keeps everything.
 *
 * Race: without a lock; after a migration the answer may be stale, and the object is merely remote. The bit in `flags`
 * was set before the slab became known and never changes, so a plain read will do.
 *
 * @kernel  mm/slub.c
 * @context Any
 */
export function can_free_to_pcs(cpu: Cpu, slab: Ptr<"slab">): boolean {
  if (cpu.isNuma && !is_local(cpu, slab)) return false;
  return (cpu.mem.data_race_read(slab, SLAB_FLAGS) & SL_pfmemalloc) === 0 || has_bug(cpu, BUG_PFMEMALLOC_SHEAF);
}
function is_local(cpu: Cpu, slab: Ptr<"slab">): boolean {
  return cpu.mem.read(slab, SLAB_NODE) === numa_mem_id(cpu) || keeps_remote(cpu);
}
/** Has this CPU no local memory, on a kernel that knows no other word for it? */
function keeps_remote(cpu: Cpu): boolean {
  return cpu.mem.peek(cpu.globals, NO_MEMORYLESS) !== 0 && !node_has_memory(cpu, numa_node_id(cpu));
}
