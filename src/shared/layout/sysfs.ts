/**
 * The request by which somebody who is no CPU has a file under /sys/kernel/slab written. One at a time:
 *
 *   IDLE -> POSTED   the host, which has filled in the rest
 *   POSTED -> TAKEN  the CPU that serves it
 *   TAKEN -> DONE    the same CPU; `result` is there
 *   DONE -> IDLE     the host
 *
 * The other fields belong to the host while IDLE or DONE, else to the CPU.
 */
import { array, atomic32, struct, u32 } from "../mem/struct.ts";
import { CACHE_NAME_BYTES } from "./slab.ts";
import { STAT_NAMES } from "./slab_stat.ts";

export const SYSFS_IDLE = 0;
export const SYSFS_POSTED = 1;
export const SYSFS_TAKEN = 2;
export const SYSFS_DONE = 3;

/** Bytes of what is written. */
export const SYSFS_VALUE_BYTES = 32;

export const SysfsWrite = struct(
  "sysfs_write",
  {
    state: atomic32, // SYSFS_*
    /** Position in SYSFS_WRITABLE. */
    attribute: u32,
    /** Name of the cache, as in struct kmem_cache. */
    cache: array(u32, CACHE_NAME_BYTES / 4),
    /** ASCII, zero-padded. */
    value: array(u32, SYSFS_VALUE_BYTES / 4),
    /** 0 or -errno. */
    result: u32,
  },
  { align: 64 },
);

/** Files with settings, and such as do something when they are written. */
export const SYSFS_SETTINGS = [
  "min_partial",
  "cpu_partial",
  "validate",
  "shrink",
  "skip_kfence",
  "failslab",
  "remote_node_defrag_ratio",
] as const;
/** All files that can be written. */
export const SYSFS_WRITABLE: readonly string[] = [...SYSFS_SETTINGS, ...STAT_NAMES.map((name) => name.toLowerCase())];
