/**
 * vmap_area, and what vmalloc() keeps. include/linux/vmalloc.h, mm/vmalloc.c.
 *
 * The area that vmalloc() gives out is a part of the machine's memory of its own (map.ts): there is no MMU, so a block
 * is a run of its pages. Each page has a vmap_area, which is in use if a block begins there.
 */
import { aligned, atomic_long, struct, ulong } from "../mem/struct.ts";
import { ListHead, LlistHead, Spinlock } from "./types.ts";
import { WorkStruct } from "./workqueue.ts";

/** A block. Written under vmap_area_lock; constant while the block is allocated. */
export const VmapArea = struct("vmap_area", {
  va_start: ulong, // address of the block; 0: none begins here
  va_end: ulong, // of the guard page behind it
  list: ListHead, // vmap_area_list
});

export const VmallocGlobals = struct("vmalloc_globals", {
  vmap_area_lock: aligned(64, Spinlock),
  vmap_area_list: ListHead, // by address
  nr_vmalloc_pages: atomic_long, // in blocks, guard pages not counted
});

/** What interrupts of this CPU have freed. Producers: its interrupts; consumer: the work item, here. */
export const VfreeDeferred = struct("vfree_deferred", {
  list: aligned(64, LlistHead), // linked through the first word of a block
  wq: WorkStruct,
});
