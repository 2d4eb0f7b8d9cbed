/**
 * Names of caches. They are packed into struct kmem_cache, so that a report on any thread can read them: Linux keeps
 * a pointer to a string there.
 */
import { CACHE_NAME_BYTES, KmemCache, SavedAlias } from "../../../layout/slab.ts";
import {
  SLAB_ACCOUNT,
  SLAB_CACHE_DMA,
  SLAB_CACHE_DMA32,
  SLAB_CONSISTENCY_CHECKS,
  SLAB_RECLAIM_ACCOUNT,
} from "../../../layout/slab_flags.ts";
import type { Memory } from "../../../mem/memory.ts";
import type { Ptr } from "../../../mem/struct.ts";
import { peek_text, poke_text } from "../../lib/packed_text.ts";

const { name: NAME, flags: FLAGS, size: SIZE } = KmemCache.offset;
const { name: ALIAS_NAME } = SavedAlias.offset;

/** Letters of the flags in a unique id. */
const ID_FLAGS = [
  [SLAB_CACHE_DMA, "d"],
  [SLAB_CACHE_DMA32, "D"],
  [SLAB_RECLAIM_ACCOUNT, "a"],
  [SLAB_CONSISTENCY_CHECKS, "F"],
  [SLAB_ACCOUNT, "A"],
] as const;

/** Writes the first CACHE_NAME_BYTES characters of `name`, ASCII, to a cache that nobody uses yet. */
export function set_cache_name(mem: Memory, s: Ptr<"kmem_cache">, name: string): void {
  poke_text(mem, s, NAME, CACHE_NAME_BYTES, name);
}
/** Name of a cache. No step: also for who looks at a machine from outside, as `cache_name({ mem }, s)`. */
export function cache_name(cpu: { readonly mem: Memory }, s: Ptr<"kmem_cache">): string {
  return peek_text(cpu.mem, s, NAME, CACHE_NAME_BYTES);
}
/** The same for another name of a cache. */
export function set_alias_name(mem: Memory, alias: Ptr<"saved_alias">, name: string): void {
  poke_text(mem, alias, ALIAS_NAME, CACHE_NAME_BYTES, name);
}
export function alias_name(cpu: { readonly mem: Memory }, alias: Ptr<"saved_alias">): string {
  return peek_text(cpu.mem, alias, ALIAS_NAME, CACHE_NAME_BYTES);
}

/**
 * create_unique_id() - what a cache that may be merged is called beside its names: ":A-0000064".
 * @kernel mm/slub.c
 * @context Any. No step.
 */
export function create_unique_id({ mem }: { readonly mem: Memory }, s: Ptr<"kmem_cache">): string {
  const flags = mem.peek(s, FLAGS);
  const letters = ID_FLAGS.flatMap(([flag, letter]) => (flags & flag ? [letter] : [])).join("");
  return `:${letters}${letters === "" ? "" : "-"}${String(mem.peek(s, SIZE)).padStart(7, "0")}`;
}
