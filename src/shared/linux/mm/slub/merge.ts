/**
 * Merging: a new cache whose objects fit the slots of another one becomes an alias of it. mm/slab_common.c, mm/slub.c;
 * spec slub 1.1, 1.7, 10.2.
 *
 *   not merged          with a constructor, a usercopy region, or a sheaf capacity of its own; with SLAB_NEVER_MERGE;
 *                       refcount -1: the caches of the allocator itself
 *   must be the same    SLAB_MERGE_SAME
 *   must fit            the size, rounded up, within a word of the other's; its slots are aligned as asked for
 *
 * An alias counts in refcount, so the cache lives until the last one is destroyed. It may be longer than what was there:
 * object_size and inuse grow to its size.
 *
 * Context: task, slab_mutex held. Off unless globals.slab_merge: what looks at one cache would see others' objects.
 *
 * Differs: names of aliases lie in a table; when it is full they are forgotten.
 */
import type { Cpu } from "../../../cpu/cpu.ts";
import { Globals } from "../../../layout/globals.ts";
import { KmemCache, MAX_ALIASES, SavedAlias, SlabGlobals } from "../../../layout/slab.ts";
import { SLAB_MERGE_SAME, SLAB_NEVER_MERGE } from "../../../layout/slab_flags.ts";
import { ListHead } from "../../../layout/types.ts";
import type { Memory } from "../../../mem/memory.ts";
import { container_of, embedded, embedded_at, NULL, type Ptr } from "../../../mem/struct.ts";
import { alias_name, set_alias_name } from "./cache_name.ts";
import { kmem_cache_flags } from "./debug_flags.ts";
import { calculate_alignment, type CacheRequest } from "./geometry.ts";

const { slab: SLAB, slab_merge: SLAB_MERGE } = Globals.offset;
const { slab_caches: SLAB_CACHES, aliases: ALIASES } = SlabGlobals.offset;
const {
  flags: FLAGS,
  refcount: REFCOUNT,
  ctor: CTOR,
  usersize: USERSIZE,
  size: SIZE,
  object_size: OBJECT_SIZE,
  inuse: INUSE,
  list: LIST,
} = KmemCache.offset;
const { s: ALIAS_OF } = SavedAlias.offset;
const { prev: PREV } = ListHead.offset;
const WORD = 8;

type Cache = Ptr<"kmem_cache">;
/** A machine, from inside or from outside. */
interface Place {
  readonly mem: Memory;
  readonly globals: Ptr<"globals">;
}

const align_up = (n: number, to: number): number => Math.ceil(n / to) * to;

/** Is this cache for its own users only? No step: what is asked for never changes. @kernel mm/slab_common.c @context Any */
export function slab_unmergeable({ mem, globals }: Place, s: Cache): boolean {
  return (
    mem.peek(globals, SLAB_MERGE) === 0 ||
    (mem.peek(s, FLAGS) & SLAB_NEVER_MERGE) !== 0 ||
    mem.peek(s, CTOR) !== 0 ||
    mem.peek(s, USERSIZE) !== 0 ||
    (mem.peek(s, REFCOUNT) | 0) < 0
  );
}

/** The cache that a new one may be an alias of. @kernel mm/slab_common.c @returns NULL: none. @context slab_mutex held */
export function find_mergeable(cpu: Cpu, name: string, request: CacheRequest): Cache {
  const { mem } = cpu;
  if (mem.peek(cpu.globals, SLAB_MERGE) === 0) return NULL;
  const { object_size, ctor = false, usersize = 0, sheaf_capacity = 0 } = request;
  const flags = kmem_cache_flags(cpu, request.flags, name);
  if (flags & SLAB_NEVER_MERGE || ctor || usersize !== 0 || sheaf_capacity !== 0) return NULL;
  const align = calculate_alignment(flags, request.align ?? 0, align_up(object_size, WORD));
  const size = align_up(align_up(object_size, WORD), align);
  const head = embedded(embedded(cpu.globals, SLAB), SLAB_CACHES);
  // From the oldest one on.
  for (let entry = mem.read(head, PREV); entry !== head; entry = mem.read(entry, PREV)) {
    const s = container_of(entry, LIST);
    if (slab_unmergeable(cpu, s)) continue;
    const slot = mem.read(s, SIZE);
    if (slot < size || slot - size >= WORD || slot % align !== 0) continue;
    if ((mem.read(s, FLAGS) & SLAB_MERGE_SAME) === (flags & SLAB_MERGE_SAME)) return s;
  }
  return NULL;
}

/**
 * __kmem_cache_alias() - make the new cache an alias, if there is one that it may be merged with.
 * @kernel  mm/slub.c
 * @returns that cache, which has one reference more; NULL: there is none.
 * @context Task, slab_mutex held
 */
export function __kmem_cache_alias(cpu: Cpu, name: string, request: CacheRequest): Cache {
  const { mem } = cpu;
  const s = find_mergeable(cpu, name, request);
  if (s === NULL) return NULL;
  const { object_size } = request;
  sysfs_slab_alias(cpu, s, name);
  mem.write(s, REFCOUNT, mem.read(s, REFCOUNT) + 1);
  // Race: others allocate meanwhile, and clear as many bytes as they see here. An object of the new size comes later.
  mem.write(s, OBJECT_SIZE, Math.max(mem.read(s, OBJECT_SIZE), object_size));
  mem.write(s, INUSE, Math.max(mem.read(s, INUSE), align_up(object_size, WORD)));
  return s;
}

const entries = function* (globals: Ptr<"globals">): Generator<Ptr<"saved_alias">> {
  const slab = embedded(globals, SLAB);
  for (let i = 0; i < MAX_ALIASES; i++) yield embedded_at(slab, ALIASES, i, SavedAlias.size);
};
/** Remembers a name: once, for the cache that had it last. @kernel mm/slub.c @context slab_mutex held */
function sysfs_slab_alias(cpu: Cpu, s: Cache, name: string): void {
  const { mem } = cpu;
  let free: Ptr<"saved_alias"> = NULL;
  for (const entry of entries(cpu.globals)) {
    const known = mem.peek(entry, ALIAS_OF) !== NULL && alias_name(cpu, entry) === name;
    if (known || (free === NULL && mem.peek(entry, ALIAS_OF) === NULL)) free = entry;
    if (known) break;
  }
  if (free === NULL) return;
  set_alias_name(mem, free, name);
  mem.poke(free, ALIAS_OF, s);
}
/** Forgets the names of a cache that goes: another one may use their entries from now on. @context Task, slab_mutex held */
export function forget_aliases(cpu: Cpu, s: Cache): void {
  if (cpu.mem.peek(cpu.globals, SLAB_MERGE) === 0) return;
  for (const entry of entries(cpu.globals)) {
    if (cpu.mem.peek(entry, ALIAS_OF) === s) cpu.mem.poke(entry, ALIAS_OF, NULL);
  }
}
/** Names of a cache besides its own: also those of aliases that have been destroyed meanwhile. No step. */
export function aliases_of({ mem, globals }: Place, s: Cache): string[] {
  return [...entries(globals)]
    .filter((entry) => mem.peek(entry, ALIAS_OF) === s)
    .map((entry) => alias_name({ mem }, entry));
}
