/** Counters of a cache: which there are, and where. mm/slub.c, enum stat_item; spec slub 3.8. */
import { array, struct, u32 } from "../mem/struct.ts";

/** Counters of a cache, one set per CPU; index = position. Kernel names; spec slub 3.8. */
export const STAT_NAMES = [
  "ALLOC_FASTPATH",
  "ALLOC_SLOWPATH",
  "ALLOC_NODE_MISMATCH",
  "ALLOC_SLAB",
  "ORDER_FALLBACK",
  "FREE_FASTPATH",
  "FREE_SLOWPATH",
  "FREE_ADD_PARTIAL",
  "FREE_REMOVE_PARTIAL",
  "FREE_SLAB",
  "CMPXCHG_DOUBLE_FAIL",
  "FREE_RCU_SHEAF",
  "FREE_RCU_SHEAF_FAIL",
  "SHEAF_ALLOC",
  "SHEAF_FREE",
  "SHEAF_REFILL",
  "SHEAF_FLUSH",
  "BARN_GET",
  "BARN_GET_FAIL",
  "BARN_PUT",
  "BARN_PUT_FAIL",
  "SHEAF_PREFILL_FAST",
  "SHEAF_PREFILL_SLOW",
  "SHEAF_PREFILL_OVERSIZE",
  "SHEAF_RETURN_FAST",
  "SHEAF_RETURN_SLOW",
] as const;
/** Position of a counter by its name. */
export const STAT = Object.fromEntries(STAT_NAMES.map((name, i) => [name, i])) as {
  readonly [N in (typeof STAT_NAMES)[number]]: number;
};
export const KmemCacheStats = struct("kmem_cache_stats", { counts: array(u32, 32) }, { align: 64 });
