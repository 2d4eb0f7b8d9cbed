/**
 * The caches of a machine as somebody sees them who holds no lock: a report, while the machine runs. Peeks only.
 *
 * Linux walks slab_caches under slab_mutex. The host is no CPU and can take no lock, so it looks at each link from both
 * sides and begins again when the two disagree: then the list was being changed. A cache may still go away while it is
 * read; readCache() notices that.
 */
import type { MachineMap } from "../../shared/layout/map.ts";
import { Globals } from "../../shared/layout/globals.ts";
import { KMEM_CACHE_ALIVE, KmemCache, SlabGlobals } from "../../shared/layout/slab.ts";
import { ListHead } from "../../shared/layout/types.ts";
import { cache_name } from "../../shared/linux/mm/slub/cache_name.ts";
import type { Memory } from "../../shared/mem/memory.ts";
import { container_of, embedded, type Ptr } from "../../shared/mem/struct.ts";

const { slab: SLAB } = Globals.offset;
const { slab_caches: SLAB_CACHES } = SlabGlobals.offset;
const { list: LIST, alive: ALIVE } = KmemCache.offset;
const { next: NEXT, prev: PREV } = ListHead.offset;

export type Cache = Ptr<"kmem_cache">;

/** What is looked at: a Machine, or a Cpu in a test. */
export interface Seen {
  readonly mem: Memory;
  readonly map: MachineMap;
}

/** A list that is being changed is given up, and begun again, so often. */
export const ATTEMPTS = 16;
/** More than any machine has. */
const MAX_CACHES = 10_000;

/** Can a struct of the kernel lie at this address? What a racy read returns may be anything. */
export function isAddress({ map }: Seen, address: number): boolean {
  return address >= map.globals && address < map.shape.bytes && (address & 3) === 0;
}

/** All caches, the newest first, as in /proc/slabinfo. Of a list that never holds still: those before the break. */
export function cachesOf(seen: Seen): readonly Cache[] {
  let caches: Cache[] = [];
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    caches = [];
    if (collect(seen, caches)) break;
  }
  return caches;
}
/** @returns false: the list was being changed. */
function collect(seen: Seen, caches: Cache[]): boolean {
  const { mem, map } = seen;
  const head = embedded(embedded(map.globals, SLAB), SLAB_CACHES);
  let last = head;
  for (;;) {
    const entry = mem.peek(last, NEXT);
    if (!isAddress(seen, entry) || mem.peek(entry, PREV) !== last) return false;
    if (entry === head) return true;
    const s = container_of(entry, LIST);
    if (!isAlive(seen, s) || caches.length === MAX_CACHES) return false;
    caches.push(s);
    last = entry;
  }
}
function isAlive({ mem }: Seen, s: Cache): boolean {
  return mem.peek(s, ALIVE) === KMEM_CACHE_ALIVE; // On the list it always is.
}

/** What `read` finds out about a cache; undefined: the cache has gone away meanwhile. */
export function readCache<T>(seen: Seen, s: Cache, read: (s: Cache) => T): T | undefined {
  const name = cache_name(seen, s);
  const value = read(s);
  return isAlive(seen, s) && cache_name(seen, s) === name ? value : undefined;
}
