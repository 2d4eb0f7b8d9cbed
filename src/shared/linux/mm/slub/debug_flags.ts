/**
 * Which caches are debugged, and how: the flags that a cache is created with, and those that `slab_debug=` adds at boot.
 * mm/slub.c; spec slub 1.1, 10.4.
 *
 * globals.slab_debug has the letters as flags, globals.slab_debug_caches the names that they are for; both are written
 * before boot (main/slab_debug.ts). Context: any.
 */
import type { Cpu } from "../../../cpu/cpu.ts";
import { Globals, SLAB_DEBUG_CACHES_BYTES } from "../../../layout/globals.ts";
import { KmemCache } from "../../../layout/slab.ts";
import {
  DEBUG_METADATA_FLAGS,
  SLAB_DEBUG_FLAGS,
  SLAB_DEBUG_NO_HIGHER_ORDER,
  SLAB_NO_USER_FLAGS,
  SLAB_NOLEAKTRACE,
  SLAB_STORE_USER,
} from "../../../layout/slab_flags.ts";
import { element, type Ptr } from "../../../mem/struct.ts";
import { get_order } from "../page_alloc/zone.ts";

const { slab_debug: SLAB_DEBUG, slab_debug_caches: CACHES, slub_debug_enabled: ENABLED } = Globals.offset;
const { flags: FLAGS } = KmemCache.offset;

/** Flags of a new cache: those asked for, and those that slab_debug= adds to a cache of this name. @kernel mm/slub.c */
export function kmem_cache_flags(cpu: Cpu, flags: number, name: string): number {
  const debug = cpu.mem.peek(cpu.globals, SLAB_DEBUG) & ~SLAB_DEBUG_NO_HIGHER_ORDER;
  if (debug === 0 || flags & SLAB_NO_USER_FLAGS) return flags;
  const globs = slab_debug_globs(cpu);
  if (globs.length > 0) return globs.some((glob) => matches(glob, name)) ? flags | debug : flags;
  // Caches of debugging facilities keep no tracks unless they are named.
  return flags | (flags & SLAB_NOLEAKTRACE ? debug & ~SLAB_STORE_USER : debug);
}
function slab_debug_globs(cpu: Cpu): string[] {
  let text = "";
  for (let i = 0; i < SLAB_DEBUG_CACHES_BYTES; i++) {
    const code = (cpu.mem.peek(cpu.globals, element(CACHES, i >> 2)) >>> (8 * (i & 3))) & 0xff;
    if (code === 0) break;
    text += String.fromCharCode(code);
  }
  return text.split(",").filter((glob) => glob !== "");
}
/** Does a name match a glob? `*` stands for anything. */
function matches(glob: string, name: string): boolean {
  const [first = "", ...rest] = glob.split("*");
  const last = rest.pop();
  if (last === undefined) return name === first;
  if (!name.startsWith(first)) return false;
  let at = first.length;
  for (const part of rest) {
    const found = name.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return name.length - last.length >= at && name.endsWith(last);
}

/**
 * Flags of a cache whose debug metadata would need a larger block of pages than its objects do: without the metadata if
 * slab_debug= has the letter O.
 * @kernel mm/slub.c, disable_higher_order_debug
 */
export function without_higher_order(cpu: Cpu, flags: number, object_size: number, size: number): number {
  const disable = (cpu.mem.peek(cpu.globals, SLAB_DEBUG) & SLAB_DEBUG_NO_HIGHER_ORDER) !== 0;
  return disable && get_order(size) > get_order(object_size) ? flags & ~DEBUG_METADATA_FLAGS : flags;
}

/** The first cache that is debugged turns the tests below on. @kernel mm/slub.c, slub_debug_enabled @context Any */
export function enable_slub_debug(cpu: Cpu, flags: number): void {
  if (flags & SLAB_DEBUG_FLAGS) cpu.mem.poke(cpu.globals, ENABLED, 1);
}
/**
 * Has the cache any of these debug flags? A machine that debugs no cache is not asked for more: it takes no step here.
 * @kernel mm/slub.c
 * @context Any
 */
export function kmem_cache_debug_flags(cpu: Cpu, s: Ptr<"kmem_cache">, flags: number): boolean {
  return cpu.mem.static_key(cpu.globals, ENABLED) && (cpu.mem.read(s, FLAGS) & flags) !== 0;
}
/** Is it debugged at all? Then it has no sheaves, and works under list_lock alone. @kernel mm/slub.c @context Any */
export function kmem_cache_debug(cpu: Cpu, s: Ptr<"kmem_cache">): boolean {
  return kmem_cache_debug_flags(cpu, s, SLAB_DEBUG_FLAGS);
}
