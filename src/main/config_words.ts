/**
 * The words of `--config`, one table: what each sets, what it excludes, which commands have it, and how `--config random`
 * draws it. A word is added by an entry here, a field of globals and its letters in settings.ts. The option itself is in
 * config_option.ts.
 */
import { MAX_NUMNODES } from "../shared/base/limits.ts";
import { SLAB_DEBUG_CACHES_BYTES } from "../shared/layout/globals.ts";
import {
  SLAB_CONSISTENCY_CHECKS,
  SLAB_DEBUG_NO_HIGHER_ORDER,
  SLAB_FAILSLAB,
  SLAB_POISON,
  SLAB_RED_ZONE,
  SLAB_STORE_USER,
  SLAB_TRACE,
} from "../shared/layout/slab_flags.ts";
import { MAX_PARTITIONS } from "../shared/layout/slab.ts";
import { UsageError } from "./errors.ts";
import { type GlobalsWords, probabilityWord, type Settings } from "./settings.ts";
import { parseCount, parseProbability } from "./values.ts";

export type ConfigCommand = "torture" | "explore";
/** A number from 0 to n - 1, from a seed. */
export type Draw = (n: number) => number;

export interface ConfigWordEntry {
  readonly name: string;
  /** Another name. */
  readonly alias?: string;
  /** What stands for the value in the help; absent: the word stands alone. */
  readonly value?: string;
  readonly summary: string;
  /** @throws UsageError  the value means nothing */
  readonly parse: (value: string, command: ConfigCommand) => Settings;
  /** The only command that has it. */
  readonly only?: ConfigCommand;
  /** Words that do not go together with it. */
  readonly excludes?: readonly string[];
  /** The word as `--config random` draws it, if it does; absent: it never draws it. */
  readonly draw?: (draw: Draw) => string;
  /** The word is known, but what it means is not there yet. */
  readonly planned?: true;
}

/** More pages than this for each CPU no machine of a command has. */
const MOST_CACHED = { torture: 100, explore: 16 };
/** Pages that may be kept for emergencies: of the smallest machine, a part. */
const MOST_RESERVED = 128;
const NO_MEMORY = "memless";

function flag(word: keyof GlobalsWords): Pick<ConfigWordEntry, "parse"> {
  return { parse: () => ({ globals: { [word]: 1 } }) };
}
function probability(word: keyof GlobalsWords): Pick<ConfigWordEntry, "parse"> {
  return { parse: (value) => ({ globals: { [word]: probabilityWord(parseProbability(word, value)) } }) };
}
function parseNodes(text: string): Settings {
  const [count, memory, ...rest] = text.split(":");
  if (rest.length > 0 || (memory !== undefined && memory !== NO_MEMORY)) {
    throw new UsageError(`numa must be N or N:${NO_MEMORY}, not '${text}'`);
  }
  const memless = memory !== undefined;
  return { nodes: parseCount("numa", count, memless ? 2 : 1, MAX_NUMNODES), ...(memless && { memless }) };
}

/**
 * The letters of the kernel's slab_debug=, "-" for none; then caches, each behind a colon.
 * @kernel mm/slub.c, parse_slub_debug_flags()
 */
function parseSlabDebug(text: string, command: ConfigCommand): Settings {
  const [letters, ...caches] = text.split(":");
  let flags = 0;
  for (const letter of letters === "" ? [""] : letters.replace(/^-$/, "")) {
    const flag = DEBUG_LETTERS.get(letter);
    if (flag === undefined) {
      throw new UsageError(`debug must be letters of ${[...DEBUG_LETTERS.keys()].join("")}, or -, not '${letters}'`);
    }
    flags |= flag;
  }
  if (caches.some((glob) => !/^[\w*-]+$/.test(glob))) {
    throw new UsageError(`debug=${letters} is for caches by name, with * for anything, not '${caches.join(":")}'`);
  }
  if (caches.join(",").length > SLAB_DEBUG_CACHES_BYTES) {
    throw new UsageError(`debug names too many caches: there is room for ${SLAB_DEBUG_CACHES_BYTES} characters`);
  }
  if (command === "explore") {
    if (caches.length > 0) throw new UsageError("debug of single caches is for torture: explore debugs all or none");
    return { globals: { slab_debug: flags } };
  }
  return { slabDebug: { flags, caches } };
}
function parseFailslab(text: string): Settings {
  const [p, which, ...rest] = text.split(":");
  if (rest.length > 0 || (which !== undefined && which !== "marked")) {
    throw new UsageError(`failslab must be P or P:marked, not '${text}'`);
  }
  const failslab = probabilityWord(parseProbability("failslab", p));
  return { globals: { failslab, ...(which !== undefined && { failslab_marked: 1 }) } };
}

const DEBUG_LETTERS: ReadonlyMap<string, number> = new Map([
  ["F", SLAB_CONSISTENCY_CHECKS],
  ["Z", SLAB_RED_ZONE],
  ["P", SLAB_POISON],
  ["U", SLAB_STORE_USER],
  ["T", SLAB_TRACE],
  ["A", SLAB_FAILSLAB],
  ["O", SLAB_DEBUG_NO_HIGHER_ORDER],
]);

export const CONFIG_WORDS: readonly ConfigWordEntry[] = [
  { name: "tiny", summary: "small capacities", ...flag("tiny"), draw: () => "tiny" },
  {
    name: "quiet-memory",
    summary: "no random delays at accesses",
    parse: () => ({ noise: false }),
    only: "torture",
  },
  {
    name: "spurious",
    value: "P",
    summary: "trylocks that fail",
    ...probability("spurious"),
    draw: (draw) => `spurious=${["0.001", "0.01", "0.1"][draw(3)]}`,
  },
  {
    name: "numa",
    alias: "nodes",
    value: "N",
    summary: `NUMA nodes; N:${NO_MEMORY}: the last one has CPUs, but no memory`,
    parse: parseNodes,
    draw: (draw) => `numa=${["2", "3", "2:memless", "3:memless"][draw(4)]}`,
  },
  {
    name: "no-memoryless",
    summary: "without CONFIG_HAVE_MEMORYLESS_NODES",
    ...flag("no_memoryless"),
    draw: () => "no-memoryless",
  },
  { name: "unbatched", summary: "kfree_rcu() is call_rcu()", ...flag("unbatched"), draw: () => "unbatched" },
  {
    name: "cached",
    value: "N",
    summary: "pages that each CPU keeps for kfree_rcu()",
    parse: (value, command) => ({
      globals: { rcu_min_cached_objs: parseCount("cached", value, 0, MOST_CACHED[command]) },
    }),
    draw: (draw) => `cached=${[0, 1, 20][draw(3)]}`,
  },
  { name: "nohz", summary: "idle CPUs do without ticks", ...flag("nohz"), draw: () => "nohz" },
  { name: "merge", summary: "caches that are alike are merged", ...flag("slab_merge"), draw: () => "merge" },
  { name: "dma", summary: "kmalloc caches for __GFP_DMA", ...flag("zone_dma"), draw: () => "dma" },
  {
    name: "partitions",
    value: "N",
    summary: "copies of the ordinary kmalloc caches",
    parse: (value) => ({ globals: { kmalloc_partitions: parseCount("partitions", value, 0, MAX_PARTITIONS) } }),
    draw: (draw) => `partitions=${[1, 3][draw(2)]}`,
  },
  { name: "buckets", summary: "kmem_buckets_create() makes caches", ...flag("slab_buckets"), draw: () => "buckets" },
  {
    name: "reserve",
    value: "PAGES",
    summary: "pages of each node for __GFP_MEMALLOC alone",
    parse: (value) => ({ globals: { min_free_pages: parseCount("reserve", value, 0, MOST_RESERVED) } }),
    draw: (draw) => `reserve=${[16, 64][draw(2)]}`,
  },
  {
    name: "hardened",
    summary: "links in free objects are encoded",
    ...flag("hardened"),
    draw: () => "hardened",
  },
  {
    name: "shuffle",
    summary: "new slabs are handed out in random order",
    ...flag("shuffle"),
    draw: () => "shuffle",
  },
  {
    name: "nocmpxchg",
    summary: "slabs are updated under slab_lock, so kmalloc_nolock() fails",
    ...flag("nocmpxchg"),
    draw: () => "nocmpxchg",
  },
  {
    name: "lowmem",
    value: "P",
    summary: "allocations of pages that fail",
    ...probability("lowmem"),
    draw: (draw) => `lowmem=${["0.001", "0.01", "0.1"][draw(3)]}`,
  },
  {
    name: "failslab",
    value: "P",
    summary: "objects that kmalloc() refuses; P:marked: only of caches with the letter A of debug=",
    parse: parseFailslab,
    draw: (draw) => `failslab=${["0.001", "0.01", "0.1"][draw(3)]}`,
  },
  {
    name: "debug",
    value: "LETTERS",
    summary:
      "caches are debugged as with slab_debug=: F checks, Z red zones, P poison, U tracks, T trace, A failslab, O less; " +
      "LETTERS:GLOB:GLOB: only caches of such names",
    parse: parseSlabDebug,
    draw: (draw) => `debug=${["F", "FZ", "FZPU", "P:kmalloc-*"][draw(4)]}`,
  },
  { name: "preempt", summary: "several tasks on each CPU", ...flag("preempt"), planned: true },
  { name: "rt", summary: "PREEMPT_RT: most locks sleep", ...flag("rt") },
  {
    name: "migrate",
    summary: "tasks move to other CPUs",
    ...flag("migrate"),
    excludes: ["rt", "preempt"],
    draw: () => "migrate",
  },
  {
    name: "hotplug",
    summary: "CPUs go offline and come back",
    ...flag("hotplug"),
    excludes: ["rt", "preempt"],
    draw: () => "hotplug",
  },
];
