/**
 * /sys/kernel/slab/<cache>/: the files, and what reading one gives. mm/slub.c, slab_sysfs; spec slub 10.2.
 *
 * Files are read here, from outside, while the machine runs. Writing changes the machine, which only its CPUs may do:
 * a write is a request to them (write.ts).
 *
 * Values are numbers, numbers with a breakdown by node or CPU, or text; a file that is only there to be written has none.
 */
import { CALLBACK_NAMES } from "../../shared/layout/callbacks.ts";
import { Globals } from "../../shared/layout/globals.ts";
import { KmemCache, OO_MASK, OO_SHIFT } from "../../shared/layout/slab.ts";
import { KmemCacheStats, STAT_NAMES } from "../../shared/layout/slab_stat.ts";
import {
  SLAB_CACHE_DMA,
  SLAB_CONSISTENCY_CHECKS,
  SLAB_FAILSLAB,
  SLAB_HWCACHE_ALIGN,
  SLAB_POISON,
  SLAB_RECLAIM_ACCOUNT,
  SLAB_RED_ZONE,
  SLAB_SKIP_KFENCE,
  SLAB_STORE_USER,
  SLAB_TRACE,
  SLAB_TYPESAFE_BY_RCU,
} from "../../shared/layout/slab_flags.ts";
import { element, type Field, NULL, type Ptr } from "../../shared/mem/struct.ts";
import { countFree, countInuse, nodeObjects, nodePartial, nodeSlabs, nodesOf } from "./partial.ts";
import { type Cache, isAddress, type Seen } from "./seen.ts";

const K = KmemCache.offset;
const { counts: COUNTS } = KmemCacheStats.offset;
const { online: ONLINE } = Globals.offset;

/** A number that is a sum, and its parts that are not 0: "N" by node, "C" by CPU. */
interface Sum {
  readonly total: number;
  readonly by: "N" | "C";
  readonly parts: readonly (readonly [id: number, n: number])[];
}
export type Value = number | string | Sum | undefined;

type Show = (seen: Seen, s: Cache) => Value;

const field =
  (f: Field<"kmem_cache">): Show =>
  ({ mem }, s) =>
    mem.peek(s, f) >>> 0;
const flag =
  (bits: number): Show =>
  ({ mem }, s) =>
    (mem.peek(s, K.flags) & bits) === 0 ? 0 : 1;
const constant =
  (value: Value): Show =>
  () =>
    value;
/** Linux leaves out nodes and CPUs of which there is nothing to say. */
function sumOf(by: Sum["by"], parts: Sum["parts"]): Sum {
  return { by, total: parts.reduce((sum, [, n]) => sum + n, 0), parts: parts.filter(([, n]) => n !== 0) };
}
/** @kernel mm/slub.c, show_slab_objects() */
const byNode =
  (count: (seen: Seen, s: Cache, n: Ptr<"kmem_cache_node">) => number): Show =>
  (seen, s) =>
    sumOf(
      "N",
      nodesOf(seen, s).map(([node, n]) => [node, count(seen, s, n)] as const),
    );

/** CPUs that are up. */
function onlineCpus({ mem, map }: Seen): readonly number[] {
  const online = mem.peek(map.globals, ONLINE);
  return Array.from({ length: map.shape.cpus }, (_, id) => id).filter((id) => (online & (1 << id)) !== 0);
}
/** @kernel mm/slub.c, show_stat() */
const statistic =
  (item: number): Show =>
  (seen, s) => {
    const stats = seen.mem.peek(s, K.cpu_stats);
    if (stats === NULL || !isAddress(seen, stats)) return 0;
    const count = (id: number): number => {
      const own = (stats + id * KmemCacheStats.size) as typeof stats;
      return seen.mem.peek(own, element(COUNTS, item)) >>> 0;
    };
    return sumOf(
      "C",
      onlineCpus(seen).map((id) => [id, count(id)] as const),
    );
  };
const STATISTICS: Readonly<Record<string, Show>> = Object.fromEntries(
  STAT_NAMES.map((name, item) => [name.toLowerCase(), statistic(item)]),
);

const FILES: Readonly<Record<string, Show>> = {
  slab_size: field(K.size),
  object_size: field(K.object_size),
  objs_per_slab: ({ mem }, s) => mem.peek(s, K.oo) & OO_MASK,
  order: ({ mem }, s) => mem.peek(s, K.oo) >> OO_SHIFT,
  sheaf_capacity: field(K.sheaf_capacity),
  min_partial: field(K.min_partial),
  cpu_partial: constant(0),
  cpu_slabs: constant(0),
  slabs_cpu_partial: constant("0(0)"),
  partial: byNode((seen, _s, n) => nodePartial(seen, n)),
  objects_partial: byNode(countInuse),
  slabs: byNode((seen, _s, n) => nodeSlabs(seen, n)),
  total_objects: byNode((seen, _s, n) => nodeObjects(seen, n)),
  objects: byNode((seen, s, n) => Math.max(nodeObjects(seen, n) - countFree(seen, s, n), 0)),
  aliases: ({ mem }, s) => Math.max(mem.peek(s, K.refcount) - 1, 0),
  ctor: ({ mem }, s) => {
    const ctor = mem.peek(s, K.ctor);
    return ctor === 0 ? undefined : (CALLBACK_NAMES[ctor] ?? `callback ${ctor}`);
  },
  align: field(K.align),
  usersize: field(K.usersize),
  hwcache_align: flag(SLAB_HWCACHE_ALIGN),
  reclaim_account: flag(SLAB_RECLAIM_ACCOUNT),
  destroy_by_rcu: flag(SLAB_TYPESAFE_BY_RCU),
  cache_dma: flag(SLAB_CACHE_DMA),
  sanity_checks: flag(SLAB_CONSISTENCY_CHECKS),
  trace: flag(SLAB_TRACE),
  red_zone: flag(SLAB_RED_ZONE),
  poison: flag(SLAB_POISON),
  store_user: flag(SLAB_STORE_USER),
  validate: constant(undefined),
  shrink: constant(undefined),
  skip_kfence: flag(SLAB_SKIP_KFENCE),
  failslab: flag(SLAB_FAILSLAB),
  remote_node_defrag_ratio: ({ mem }, s) => Math.floor(mem.peek(s, K.remote_node_defrag_ratio) / 10),
  ...STATISTICS,
};

/** Names of the files, as `ls` lists them. */
export const ATTRIBUTE_NAMES: readonly string[] = Object.keys(FILES).toSorted();

/** What is in a file of a cache. @param name  one of ATTRIBUTE_NAMES */
export function readAttribute(seen: Seen, s: Cache, name: string): Value {
  return FILES[name](seen, s);
}

/** The file's line, without its end; "" if it is empty. */
export function valueText(value: Value): string {
  if (value === undefined) return "";
  if (typeof value !== "object") return String(value);
  return [String(value.total), ...value.parts.map(([id, n]) => `${value.by}${id}=${n}`)].join(" ");
}
/** The same for JSON: {total, nodes or cpus: {"0": n}} for what has parts. */
export function valueJson(value: Value): unknown {
  if (value === undefined) return null;
  if (typeof value !== "object") return value;
  return { total: value.total, [value.by === "N" ? "nodes" : "cpus"]: Object.fromEntries(value.parts) };
}
