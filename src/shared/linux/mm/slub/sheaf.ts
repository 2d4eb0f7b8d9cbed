/**
 * Sheaves: arrays of object pointers that belong to one cache. How one is allocated, filled, emptied and freed.
 *
 * A sheaf is itself a kmalloc object (bucket 64, 128, 256 or 512), so allocating or freeing one enters the allocator
 * again, the same cache included: no caller holds the sheaf lock meanwhile. Two flags end the recursion: a kmalloc
 * cache allocates its sheaves with SLAB_ALLOC_NO_RECURSE, and such an allocation allocates none on its own behalf.
 *
 * Context: as the gfp and nolock flags say. Kernel: mm/slub.c. Spec: slub 2.10, 2.11.
 */
import { warn } from "../../../cpu/bug.ts";
import { has_bug } from "../../../cpu/bugs.ts";
import { this_cpu_ptr, type Cpu } from "../../../cpu/cpu.ts";
import { oracle_move } from "../../../cpu/oracle.ts";
import { BUG_KSWAPD_WAKEUP } from "../../../layout/bugs.ts";
import {
  __GFP_ACCOUNT,
  __GFP_COMP,
  __GFP_DMA,
  __GFP_NOFAIL,
  __GFP_NOWARN,
  __GFP_RECLAIMABLE,
  __GFP_THISNODE,
  __GFP_ZERO,
  GFP_NOWAIT,
  NUMA_NO_NODE,
} from "../../../layout/gfp.ts";
import { FaultInject } from "../../../layout/fault_inject.ts";
import { PerCpu } from "../../../layout/percpu.ts";
import { KmemCache, ObjectArray, SlabSheaf } from "../../../layout/slab.ts";
import { STAT } from "../../../layout/slab_stat.ts";
import {
  alloc_flags_allow_spinning,
  free_flags_allow_spinning,
  SLAB_ALLOC_NO_RECURSE,
  SLAB_FREE_DEFAULT,
  SLAB_KMALLOC,
} from "../../../layout/slab_flags.ts";
import { NULL_ORACLE, O_RCU_SHEAF, O_SHEAF, O_TRANSIT } from "../../../mem/oracle.ts";
import { element, NULL, offsetof, type Ptr } from "../../../mem/struct.ts";
import { __kmem_cache_free_bulk, read_slots } from "./bulk_free.ts";
import { kfree, kmalloc_flags } from "./kmalloc.ts";
import { kfree_nolock } from "./nolock.ts";
import { refill_objects } from "./refill.ts";
import { stat } from "./stat.ts";

const { flags: FLAGS, sheaf_capacity: SHEAF_CAPACITY } = KmemCache.offset;
const { slots: SLOTS } = ObjectArray.offset;
const { fault_inject: FAULT_INJECT } = PerCpu.offset;
const { sheaf_refills_short: REFILLS_SHORT } = FaultInject.offset;
const { cache: CACHE, size: SIZE, objects: OBJECTS } = SlabSheaf.offset;
/** Bits that are about the user's object, not about a sheaf that its allocation happens to need. */
const OBJCGS_CLEAR_MASK = __GFP_DMA | __GFP_RECLAIMABLE | __GFP_ACCOUNT | __GFP_NOFAIL | __GFP_THISNODE | __GFP_COMP;

type Cache = Ptr<"kmem_cache">;
type Sheaf = Ptr<"slab_sheaf">;

/** Has this cache sheaves? Bootstrap and debug caches have none. @kernel mm/slab.h @context Any */
export function cache_has_sheaves(cpu: Cpu, s: Cache): boolean {
  return cpu.mem.read(s, SHEAF_CAPACITY) !== 0;
}
/** sizeof(struct slab_sheaf) with `capacity` slots. */
export function sheaf_bytes(capacity: number): number {
  return SlabSheaf.size + 8 * capacity;
}
/** Address of slot `i`: what refill and bulk functions take as `void **p`. */
export function sheaf_slot(sheaf: Sheaf, i: number): Ptr<"object_array"> {
  return (sheaf + offsetof(element(OBJECTS, i))) as Ptr<"object_array">;
}
/** Tells the oracle that `n` objects, whose addresses lie at `p`, change place together. No step. */
export function oracle_move_slots(cpu: Cpu, p: Ptr<"object_array">, n: number, from: number, to: number): void {
  if (cpu.mem.rebuilding || cpu.oracle === NULL_ORACLE) return;
  for (let i = 0; i < n; i++) oracle_move(cpu, cpu.mem.peek(p, element(SLOTS, i)), from, to);
}

/**
 * __alloc_empty_sheaf() - allocate a sheaf of any capacity.
 * @kernel  mm/slub.c
 * @returns NULL: no memory.
 * @context Any with SLAB_ALLOC_NOLOCK; else Hardirq, or Task if gfp may block.
 */
export function __alloc_empty_sheaf(cpu: Cpu, s: Cache, gfp: number, alloc_flags: number, capacity: number): Sheaf {
  const recurse = cpu.mem.read(s, FLAGS) & SLAB_KMALLOC ? SLAB_ALLOC_NO_RECURSE : 0;
  const bytes = sheaf_bytes(capacity);
  const sheaf = kmalloc_flags(cpu, bytes, gfp | __GFP_ZERO, alloc_flags | recurse, NUMA_NO_NODE) as Ptr as Sheaf;
  if (sheaf === NULL) return NULL;
  cpu.mem.init(sheaf, CACHE, s);
  stat(cpu, s, STAT.SHEAF_ALLOC, 1);
  return sheaf;
}

/**
 * alloc_empty_sheaf() - allocate a sheaf of the cache's own capacity on behalf of some allocation or free.
 * May fail even for a __GFP_NOFAIL caller, who can always do without a sheaf.
 *
 * @kernel  mm/slub.c
 * @returns NULL: no memory, or an allocation that must not recurse.
 * @context As __alloc_empty_sheaf().
 */
export function alloc_empty_sheaf(cpu: Cpu, s: Cache, gfp: number, alloc_flags: number): Sheaf {
  if (alloc_flags & SLAB_ALLOC_NO_RECURSE) return NULL;
  return __alloc_empty_sheaf(cpu, s, gfp & ~OBJCGS_CLEAR_MASK, alloc_flags, cpu.mem.read(s, SHEAF_CAPACITY));
}

/**
 * The same on behalf of a free. Why not GFP_NOWAIT: that wakes kswapd, and frees happen under scheduler locks that a wake-up
 * takes (slub B31).
 *
 * @kernel  mm/slub.c, as of 7.3-rc5
 * @returns NULL: no memory.
 * @context Any with SLAB_ALLOC_NOLOCK, else Hardirq; locks of the scheduler may be held.
 */
export function alloc_empty_sheaf_for_free(cpu: Cpu, s: Cache, alloc_flags: number): Sheaf {
  const wakes = alloc_flags_allow_spinning(alloc_flags) && has_bug(cpu, BUG_KSWAPD_WAKEUP);
  return alloc_empty_sheaf(cpu, s, wakes ? GFP_NOWAIT : __GFP_NOWARN, alloc_flags);
}

/** Frees a sheaf, which must be empty. @kernel mm/slub.c @context Any with SLAB_FREE_NOLOCK, else Hardirq. */
export function __free_empty_sheaf(cpu: Cpu, s: Cache, sheaf: Sheaf, free_flags: number): void {
  if (cpu.mem.read(sheaf, SIZE) > 0)
    warn(cpu, `sheaf ${sheaf} is freed with ${cpu.mem.read(sheaf, SIZE)} objects in it`);
  if (free_flags_allow_spinning(free_flags)) kfree(cpu, sheaf);
  else kfree_nolock(cpu, sheaf);
  stat(cpu, s, STAT.SHEAF_FREE, 1);
}
/** Frees a sheaf, which must be empty. @kernel mm/slub.c @context Hardirq */
export function free_empty_sheaf(cpu: Cpu, s: Cache, sheaf: Sheaf): void {
  __free_empty_sheaf(cpu, s, sheaf, SLAB_FREE_DEFAULT);
}

/**
 * refill_sheaf() - fill a private sheaf to its capacity from slabs.
 * @kernel  mm/slub.c
 * @returns false: too little memory. What was obtained stays in the sheaf: the caller flushes it (slub B11).
 * @context Hardirq, or Task if gfp may block; never NMI. Not under the sheaf lock.
 */
export function refill_sheaf(cpu: Cpu, s: Cache, sheaf: Sheaf, gfp: number): boolean {
  const mem = cpu.mem;
  const size = mem.read(sheaf, SIZE);
  const want = mem.read(s, SHEAF_CAPACITY) - size;
  if (want === 0) return true;
  const filled = refill_objects(cpu, s, sheaf_slot(sheaf, size), gfp, want, want);
  oracle_move_slots(cpu, sheaf_slot(sheaf, size), filled, O_TRANSIT, O_SHEAF);
  mem.write(sheaf, SIZE, size + filled);
  stat(cpu, s, STAT.SHEAF_REFILL, filled);
  if (filled === want) return true;
  if (filled > 0) mem.count(this_cpu_ptr(cpu, FAULT_INJECT), REFILLS_SHORT, 1);
  return false;
}

/** Empties a private sheaf into its slabs. @kernel mm/slub.c @context Hardirq, never NMI; not under the sheaf lock. */
export function sheaf_flush_unused(cpu: Cpu, s: Cache, sheaf: Sheaf): void {
  const mem = cpu.mem;
  const size = mem.read(sheaf, SIZE);
  if (size === 0) return;
  stat(cpu, s, STAT.SHEAF_FLUSH, size);
  oracle_move_slots(cpu, sheaf_slot(sheaf, 0), size, O_SHEAF | O_RCU_SHEAF | O_TRANSIT, O_TRANSIT);
  __kmem_cache_free_bulk(cpu, s, read_slots(cpu, sheaf_slot(sheaf, 0), size));
  mem.write(sheaf, SIZE, 0);
}
