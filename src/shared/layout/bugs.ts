/**
 * Known bugs of the kernel, found in review or fixed later, by the number of the specification: what a machine may be given
 * back by `--bug NAME`. Spec slub 12 (B1 to B34), and those of rcu.md that concern code that exists here (B-*).
 *
 * A bug is switched on by words of globals. Most have a bit of their own, BUG_*, which one place of the kernel code asks for
 * (cpu/bugs.ts); some are an order of barriers, a variant or a repair (KB_*) that was there already. The table is in
 * known_bugs.ts.
 */
// Bits of globals.bugs: the number in the list, less one.
export const BUG_MEMORYLESS_BARN = 0;
export const BUG_DEFERRED_SLAB_COUNT = 1;
export const BUG_NOLOCK_RETRY = 2;
export const BUG_RT_NOLOCK_ALLOC = 3;
export const BUG_MEMS_ALLOWED_SEQ = 4;
export const BUG_RANDOM_IN_NMI = 5;
export const BUG_GLOBAL_BARRIER = 7;
export const BUG_BLOCKING_FLUSH = 9;
export const BUG_REFILL_LEAK = 10;
export const BUG_PFMEMALLOC_SHEAF = 11;
export const BUG_REMOTE_SPIN = 12;
export const BUG_STRIDE_LATE = 13;
export const BUG_REFILL_BLOCKING_ONLY = 14;
export const BUG_BARN_NULL = 15;
export const BUG_BULK_LIMIT = 16;
export const BUG_RELOCK_LEAK = 17;
export const BUG_BULK_FREE_LOST = 18;
export const BUG_DOUBLE_BOOTSTRAP = 19;
export const BUG_IRQ_WORK_UAF = 25;
export const BUG_PAGE_CHECK_LOCKS = 26;
export const BUG_UP_TRYLOCK = 27;
export const BUG_LOCKLESS_RETURN = 28;
export const BUG_RT_RCU_SHEAF = 29;
export const BUG_KSWAPD_WAKEUP = 30;
export const BUG_DESTROY_NO_SYNC = 31;
// Bits of globals.bugs_high, from 32 on: those of rcu.md.
export const BUG_BULK_RECURSION = 34;
export const BUG_ROOT_COOKIE = 35;
export const BUG_BATCH_REUSE = 36;

/** Words of globals that a bug sets. Those of several bugs are combined: bits are or'ed. */
export type BugWords = Readonly<
  Partial<Record<"bugs" | "bugs_high" | "kernel_behaviour" | "barrier_order" | "nolock_variant", number>>
>;

export interface KnownBug {
  /** In the specification. */
  readonly number: string;
  readonly name: string;
  /** What was wrong. */
  readonly summary: string;
  /** What is right, and the commit that made it so, if it is known. */
  readonly fix: string;
  /** Switches it on; absent: it cannot be had here. */
  readonly words?: BugWords;
  /** What `sheaf explore` is given to show it, besides `--bug`: a scenario first. */
  readonly explore?: readonly string[];
  /** What `sheaf torture` is given to show it. */
  readonly torture?: readonly string[];
  /** Why neither shows it. */
  readonly hidden?: string;
}

/** A bug with a bit of its own. */
export function bit(bug: number): Pick<KnownBug, "words"> {
  const mask = 2 ** (bug & 31);
  return { words: bug < 32 ? { bugs: mask } : { bugs_high: mask } };
}
/** A repair that is switched off: KB_* bits. */
export function behaviour(bits: number): Pick<KnownBug, "words"> {
  return { words: { kernel_behaviour: bits } };
}
