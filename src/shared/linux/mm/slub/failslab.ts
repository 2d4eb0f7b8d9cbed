/** failslab: objects that are refused before anybody looks for one. mm/failslab.c; spec slub 4.2 (never in nolock code). */
import type { Cpu } from "../../../cpu/cpu.ts";
import { HOOK_FAILSLAB } from "../../../layout/debug.ts";
import { __GFP_NOFAIL } from "../../../layout/gfp.ts";
import { Globals } from "../../../layout/globals.ts";
import { KmemCache, SlabGlobals } from "../../../layout/slab.ts";
import { SLAB_FAILSLAB } from "../../../layout/slab_flags.ts";
import { embedded, type Ptr } from "../../../mem/struct.ts";
import { should_fail } from "../../lib/fault_inject.ts";

const { hooks: HOOKS, failslab: FAILSLAB, failslab_marked: MARKED, slab: SLAB } = Globals.offset;
const { kmem_cache: KMEM_CACHE } = SlabGlobals.offset;
const { flags: FLAGS } = KmemCache.offset;

/**
 * should_failslab() - shall this allocation fail? With `failslab=P:marked` only those of caches with SLAB_FAILSLAB.
 *
 * Why not the cache of caches: as in the kernel, one that cannot be created is no use for testing others.
 *
 * @kernel  mm/failslab.c
 * @context Any. Not asked by the nolock functions.
 */
export function should_failslab(cpu: Cpu, s: Ptr<"kmem_cache">, gfp: number): boolean {
  const { mem, globals } = cpu;
  if ((mem.peek(globals, HOOKS) & HOOK_FAILSLAB) === 0 || gfp & __GFP_NOFAIL) return false;
  if (s === mem.peek(embedded(globals, SLAB), KMEM_CACHE)) return false;
  if (mem.peek(globals, MARKED) !== 0 && (mem.data_race_read(s, FLAGS) & SLAB_FAILSLAB) === 0) return false;
  return should_fail(cpu, mem.peek(globals, FAILSLAB), "failslab");
}
