/**
 * /proc/slabinfo. mm/slab_common.c, slab_show(), and mm/slub.c, get_slabinfo(); spec slub 10.1.
 *
 * Objects in sheaves, and those that wait for a grace period, count as active: only what is free on a partial list does
 * not. objsize is the distance of two objects, debugging data included.
 */
import { KmemCache, OO_MASK, OO_SHIFT } from "../../shared/layout/slab.ts";
import { cache_name } from "../../shared/linux/mm/slub/cache_name.ts";
import { countFreeApprox, nodeObjects, nodeSlabs, nodesOf } from "./partial.ts";
import { type Cache, cachesOf, readCache, type Seen } from "./seen.ts";

const { size: SIZE, oo: OO } = KmemCache.offset;

/** A line, under the names of its columns. The tunables are all 0, and so is sharedavail. */
export interface SlabinfoLine {
  readonly name: string;
  readonly active_objs: number;
  readonly num_objs: number;
  readonly objsize: number;
  readonly objperslab: number;
  readonly pagesperslab: number;
  readonly active_slabs: number;
  readonly num_slabs: number;
}

/** All caches, the newest first. Of a running machine: racy, as the kernel's numbers are once its locks are dropped. */
export function slabinfo(seen: Seen): readonly SlabinfoLine[] {
  return cachesOf(seen)
    .map((s) => readCache(seen, s, (cache) => lineOf(seen, cache)))
    .filter((line) => line !== undefined);
}

/** The line of one cache. */
export function lineOf(seen: Seen, s: Cache): SlabinfoLine {
  let slabs = 0;
  let objects = 0;
  let free = 0;
  for (const [, n] of nodesOf(seen, s)) {
    slabs += nodeSlabs(seen, n);
    objects += nodeObjects(seen, n);
    free += countFreeApprox(seen, s, n);
  }
  const oo = seen.mem.peek(s, OO);
  return {
    name: cache_name(seen, s),
    active_objs: Math.max(objects - free, 0),
    num_objs: objects,
    objsize: seen.mem.peek(s, SIZE),
    objperslab: oo & OO_MASK,
    pagesperslab: 1 << (oo >> OO_SHIFT),
    active_slabs: slabs,
    num_slabs: slabs,
  };
}

const VERSION = "slabinfo - version: 2.1";
const COLUMNS =
  "# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab>" +
  " : tunables <limit> <batchcount> <sharedfactor>" +
  " : slabdata <active_slabs> <num_slabs> <sharedavail>";

/** The file, line by line. */
export function slabinfoText(lines: readonly SlabinfoLine[]): readonly string[] {
  return [VERSION, COLUMNS, ...lines.map(lineText)];
}
function lineText(line: SlabinfoLine): string {
  const { active_objs, num_objs, objsize, objperslab, pagesperslab, active_slabs, num_slabs } = line;
  const cells = (width: number, ...numbers: readonly number[]): string =>
    numbers.map((n) => ` ${String(n).padStart(width)}`).join("");
  const objects = `${cells(6, active_objs, num_objs, objsize)}${cells(4, objperslab, pagesperslab)}`;
  return `${line.name.padEnd(17)}${objects} : tunables${cells(4, 0, 0, 0)} : slabdata${cells(6, active_slabs, num_slabs, 0)}`;
}
