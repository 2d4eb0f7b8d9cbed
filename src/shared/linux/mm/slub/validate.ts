/**
 * Looking through all slabs of a cache: kmem_cache validation, and what is left when a cache is destroyed. mm/slub.c; spec
 * slub 10.4, 5.8.
 *
 * Context: task, may sleep. Lock order: cpu_hotplug_lock, flush_lock (to flush sheaves), then list_lock, object_map_lock.
 *
 * Differs: the kernel allocates a map of free objects for each validation; here all share object_map.
 */
import { might_sleep } from "../../../cpu/context.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { printk } from "../../../cpu/printk.ts";
import { Globals } from "../../../layout/globals.ts";
import { KERN_ERR } from "../../../layout/printk.ts";
import { KmemCacheNode, Slab, SlabGlobals } from "../../../layout/slab.ts";
import { SLAB_STORE_USER } from "../../../layout/slab_flags.ts";
import { ListHead } from "../../../layout/types.ts";
import { container_of, element, embedded, NULL, offsetof, type Ptr } from "../../../mem/struct.ts";
import { spin_lock, spin_unlock } from "../../sync/spinlock.ts";
import { cache_name } from "./cache_name.ts";
import { SLUB_RED_ACTIVE, SLUB_RED_INACTIVE } from "./debug_bytes.ts";
import { kmem_cache_debug } from "./debug_flags.ts";
import { check_object } from "./debug_object.ts";
import { slab_add_kunit_errors, slab_report } from "./debug_report.ts";
import { check_slab, on_freelist } from "./debug_slab.ts";
import { flush_all } from "./flush.ts";
import { assert_alive } from "./kmalloc.ts";
import { lock_node, node_nr_partial, unlock_node } from "./partial.ts";
import { get_node, index_to_obj, obj_to_index, slab_address } from "./slab.ts";
import { slot_of, type Slot } from "./slot.ts";
import { get_freepointer, slab_word, word_freelist } from "./slab_word.ts";
import { print_tracking } from "./track.ts";

const { slab: SLAB } = Globals.offset;
const { object_map_lock: OBJECT_MAP_LOCK, object_map: OBJECT_MAP } = SlabGlobals.offset;
const { partial: PARTIAL, full: FULL, nr_slabs: NR_SLABS } = KmemCacheNode.offset;
const { objects: OBJECTS, slab_list: SLAB_LIST } = Slab.offset;
const { next: NEXT } = ListHead.offset;
const EINVAL = 22;

type SlabPtr = Ptr<"slab">;
type Node = Ptr<"kmem_cache_node">;

/** Marks the free objects of a slab in object_map. @kernel mm/slub.c, __fill_map() @context object_map_lock held */
function fill_map(cpu: Cpu, s: Ptr<"kmem_cache">, slab: SlabPtr): void {
  const globals = embedded(cpu.globals, SLAB);
  const words = (cpu.mem.read(slab, OBJECTS) + 31) >> 5;
  cpu.mem.fill(globals + offsetof(OBJECT_MAP), 4 * words, 0);
  let object = word_freelist(cpu, s, slab, slab_word(cpu, slab));
  for (; object !== NULL; object = get_freepointer(cpu, s, object)) {
    const index = obj_to_index(cpu, s, slab, object);
    const word = element(OBJECT_MAP, index >> 5);
    cpu.mem.write(globals, word, cpu.mem.read(globals, word) | (1 << (index & 31)));
  }
}
/** Is the object free? @context object_map_lock held */
function test_map(cpu: Cpu, index: number): boolean {
  const word = cpu.mem.read(embedded(cpu.globals, SLAB), element(OBJECT_MAP, index >> 5));
  return ((word >>> (index & 31)) & 1) !== 0;
}
function with_map(cpu: Cpu, s: Ptr<"kmem_cache">, slab: SlabPtr, look: (free: boolean, object: Ptr) => boolean): void {
  const lock = embedded(embedded(cpu.globals, SLAB), OBJECT_MAP_LOCK);
  spin_lock(cpu, lock);
  fill_map(cpu, s, slab);
  const objects = cpu.mem.read(slab, OBJECTS);
  for (let i = 0; i < objects; i++) {
    if (!look(test_map(cpu, i), index_to_obj(cpu, s, slab, i))) break;
  }
  spin_unlock(cpu, lock);
}

/** The slabs on a list of a node. list_lock held. */
function slabs_on(cpu: Cpu, head: Ptr<"list_head">): SlabPtr[] {
  const slabs: SlabPtr[] = [];
  for (let entry = cpu.mem.read(head, NEXT); entry !== head; entry = cpu.mem.read(entry, NEXT)) {
    slabs.push(container_of(entry, SLAB_LIST));
  }
  return slabs;
}

/** @kernel mm/slub.c @context list_lock held */
function validate_slab(cpu: Cpu, slot: Slot, slab: SlabPtr): void {
  if (!check_slab(cpu, slot, slab) || !on_freelist(cpu, slot, slab, NULL)) return;
  // Differs: links of allocated objects are left out. One that kfree_nolock() has deferred is linked by it to any other.
  with_map(cpu, slot.s, slab, (free, object) =>
    check_object(cpu, slot, slab, object, free ? SLUB_RED_INACTIVE : SLUB_RED_ACTIVE, free),
  );
}

/** @kernel mm/slub.c @returns the number of slabs looked at. */
function validate_slab_node(cpu: Cpu, slot: Slot, n: Node): number {
  const name = cache_name(cpu, slot.s);
  const miscounted = (what: string): void => {
    if (!slab_add_kunit_errors(cpu)) printk(cpu, KERN_ERR, what);
  };
  const flags = lock_node(cpu, n);
  // Counted before they are looked at: a slab whose freelist is given up leaves the list.
  const partial = slabs_on(cpu, embedded(n, PARTIAL));
  const nr_partial = node_nr_partial(cpu, n);
  for (const slab of partial) validate_slab(cpu, slot, slab);
  if (partial.length !== nr_partial) {
    miscounted(`SLUB ${name}: ${partial.length} partial slabs counted but counter=${nr_partial}`);
  }
  let count = partial.length;
  if (slot.flags & SLAB_STORE_USER) {
    const full = slabs_on(cpu, embedded(n, FULL)).filter((slab) => !partial.includes(slab));
    for (const slab of full) validate_slab(cpu, slot, slab);
    count += full.length;
    const nr_slabs = cpu.mem.read_once(n, NR_SLABS);
    if (count !== nr_slabs) miscounted(`SLUB: ${name} ${count} slabs counted but counter=${nr_slabs}`);
  }
  unlock_node(cpu, n, flags);
  return count;
}

/**
 * validate_slab_cache() - check all slabs and objects of a debugged cache.
 *
 * @kernel  mm/slub.c
 * @returns the number of slabs looked at; -EINVAL: the cache is not debugged.
 * @context Task, may sleep.
 */
export function validate_slab_cache(cpu: Cpu, s: Ptr<"kmem_cache">): number {
  might_sleep(cpu, "validate_slab_cache");
  assert_alive(cpu, s);
  if (!kmem_cache_debug(cpu, s)) return -EINVAL;
  flush_all(cpu, s);
  return validate_slab_nodes(cpu, s);
}
/** The part of it that is left when the sheaves have been flushed. @returns the number of slabs looked at. @context Task */
export function validate_slab_nodes(cpu: Cpu, s: Ptr<"kmem_cache">): number {
  const slot = slot_of(cpu, s);
  let count = 0;
  for (let node = 0; node < cpu.map.shape.nodes; node++) {
    const n = get_node(cpu, s, node);
    if (n !== NULL) count += validate_slab_node(cpu, slot, n);
  }
  return count;
}

/** Reports the objects of a slab that are still allocated. @kernel mm/slub.c @context list_lock held */
export function list_slab_objects(cpu: Cpu, s: Ptr<"kmem_cache">, slab: SlabPtr): void {
  const slot = slot_of(cpu, s);
  const expected = slab_add_kunit_errors(cpu);
  const left: Ptr[] = [];
  with_map(cpu, s, slab, (free, object) => {
    if (!free && !slab_add_kunit_errors(cpu)) left.push(object);
    return true;
  });
  if (expected) return;
  const base = slab_address(cpu, slab);
  const reason = `Objects remaining on __kmem_cache_shutdown(): ${left.length} in slab 0x${slab.toString(16)}`;
  slab_report(cpu, slot, slab, reason, () =>
    left.flatMap((object) => [
      `Object 0x${object.toString(16)} @offset=${object - base}`,
      ...print_tracking(cpu, slot, object),
    ]),
  );
}
