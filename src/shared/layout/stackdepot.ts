/**
 * Call stacks, each stored once (linux/lib/stackdepot.ts): a pool of words per CPU, first a hash table, then records.
 * A record is 3 words and its contents.
 */
import { array, ptr, struct, u32 } from "../mem/struct.ts";

/** Words of a pool: 32 KiB. */
export const DEPOT_WORDS = 8192;
/** Buckets of the hash table: offsets of the first record, in words, 0: none. A power of two. */
export const DEPOT_BUCKETS = 512;
/** Words of a record before its contents: hash; offset of the next record of the bucket; kind << 16 | words of contents. */
export const DEPOT_HEADER = 3;

/** Words of a pool. */
export const StackPool = struct("stack_pool", { words: array(u32, DEPOT_WORDS) });
export const StackDepotCpu = struct("stack_depot_cpu", {
  /** NULL: nothing is recorded. */
  pool: ptr("stack_pool"),
  /** Words in use, the table among them. */
  used: u32,
  /** Stacks for which there was no room. */
  dropped: u32,
});
