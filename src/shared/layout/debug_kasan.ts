/** KASAN: the shadow of all pages, the quarantine, and who asked last for an object to be freed. mm/kasan/kasan.h. */
import { NR_CPUS } from "../base/limits.ts";
import { aligned, array, atomic32, atomic_ptr, ptr, struct, u32 } from "../mem/struct.ts";
import { RcuHead, Spinlock } from "./types.ts";

/** A byte of shadow speaks for 8 bytes of memory: 0: all may be used; 1 to 7: so many of them; the rest: none. */
export const KASAN_GRANULE_SHIFT = 3;
export const KASAN_SLAB_REDZONE = 0xfc; // between objects, or never allocated
export const KASAN_SLAB_FREE = 0xfb; // freed
/** Bytes of memory that one block of shadow covers, as a shift: the block is the largest that there is. */
export const KASAN_BLOCK_SHIFT = 25;

/** The link of a freed object: lies where its free pointer does. */
export const QlistNode = struct("qlist_node", { next: ptr("qlist_node") });
/** A queue of freed objects, oldest first. */
export const QlistHead = struct(
  "qlist_head",
  {
    head: ptr("qlist_node"),
    tail: ptr("qlist_node"),
    bytes: u32,
  },
  { align: 64 },
);

/** Who called kfree_rcu() for an object. Written by anybody, at any time: a report, and not more. */
export const KasanAux = struct("kasan_aux", {
  object: atomic_ptr("object"),
  who: atomic32, // CPU | kind of context << 8
  jiffies: atomic32,
});
export const NR_KASAN_AUX = 64;

/** struct rcu_delayed_free: the object of a typesafe cache, and what calls back when its readers are gone. */
export const RcuDelayedFree = struct("rcu_delayed_free", { head: RcuHead, object: ptr("object") });

export const KasanState = struct("kasan_state", {
  shadow: array(ptr("kasan_shadow"), 64),
  aux: array(KasanAux, NR_KASAN_AUX),
  /** Bytes that a CPU's own queue may hold, and the queue of all. */
  percpu_size: u32,
  max_size: u32,
  /** Whose objects per_cpu_remove_cache() takes out; NULL: everybody's. */
  removed: atomic_ptr("kmem_cache"),
  /** Guards the queue of all. */
  quarantine_lock: aligned(64, Spinlock),
  global_quarantine: QlistHead,
  /** Each CPU's own, with IRQs off. */
  cpu_quarantine: array(QlistHead, NR_CPUS),
});
