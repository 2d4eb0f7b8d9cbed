/**
 * Bulk free: many objects at once, to this CPU's sheaves as far as there is room, the rest slab by slab. mm/slub.c; spec
 * slub 2.13.
 *
 *   function               objects        free hooks     first choice
 *   kmem_cache_free_bulk   of one cache   run here       sheaves
 *   kfree_bulk             of any cache   run here       slabs
 *   __kmem_cache_free_bulk of one cache   have run       slabs: what the flushes use
 *
 * To free n objects of one slab costs one update of the slab: they are chained through their free pointers first.
 *
 * Context: any but NMI; the two entry points want IRQs on. Locks: the sheaf lock is tried, then dropped before slabs.
 *
 * Differs: the kernel permutes the caller's array. Here the entries are read once, into an array on the stack.
 */
import { bug, warn } from "../../../cpu/bug.ts";
import { has_bug } from "../../../cpu/bugs.ts";
import { describe_context, in_nmi, irqs_disabled } from "../../../cpu/context.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { oracle_move } from "../../../cpu/oracle.ts";
import { BUG_BULK_FREE_LOST, BUG_BULK_RECURSION } from "../../../layout/bugs.ts";
import { KmemCache, ObjectArray, Slab, SlabSheaf, SlubPercpuSheaves } from "../../../layout/slab.ts";
import { STAT } from "../../../layout/slab_stat.ts";
import { O_FREELIST, O_SHEAF, O_TRANSIT } from "../../../mem/oracle.ts";
import { element, embedded, NULL, type Ptr } from "../../../mem/struct.ts";
import { local_trylock, local_unlock } from "../../sync/local_lock.ts";
import { barn_get_empty_sheaf, barn_replace_full_sheaf, IS_ERR } from "./barn.ts";
import { PCS_BATCH_MAX } from "./flush.ts";
import { __slab_free } from "./free.ts";
import { slab_free_hook } from "./hooks.ts";
import { assert_alive } from "./kmalloc.ts";
import { free_large_kmalloc } from "./large_kmalloc.ts";
import { can_free_to_pcs, get_barn, this_cpu_sheaves } from "./pcs.ts";
import { cache_has_sheaves } from "./sheaf.ts";
import { ZERO_OR_NULL_PTR } from "./size_class.ts";
import { virt_to_slab } from "./slab.ts";
import { set_freepointer } from "./slab_word.ts";
import { stat } from "./stat.ts";

const { slots: SLOTS } = ObjectArray.offset;
const { slab_cache: SLAB_CACHE } = Slab.offset;
const { sheaf_capacity: SHEAF_CAPACITY } = KmemCache.offset;
const { lock: LOCK, main: MAIN, spare: SPARE } = SlubPercpuSheaves.offset;
const { size: SIZE, objects: OBJECTS } = SlabSheaf.offset;
/** Entries of other slabs that the search for one slab's objects passes over before it gives up. */
const LOOKAHEAD = 3;

type Cache = Ptr<"kmem_cache">;
type Obj = Ptr<"object">;

/** The first `size` pointers at `p`. */
export function read_slots(cpu: Cpu, p: Ptr<"object_array">, size: number): Obj[] {
  const objects: Obj[] = [];
  for (let i = 0; i < size; i++) objects.push(cpu.mem.read(p, element(SLOTS, i)));
  return objects;
}

/**
 * __kmem_cache_free_bulk() - free private objects of one cache, whose hooks have run, to their slabs.
 * Counts nothing: whether this is a slow free or a flush is the caller's to say.
 *
 * @kernel  mm/slub.c
 * @param   objects  emptied.
 * @context Hardirq, never NMI.
 */
export function __kmem_cache_free_bulk(cpu: Cpu, s: Cache, objects: Obj[]): void {
  if (objects.length > 0 && has_bug(cpu, BUG_BULK_RECURSION)) {
    free_to_pcs_bulk(cpu, s, objects.splice(0));
    return;
  }
  for (let last = objects.pop(); last !== undefined; last = objects.pop())
    free_detached_freelist(cpu, s, last, objects);
}

/** Frees `tail` together with the objects of its slab that are last in `others`. @kernel mm/slub.c, build_detached_freelist() */
function free_detached_freelist(cpu: Cpu, s: Cache, tail: Obj, others: Obj[]): void {
  const slab = virt_to_slab(cpu, tail);
  if (slab === NULL) bug(cpu, `bulk free of ${tail}, which is no slab object`);
  let head = tail;
  let cnt = 1;
  let misses = LOOKAHEAD;
  set_freepointer(cpu, s, tail, NULL);
  for (let i = others.length - 1; i >= 0; i--) {
    const object = others[i];
    if (virt_to_slab(cpu, object) !== slab) {
      if (--misses === 0) break;
      continue;
    }
    const moved = others.pop() as Obj;
    if (i < others.length) others[i] = moved;
    set_freepointer(cpu, s, object, head);
    // A chain is reported here, object by object; __slab_free() reports single objects.
    if (cnt === 1) oracle_move(cpu, tail, O_TRANSIT | O_SHEAF, O_FREELIST);
    oracle_move(cpu, object, O_TRANSIT | O_SHEAF, O_FREELIST);
    head = object;
    cnt++;
  }
  __slab_free(cpu, s, slab, head, tail, cnt);
}

/**
 * kmem_cache_free_bulk() - free objects of cache `s`.
 *
 * @kernel  mm/slub.c
 * @param   p  the objects; not changed.
 * @context Task or Softirq, IRQs on.
 */
export function kmem_cache_free_bulk(cpu: Cpu, s: Cache, size: number, p: Ptr<"object_array">): void {
  assert_bulk_context(cpu, "kmem_cache_free_bulk");
  assert_alive(cpu, s);
  const local: Obj[] = [];
  const remote: Obj[] = []; // Of another node, or from memory reserves.
  for (const object of read_slots(cpu, p, size)) {
    const slab = virt_to_slab(cpu, object);
    if (slab === NULL || cpu.mem.read(slab, SLAB_CACHE) !== s) {
      warn(cpu, `kmem_cache_free_bulk(${s}): ${object} is not from that cache`);
    } else if (slab_free_hook(cpu, s, object, false)) {
      if (cache_has_sheaves(cpu, s) && can_free_to_pcs(cpu, slab)) local.push(object);
      else remote.push(object);
      if (remote.length === PCS_BATCH_MAX && has_bug(cpu, BUG_BULK_FREE_LOST)) {
        slab_free_bulk(cpu, s, remote.splice(0));
        local.length = 0;
      }
    }
  }
  free_to_pcs_bulk(cpu, s, local);
  slab_free_bulk(cpu, s, remote);
}

/** kfree_bulk() - free objects of kmalloc(), of any size. @kernel mm/slub.c @context Task or Softirq, IRQs on. */
export function kfree_bulk(cpu: Cpu, size: number, p: Ptr<"object_array">): void {
  assert_bulk_context(cpu, "kfree_bulk");
  let s: Cache = NULL;
  let batch: Obj[] = [];
  for (const object of read_slots(cpu, p, size)) {
    if (ZERO_OR_NULL_PTR(object)) continue;
    const slab = virt_to_slab(cpu, object);
    if (slab === NULL) {
      free_large_kmalloc(cpu, object);
      continue;
    }
    const cache = cpu.mem.read(slab, SLAB_CACHE);
    assert_alive(cpu, cache);
    if (cache !== s) {
      slab_free_bulk(cpu, s, batch);
      batch = [];
      s = cache;
    }
    if (slab_free_hook(cpu, s, object, false)) batch.push(object);
  }
  slab_free_bulk(cpu, s, batch);
}

export function assert_bulk_context(cpu: Cpu, what: string): void {
  if (in_nmi(cpu) || irqs_disabled(cpu)) bug(cpu, `${what}() with IRQs off (${describe_context(cpu)})`);
}
/** Frees objects whose hooks have run to their slabs, and counts that. @kernel mm/slub.c */
function slab_free_bulk(cpu: Cpu, s: Cache, objects: Obj[]): void {
  if (objects.length === 0) return;
  stat(cpu, s, STAT.FREE_SLOWPATH, objects.length);
  __kmem_cache_free_bulk(cpu, s, objects);
}
/** As many as possible into sheaves, the rest to slabs. @kernel mm/slub.c */
function free_to_pcs_bulk(cpu: Cpu, s: Cache, objects: Obj[]): void {
  let rest = objects;
  while (rest.length > 0) {
    const done = __free_to_pcs_batch(cpu, s, rest);
    if (done === 0) break;
    rest = rest.slice(done);
  }
  slab_free_bulk(cpu, s, rest);
}

/**
 * __free_to_pcs_batch() - put the first of `objects` into this CPU's main sheaf, a fresh one if it is full.
 * @kernel  mm/slub.c
 * @returns how many; 0: the lock is taken, or there is no sheaf with room.
 * @context Hardirq, never NMI.
 */
function __free_to_pcs_batch(cpu: Cpu, s: Cache, objects: readonly Obj[]): number {
  const mem = cpu.mem;
  const pcs = this_cpu_sheaves(cpu, s);
  if (!local_trylock(cpu, embedded(pcs, LOCK))) return 0;
  const capacity = mem.read(s, SHEAF_CAPACITY);
  let main = mem.read(pcs, MAIN);
  let size = mem.read(main, SIZE);
  if (size === capacity) {
    main = sheaf_with_room(cpu, s, pcs, main, capacity);
    if (main === NULL) {
      local_unlock(cpu, embedded(pcs, LOCK));
      return 0;
    }
    size = mem.read(main, SIZE);
  }
  const batch = Math.min(objects.length, capacity - size);
  for (let i = 0; i < batch; i++) {
    const object = objects[i];
    oracle_move(cpu, object, O_TRANSIT, O_SHEAF);
    mem.write(main, element(OBJECTS, size + i), object);
  }
  mem.write(main, SIZE, size + batch);
  local_unlock(cpu, embedded(pcs, LOCK));
  stat(cpu, s, STAT.FREE_FASTPATH, batch);
  return batch;
}

/** Makes another sheaf main, under the sheaf lock: the spare, or one of the barn. @returns it; NULL: nothing has changed. */
function sheaf_with_room(
  cpu: Cpu,
  s: Cache,
  pcs: Ptr<"slub_percpu_sheaves">,
  main: Ptr<"slab_sheaf">,
  capacity: number,
): Ptr<"slab_sheaf"> {
  const mem = cpu.mem;
  const barn = get_barn(cpu, s);
  if (barn === NULL) return NULL;
  const spare = mem.read(pcs, SPARE);
  let empty: Ptr<"slab_sheaf">;
  if (spare === NULL) {
    empty = barn_get_empty_sheaf(cpu, barn, true);
    if (empty === NULL) return NULL;
    mem.write(pcs, SPARE, main);
  } else if (mem.read(spare, SIZE) < capacity) {
    empty = spare;
    mem.write(pcs, SPARE, main);
  } else {
    empty = barn_replace_full_sheaf(cpu, barn, main, true);
    if (IS_ERR(empty)) {
      stat(cpu, s, STAT.BARN_PUT_FAIL, 1);
      return NULL;
    }
    stat(cpu, s, STAT.BARN_PUT, 1);
  }
  mem.write(pcs, MAIN, empty);
  return empty;
}
