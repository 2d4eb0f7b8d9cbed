/**
 * /sys/kernel/slab: a directory for each cache. One that may be merged is called by what it is, and its own name and those
 * of its aliases are links to that. mm/slub.c, sysfs_slab_add() and sysfs_slab_alias(); spec slub 10.2.
 */
import { cache_name, create_unique_id } from "../../shared/linux/mm/slub/cache_name.ts";
import { aliases_of, slab_unmergeable } from "../../shared/linux/mm/slub/merge.ts";
import { type Cache, cachesOf, readCache, type Seen } from "./seen.ts";

export interface Entry {
  readonly name: string;
  readonly cache: Cache;
  /** Name of the directory that it leads to; undefined: it is one. */
  readonly link: string | undefined;
}

/** All entries by name. Names need not be different: caches of one name get one each. */
export function entriesOf(seen: Seen): readonly Entry[] {
  return cachesOf(seen)
    .flatMap((s) => readCache(seen, s, (cache) => entriesOfCache(seen, cache)) ?? [])
    .toSorted((a, b) => (a.name < b.name ? -1 : Number(a.name > b.name)));
}
function entriesOfCache(seen: Seen, cache: Cache): Entry[] {
  const place = { mem: seen.mem, globals: seen.map.globals };
  const name = cache_name(seen, cache);
  if (slab_unmergeable(place, cache)) return [{ name, cache, link: undefined }];
  const id = create_unique_id(seen, cache);
  const links = [...new Set([name, ...aliases_of(place, cache)])];
  return [{ name: id, cache, link: undefined }, ...links.map((each) => ({ name: each, cache, link: id }))];
}
