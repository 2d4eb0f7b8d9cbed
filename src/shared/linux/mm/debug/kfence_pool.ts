/**
 * The pool of KFENCE: its pages, and what is known about the object in each. mm/kfence/core.c, kfence.h.
 *
 *   page 0        nobody's        PGTY_frozen
 *   page 2i + 1   of object i     PGTY_slab, one object; the cache that it was allocated from does not count it
 *   page 2i + 2   nobody's
 */
import { PAGE_SHIFT, PAGE_SIZE } from "../../../base/limits.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { DebugGlobals, HOOK_MEMCG } from "../../../layout/debug.ts";
import {
  KFENCE_CANARY,
  KFENCE_OBJECT_ALLOCATED,
  KFENCE_OBJECT_RCU_FREEING,
  KfenceMetadata,
  KfenceState,
  MAX_KFENCE_OBJECTS,
} from "../../../layout/debug_kfence.ts";
import { MEMCG_DATA_OBJEXTS } from "../../../layout/debug_memcg.ts";
import { Globals } from "../../../layout/globals.ts";
import { PGTY_frozen, PGTY_slab } from "../../../layout/page.ts";
import { Slab } from "../../../layout/slab.ts";
import { embedded, embedded_at, NULL, type Ptr } from "../../../mem/struct.ts";
import { INIT_LIST_HEAD, list_add_tail } from "../../lib/list.ts";
import { LC } from "../../sync/lockdep.ts";
import { raw_spin_lock_init } from "../../sync/spinlock.ts";
import { virt_to_page } from "../page_alloc/zone.ts";
import { debug_state_alloc } from "./state.ts";

const { debug: DEBUG, tiny: TINY, hooks: HOOKS } = Globals.offset;
const { kfence: KFENCE } = DebugGlobals.offset;
const {
  pool: POOL,
  pool_bytes: POOL_BYTES,
  num_objects: NUM_OBJECTS,
  sample: SAMPLE,
  freelist_lock: FREELIST_LOCK,
  freelist: FREELIST,
  metadata: METADATA,
} = KfenceState.offset;
const {
  list: LIST,
  state: STATE,
  addr: ADDR,
  size: SIZE,
  cache: CACHE,
  obj_exts: META_OBJ_EXTS,
} = KfenceMetadata.offset;
const { type: TYPE, order: ORDER, compound_head: COMPOUND_HEAD, counters: COUNTERS, objects: OBJECTS } = Slab.offset;
const { slab_cache: SLAB_CACHE, flags: FLAGS, obj_exts: OBJ_EXTS } = Slab.offset;
/** The pool takes one page in so many. */
const POOL_FRACTION = 16;
const MIN_POOL_ORDER = 3;
const MAX_POOL_ORDER = 8;

type Metadata = Ptr<"kfence_metadata">;

/** NULL: KFENCE is not on. @context Any */
export function kfence_state(cpu: Cpu): Ptr<"kfence_state"> {
  return cpu.mem.peek(embedded(cpu.globals, DEBUG), KFENCE);
}

/** Makes the pool. @kernel mm/kfence/core.c, kfence_init_pool() @context Task, at boot, alone */
export function kfence_init(cpu: Cpu): void {
  const { mem } = cpu;
  const largest = 31 - Math.clz32(Math.floor(cpu.map.nrPages / POOL_FRACTION));
  const order = Math.max(MIN_POOL_ORDER, Math.min(MAX_POOL_ORDER, largest));
  const bytes = PAGE_SIZE << order;
  const state = debug_state_alloc(cpu, "kfence", KfenceState.size) as Ptr<"kfence_state">;
  const pool = debug_state_alloc(cpu, "kfence", bytes);
  const num_objects = Math.min((1 << (order - 1)) - 1, MAX_KFENCE_OBJECTS);
  mem.init(state, POOL, pool as Ptr<"object">);
  mem.init(state, POOL_BYTES, bytes);
  mem.init(state, NUM_OBJECTS, num_objects);
  mem.init(state, SAMPLE, mem.peek(cpu.globals, TINY) === 0 ? 50 : 5);
  raw_spin_lock_init(cpu, embedded(state, FREELIST_LOCK), LC.kfence_freelist);
  INIT_LIST_HEAD(cpu, embedded(state, FREELIST));
  mem.init(embedded(cpu.globals, DEBUG), KFENCE, state);
  mem.fill(pool, bytes, KFENCE_CANARY);
  for (let i = 0; i < 1 << order; i++) {
    const page = virt_to_page(cpu, (pool + i * PAGE_SIZE) as Ptr) as Ptr as Ptr<"slab">;
    mem.init(page, TYPE, PGTY_frozen);
    mem.init(page, ORDER, 0);
    mem.init(page, COMPOUND_HEAD, NULL);
  }
  for (let i = 0; i < num_objects; i++) init_object(cpu, state, i);
}
function init_object(cpu: Cpu, state: Ptr<"kfence_state">, i: number): void {
  const { mem } = cpu;
  const meta = kfence_metadata(state, i);
  const addr = (mem.peek(state, POOL) + (2 * i + 1) * PAGE_SIZE) as Ptr<"object">;
  const slab = kfence_slab(cpu, addr);
  mem.init(slab, TYPE, PGTY_slab);
  mem.init(slab, FLAGS, 0);
  mem.init(slab, SLAB_CACHE, NULL);
  mem.init(slab, OBJECTS, 1);
  mem.init(slab, COUNTERS, 1); // In use, as far as the slab allocator is concerned.
  if (mem.peek(cpu.globals, HOOKS) & HOOK_MEMCG) {
    mem.init(slab, OBJ_EXTS, (embedded(meta, META_OBJ_EXTS) | MEMCG_DATA_OBJEXTS) as Ptr<"slabobj_ext">);
  }
  mem.init(meta, ADDR, addr);
  list_add_tail(cpu, embedded(meta, LIST), embedded(state, FREELIST));
}

/** Metadata of object `i`. */
export function kfence_metadata(state: Ptr<"kfence_state">, i: number): Metadata {
  return embedded_at(state, METADATA, i, KfenceMetadata.size);
}
/** The slab that consists of an object's page. */
export function kfence_slab(cpu: Cpu, addr: Ptr): Ptr<"slab"> {
  return virt_to_page(cpu, addr) as Ptr as Ptr<"slab">;
}
/** Does the address lie in the pool? It may be any address. @kernel include/linux/kfence.h @context Any */
export function is_kfence_address(cpu: Cpu, address: number): boolean {
  const state = kfence_state(cpu);
  if (state === NULL) return false;
  const offset = address - cpu.mem.peek(state, POOL);
  return offset >= 0 && offset < cpu.mem.peek(state, POOL_BYTES);
}
/** Metadata of the object whose page an address of the pool lies in; NULL: nobody's page. @kernel mm/kfence/kfence.h */
export function addr_to_metadata(cpu: Cpu, address: number): Metadata {
  const state = kfence_state(cpu);
  const page = (address - cpu.mem.peek(state, POOL)) >> PAGE_SHIFT;
  const i = (page - 1) >> 1;
  return (page & 1) === 0 || i >= cpu.mem.peek(state, NUM_OBJECTS) ? NULL : kfence_metadata(state, i);
}
/** Start of the object that an address of the pool lies in. @kernel mm/kfence/core.c @context Any, while it is allocated */
export function kfence_object_start(cpu: Cpu, address: Ptr): Ptr<"object"> {
  const meta = addr_to_metadata(cpu, address);
  return meta === NULL ? NULL : cpu.mem.read(meta, ADDR);
}
/** Bytes of such an object. @kernel mm/kfence/core.c @context as above */
export function kfence_ksize(cpu: Cpu, object: Ptr): number {
  const meta = addr_to_metadata(cpu, object);
  return meta === NULL ? 0 : cpu.mem.read(meta, SIZE);
}

/** Objects of a cache that are in the pool, and in use. Peeks only. @context Any, machine at rest */
export function kfence_objects_of(cpu: Cpu, s: Ptr<"kmem_cache">): Ptr<"object">[] {
  const { mem } = cpu;
  const state = kfence_state(cpu);
  const objects: Ptr<"object">[] = [];
  const nr = state === NULL ? 0 : mem.peek(state, NUM_OBJECTS);
  for (let i = 0; i < nr; i++) {
    const meta = kfence_metadata(state, i);
    const in_use = [KFENCE_OBJECT_ALLOCATED, KFENCE_OBJECT_RCU_FREEING].includes(mem.peek(meta, STATE));
    if (in_use && mem.peek(meta, CACHE) === s) objects.push(mem.peek(meta, ADDR));
  }
  return objects;
}
