/**
 * kmemleak, the search: from the roots through everything that they point to, directly or not. What has not been reached
 * is a leak. mm/kmemleak.c; spec rcu 3.2.
 *
 * Roots: the globals, the per-CPU sections, mem_map (lists of slabs run through it), pages with per-CPU data of caches.
 * Any 8-byte slot that looks like an address inside a known block is a pointer to it, even if it is not in use any more:
 * an emptied slot of a sheaf hides a leak until it is filled again. Pages are neither roots nor blocks.
 *
 * Differs: what a running function holds in variables is no root, as there is no stack to look at. So either nothing runs
 * (quiescence), or blocks that are younger than min_age are passed over. kmemleak_lock is held all the time, and nothing
 * here is a step: to everybody else a scan is one moment. Under the explorer only what runs at the end may scan, since a
 * rebuild would see the memory of another moment.
 */
import { PAGE_SIZE } from "../../../base/limits.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { KMEMLEAK_BLACK, KMEMLEAK_GREY, KmemleakObject, KmemleakState, OBJECT_NO_SCAN } from "../../../layout/debug.ts";
import { KfenceMetadata } from "../../../layout/debug_kfence.ts";
import { TraceRing } from "../../../layout/cpu.ts";
import { Globals, NR_SCENARIO_WORDS } from "../../../layout/globals.ts";
import { PerCpu } from "../../../layout/percpu.ts";
import { Page, PGTY_large_kmalloc, PGTY_percpu, PGTY_slab } from "../../../layout/page.ts";
import { KmemCache, Slab } from "../../../layout/slab.ts";
import { element, embedded, NULL, type Ptr, struct, u32 } from "../../../mem/struct.ts";
import { raw_spin_lock_irqsave, raw_spin_unlock_irqrestore } from "../../sync/spinlock.ts";
import { page_address, pfn_to_page, virt_to_page } from "../page_alloc/zone.ts";
import { addr_to_metadata, is_kfence_address } from "./kfence_pool.ts";
import { bucket_of, kmemleak_state } from "./kmemleak.ts";

const { lock: LOCK, bucket_mask: BUCKET_MASK, enabled: ENABLED, buckets: BUCKETS } = KmemleakState.offset;
const {
  next: NEXT,
  pointer: POINTER,
  size: SIZE,
  min_count: MIN_COUNT,
  flags: FLAGS,
  jiffies: CREATED,
} = KmemleakObject.offset;
const { jiffies: JIFFIES, scenario: WORDS } = Globals.offset;
const { trace: TRACE } = PerCpu.offset;
const { type: TYPE, order: ORDER, compound_head: COMPOUND_HEAD } = Page.offset;
const { slab_cache: SLAB_CACHE } = Slab.offset;
const { addr: ADDR } = KfenceMetadata.offset;
const { size: CACHE_SIZE, red_left_pad: RED_LEFT_PAD } = KmemCache.offset;
const { low: LOW, high: HIGH } = struct("pointer", { low: u32, high: u32 }).offset;

type State = Ptr<"kmemleak_state">;
type Record = Ptr<"kmemleak_object">;

/** A block that nobody points to. */
export interface Leak {
  readonly pointer: Ptr;
  readonly size: number;
  readonly jiffies: number;
}

/**
 * kmemleak_scan() - find the blocks that nobody points to.
 *
 * @kernel  mm/kmemleak.c
 * @param   min_age  blocks younger than this many ticks are not reported; 0 if nothing runs.
 * @context Task. Waits for kmemleak_lock, and keeps others waiting.
 */
export function kmemleak_scan(cpu: Cpu, min_age: number): Leak[] {
  const state = kmemleak_state(cpu);
  if (state === NULL || cpu.mem.read_once(state, ENABLED) === 0) return [];
  const flags = raw_spin_lock_irqsave(cpu, embedded(state, LOCK));
  const reached = reach(cpu, state);
  const now = cpu.mem.peek(cpu.globals, JIFFIES);
  const leaks: Leak[] = [];
  for (const record of kmemleak_objects(cpu, state)) {
    const leak = leak_of(cpu, record);
    if (!reached.has(record) && !is_black(cpu, record) && now - leak.jiffies >= min_age) leaks.push(leak);
  }
  raw_spin_unlock_irqrestore(cpu, embedded(state, LOCK), flags);
  return leaks;
}

/** All blocks that kmemleak knows. @context machine at rest, or kmemleak_lock held */
export function* kmemleak_objects(cpu: Cpu, state: State): Generator<Record> {
  const { mem } = cpu;
  for (let bucket = 0; bucket <= mem.peek(state, BUCKET_MASK); bucket++) {
    let record = mem.peek(state, element(BUCKETS, bucket));
    for (; record !== NULL; record = mem.peek(record, NEXT)) yield record;
  }
}

/** Every block that can be reached. */
function reach(cpu: Cpu, state: State): ReadonlySet<Record> {
  const { mem, map } = cpu;
  const reached = new Set<Record>(); // In the order of arrival, and it grows while it is walked.
  for (const record of kmemleak_objects(cpu, state)) {
    if (mem.peek(record, MIN_COUNT) === KMEMLEAK_GREY) reached.add(record);
  }
  scan_block(cpu, state, map.globals, Globals.size, reached);
  for (let i = 0; i < NR_SCENARIO_WORDS; i++) add_block(cpu, state, mem.peek(map.globals, element(WORDS, i)), reached);
  for (let id = 0; id < map.shape.cpus; id++) scan_percpu(cpu, state, map.section(id), reached);
  scan_block(cpu, state, map.memMap, map.nrPages * Page.size, reached);
  for (let pfn = 0; pfn < map.nrPages; pfn++) {
    const page = pfn_to_page(cpu, pfn);
    if (mem.peek(page, TYPE) !== PGTY_percpu) continue;
    scan_block(cpu, state, page_address(cpu, page), PAGE_SIZE << mem.peek(page, ORDER), reached);
  }
  for (const record of reached) {
    if (mem.peek(record, FLAGS) & OBJECT_NO_SCAN) continue;
    scan_block(cpu, state, mem.peek(record, POINTER), mem.peek(record, SIZE), reached);
  }
  return reached;
}

/** All but the trace ring, which remembers addresses of long ago, and is no part of the kernel. */
function scan_percpu(cpu: Cpu, state: State, section: Ptr<"percpu">, reached: Set<Record>): void {
  const ring = embedded(section, TRACE);
  scan_block(cpu, state, section, ring - section, reached);
  scan_block(cpu, state, ring + TraceRing.size, section + PerCpu.size - ring - TraceRing.size, reached);
}

/** Adds the blocks that these words point to. @kernel mm/kmemleak.c */
function scan_block(cpu: Cpu, state: State, start: number, bytes: number, reached: Set<Record>): void {
  for (let at = start; at + 8 <= start + bytes; at += 8) {
    if (cpu.mem.peek(at as Ptr<"pointer">, HIGH) === 0)
      add_block(cpu, state, cpu.mem.peek(at as Ptr<"pointer">, LOW), reached);
  }
}
/** Adds the block that a word points to, if it is a pointer. */
function add_block(cpu: Cpu, state: State, word: number, reached: Set<Record>): void {
  const { map } = cpu;
  if (word < map.pages || word >= map.pages + map.nrPages * PAGE_SIZE) return;
  const record = block_around(cpu, state, word as Ptr);
  if (record !== NULL && !is_black(cpu, record)) reached.add(record);
}

/**
 * The block that an address lies in. Its page knows where it must begin: a wrong answer, if the page is just changing
 * hands, is no known block.
 */
function block_around(cpu: Cpu, state: State, address: Ptr): Record {
  const { mem } = cpu;
  const start = is_kfence_address(cpu, address) ? kfence_start(cpu, address) : start_of(cpu, address);
  if (start === NULL) return NULL;
  let record = mem.peek(state, bucket_of(cpu, state, start));
  while (record !== NULL && mem.peek(record, POINTER) !== start) record = mem.peek(record, NEXT);
  return record !== NULL && address < start + mem.peek(record, SIZE) ? record : NULL;
}
/** Where an object begins that lies there; NULL: none does. */
function start_of(cpu: Cpu, address: Ptr): Ptr {
  const { mem } = cpu;
  let page = virt_to_page(cpu, address);
  const compound_head = mem.peek(page, COMPOUND_HEAD);
  if (compound_head !== NULL) page = compound_head;
  const type = mem.peek(page, TYPE);
  const base = page_address(cpu, page);
  if (type !== PGTY_slab) return type === PGTY_large_kmalloc ? base : NULL;
  const s = mem.peek(page as Ptr as Ptr<"slab">, SLAB_CACHE);
  const size = mem.peek(s, CACHE_SIZE);
  return (base + Math.floor((address - base) / size) * size + mem.peek(s, RED_LEFT_PAD)) as Ptr;
}
/** The same in the pool of KFENCE, whose objects begin anywhere in their pages. */
function kfence_start(cpu: Cpu, address: Ptr): Ptr {
  const meta = addr_to_metadata(cpu, address);
  return meta === NULL ? NULL : cpu.mem.peek(meta, ADDR);
}

const is_black = (cpu: Cpu, record: Record): boolean => cpu.mem.peek(record, MIN_COUNT) === KMEMLEAK_BLACK;
function leak_of(cpu: Cpu, record: Record): Leak {
  const { mem } = cpu;
  return { pointer: mem.peek(record, POINTER), size: mem.peek(record, SIZE), jiffies: mem.peek(record, CREATED) };
}
