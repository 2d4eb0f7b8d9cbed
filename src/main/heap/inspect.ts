/** What is in a heap: statistics, leaks by call site, and a check of every structure. */
import { PAGE_SIZE } from "../../shared/base/limits.ts";
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { CB } from "../../shared/layout/callbacks.ts";
import { Globals } from "../../shared/layout/globals.ts";
import { Page, PGTY_large_kmalloc, PGTY_slab } from "../../shared/layout/page.ts";
import { RcuData, RcuSegcblist, RcuState } from "../../shared/layout/rcu.ts";
import { SlabSheaf, SlubPercpuSheaves } from "../../shared/layout/slab.ts";
import { RcuHead } from "../../shared/layout/types.ts";
import { VmapArea } from "../../shared/layout/vmalloc.ts";
import { check_page_allocator } from "../../shared/linux/mm/page_alloc/check.ts";
import { nr_free_pages } from "../../shared/linux/mm/page_alloc/page_alloc.ts";
import { page_address, pfn_to_page } from "../../shared/linux/mm/page_alloc/zone.ts";
import { cache_name } from "../../shared/linux/mm/slub/cache_name.ts";
import { caches_of, is_object_of_cache } from "../../shared/linux/mm/slub/check.ts";
import { type CacheCensus, take_census } from "../../shared/linux/mm/slub/check_sheaves.ts";
import { this_cpu_sheaves } from "../../shared/linux/mm/slub/pcs.ts";
import { this_rcu_data } from "../../shared/linux/rcu/rcu_node.ts";
import { container_of, embedded, NULL, type Ptr } from "../../shared/mem/struct.ts";
import { type Attachment, isLive } from "./attachment.ts";
import { HeapUsageError } from "./errors.ts";
import { GRANULE_SHIFT, HeapSlot, LARGE } from "./layout.ts";
import { magazine_objects } from "./magazines.ts";
import { READER_INSIDE } from "./readers.ts";

const { rcu_state: RCU_STATE } = Globals.offset;
const { type: TYPE, order: ORDER } = Page.offset;
const { n_gps: N_GPS } = RcuState.offset;
const { cblist: CBLIST } = RcuData.offset;
const { head: CB_HEAD } = RcuSegcblist.offset;
const { next: CB_NEXT, func: CB_FUNC } = RcuHead.offset;
const { rcu_head: SHEAF_HEAD, size: SHEAF_SIZE } = SlabSheaf.offset;
const { rcu_free: RCU_FREE } = SlubPercpuSheaves.offset;
const { va_start: VA_START, va_end: VA_END } = VmapArea.offset;
const { thread: THREAD, reader: READER } = HeapSlot.offset;

export interface HeapStats {
  /** What was asked for, and what of it lies in free pages. */
  readonly bytes: number;
  readonly freeBytes: number;
  /** Objects that are allocated, and the bytes that their users may use. */
  readonly objects: number;
  readonly objectBytes: number;
  /** Retired objects whose readers have not all left, or that nobody has looked after yet. */
  readonly retired: number;
  readonly gracePeriods: number;
  /** Threads that are attached, worker_threads' threadId, and whether they are in a read section. */
  readonly threads: readonly { readonly slot: number; readonly thread: number; readonly reading: boolean }[];
}
export interface HeapLeak {
  /** "function (file:line:column)" */
  readonly site: string;
  readonly objects: number;
  readonly bytes: number;
}

export function heapStats(at: Attachment): HeapStats {
  const { calls, map } = at;
  const { mem } = calls;
  const cpu = calls.cpus[at.slot];
  let objects = 0;
  let objectBytes = 0;
  for (const { bytes } of liveObjects(at)) {
    objects++;
    objectBytes += bytes;
  }
  let retired = 0;
  const threads: { slot: number; thread: number; reading: boolean }[] = [];
  for (let slot = 0; slot < map.slots; slot++) {
    retired += calls.run(slot, (owned) => retiredObjects(owned, at));
    const thread = mem.read_once(map.slot(slot), THREAD) - 1;
    const reading = (mem.read_once(map.slot(slot), READER) & READER_INSIDE) !== 0;
    if (thread >= 0) threads.push({ slot, thread, reading });
  }
  return {
    bytes: at.descriptor.bytes,
    freeBytes: nr_free_pages(cpu) * PAGE_SIZE,
    objects,
    objectBytes,
    retired,
    gracePeriods: mem.peek(embedded(cpu.globals, RCU_STATE), N_GPS),
    threads,
  };
}
/** Objects that wait for a grace period on this CPU. */
function retiredObjects(cpu: Cpu, { classes }: Attachment): number {
  const { mem } = cpu;
  let count = 0;
  for (const c of classes.all()) {
    const rcu_free = mem.peek(this_cpu_sheaves(cpu, classes.get(c).cache), RCU_FREE);
    if (rcu_free !== NULL) count += mem.peek(rcu_free, SHEAF_SIZE);
  }
  const first = mem.peek(embedded(this_rcu_data(cpu), CBLIST), CB_HEAD);
  for (let head = first; head !== NULL; head = mem.peek(head, CB_NEXT)) {
    const func = mem.peek(head, CB_FUNC);
    if (func === CB.heap_retired) count++;
    else if (func === CB.rcu_free_sheaf || func === CB.rcu_free_sheaf_nobarn) {
      count += mem.peek(container_of(head, SHEAF_HEAD), SHEAF_SIZE);
    }
  }
  return count;
}

export function heapLeaks(at: Attachment): HeapLeak[] {
  const { sites } = at;
  if (sites === undefined) throw new HeapUsageError("leaks(): only of a heap that was created with debug: true");
  const bySite = new Map<string, { site: string; objects: number; bytes: number }>();
  for (const { object, bytes } of liveObjects(at)) {
    const site = sites.of(object);
    const leak = bySite.get(site) ?? { site, objects: 0, bytes: 0 };
    leak.objects++;
    leak.bytes += bytes;
    bySite.set(site, leak);
  }
  return [...bySite.values()].toSorted((a, b) => b.bytes - a.bytes);
}

/**
 * While nobody is inside the kernel; the fast paths of other threads go on. They only change tags of objects that the
 * kernel counts as used, and magazines, of which none but our own is looked at.
 */
export function heapCheck(at: Attachment): string[] {
  return at.calls.stopped(() => checkStopped(at));
}
function checkStopped(at: Attachment): string[] {
  const { calls, map } = at;
  const cpu = calls.cpus[at.slot];
  const problems = check_page_allocator(cpu);
  const censuses = new Map<Ptr<"kmem_cache">, CacheCensus>();
  for (const s of caches_of(cpu)) {
    const census = take_census(cpu, s);
    censuses.set(s, census);
    problems.push(...census.problems.map((problem) => `cache ${cache_name(cpu, s)}: ${problem}`));
  }
  for (const { object, tag } of liveObjects(at)) {
    const problem = tag === LARGE ? undefined : problemOfObject(at, cpu, censuses, object, tag);
    if (problem !== undefined) problems.push(`0x${object.toString(16)}, allocated: ${problem}`);
  }
  for (const c of at.classes.all()) {
    for (const object of magazine_objects(cpu.mem, map.magazine(at.slot, c))) {
      const problem = problemOfObject(at, cpu, censuses, object, c);
      if (problem !== undefined) problems.push(`0x${object.toString(16)}, in a magazine: ${problem}`);
    }
  }
  return problems;
}
/** An object that is not the kernel's now: it lies in a slab of its class, and the kernel agrees. */
function problemOfObject(
  { classes }: Attachment,
  cpu: Cpu,
  censuses: ReadonlyMap<Ptr<"kmem_cache">, CacheCensus>,
  object: number,
  c: number,
): string | undefined {
  const { cache } = classes.get(c);
  if (!is_object_of_cache(cpu, cache, object as Ptr)) return `no object of ${cache_name(cpu, cache)}`;
  if (censuses.get(cache)?.free.has(object as Ptr) === true) return "but on the freelist of its slab";
  if (censuses.get(cache)?.cached.has(object as Ptr) === true) return "but in a sheaf";
  return undefined;
}

interface LiveObject {
  readonly object: number;
  readonly tag: number;
  /** That its user may use. */
  readonly bytes: number;
}
/**
 * What is allocated. Race: while others allocate and free, it is what was found in passing. So each tag is read once, and
 * nobody is asked about an object by its address: it may be gone.
 */
function* liveObjects(at: Attachment): Generator<LiveObject> {
  const cpu = at.calls.cpus[at.slot];
  const { machine } = at.map;
  for (let pfn = 0; pfn < machine.nrPages; pfn++) {
    const page = pfn_to_page(cpu, pfn);
    const type = cpu.mem.peek(page, TYPE);
    const start = page_address(cpu, page);
    const bytes = PAGE_SIZE << cpu.mem.peek(page, ORDER);
    if (type === PGTY_large_kmalloc) yield* liveIn(at, start, start + 1, bytes);
    else if (type === PGTY_slab) yield* liveIn(at, start, start + bytes, bytes);
  }
  for (let i = 0; i < machine.nrVmallocPages; i++) {
    const area = (machine.vmapAreas + i * VmapArea.size) as Ptr<"vmap_area">;
    const start = cpu.mem.peek(area, VA_START);
    const bytes = cpu.mem.peek(area, VA_END) - PAGE_SIZE - start; // Without the guard page.
    if (start !== 0 && bytes > 0) yield* liveIn(at, start, start + 1, bytes);
  }
}
/** @param blockBytes  of an object that is a whole block */
function* liveIn({ tags, classes }: Attachment, start: number, end: number, blockBytes: number): Generator<LiveObject> {
  for (let i = start >> GRANULE_SHIFT; i << GRANULE_SHIFT < end; i++) {
    const tag = tags[i];
    if (!isLive(tag)) continue;
    yield { object: i << GRANULE_SHIFT, tag, bytes: tag === LARGE ? blockBytes : classes.get(tag).bytes };
  }
}
