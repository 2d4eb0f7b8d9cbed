/** What several benches ask about: patterns of allocation with objects of one size, and native allocators. */
import { type Contender, native } from "./subjects/contenders.ts";

export interface Pattern {
  readonly workload: string;
  readonly parameters: Readonly<Record<string, number>>;
}

export const OBJECT_BYTES = 64;
export const PAIR: Pattern = { workload: "pair", parameters: { size: OBJECT_BYTES } };
const BATCH: Pattern = { workload: "batch", parameters: { size: OBJECT_BYTES, count: 100 } };
export const RANDOM: Pattern = { workload: "random", parameters: { size: OBJECT_BYTES, live: 10_000 } };
export const SIZE_PATTERNS: readonly Pattern[] = [PAIR, BATCH, RANDOM];

export const NATIVE_ALLOCATORS: readonly Contender[] = [native("mimalloc"), native("jemalloc"), native("glibc")];
