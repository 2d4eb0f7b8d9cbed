/** KFENCE: a pool of pages, each with one object, between pages that nobody may touch. mm/kfence/kfence.h. */
import { aligned, array, ptr, struct, u32 } from "../mem/struct.ts";
import { SlabobjExt } from "./debug_memcg.ts";
import { ListHead, RcuHead, Spinlock } from "./types.ts";

/** kfence_metadata.state; 0: never used. */
export const KFENCE_OBJECT_ALLOCATED = 1;
export const KFENCE_OBJECT_RCU_FREEING = 2; // waits for its grace period: SLAB_TYPESAFE_BY_RCU
export const KFENCE_OBJECT_FREED = 3;

/** Bytes around an object, and in pages that nobody may touch. */
export const KFENCE_CANARY = 0xaa;
/** So many bytes on each side of an object are looked at when it is freed. */
export const KFENCE_CANARY_BYTES = 16;
/** Any word of the pool. */
export const KfenceWord = struct("kfence_word", { word: u32 });

export const KfenceMetadata = struct("kfence_metadata", {
  list: ListHead, // on the freelist
  rcu_head: RcuHead,
  state: u32,
  addr: ptr("object"),
  size: u32, // of the object
  cache: ptr("kmem_cache"), // that it was allocated from
  obj_exts: SlabobjExt, // slab->obj_exts of the page points here
});
export const MAX_KFENCE_OBJECTS = 127;

export const KfenceState = struct("kfence_state", {
  /** First page: one that nobody may touch. Page 2 i + 1 is that of object i. */
  pool: ptr("object"),
  pool_bytes: u32,
  num_objects: u32,
  /** One allocation in so many comes from the pool. */
  sample: u32,
  freelist_lock: aligned(64, Spinlock), // guards what follows
  freelist: ListHead, // that is unused for longest first
  metadata: array(KfenceMetadata, MAX_KFENCE_OBJECTS),
});
