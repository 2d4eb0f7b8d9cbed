/** struct page (64 bytes, one per page) and struct zone (one per node). include/linux/mm_types.h; spec slub 1.10. */
import { aligned, array, atomic32, atomic_long, atomic_ptr, overlay, ptr, struct, u32 } from "../mem/struct.ts";
import { ListHead, LlistHead, LlistNode, RcuHead, Spinlock } from "./types.ts";

/** page.type: what a page is used for. Free pages are NONE, buddy or trylock_free. */
export const PGTY_NONE = 0; // inside a free block
export const PGTY_buddy = 1; // head of a free block of `order`
export const PGTY_slab = 2; // head of a slab: read it as struct slab
export const PGTY_large_kmalloc = 3; // head of a large kmalloc
export const PGTY_tail = 4; // belongs to compound_head
export const PGTY_trylock_free = 5; // waits on zone.trylock_free_pages
export const PGTY_percpu = 6; // holds per-CPU data of caches
export const PGTY_frozen = 7; // head of an allocated block that its owner has given no type
export const PGTY_bnode = 8; // holds a kvfree_rcu_bulk_data

export const MAX_PAGE_ORDER = 10;
export const NR_PAGE_ORDERS = MAX_PAGE_ORDER + 1;

/** page.flags: memory from emergency reserves. The same bit as SL_pfmemalloc of the slab that the page may become. */
export const PG_pfmemalloc = 4;

/** struct slab (layout/slab.ts) overlays this field by field. */
export const Page = struct(
  "page",
  {
    flags: atomic32,
    type: u32,
    slab_cache: ptr("kmem_cache"),
    lru: ListHead, // links a free block of the buddy allocator
    llnode: overlay("lru", LlistNode),
    rcu_head: overlay("lru", RcuHead),
    counters: atomic32,
    objects: u32,
    order: u32, // of the block that this page heads
    node: u32,
    obj_exts: atomic_ptr("slabobj_ext"),
    compound_head: ptr("page"), // of a tail page; NULL in heads and free pages
  },
  { align: 64 },
);

export const FreeArea = struct("free_area", { free_list: ListHead, nr_free: u32 });
export const Zone = struct(
  "zone",
  {
    lock: aligned(64, Spinlock),
    node: u32,
    start_page: u32, // index of the first page
    nr_pages: u32,
    free_area: array(FreeArea, NR_PAGE_ORDERS),
    nr_free_pages: u32, // under lock; pages on trylock_free_pages are not in it
    trylock_free_pages: aligned(64, LlistHead),
    nr_trylock_free: atomic_long, // pages on trylock_free_pages
  },
  { align: 64 },
);
