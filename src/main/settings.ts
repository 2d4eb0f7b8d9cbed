/** What a machine can be told about itself before it boots: words of its globals, its nodes, noise, debugged caches. */

/**
 * Words of globals that say how a machine is configured, each with the letters that stand for it in the explorer's tokens.
 * A word that is left out is 0.
 */
export const GLOBALS_LETTERS = {
  irqwork_mode: "I",
  barrier_order: "B",
  kernel_behaviour: "K",
  spurious: "S",
  tiny: "C",
  nolock_variant: "V",
  unbatched: "U",
  nohz: "Z",
  hooks: "H",
  rcu_min_cached_objs: "P",
  bugs: "BU",
  bugs_high: "BH",
  preempt: "PR",
  rt: "RT",
  migrate: "MI",
  hotplug: "HP",
  hardened: "HA",
  shuffle: "SH",
  nocmpxchg: "NC",
  lowmem: "LM",
  failslab: "FS",
  failslab_marked: "FM",
  no_memoryless: "MN",
  slab_debug: "SD",
  min_free_pages: "MF",
  slab_merge: "ME",
  zone_dma: "ZD",
  kmalloc_partitions: "KP",
  slab_buckets: "SB",
} as const;

/** A word of globals that a configuration writes. */
export type ConfigWord = keyof typeof GLOBALS_LETTERS | "panic_on_warn" | "poison_free";
export type GlobalsWords = Partial<Record<ConfigWord, number>>;

/** Caches that are debugged from boot on: the kernel's `slab_debug=`. */
export interface SlabDebug {
  /** SLAB_* debug flags. */
  readonly flags: number;
  /** Names with `*`; none: all caches. */
  readonly caches: readonly string[];
}

/** What words of --config ask for. */
export interface Settings {
  readonly globals?: GlobalsWords;
  /** NUMA nodes; absent: 1. */
  readonly nodes?: number;
  /** The last node has CPUs and no memory. */
  readonly memless?: boolean;
  /** False: no random spins between accesses. */
  readonly noise?: boolean;
  readonly slabDebug?: SlabDebug;
}

/** A probability as the machine holds it: in units of 2^-32. */
export function probabilityWord(p: number): number {
  return Math.min(Math.round(p * 2 ** 32), 2 ** 32 - 1);
}
