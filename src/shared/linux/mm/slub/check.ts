/**
 * Walks the slabs of a cache while nothing runs: freelists, slab words, partial lists, counters. For oracles and tests;
 * spec slub 14, invariants 2 and 3. The sheaves are in check_sheaves.ts, both together in check_slab_cache().
 *
 * Takes no lock and makes no step (peek only): of no use while a CPU is inside the cache. Lock-free frees that have
 * not begun or are done do not matter.
 */
import { PAGE_SHIFT } from "../../../base/limits.ts";
import { Globals } from "../../../layout/globals.ts";
import { MAX_PAGE_ORDER, Page, PGTY_buddy, PGTY_slab } from "../../../layout/page.ts";
import {
  FreePointer,
  KmemCache,
  KmemCacheNode,
  KmemCachePerNode,
  Slab,
  SlabGlobals,
  SL_locked,
  SL_partial,
  SLAB_FREELIST_SHIFT,
  SLAB_FROZEN,
} from "../../../layout/slab.ts";
import { SLAB_STORE_USER } from "../../../layout/slab_flags.ts";
import { ListHead, Spinlock } from "../../../layout/types.ts";
import { container_of, embedded, embedded_at, NULL, type Ptr } from "../../../mem/struct.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { is_kfence_address, kfence_objects_of } from "../debug/kfence_pool.ts";
import { pfn_to_page } from "../page_alloc/zone.ts";
import { page_slab, slab_address } from "./slab.ts";
import { freelist_ptr, word_inuse } from "./slab_word.ts";

const {
  type: TYPE,
  slab_cache: SLAB_CACHE,
  flags: FLAGS,
  counters: COUNTERS,
  objects: OBJECTS,
  node: NODE,
  slab_list: SLAB_LIST,
} = Slab.offset;
const { slab: SLAB } = Globals.offset;
const { slab_caches: SLAB_CACHES } = SlabGlobals.offset;
const { compound_head: COMPOUND_HEAD, type: PAGE_TYPE, order: ORDER } = Page.offset;
const {
  size: SIZE,
  offset: OFFSET,
  red_left_pad: RED_LEFT_PAD,
  per_node: PER_NODE,
  flags: CACHE_FLAGS,
  list: LIST,
} = KmemCache.offset;
const { node: PER_NODE_NODE } = KmemCachePerNode.offset;
const {
  list_lock: LIST_LOCK,
  partial: PARTIAL,
  full: FULL,
  nr_partial: NR_PARTIAL,
  nr_slabs: NR_SLABS,
  total_objects: TOTAL_OBJECTS,
} = KmemCacheNode.offset;
const { next: NEXT, prev: PREV } = ListHead.offset;
const { next: FP_NEXT } = FreePointer.offset;
const { val: VAL } = Spinlock.offset;

type Complain = (what: string) => number;

/** What a walk has seen. */
export interface SlabCensus {
  readonly problems: string[];
  readonly slabs: ReadonlySet<Ptr<"slab">>;
  /** Objects on freelists. */
  readonly free: ReadonlySet<Ptr>;
  /** Sums over all slabs. */
  readonly total_objects: number;
  readonly inuse: number;
}

/** The caches of the machine, as a snapshot. @context Any, nobody creates or destroys one. */
export function caches_of(cpu: Cpu): Ptr<"kmem_cache">[] {
  const head = embedded(embedded(cpu.globals, SLAB), SLAB_CACHES);
  const caches: Ptr<"kmem_cache">[] = [];
  for (let entry = cpu.mem.peek(head, NEXT); entry !== head; entry = cpu.mem.peek(entry, NEXT)) {
    caches.push(container_of(entry, LIST));
  }
  return caches;
}

/** All slabs of a cache, by the page array: whether linked anywhere or not. Pages of KFENCE are no slabs that count. */
export function slabs_of_cache(cpu: Cpu, s: Ptr<"kmem_cache">): Set<Ptr<"slab">> {
  const { mem, map } = cpu;
  const slabs = new Set<Ptr<"slab">>();
  for (let pfn = 0; pfn < map.nrPages; pfn++) {
    const page = pfn_to_page(cpu, pfn);
    const type = mem.peek(page, PAGE_TYPE);
    if (type === PGTY_buddy) pfn += (1 << Math.min(mem.peek(page, ORDER), MAX_PAGE_ORDER)) - 1; // A free block.
    if (type !== PGTY_slab) continue;
    const slab = page_slab(page);
    if (mem.peek(slab, SLAB_CACHE) === s && !is_kfence_address(cpu, slab_address(cpu, slab))) slabs.add(slab);
  }
  return slabs;
}

/** Is this the start of an object of the cache, free or not? */
export function is_object_of_cache(cpu: Cpu, s: Ptr<"kmem_cache">, address: Ptr): boolean {
  const mem = cpu.mem;
  const pfn = (address - cpu.map.pages) >> PAGE_SHIFT;
  if (pfn < 0 || pfn >= cpu.map.nrPages) return false;
  const page = pfn_to_page(cpu, pfn);
  const head = mem.peek(page, COMPOUND_HEAD);
  const slab = page_slab(head === NULL ? page : head);
  if (mem.peek(slab, TYPE) !== PGTY_slab || mem.peek(slab, SLAB_CACHE) !== s) return false;
  if (is_kfence_address(cpu, address)) return kfence_objects_of(cpu, s).includes(address as Ptr<"object">);
  const index = (address - slab_address(cpu, slab) - mem.peek(s, RED_LEFT_PAD)) / mem.peek(s, SIZE);
  return Number.isInteger(index) && index >= 0 && index < mem.peek(slab, OBJECTS);
}

/** Walks slabs and partial lists of a cache. @context Any, machine at rest. */
export function check_slabs(cpu: Cpu, s: Ptr<"kmem_cache">): SlabCensus {
  const problems: string[] = [];
  const slabs = slabs_of_cache(cpu, s);
  const free = new Set<Ptr>();
  let total_objects = 0;
  let inuse = 0;
  for (const slab of slabs) {
    check_slab(cpu, s, slab, free, problems);
    total_objects += cpu.mem.peek(slab, OBJECTS);
    inuse += word_inuse(cpu.mem.peek(slab, COUNTERS));
  }
  for (let node = 0; node < cpu.map.shape.nodes; node++) check_node(cpu, s, node, slabs, problems);
  const elsewhere = kfence_objects_of(cpu, s).length;
  total_objects += elsewhere;
  inuse += elsewhere;
  return { problems, slabs, free, total_objects, inuse };
}

/** inuse == objects - length of the freelist, which is acyclic and runs over objects of the slab. */
function check_slab(cpu: Cpu, s: Ptr<"kmem_cache">, slab: Ptr<"slab">, free: Set<Ptr>, problems: string[]): void {
  const mem = cpu.mem;
  const word = mem.peek(slab, COUNTERS);
  const objects = mem.peek(slab, OBJECTS);
  const base = slab_address(cpu, slab) + mem.peek(s, RED_LEFT_PAD);
  const size = mem.peek(s, SIZE);
  const complain = (what: string): number => problems.push(`slab 0x${slab.toString(16)}: ${what}`);
  // Out of service after a failed check: all its objects count as used.
  if (word & SLAB_FROZEN && word_inuse(word) !== objects) complain("is frozen");
  if (mem.peek(slab, FLAGS) & SL_locked) complain("slab_lock is held");
  const first = word >>> SLAB_FREELIST_SHIFT;
  let object = (first === 0 ? 0 : base + (first - 1) * size) as Ptr;
  let length = 0;
  while (object !== NULL) {
    const index = (object - base) / size;
    if (!Number.isInteger(index) || index < 0 || index >= objects) {
      complain(`freelist holds 0x${object.toString(16)}, which is no object of it`);
      break;
    }
    const before = free.size;
    if (free.add(object).size === before) {
      complain(`freelist is a ring at object ${index}`);
      break;
    }
    length++;
    const slot = (object + mem.peek(s, OFFSET)) as Ptr<"free_pointer">;
    object = freelist_ptr(cpu, s, slot, mem.peek(slot, FP_NEXT));
  }
  if (word_inuse(word) !== objects - length) {
    complain(`inuse ${word_inuse(word)}, but ${length} of ${objects} objects are on the freelist`);
  }
}

/** SL_partial if and only if linked; no full slab linked; the counters are those of the walk. */
function check_node(
  cpu: Cpu,
  s: Ptr<"kmem_cache">,
  node: number,
  slabs: ReadonlySet<Ptr<"slab">>,
  problems: string[],
): void {
  const mem = cpu.mem;
  const complain = (what: string): number => problems.push(`node ${node}: ${what}`);
  const own = [...slabs].filter((slab) => mem.peek(slab, NODE) === node);
  const n = mem.peek(embedded_at(s, PER_NODE, node, KmemCachePerNode.size), PER_NODE_NODE);
  if (n === NULL) {
    if (own.length > 0) complain(`${own.length} slabs, but no kmem_cache_node`);
    return;
  }
  if (mem.peek(embedded(n, LIST_LOCK), VAL) !== 0) complain("list_lock is held");
  const linked = new Set<Ptr<"slab">>();
  const head = embedded(n, PARTIAL);
  let previous = head;
  for (let entry = mem.peek(head, NEXT); entry !== head; entry = mem.peek(entry, NEXT)) {
    const slab = container_of(entry, SLAB_LIST);
    if (!slabs.has(slab) || mem.peek(slab, NODE) !== node) {
      complain(`partial list holds 0x${slab.toString(16)}, which is no slab of this cache and node`);
      break;
    }
    if (linked.has(slab)) {
      complain(`partial list is a ring at slab 0x${slab.toString(16)}`);
      break;
    }
    if (mem.peek(entry, PREV) !== previous) complain(`slab 0x${slab.toString(16)}: prev does not point back`);
    if (mem.peek(slab, COUNTERS) >>> SLAB_FREELIST_SHIFT === 0) complain(`full slab 0x${slab.toString(16)} is linked`);
    linked.add(slab);
    previous = entry;
  }
  for (const slab of own) {
    const partial = (mem.peek(slab, FLAGS) & SL_partial) !== 0;
    const is_full = mem.peek(slab, COUNTERS) >>> SLAB_FREELIST_SHIFT === 0;
    if (partial !== linked.has(slab)) {
      complain(`slab 0x${slab.toString(16)} has SL_partial ${partial}, but is ${partial ? "not " : ""}linked`);
    } else if (!partial && !is_full) {
      complain(`slab 0x${slab.toString(16)} has free objects, but is not on the partial list`);
    }
  }
  if (mem.peek(s, CACHE_FLAGS) & SLAB_STORE_USER) check_full(cpu, n, own, complain);
  const objects = own.reduce((sum, slab) => sum + mem.peek(slab, OBJECTS), 0);
  const compare = (what: string, counter: number, found: number): void => {
    if (counter !== found) complain(`${what} is ${counter}, but there are ${found}`);
  };
  compare("nr_partial", mem.peek(n, NR_PARTIAL), linked.size);
  compare("nr_slabs", mem.peek(n, NR_SLABS), own.length);
  compare("total_objects", mem.peek(n, TOTAL_OBJECTS), objects);
}

/** With SLAB_STORE_USER a full slab is on the list of full ones, unless it is out of service. */
function check_full(cpu: Cpu, n: Ptr<"kmem_cache_node">, own: readonly Ptr<"slab">[], complain: Complain): void {
  const { mem } = cpu;
  const full = new Set(
    own.filter((slab) => {
      const word = mem.peek(slab, COUNTERS);
      return word >>> SLAB_FREELIST_SHIFT === 0 && (word & SLAB_FROZEN) === 0;
    }),
  );
  const head = embedded(n, FULL);
  for (let entry = mem.peek(head, NEXT); entry !== head; entry = mem.peek(entry, NEXT)) {
    const slab = container_of(entry, SLAB_LIST);
    if (full.delete(slab)) continue;
    complain(`list of full slabs holds 0x${slab.toString(16)}, which is none, or twice`);
    return;
  }
  for (const slab of full) complain(`full slab 0x${slab.toString(16)} is not on the list of full slabs`);
}
