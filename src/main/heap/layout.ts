/**
 * What the heap keeps behind the machine's memory, in the same buffer, lowest address first:
 *
 *   machine        the kernel's memory, `bytes` of it (src/shared/layout/map.ts): all that is allocated lies there
 *   heap_globals   whether the heap is alive, its size classes, what waiters watch
 *   heap_slots     one per thread that can attach, and one more whose owner word locks what all of them share
 *   magazines      per slot and class: objects that the slot's thread has at hand
 *   tags           a byte for each 8 bytes of the machine: what begins there
 *   sites          with debug: for each 8 bytes who called last; then the texts of all call sites
 */
import { CACHE_LINE, NR_CPUS } from "../../shared/base/limits.ts";
import { MachineMap } from "../../shared/layout/map.ts";
import { aligned, array, atomic32, ptr, struct, u32, ulong } from "../../shared/mem/struct.ts";
import { embedded_at, type Ptr } from "../../shared/mem/struct.ts";

/** Each slot is a CPU, and one CPU stands for the readers of all slots (readers.ts). */
export const MAX_SLOTS = NR_CPUS - 1;
/** Every object begins at a multiple of it. */
export const GRANULE_SHIFT = 3;
export const GRANULE = 1 << GRANULE_SHIFT;

/**
 * A tag says what begins at an address: 0 nothing ever did; 1 to LAST_CLASS an object of that class; LARGE a block of
 * pages; any of these with RETIRED: retire() has been called for it; FREED: it was given back. Whoever has the object
 * writes its tag, so tags are plain bytes. While debugging they are changed atomically, and no double free is missed.
 */
export const LAST_CLASS = 125;
export const LARGE = 127;
export const RETIRED = 0x80;
export const FREED = 0x80; // RETIRED, and nothing else.
export const TAGS = 256;
/** Classes below are kmalloc buckets, under the kernel's numbers; from here on they are the users' caches. */
export const FIRST_CACHE_CLASS = 16;

/** Objects that a magazine has room for. How many it may hold: classes.ts. Its fast paths know how it looks (magazines.ts). */
export const MAGAZINE_SLOTS = 127;
export const Magazine = struct("heap_magazine", { count: ulong, objects: array(ptr("object"), MAGAZINE_SLOTS) });

/** How deep workers of workers may be for the reaper to know of all. */
export const MAX_ANCESTORS = 7;
export const HeapSlot = struct(
  "heap_slot",
  {
    /** Who runs kernel code as this slot's CPU: a token, with OWNER_WAITERS; 0: nobody (owner.ts). */
    owner: aligned(CACHE_LINE, atomic32),
    /** The read sections of this slot's thread (readers.ts). */
    reader: aligned(CACHE_LINE, atomic32),
    /** While debugging: where the outermost section was entered. */
    reader_site: u32,
    /** `reader` at the beginning of the grace period; under the lock of the readers' leaf. */
    reader_snap: u32,
    /** Number of the thread that is attached + 1; 0: the slot is free. */
    thread: aligned(CACHE_LINE, atomic32),
    /** Numbers of the workers that this thread is a worker of, outermost first (ancestry.ts); then 0. */
    ancestors: array(atomic32, MAX_ANCESTORS),
  },
  { align: CACHE_LINE },
);

export const HeapClass = struct("heap_class", {
  cache: ptr("kmem_cache"),
  /** 1: its users have a constructor. */
  constructed: u32,
});

/** heap_globals.state */
export const HEAP_ALIVE = 0;
export const HEAP_DYING = 1;
export const HEAP_DEAD = 2;
export const CAUSE_BYTES = 512;

export const HeapGlobals = struct(
  "heap_globals",
  {
    state: aligned(CACHE_LINE, atomic32),
    /** Why it is dead: UTF-8. Written before `state` becomes HEAP_DEAD. */
    cause_length: u32,
    cause: array(u32, CAUSE_BYTES / 4),
    /** Changes whenever something may have come true that somebody waits for; and how many threads do. */
    progress: aligned(CACHE_LINE, atomic32),
    waiters: atomic32,
    /** Grace period that reader_snap of all slots is of; under the lock of the readers' leaf. */
    snap_seq: aligned(CACHE_LINE, u32),
    /** Threads that have taken all slots, to check the heap: that may take its time. */
    checkers: atomic32,
    /** Address of the tags, for kernel code. Constant. */
    tags: u32,
    /** The table of classes ends here; those before it are complete. */
    classes_end: aligned(CACHE_LINE, atomic32),
    classes: array(HeapClass, LAST_CLASS + 1),
    /** Bytes of texts of call sites. */
    sites_bytes: atomic32,
  },
  { align: CACHE_LINE },
);

/** Room for the texts of call sites. */
const SITE_TEXT_BYTES = 1 << 18;

export interface HeapShape {
  readonly bytes: number;
  /** Slots: threads that can attach. */
  readonly cpus: number;
  readonly debug: boolean;
}

/** Where everything is. */
export class HeapMap {
  readonly machine: MachineMap;
  readonly debug: boolean;
  readonly slots: number;
  readonly globals: Ptr<"heap_globals">;
  /** Slot numbers: 0 .. slots - 1 are threads'. */
  readonly registrySlot: number;
  /** CPU that stands for the readers. */
  readonly readersCpu: number;
  readonly tags: number;
  readonly sites: number;
  readonly siteText: number;
  readonly siteTextBytes: number;
  /** Bytes of the whole buffer. */
  readonly totalBytes: number;
  private readonly slotsAt: number;
  private readonly magazinesAt: number;

  constructor({ bytes, cpus, debug }: HeapShape) {
    this.machine = new MachineMap({ bytes, cpus: cpus + 1, nodes: 1 });
    this.debug = debug;
    this.slots = cpus;
    this.registrySlot = cpus;
    this.readersCpu = cpus;
    this.globals = bytes as Ptr<"heap_globals">;
    this.slotsAt = bytes + HeapGlobals.size;
    this.magazinesAt = this.slotsAt + (cpus + 1) * HeapSlot.size;
    this.tags = this.magazinesAt + cpus * (LAST_CLASS + 1) * Magazine.size;
    this.sites = roundUp(this.tags + (bytes >> GRANULE_SHIFT), CACHE_LINE);
    this.siteText = this.sites + (debug ? (bytes >> GRANULE_SHIFT) * 4 : 0);
    this.siteTextBytes = debug ? SITE_TEXT_BYTES : 0;
    this.totalBytes = this.siteText + this.siteTextBytes;
  }
  slot(i: number): Ptr<"heap_slot"> {
    return (this.slotsAt + i * HeapSlot.size) as Ptr<"heap_slot">;
  }
  classInfo(c: number): Ptr<"heap_class"> {
    return embedded_at(this.globals, HeapGlobals.offset.classes, c, HeapClass.size);
  }
  /** Magazine of a slot for class `c`. That of class 0 stays empty. */
  magazine(slot: number, c: number): Ptr<"heap_magazine"> {
    return (this.magazinesAt + (slot * (LAST_CLASS + 1) + c) * Magazine.size) as Ptr<"heap_magazine">;
  }
}

const roundUp = (n: number, to: number): number => Math.ceil(n / to) * to;
