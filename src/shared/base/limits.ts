/** Sizes that bound the machine: what no configuration may exceed, and why. */

/** Bytes in a page. */
export const PAGE_SIZE = 4096;
export const PAGE_SHIFT = 12;
/** CPU masks are one 32-bit word, kept free of the sign bit. */
export const NR_CPUS = 31;
export const MAX_NUMNODES = 4;
/** Bytes in a cache line: what two CPUs write is this far apart. */
export const CACHE_LINE = 64;
/** Ticks per second of machine time. */
export const HZ = 100;
/** Nested contexts on one CPU: task, softirq, hardirq, NMI, and items between operations, with room to notice more. */
export const MAX_CONTEXTS = 12;
/** Locks that one CPU can hold at once, all contexts together. */
export const MAX_HELD_LOCKS = 24;
