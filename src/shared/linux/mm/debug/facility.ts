/**
 * What a debugging or accounting facility is: hooks that run at steps of the allocator, and for each path where it has
 * none, why, and why the other side puts up with that. Spec rcu 3.1, slub 3.1, 3.7.
 *
 *   (a)  a hook that may wait for a lock does not run on a nolock path
 *   (b)  a free hook accepts objects that it has never heard of, since an allocation may have skipped its counterpart
 *   (c)  an object meets the free hooks once: in kfree() and kfree_nolock() at once; after kfree_rcu() only when its
 *        grace period is over, so objects in rcu_free sheaves have had none, those in other sheaves all
 *
 * facilities.ts makes both out of this data: what runs, and the table that says what runs.
 *
 * Contract: a facility is one file under this folder. Its state is in pages of its own (debug_state_alloc()), its address
 * in globals.debug. It imports nothing of slub, which imports it: calls upward go through numbers (layout/callbacks.ts).
 */
import type { Cpu } from "../../../cpu/cpu.ts";
import type { FacilityName } from "../../../layout/debug.ts";
import type { Ptr } from "../../../mem/struct.ts";

/** From where a hook is called. A bit each, so that a hook can name several. */
export const PATH = {
  kmalloc: 1, // kmalloc(), kmem_cache_alloc() and their like
  kmalloc_nolock: 2,
  kfree: 4, // kfree(), kmem_cache_free(), kfree_bulk()
  kfree_nolock: 8,
  kfree_rcu: 16, // kvfree_call_rcu(), the part behind the sheaves
  kfree_rcu_nolock: 32,
  after_gp: 64, // rcu_free_sheaf(), kvfree_rcu_bulk(), kvfree_rcu_list()
} as const;
export type PathName = keyof typeof PATH;

/** May a hook that is called on this path wait for a lock? */
export function path_allows_spin(path: number): boolean {
  return (path & (PATH.kmalloc_nolock | PATH.kfree_nolock | PATH.kfree_rcu_nolock)) === 0;
}

/** The steps of the allocator's functions at which hooks run, in the kernel's order. */
export const STEPS = {
  /** slab_alloc_node(), before the sheaves are asked: an object from elsewhere. */
  alloc: ["kfence_alloc"],
  /** slab_post_alloc_hook(). */
  post_alloc: [
    "kasan_slab_alloc",
    "kmemleak_alloc_recursive",
    "kmsan_slab_alloc",
    "alloc_tagging_slab_alloc_hook",
    "memcg_slab_post_alloc_hook",
  ],
  /** slab_free() and slab_free_hook(), until nobody refuses any more. The object is still its user's. */
  free: [
    "slab_free_rcu_debug",
    "memcg_slab_free_hook",
    "alloc_tagging_slab_free_hook",
    "kmemleak_free_recursive",
    "kmsan_slab_free",
    "debug_check_no_locks_freed",
    "debug_check_no_obj_freed",
    "__kcsan_check_access",
    "kfence_free",
    "kasan_slab_pre_free",
  ],
  /** slab_free_hook(), the rest: its bytes may be written, and it may be kept. It is in transit. */
  free_end: ["init_on_free", "kasan_slab_free"],
  /** kvfree_call_rcu(), steps 3 and 4. */
  rcu_queue: ["debug_rcu_head_queue", "kasan_record_aux_stack"],
  /** kvfree_call_rcu(), step 7: krc lock held. */
  rcu_queued: ["kmemleak_ignore"],
  /** kvfree_rcu_bulk(), kvfree_rcu_list(), kvfree_call_rcu() step 10: just before the free. */
  rcu_unqueue: ["debug_rcu_head_unqueue"],
} as const;
export type Place = keyof typeof STEPS;
export type StepName = (typeof STEPS)[Place][number];

type Cache = Ptr<"kmem_cache">;

/**
 * A hook that watches an object pass.
 * @param s      its cache; NULL: a large kmalloc, or (kfree_rcu) not asked for.
 * @param bytes  of the object that its user may use.
 * @param gfp    of an allocation; else 0.
 * @param path   PATH.*
 * @returns false: stop. An allocation fails, and the object has been given back by the hook; a free leaves the object to
 *          the hook, which has told the oracle so (O_KEPT); kfree_rcu() leaks it.
 */
export type HookFn = (cpu: Cpu, s: Cache, object: Ptr, bytes: number, gfp: number, path: number) => boolean;
/** A hook that has objects of its own to give. @returns NULL: not this time. */
export type SourceFn = (cpu: Cpu, s: Cache, gfp: number) => Ptr<"object">;

interface HookAt {
  readonly paths: readonly PathName[];
  /** It runs for large kmallocs too. */
  readonly large?: boolean;
}
export type Hook = HookAt & ({ readonly step: Exclude<StepName, "kfence_alloc">; readonly run: HookFn } | SourceHook);
export interface SourceHook extends HookAt {
  readonly step: "kfence_alloc";
  readonly run: SourceFn;
}

/** Why a facility does nothing on a path. */
export interface Skipped {
  readonly why: string;
  /** Why whoever meets the object on another path puts up with that; absent if nobody can tell. */
  readonly tolerated?: string;
}

export interface Facility {
  readonly name: FacilityName;
  /** What it finds or counts: no sentence, no full stop. */
  readonly summary: string;
  /** Its locks, in words; or "none". */
  readonly locks: string;
  /** Do its hooks wait for locks? "allowed": only if path_allows_spin(). */
  readonly spins: "never" | "allowed" | "always";
  readonly hooks: readonly Hook[];
  /** Every path on which it has no hook. */
  readonly skipped: Partial<Record<PathName, Skipped>>;
  /** Takes its pages. @context Task, at boot, right after the page allocator, alone */
  readonly init?: (cpu: Cpu) => void;
  /** Gives back all objects that it keeps. @context Task, everything else at rest */
  readonly drain?: (cpu: Cpu) => void;
  /** What does not add up once all has been given back, in words. Peeks only. @context Task, machine at rest */
  readonly check?: (cpu: Cpu, caches: CachesAtRest) => string[];
}

/** What the slabs and sheaves of each cache hold while nothing runs. */
export type CachesAtRest = ReadonlyMap<Cache, CacheAtRest>;
export interface CacheAtRest {
  /** Objects that are not on freelists. */
  readonly inuse: number;
  /** Objects on freelists, and in sheaves. */
  readonly free: ReadonlySet<Ptr>;
  readonly cached: ReadonlySet<Ptr>;
}
