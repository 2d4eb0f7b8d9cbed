/**
 * KASAN: finds frees and accesses of memory that is nobody's. mm/kasan/common.c, report.c; spec rcu 3.1, 3.4.
 *
 *   shadow of an object                            written by
 *   KASAN_SLAB_REDZONE, as all of the slab         kasan_poison_slab(): nobody else sees the slab yet
 *   0, and behind the object still redzone         kasan_slab_alloc(), which owns the object
 *   KASAN_SLAB_FREE                                kasan_slab_free(), likewise
 *
 * So nothing of this takes a lock, and it is legal in NMI. The quarantine (kasan_quarantine.ts) takes locks:
 * kfree_nolock() leaves that out. An object of a SLAB_TYPESAFE_BY_RCU cache is marked only after a grace period.
 *
 * Differs: no tags, no stack traces. Accesses are looked at where code asks for it: kasan_check_range(). All of a kmalloc
 * bucket may be used, not only what was asked for. Free pages have no mark of their own, so the free of a large kmalloc
 * goes unseen; its allocation wipes off what its pages were before.
 */
import { PAGE_SIZE } from "../../../base/limits.ts";
import { warn } from "../../../cpu/bug.ts";
import { invoke } from "../../../cpu/callback_table.ts";
import { current_context } from "../../../cpu/context.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { describe_object } from "../../../cpu/oracle_report.ts";
import { CB } from "../../../layout/callbacks.ts";
import { CONTEXT_NAMES } from "../../../layout/cpu.ts";
import { DebugGlobals } from "../../../layout/debug.ts";
import {
  KASAN_SLAB_FREE,
  KASAN_SLAB_REDZONE,
  KasanAux,
  KasanState,
  NR_KASAN_AUX,
} from "../../../layout/debug_kasan.ts";
import { gfpflags_allow_blocking } from "../../../layout/gfp.ts";
import { Globals } from "../../../layout/globals.ts";
import { KmemCache, KmemCacheNode, KmemCachePerNode, Slab, SlabGlobals } from "../../../layout/slab.ts";
import { SLAB_TYPESAFE_BY_RCU } from "../../../layout/slab_flags.ts";
import { embedded, embedded_at, NULL, type Ptr } from "../../../mem/struct.ts";
import { mutex_lock, mutex_unlock } from "../../sync/mutex.ts";
import { page_address, virt_to_head_page } from "../page_alloc/zone.ts";
import { type Facility, PATH } from "./facility.ts";
import {
  kasan_quarantine_put,
  kasan_quarantine_reduce,
  kasan_quarantine_remove_cache,
  quarantine_bytes,
  quarantine_init,
} from "./kasan_quarantine.ts";
import {
  has_shadow,
  kasan_byte_accessible,
  kasan_first_bad,
  kasan_init_shadow,
  kasan_poison,
  kasan_shadow_byte,
  kasan_state,
  kasan_unpoison,
} from "./kasan_shadow.ts";
import { is_kfence_address } from "./kfence_pool.ts";
import { debug_state_alloc } from "./state.ts";

const { debug: DEBUG, jiffies: JIFFIES, slab: SLAB_GLOBALS } = Globals.offset;
const { slab_mutex: SLAB_MUTEX } = SlabGlobals.offset;
const { kasan: KASAN_STATE } = DebugGlobals.offset;
const { aux: AUX } = KasanState.offset;
const { object: AUX_OBJECT, who: AUX_WHO, jiffies: AUX_JIFFIES } = KasanAux.offset;
const { size: SIZE, red_left_pad: RED_LEFT_PAD, flags: FLAGS, per_node: PER_NODE } = KmemCache.offset;
const { node: PER_NODE_NODE } = KmemCachePerNode.offset;
const { nr_slabs: NR_SLABS } = KmemCacheNode.offset;
const { order: ORDER } = Slab.offset;

type Cache = Ptr<"kmem_cache">;

/** @context Task, at boot, alone */
function kasan_init(cpu: Cpu): void {
  const state = debug_state_alloc(cpu, "kasan", KasanState.size) as Ptr<"kasan_state">;
  kasan_init_shadow(cpu, state);
  quarantine_init(cpu, state);
  cpu.mem.init(embedded(cpu.globals, DEBUG), KASAN_STATE, state);
}

/** kasan_poison_slab() - a new slab: nothing of it is allocated. @kernel mm/kasan/common.c @context Any */
export function kasan_poison_slab(cpu: Cpu, slab: Ptr<"slab">): void {
  if (kasan_state(cpu) === NULL) return;
  const base = page_address(cpu, slab as Ptr as Ptr<"page">);
  kasan_poison(cpu, base, PAGE_SIZE << cpu.mem.read(slab, ORDER), KASAN_SLAB_REDZONE);
}

/** kasan_slab_alloc() - an object is about to be its user's. @kernel mm/kasan/common.c @context Any */
function kasan_slab_alloc(cpu: Cpu, _s: Cache, object: Ptr, bytes: number, gfp: number, path: number): boolean {
  if (path === PATH.kmalloc && gfpflags_allow_blocking(gfp)) kasan_quarantine_reduce(cpu);
  if (!is_kfence_address(cpu, object)) kasan_unpoison(cpu, object, bytes);
  return true;
}

/**
 * kasan_slab_pre_free() - is this an object, and not freed yet?
 * Race: of two frees at once both may pass. The quarantine, or the slab, then gets it twice.
 * @kernel  mm/kasan/common.c
 * @returns false: no, and that has been reported.
 * @context Any
 */
function kasan_slab_pre_free(cpu: Cpu, s: Cache, object: Ptr): boolean {
  const base = page_address(cpu, virt_to_head_page(cpu, object));
  if ((object - base - cpu.mem.read(s, RED_LEFT_PAD)) % cpu.mem.read(s, SIZE) !== 0) {
    kasan_report(cpu, "invalid-free", object, object);
    return false;
  }
  if (kasan_byte_accessible(cpu, object)) return true;
  kasan_report(cpu, "double-free", object, object);
  return false;
}

/**
 * Readers may still look at a typesafe object, so its memory cannot be marked as freed: the free waits until they are gone
 * (slub/rcu_debug.ts). An object of KFENCE waits there.
 * @kernel  mm/slub.c, in slab_free_hook()
 * @returns false: the object is freed after a grace period.
 * @context Hardirq, never NMI
 */
function slab_free_rcu_debug(cpu: Cpu, s: Cache, object: Ptr): boolean {
  if ((cpu.mem.read(s, FLAGS) & SLAB_TYPESAFE_BY_RCU) === 0 || is_kfence_address(cpu, object)) return true;
  return invoke(cpu, CB.slab_free_rcu_debug, object) === false;
}

/**
 * kasan_slab_free() - mark an object as freed, and keep it for a while if this free may wait for locks.
 * @kernel  mm/kasan/common.c
 * @returns false: the quarantine has it.
 * @context Any on the path kfree_nolock; else Hardirq.
 */
function kasan_slab_free(cpu: Cpu, s: Cache, object: Ptr, bytes: number, _gfp: number, path: number): boolean {
  if (cpu.mem.read(s, FLAGS) & SLAB_TYPESAFE_BY_RCU && path !== PATH.after_gp) return true;
  kasan_poison(cpu, object, bytes, KASAN_SLAB_FREE);
  if (path === PATH.kfree_nolock) return true;
  kasan_quarantine_put(cpu, s, object);
  return false;
}

/**
 * kasan_check_range() - a report unless all of `bytes` bytes may be used.
 * @kernel  mm/kasan/generic.c
 * @param   what  is done, for the report.
 * @returns false: it has been reported.
 * @context Any
 */
export function kasan_check_range(cpu: Cpu, address: Ptr, bytes: number, what: string): boolean {
  if (kasan_state(cpu) === NULL || !has_shadow(cpu, address)) return true;
  const bad = kasan_first_bad(cpu, address, bytes);
  if (bad === NULL) return true;
  const free = kasan_shadow_byte(cpu, bad) === KASAN_SLAB_FREE;
  kasan_report(cpu, `${free ? "slab-use-after-free" : "slab-out-of-bounds"} in ${what}`, bad, address);
  return false;
}

/**
 * kasan_record_aux_stack() - remember who wants this object freed, for a report about it.
 * Race: two objects may share a place, and two writers may mix: a report then lacks the line, or is wrong about who.
 * @kernel  mm/kasan/generic.c
 * @context Any but NMI
 */
function kasan_record_aux_stack(cpu: Cpu, _s: Cache, object: Ptr): boolean {
  const { mem } = cpu;
  const aux = aux_of(cpu, object);
  mem.write_once(aux, AUX_WHO, cpu.id | (current_context(cpu) << 8));
  mem.write_once(aux, AUX_JIFFIES, mem.read_once(cpu.globals, JIFFIES));
  mem.write_once(aux, AUX_OBJECT, object as Ptr<"object">);
  return true;
}
function aux_of(cpu: Cpu, object: Ptr): Ptr<"kasan_aux"> {
  const hash = Math.imul(object >>> 3, 0x9e3779b1) >>> 16;
  return embedded_at(kasan_state(cpu), AUX, hash % NR_KASAN_AUX, KasanAux.size);
}

/** @kernel mm/kasan/report.c */
function kasan_report(cpu: Cpu, what: string, address: number, object: Ptr): void {
  const { mem } = cpu;
  const shadow = `shadow 0x${kasan_shadow_byte(cpu, address).toString(16)}`;
  const lines = [`KASAN: ${what}: 0x${address.toString(16)} (${shadow})`, describe_object(mem, cpu.map, object)];
  const aux = aux_of(cpu, object);
  if (mem.read_once(aux, AUX_OBJECT) === object) {
    const who = mem.read_once(aux, AUX_WHO);
    const when = `at jiffies ${mem.read_once(aux, AUX_JIFFIES)}`;
    lines.push(`kfree_rcu() on CPU ${who & 0xff} in ${CONTEXT_NAMES[who >> 8] ?? "?"} ${when}`);
  }
  warn(cpu, lines.join("\n  "));
}

/**
 * kasan_cache_shutdown() - a cache is about to go: its objects must leave the quarantine. After the RCU callbacks that
 * put them there, and before the cache is emptied.
 * @kernel  mm/kasan/quarantine.c
 * @context Task, may sleep, slab_mutex held.
 */
export function kasan_cache_shutdown(cpu: Cpu, s: Cache): void {
  if (kasan_state(cpu) !== NULL && !kmem_cache_empty(cpu, s)) kasan_quarantine_remove_cache(cpu, s);
}
/**
 * kasan_cache_shrink() - what a cache has in the quarantine goes back to it, so that its slabs may become empty.
 * Differs: takes slab_mutex, as one removal at a time may go on here.
 * @kernel  mm/kasan/quarantine.c
 * @context Task, may sleep.
 */
export function kasan_cache_shrink(cpu: Cpu, s: Cache): void {
  if (kasan_state(cpu) === NULL) return;
  const slab_mutex = embedded(embedded(cpu.globals, SLAB_GLOBALS), SLAB_MUTEX);
  mutex_lock(cpu, slab_mutex);
  kasan_quarantine_remove_cache(cpu, s);
  mutex_unlock(cpu, slab_mutex);
}
/** Has it no slabs? @kernel mm/slub.c, __kmem_cache_empty() */
function kmem_cache_empty(cpu: Cpu, s: Cache): boolean {
  for (let node = 0; node < cpu.map.shape.nodes; node++) {
    const n = cpu.mem.read(embedded_at(s, PER_NODE, node, KmemCachePerNode.size), PER_NODE_NODE);
    if (n !== NULL && cpu.mem.read_once(n, NR_SLABS) !== 0) return false;
  }
  return true;
}

/** More than once: a slab whose last object comes back frees its extension vector, which is kept, too. */
function drain(cpu: Cpu): void {
  while (quarantine_bytes(cpu) !== 0) kasan_quarantine_remove_cache(cpu, NULL);
}

export const KASAN: Facility = {
  name: "kasan",
  summary: "freed twice, freed though no object, used after free or out of bounds",
  locks: "quarantine_lock, raw",
  spins: "allowed",
  hooks: [
    { step: "kasan_slab_alloc", paths: ["kmalloc", "kmalloc_nolock"], large: true, run: kasan_slab_alloc },
    { step: "slab_free_rcu_debug", paths: ["kfree"], run: slab_free_rcu_debug },
    { step: "kasan_slab_pre_free", paths: ["kfree", "kfree_nolock", "after_gp"], run: kasan_slab_pre_free },
    { step: "kasan_slab_free", paths: ["kfree", "kfree_nolock", "after_gp"], run: kasan_slab_free },
    { step: "kasan_record_aux_stack", paths: ["kfree_rcu"], run: kasan_record_aux_stack },
  ],
  skipped: {
    kfree_rcu_nolock: {
      why: "a stack is stored under a lock of the stack depot",
      tolerated: "it only adds a line to reports; the irq_work's kfree_rcu() records itself",
    },
  },
  init: kasan_init,
  drain,
};
