/**
 * ___slab_alloc(): one object when the sheaves have none. mm/slub.c; spec slub 3.2.
 *
 *   1  a partial slab of the node, then of any node     get_partial.ts
 *   2  a new slab: its first object                     new_slab.ts
 *
 * A preferred node (one given without __GFP_THISNODE) is first tried alone and not hard, then all nodes are.
 *
 * Context: as the alloc flags say. With SLAB_ALLOC_NOLOCK every lock is tried once and nothing is retried: the holder may
 * be the context that was interrupted, and waiting for it would never end (slub B3).
 */
import {
  __GFP_ACCOUNT,
  __GFP_NOMEMALLOC,
  __GFP_NOWARN,
  __GFP_THISNODE,
  GFP_NOWAIT,
  NUMA_NO_NODE,
} from "../../../layout/gfp.ts";
import { alloc_flags_allow_spinning } from "../../../layout/slab_flags.ts";
import { BUG_NOLOCK_RETRY } from "../../../layout/bugs.ts";
import { STAT } from "../../../layout/slab_stat.ts";
import { NULL, type Ptr } from "../../../mem/struct.ts";
import { has_bug } from "../../../cpu/bugs.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { note_alloc } from "./debug_alloc.ts";
import { kmem_cache_debug } from "./debug_flags.ts";
import { alloc_single_from_new_slab } from "./debug_new_slab.ts";
import { get_from_partial } from "./get_partial.ts";
import { alloc_one_from_new_slab, new_slab } from "./new_slab.ts";
import { slab_out_of_memory } from "./out_of_memory.ts";
import { stat } from "./stat.ts";

/**
 * ___slab_alloc() - allocate an object from the slabs. It is in transit then: the caller's, not yet a user's.
 *
 * @kernel  mm/slub.c
 * @param   node  preferred node; NUMA_NO_NODE: none.
 * @param   orig_size  bytes asked for, for debugged caches; 0: all of the object.
 * @returns NULL: no memory, or a lock was busy and may not be waited for.
 * @context Any with SLAB_ALLOC_NOLOCK, else Hardirq. No sheaf or barn lock held.
 */
export function ___slab_alloc(
  cpu: Cpu,
  s: Ptr<"kmem_cache">,
  gfp: number,
  node: number,
  alloc_flags: number,
  orig_size = 0,
): Ptr<"object"> {
  const allow_spin = alloc_flags_allow_spinning(alloc_flags);
  stat(cpu, s, STAT.ALLOC_SLOWPATH);
  let try_thisnode = node !== NUMA_NO_NODE && (gfp & __GFP_THISNODE) === 0;
  for (;;) {
    const trygfp = try_thisnode
      ? (gfp & (GFP_NOWAIT | __GFP_NOMEMALLOC | __GFP_ACCOUNT)) | __GFP_NOWARN | __GFP_THISNODE
      : gfp;
    const object = get_from_partial(cpu, s, node, trygfp, allow_spin, orig_size);
    if (object !== NULL) return note_alloc(cpu, s, object);
    const slab = new_slab(cpu, s, trygfp, alloc_flags, node);
    if (slab === NULL) {
      if (!try_thisnode) {
        slab_out_of_memory(cpu, s, gfp, node);
        return NULL;
      }
      try_thisnode = false;
      continue;
    }
    stat(cpu, s, STAT.ALLOC_SLAB);
    const first = kmem_cache_debug(cpu, s)
      ? alloc_single_from_new_slab(cpu, s, slab, orig_size, allow_spin)
      : alloc_one_from_new_slab(cpu, s, slab, allow_spin);
    if (first !== NULL) return note_alloc(cpu, s, first);
    if (!allow_spin && !has_bug(cpu, BUG_NOLOCK_RETRY)) return NULL;
  }
}
