/**
 * A table of counted objects that are looked up without a lock, in the manner of sockets and of struct anon_vma: their
 * cache is SLAB_TYPESAFE_BY_RCU. An object is freed at once when its count falls to 0, and may be in use again, under
 * another key, while a reader is still looking at it. It stays an object of its type, so the reader can take a
 * reference; then it looks whether it has got what it was looking for.
 *
 *   typesafe_peek()       Any; a reader that takes no reference
 *   typesafe_lookup()     Any but NMI: the last put frees
 *   typesafe_replace()    Task or Hardirq; typesafe_remove() as well
 *
 * What the constructor has written stays for as long as the memory is a slab of the cache: magic, and the count of 0.
 */
import { no_memory } from "../../shared/cpu/bug.ts";
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { object_bug } from "../../shared/cpu/oracle.ts";
import { cpu_random } from "../../shared/cpu/random.ts";
import { CB } from "../../shared/layout/callbacks.ts";
import { Globals } from "../../shared/layout/globals.ts";
import { Slab } from "../../shared/layout/slab.ts";
import { SLAB_TYPESAFE_BY_RCU } from "../../shared/layout/slab_flags.ts";
import { NR_TYPESAFE, TypesafeObject, TypesafeTable, WorkloadGlobals } from "../../shared/layout/workloads.ts";
import {
  kmem_cache_alloc,
  kmem_cache_create,
  kmem_cache_destroy,
  kmem_cache_free,
  kmem_cache_shrink,
  rcu_read_lock,
  rcu_read_unlock,
} from "../../shared/linux/api.ts";
import { refcount_inc_not_zero } from "../../shared/linux/lib/refcount.ts";
import { virt_to_slab } from "../../shared/linux/mm/slub/slab.ts";
import { element, embedded, NULL, type Ptr } from "../../shared/mem/struct.ts";

const { workloads: WORKLOADS } = Globals.offset;
const { typesafe: TYPESAFE } = WorkloadGlobals.offset;
const { cache: CACHE, slots: SLOTS } = TypesafeTable.offset;
const { magic: MAGIC, refcnt: REFCNT, key: KEY, stamp: STAMP, again: AGAIN } = TypesafeObject.offset;
const { slab_cache: SLAB_CACHE } = Slab.offset;
const TYPE = 0x7e5afe;

type Obj = Ptr<"typesafe_object">;

const table_of = (cpu: Cpu): Ptr<"typesafe_table"> => embedded(embedded(cpu.globals, WORKLOADS), TYPESAFE);
const cache_of = (cpu: Cpu): Ptr<"kmem_cache"> => cpu.mem.peek(table_of(cpu), CACHE);

/** The constructor. @context as the allocation that makes a slab */
export function typesafe_ctor(cpu: Cpu, address: Ptr): void {
  const object = address as Obj;
  cpu.mem.init(object, MAGIC, TYPE);
  cpu.mem.init(object, REFCNT, 0);
}
/** @context A reader, or an owner: the slab stays */
function check_type(cpu: Cpu, object: Obj, holder: string): void {
  const magic = cpu.mem.data_race_read(object, MAGIC);
  if (magic !== TYPE) object_bug(cpu, object, `${holder}: it is of another type (0x${magic.toString(16)})`);
  const slab = virt_to_slab(cpu, object);
  if (slab === NULL || cpu.mem.data_race_read(slab, SLAB_CACHE) !== cache_of(cpu)) {
    object_bug(cpu, object, `${holder}: its slab is gone`);
  }
}

/** @context Hardirq */
function put(cpu: Cpu, object: Obj): void {
  const before = cpu.mem.fetch_add(object, REFCNT, -1);
  if (before < 1) object_bug(cpu, object, `put of an object with ${before} references`);
  if (before === 1) kmem_cache_free(cpu, cache_of(cpu), object);
}

/** Looks at the type of what a key finds. @context Any */
export function typesafe_peek(cpu: Cpu, key: number, looks: number): void {
  rcu_read_lock(cpu);
  const object = cpu.mem.read_once(table_of(cpu), element(SLOTS, key));
  if (object !== NULL) for (let i = 0; i < looks; i++) check_type(cpu, object, "reader");
  rcu_read_unlock(cpu);
}
/** Finds the object of a key, and looks at it with a reference. @returns false: none was found. @context Hardirq */
export function typesafe_lookup(cpu: Cpu, key: number, looks: number): boolean {
  const { mem } = cpu;
  rcu_read_lock(cpu);
  const object = mem.read_once(table_of(cpu), element(SLOTS, key));
  if (object !== NULL) check_type(cpu, object, "reader");
  const got = object !== NULL && refcount_inc_not_zero(cpu, object, REFCNT);
  rcu_read_unlock(cpu);
  if (!got) return false;
  // Only now is it known what it is: it may have been freed and used again before we had the reference.
  const found = mem.read_once(object, KEY) === key;
  for (let i = found ? looks : 0; i > 0; i--) {
    const [stamp, again] = [mem.read(object, STAMP), mem.read(object, AGAIN)];
    if (stamp !== again || mem.read_once(object, KEY) !== key) {
      object_bug(cpu, object, `changed under a reference: stamps ${stamp} and ${again}`);
    }
  }
  put(cpu, object);
  return found;
}
/** Another object takes the place of a key's; its reference goes. @returns false: no memory. @context as gfp says */
export function typesafe_replace(cpu: Cpu, key: number, gfp: number): boolean {
  const { mem } = cpu;
  const object = kmem_cache_alloc(cpu, cache_of(cpu), gfp) as Ptr as Obj;
  if (object === NULL) return false;
  check_type(cpu, object, "allocation");
  const count = mem.read_once(object, REFCNT);
  if (count !== 0) object_bug(cpu, object, `allocated with ${count} references`);
  mem.write_once(object, KEY, key);
  const stamp = cpu_random(cpu);
  mem.write(object, STAMP, stamp);
  mem.write(object, AGAIN, stamp);
  mem.write_once(object, REFCNT, 1); // Last: from now on old readers may take it for what they look for.
  const old = mem.xchg(table_of(cpu), element(SLOTS, key), object);
  if (old !== NULL) put(cpu, old);
  return true;
}
/** A key has no object any more; its reference goes. @context Hardirq */
export function typesafe_remove(cpu: Cpu, key: number): void {
  const old = cpu.mem.xchg(table_of(cpu), element(SLOTS, key), NULL);
  if (old !== NULL) put(cpu, old);
}
/** Gives unused slabs back, which takes a grace period. @context Task, may sleep */
export function typesafe_shrink(cpu: Cpu): void {
  kmem_cache_shrink(cpu, cache_of(cpu));
}

/** @param flags  more SLAB_* of the cache. @context Task, alone */
export function typesafe_init(cpu: Cpu, flags = 0): void {
  const args = { flags: SLAB_TYPESAFE_BY_RCU | flags, ctor: CB.typesafe_ctor };
  const s = kmem_cache_create(cpu, "typesafe", TypesafeObject.size, args);
  if (s === NULL) no_memory(cpu, "the cache typesafe");
  cpu.mem.poke(table_of(cpu), CACHE, s);
}
/** @context Task, alone, may sleep */
export function typesafe_destroy(cpu: Cpu): void {
  for (let key = 0; key < NR_TYPESAFE; key++) typesafe_remove(cpu, key);
  kmem_cache_destroy(cpu, cache_of(cpu));
}
