/**
 * KFENCE: one allocation in some comes from a pool in which each object has a page of its own. A free finds out whether
 * bytes around the object were written, the next allocation whether bytes of it were after the free. mm/kfence/core.c;
 * spec rcu 3.1, 3.4.
 *
 * The page is a slab with the cache of the object (kfence_pool.ts), so kfree() and kfree_rcu() take such an object like
 * any other, and it may wait in an rcu_free sheaf. It gets into no other sheaf: the free hooks come first, and take it.
 * kfence_free() looks at the address; what is not in the pool is "not mine", wherever it came from.
 *
 * The lock is waited for, so no nolock function calls here. kmalloc_nolock() has no such object to give, and
 * kfree_nolock() must not be given one.
 *
 * Lock: kfence_freelist_lock, raw, irqsave, guards states and freelist; innermost. Who has made the state FREED owns the
 * object until it is on the freelist.
 *
 * Differs: there are no page faults; a few bytes around the object are looked at instead. A random number decides where
 * the kernel has a timer. One lock instead of one more for each object.
 */
import { PAGE_SIZE } from "../../../base/limits.ts";
import { warn } from "../../../cpu/bug.ts";
import { invoke } from "../../../cpu/callback_table.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { oracle_move } from "../../../cpu/oracle.ts";
import { random_below } from "../../../cpu/random.ts";
import { EV_FREE, trace } from "../../../cpu/trace.ts";
import { CB } from "../../../layout/callbacks.ts";
import {
  KFENCE_CANARY,
  KFENCE_OBJECT_ALLOCATED,
  KFENCE_OBJECT_FREED,
  KFENCE_OBJECT_RCU_FREEING,
  KfenceMetadata,
  KfenceState,
  KfenceWord,
} from "../../../layout/debug_kfence.ts";
import { __GFP_DMA, __GFP_THISNODE } from "../../../layout/gfp.ts";
import { Globals } from "../../../layout/globals.ts";
import { KmemCache, Slab, SLAB_STATE_UP, SlabGlobals } from "../../../layout/slab.ts";
import { SLAB_SKIP_KFENCE, SLAB_TYPESAFE_BY_RCU } from "../../../layout/slab_flags.ts";
import { O_KEPT, O_KRC, O_NONE, O_RCU_SHEAF, O_TRANSIT, O_USER } from "../../../mem/oracle.ts";
import { container_of, embedded, NULL, type Ptr } from "../../../mem/struct.ts";
import { call_rcu } from "../../rcu/tree.ts";
import { list_add_tail, list_del, list_empty, list_first } from "../../lib/list.ts";
import { raw_spin_lock_irqsave, raw_spin_unlock_irqrestore } from "../../sync/spinlock.ts";
import type { Facility } from "./facility.ts";
import { POISON_FREE, want_init_on_free } from "./init_on_free.ts";
import { check_canary, check_freed } from "./kfence_canary.ts";
import {
  addr_to_metadata,
  is_kfence_address,
  kfence_init,
  kfence_metadata,
  kfence_slab,
  kfence_state,
} from "./kfence_pool.ts";

const { slab: SLAB } = Globals.offset;
const { slab_state: SLAB_STATE } = SlabGlobals.offset;
const {
  pool: POOL,
  num_objects: NUM_OBJECTS,
  sample: SAMPLE,
  freelist_lock: FREELIST_LOCK,
  freelist: FREELIST,
} = KfenceState.offset;
const { list: LIST, rcu_head: RCU_HEAD, state: STATE, addr: ADDR, size: SIZE, cache: CACHE } = KfenceMetadata.offset;
const { object_size: OBJECT_SIZE, align: ALIGN, flags: FLAGS, ctor: CTOR } = KmemCache.offset;
const { slab_cache: SLAB_CACHE } = Slab.offset;
const { word: WORD } = KfenceWord.offset;
const CANARY_WORD = (KFENCE_CANARY * 0x01010101) | 0;

type Cache = Ptr<"kmem_cache">;
type Metadata = Ptr<"kfence_metadata">;

/**
 * kfence_alloc() - an object from the pool, if it is time for one.
 * @kernel  include/linux/kfence.h, mm/kfence/core.c
 * @returns NULL: not this time.
 * @context Hardirq, never NMI. Waits for the lock.
 */
function kfence_alloc(cpu: Cpu, s: Cache, gfp: number): Ptr<"object"> {
  const { mem } = cpu;
  if (random_below(cpu, mem.peek(kfence_state(cpu), SAMPLE)) !== 0) return NULL;
  if (mem.peek(embedded(cpu.globals, SLAB), SLAB_STATE) !== SLAB_STATE_UP) return NULL; // Not while booting.
  if (gfp & (__GFP_DMA | __GFP_THISNODE)) return NULL;
  if (mem.read(s, FLAGS) & SLAB_SKIP_KFENCE || mem.read(s, OBJECT_SIZE) > PAGE_SIZE) return NULL;
  return kfence_guarded_alloc(cpu, s);
}

/** The object that is unused for longest, at either end of its page. @kernel mm/kfence/core.c @returns NULL: none left. */
function kfence_guarded_alloc(cpu: Cpu, s: Cache): Ptr<"object"> {
  const { mem } = cpu;
  const state = kfence_state(cpu);
  const size = mem.read(s, OBJECT_SIZE);
  const offset = random_below(cpu, 2) === 0 ? 0 : (PAGE_SIZE - size) & -mem.read(s, ALIGN);
  const flags = raw_spin_lock_irqsave(cpu, embedded(state, FREELIST_LOCK));
  const head = embedded(state, FREELIST);
  if (list_empty(cpu, head)) {
    raw_spin_unlock_irqrestore(cpu, embedded(state, FREELIST_LOCK), flags);
    return NULL;
  }
  const meta = container_of(list_first(cpu, head), LIST);
  list_del(cpu, embedded(meta, LIST));
  const last = mem.read(meta, ADDR);
  const last_size = mem.read(meta, SIZE); // 0: this is the first time.
  const page = last & -PAGE_SIZE;
  const object = (page + offset) as Ptr<"object">;
  mem.write(meta, ADDR, object);
  mem.write(meta, SIZE, size);
  mem.write(meta, CACHE, s);
  mem.write(meta, STATE, KFENCE_OBJECT_ALLOCATED);
  mem.write(kfence_slab(cpu, object), SLAB_CACHE, s); // Under the lock: kfence_shutdown_cache() of the last cache may run.
  raw_spin_unlock_irqrestore(cpu, embedded(state, FREELIST_LOCK), flags);
  check_freed(cpu, last, last_size);
  mem.fill(page, PAGE_SIZE, KFENCE_CANARY);
  if (want_init_on_free(cpu)) mem.fill(object, size, 0); // As what comes from the slabs then.
  const ctor = mem.read(s, CTOR);
  if (ctor !== 0) invoke(cpu, ctor, object);
  oracle_move(cpu, object, O_NONE, O_TRANSIT);
  return object;
}

/**
 * kfence_free() - is it ours? Then it is free from now on, or after a grace period if readers may still look at it.
 * @kernel  include/linux/kfence.h, mm/kfence/core.c, __kfence_free()
 * @returns true: not ours.
 * @context Hardirq, never NMI. Waits for the lock.
 */
export function kfence_free(cpu: Cpu, s: Cache, object: Ptr): boolean {
  if (!is_kfence_address(cpu, object)) return true;
  const by_rcu = (cpu.mem.read(s, FLAGS) & SLAB_TYPESAFE_BY_RCU) !== 0;
  const meta = addr_to_metadata(cpu, object);
  if (!claim(cpu, meta, object, by_rcu ? KFENCE_OBJECT_RCU_FREEING : KFENCE_OBJECT_FREED)) return false;
  oracle_move(cpu, object, O_USER | O_TRANSIT | O_RCU_SHEAF | O_KRC, O_KEPT);
  trace(cpu, EV_FREE, object, s);
  if (by_rcu) call_rcu(cpu, embedded(meta, RCU_HEAD), CB.rcu_guarded_free);
  else kfence_guarded_free(cpu, meta);
  return false;
}
/** Gives an allocated object its next state. @returns false: it is none, and that has been reported. */
function claim(cpu: Cpu, meta: Metadata, object: Ptr, state: number): boolean {
  const { mem } = cpu;
  const lock = embedded(kfence_state(cpu), FREELIST_LOCK);
  const flags = raw_spin_lock_irqsave(cpu, lock);
  const allocated = mem.read(meta, STATE) === KFENCE_OBJECT_ALLOCATED && mem.read(meta, ADDR) === object;
  if (allocated) mem.write(meta, STATE, state);
  raw_spin_unlock_irqrestore(cpu, lock, flags);
  if (!allocated) warn(cpu, `KFENCE: invalid free of 0x${object.toString(16)}`);
  return allocated;
}

/** The grace period of a SLAB_TYPESAFE_BY_RCU object is over. @kernel mm/kfence/core.c @context Softirq: RCU callback */
export function rcu_guarded_free(cpu: Cpu, head: Ptr<"rcu_head">): void {
  const meta = container_of(head, RCU_HEAD);
  cpu.mem.write(meta, STATE, KFENCE_OBJECT_FREED); // Nobody else changes it while we have it.
  kfence_guarded_free(cpu, meta);
}

/** Looks at what lies around an object, and puts it on the freelist. @kernel mm/kfence/core.c @context owner of the object */
function kfence_guarded_free(cpu: Cpu, meta: Metadata): void {
  const { mem } = cpu;
  const state = kfence_state(cpu);
  const object = mem.read(meta, ADDR);
  check_canary(cpu, object, mem.read(meta, SIZE));
  mem.fill(object, mem.read(meta, SIZE), POISON_FREE);
  oracle_move(cpu, object, O_KEPT, O_NONE);
  const flags = raw_spin_lock_irqsave(cpu, embedded(state, FREELIST_LOCK));
  list_add_tail(cpu, embedded(meta, LIST), embedded(state, FREELIST));
  raw_spin_unlock_irqrestore(cpu, embedded(state, FREELIST_LOCK), flags);
}

/**
 * kfence_shutdown_cache() - a cache is gone: forget it. An object that was not freed stays out of use for ever.
 * @kernel  mm/kfence/core.c
 * @context Task. No object of the cache waits for a grace period any more.
 */
export function kfence_shutdown_cache(cpu: Cpu, s: Cache): void {
  const { mem } = cpu;
  const state = kfence_state(cpu);
  if (state === NULL) return;
  let left = 0;
  const flags = raw_spin_lock_irqsave(cpu, embedded(state, FREELIST_LOCK));
  for (let i = 0; i < mem.peek(state, NUM_OBJECTS); i++) {
    const meta = kfence_metadata(state, i);
    if (mem.read(meta, CACHE) !== s) continue;
    if (mem.read(meta, STATE) !== KFENCE_OBJECT_FREED) {
      mem.write(meta, STATE, KFENCE_OBJECT_FREED);
      left++;
    }
    mem.write(meta, CACHE, NULL);
    mem.write(kfence_slab(cpu, mem.read(meta, ADDR)), SLAB_CACHE, NULL);
  }
  raw_spin_unlock_irqrestore(cpu, embedded(state, FREELIST_LOCK), flags);
  if (left > 0) warn(cpu, `KFENCE: ${left} objects remaining of a cache that is gone`);
}

/** The pages that nobody may touch are as boot left them. */
function check(cpu: Cpu): string[] {
  const state = kfence_state(cpu);
  const problems: string[] = [];
  for (let i = 0; i <= cpu.mem.peek(state, NUM_OBJECTS); i++) {
    const page = cpu.mem.peek(state, POOL) + 2 * i * PAGE_SIZE;
    for (let at = page; at < page + PAGE_SIZE; at += 4) {
      if (cpu.mem.peek(at as Ptr<"kfence_word">, WORD) === CANARY_WORD) continue;
      problems.push(`somebody has written to 0x${at.toString(16)}, in a page between objects`);
      break;
    }
  }
  return problems;
}

export const KFENCE: Facility = {
  name: "kfence",
  summary: "written out of bounds or after the free, freed twice; a sample",
  locks: "kfence_freelist_lock, raw",
  spins: "always",
  hooks: [
    { step: "kfence_alloc", paths: ["kmalloc"], run: kfence_alloc },
    { step: "kfence_free", paths: ["kfree", "after_gp"], run: kfence_free },
  ],
  skipped: {
    kmalloc_nolock: {
      why: "its lock is waited for",
      tolerated: "kfence_free() looks at the address: what is not in the pool is not its",
    },
    kfree_nolock: { why: "its lock is waited for", tolerated: "no object of kmalloc_nolock() is in the pool" },
    kfree_rcu: { why: "readers may use the object until its grace period is over", tolerated: "freed after that" },
    kfree_rcu_nolock: {
      why: "readers may use the object until its grace period is over",
      tolerated: "freed after that",
    },
  },
  init: kfence_init,
  check,
};
