/**
 * debugfs slab/<cache>/alloc_traces and free_traces: who allocated the objects that are in use, and who freed them when
 * they were free last. Only of caches that keep tracks (SLAB_STORE_USER). mm/slub.c, slab_debug_trace_open() and
 * slab_debugfs_show(); spec slub 10.3.
 *
 * Linux walks the lists of slabs under list_lock. The host takes no lock, but can look at all pages instead: which are
 * slabs of the cache. What is free it finds by the links, as far as they make sense; a track that is just being
 * written may tell half of each.
 */
import { Cpu } from "../../shared/cpu/cpu.ts";
import { Globals } from "../../shared/layout/globals.ts";
import { Page, PGTY_slab } from "../../shared/layout/page.ts";
import { Slab, TRACK_ALLOC, TRACK_FREE } from "../../shared/layout/slab.ts";
import { SLAB_STORE_USER } from "../../shared/layout/slab_flags.ts";
import { get_orig_size } from "../../shared/linux/mm/slub/orig_size.ts";
import { index_to_obj, slab_address } from "../../shared/linux/mm/slub/slab.ts";
import { get_freepointer, slab_word, word_freelist, word_inuse } from "../../shared/linux/mm/slub/slab_word.ts";
import { is_valid_pointer, peek_slot, type Slot, slub_debug_orig_size } from "../../shared/linux/mm/slub/slot.ts";
import { read_track } from "../../shared/linux/mm/slub/track.ts";
import { NULL_ORACLE } from "../../shared/mem/oracle.ts";
import { NULL, type Ptr } from "../../shared/mem/struct.ts";
import { ATTEMPTS, type Cache, type Seen } from "./seen.ts";
import type { TraceName } from "./trace_names.ts";

const { type: TYPE, slab_cache: SLAB_CACHE, objects: OBJECTS, node: NODE } = Slab.offset;
const { jiffies: JIFFIES, online: ONLINE } = Globals.offset;

/** struct location: objects of one call site. */
export interface Location {
  readonly symbol: string;
  readonly stack: readonly string[];
  /** Bytes of each object that nobody asked for. */
  readonly waste: number;
  count: number;
  /** Jiffies since then. */
  minAge: number;
  maxAge: number;
  sumAge: number;
  minPid: number;
  maxPid: number;
  readonly cpus: Set<number>;
  readonly nodes: Set<number>;
}

/** Call sites, those of the most objects first; undefined: the cache keeps no tracks. */
export function traces(seen: Seen, s: Cache, name: TraceName): readonly Location[] | undefined {
  const cpu = new Cpu(seen.mem, seen.map, 0, 0, NULL_ORACLE); // Reads, and nothing else.
  const slot = peek_slot(seen.mem, s);
  if ((slot.flags & SLAB_STORE_USER) === 0) return undefined;
  const locations = new Map<string, Location>();
  for (const slab of slabsOf(seen, s)) {
    for (const object of usedObjects(cpu, slot, slab)) addLocation(cpu, slot, slab, object, name, locations);
  }
  return [...locations.values()].toSorted((a, b) => b.count - a.count);
}

function* slabsOf({ mem, map }: Seen, s: Cache): Generator<Ptr<"slab">> {
  for (let pfn = 0; pfn < map.nrPages; pfn++) {
    const slab = (map.memMap + pfn * Page.size) as Ptr<"slab">;
    if (mem.peek(slab, TYPE) === PGTY_slab && mem.peek(slab, SLAB_CACHE) === s) yield slab;
  }
}
function* usedObjects(cpu: Cpu, slot: Slot, slab: Ptr<"slab">): Generator<Ptr<"object">> {
  const objects = cpu.mem.peek(slab, OBJECTS);
  let free = freeObjects(cpu, slot, slab, objects);
  for (let attempt = 1; attempt < ATTEMPTS && free.size !== freeCount(cpu, slab, objects); attempt++) {
    free = freeObjects(cpu, slot, slab, objects); // The list was being changed.
  }
  for (let i = 0; i < objects; i++) {
    const each = index_to_obj(cpu, slot.s, slab, i);
    if (!free.has(each)) yield each;
  }
}

function freeCount(cpu: Cpu, slab: Ptr<"slab">, objects: number): number {
  return objects - word_inuse(slab_word(cpu, slab));
}
/** @kernel mm/slub.c, __fill_map() */
function freeObjects(cpu: Cpu, slot: Slot, slab: Ptr<"slab">, objects: number): ReadonlySet<number> {
  const base = slab_address(cpu, slab);
  const free = new Set<number>();
  let object = word_freelist(cpu, slot.s, slab, slab_word(cpu, slab));
  while (object !== NULL && is_valid_pointer(slot, base, objects, object) && !free.has(object)) {
    free.add(object);
    object = get_freepointer(cpu, slot.s, object);
  }
  return free;
}

/** @kernel mm/slub.c, add_location() */
function addLocation(
  cpu: Cpu,
  slot: Slot,
  slab: Ptr<"slab">,
  object: Ptr,
  name: TraceName,
  locations: Map<string, Location>,
): void {
  const alloc = name === "alloc_traces";
  const track = read_track(cpu, slot, object, alloc ? TRACK_ALLOC : TRACK_FREE);
  const asked = alloc && slub_debug_orig_size(slot) ? get_orig_size(cpu, slot, object) : slot.object_size;
  const waste = Math.max(slot.object_size - asked, 0);
  const age = track === undefined ? 0 : Math.max((cpu.mem.peek(cpu.globals, JIFFIES) - track.when) | 0, 0);
  const symbol = track?.caller ?? NOT_AVAILABLE;
  const stack = track?.stack ?? [];
  const pid = track?.pid ?? 0;
  const key = [symbol, waste, ...stack].join("\n");
  let location = locations.get(key);
  if (location === undefined) {
    const first = { count: 0, minAge: age, maxAge: age, sumAge: 0, minPid: pid, maxPid: pid };
    location = { symbol, stack, waste, ...first, cpus: new Set(), nodes: new Set() };
    locations.set(key, location);
  }
  location.count++;
  location.minAge = Math.min(location.minAge, age);
  location.maxAge = Math.max(location.maxAge, age);
  location.sumAge += age;
  location.minPid = Math.min(location.minPid, pid);
  location.maxPid = Math.max(location.maxPid, pid);
  if (track !== undefined) location.cpus.add(track.cpu);
  location.nodes.add(cpu.mem.peek(slab, NODE));
}

const NOT_AVAILABLE = "<not-available>";
const INDENT = " ".repeat(8);

/** The file, line by line. */
export function tracesText({ mem, map }: Seen, locations: readonly Location[]): readonly string[] {
  if (locations.length === 0) return ["No data"];
  const online = mem.peek(map.globals, ONLINE);
  const manyCpus = (online & (online - 1)) !== 0;
  return locations.flatMap((location) => {
    const { count, symbol, waste, minAge, maxAge, sumAge, minPid, maxPid, cpus, nodes, stack } = location;
    const mean = Math.floor(sumAge / count);
    const line = [
      `${String(count).padStart(7)} ${symbol}`,
      ...(waste === 0 ? [] : [`waste=${count * waste}/${waste}`]),
      minAge === maxAge ? `age=${minAge}` : `age=${minAge}/${mean}/${maxAge}`,
      minPid === maxPid ? `pid=${minPid}` : `pid=${minPid}-${maxPid}`,
      ...(manyCpus && cpus.size > 0 ? [`cpus=${rangesOf(cpus)}`] : []),
      ...(map.shape.nodes > 1 ? [`nodes=${rangesOf(nodes)}`] : []),
    ].join(" ");
    return [line, ...stack.map((frame) => `${INDENT}${frame}`), ""];
  });
}
/** "0-2,5", as the kernel prints masks. */
function rangesOf(numbers: ReadonlySet<number>): string {
  const ranges: [first: number, last: number][] = [];
  for (const n of [...numbers].toSorted((a, b) => a - b)) {
    const range = ranges[ranges.length - 1] as [number, number] | undefined;
    if (range !== undefined && range[1] === n - 1) range[1] = n;
    else ranges.push([n, n]);
  }
  return ranges.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(",");
}
/** The same for JSON. */
export function tracesJson(locations: readonly Location[]): unknown {
  return locations.map(({ cpus, nodes, ...rest }) => ({ ...rest, cpus: [...cpus], nodes: [...nodes] }));
}
