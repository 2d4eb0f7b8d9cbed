/**
 * __slab_free(): objects go back to the freelist of their slab, one or a chain at a time. mm/slub.c; spec slub 3.6.
 *
 *   was full  becomes empty  SL_partial  nr_partial >= min  action
 *   no        no             any         any                lock-free push only
 *   no        yes            yes         no                 nothing: the slab stays on the partial list
 *   no        yes            yes         yes                remove from the partial list, discard
 *   no        yes            no          any                nothing: isolated, its linkage is the isolator's
 *   yes       no             no          any                add to the partial list, tail
 *   yes       yes            no          no                 add to the partial list, tail
 *   yes       yes            no          yes                discard, no list operation
 *
 * Why list_lock before the update: once the update makes a slab non-full or empty, another CPU may act on it. If it came
 * first, two frees could both see a change and both add the slab, or one discard what the other is about to link.
 *
 * Context: any but NMI, no sheaf or barn lock needed. Lock order: list_lock; zone->lock after it is dropped.
 */
import { KmemCache } from "../../../layout/slab.ts";
import { STAT } from "../../../layout/slab_stat.ts";
import { O_DEFERRED, O_FREELIST, O_KEPT, O_SHEAF, O_TRANSIT } from "../../../mem/oracle.ts";
import type { Ptr } from "../../../mem/struct.ts";
import { bug } from "../../../cpu/bug.ts";
import { describe_context, in_nmi } from "../../../cpu/context.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { oracle_move } from "../../../cpu/oracle.ts";
import { kmem_cache_debug } from "./debug_flags.ts";
import { free_to_partial_list } from "./debug_free.ts";
import { discard_slab } from "./free_slab.ts";
import {
  add_partial,
  lock_node,
  node_nr_partial,
  remove_partial,
  slab_test_node_partial,
  unlock_node,
} from "./partial.ts";
import { get_node, slab_nid } from "./slab.ts";
import {
  make_word,
  set_freepointer,
  slab_update_freelist,
  slab_word,
  word_freelist,
  word_full,
  word_inuse,
} from "./slab_word.ts";
import { stat } from "./stat.ts";

const { min_partial: MIN_PARTIAL } = KmemCache.offset;
/** Where an object may be that is freed to its slab. */
const FREED_FROM = O_TRANSIT | O_DEFERRED | O_SHEAF | O_KEPT;

type Cache = Ptr<"kmem_cache">;

/**
 * __slab_free() - push a chain of `cnt` objects, linked from `head` to `tail`, on the freelist of their slab.
 *
 * @kernel  mm/slub.c
 * @context Hardirq, never NMI: a push that changes what lists the slab is on spins on list_lock.
 */
export function __slab_free(cpu: Cpu, s: Cache, slab: Ptr<"slab">, head: Ptr, tail: Ptr, cnt: number): void {
  if (in_nmi(cpu)) bug(cpu, `__slab_free() in ${describe_context(cpu)}`);
  if (cnt === 1) oracle_move(cpu, head, FREED_FROM, O_FREELIST);
  if (kmem_cache_debug(cpu, s)) {
    free_to_partial_list(cpu, s, slab, head, tail, cnt);
    return;
  }
  for (;;) {
    const word = slab_word(cpu, slab);
    const was_full = word_full(word);
    const inuse = word_inuse(word) - cnt;
    if (inuse < 0) bug(cpu, `slab ${slab} has ${word_inuse(word)} objects in use, but ${cnt} are freed`);
    set_freepointer(cpu, s, tail, word_freelist(cpu, s, slab, word));
    const new_word = make_word(cpu, s, slab, head, inuse);
    if (inuse !== 0 && !was_full) {
      if (slab_update_freelist(cpu, s, slab, word, new_word)) return;
    } else if (free_changes_lists(cpu, s, slab, word, new_word)) {
      return;
    }
  }
}

/** A push that makes a full slab partial, or any slab empty. @returns false: the slab has changed; read it again. */
function free_changes_lists(cpu: Cpu, s: Cache, slab: Ptr<"slab">, word: number, new_word: number): boolean {
  const was_full = word_full(word);
  const n = get_node(cpu, s, slab_nid(cpu, slab));
  const flags = lock_node(cpu, n);
  const on_partial = slab_test_node_partial(cpu, slab);
  if (!slab_update_freelist(cpu, s, slab, word, new_word)) {
    unlock_node(cpu, n, flags);
    return false;
  }
  let discard = false;
  if (was_full || on_partial) {
    discard = word_inuse(new_word) === 0 && node_nr_partial(cpu, n) >= cpu.mem.read(s, MIN_PARTIAL);
    if (discard && !was_full) {
      remove_partial(cpu, n, slab);
      stat(cpu, s, STAT.FREE_REMOVE_PARTIAL);
    } else if (!discard && was_full) {
      add_partial(cpu, n, slab, "tail");
      stat(cpu, s, STAT.FREE_ADD_PARTIAL);
    }
  }
  unlock_node(cpu, n, flags);
  if (discard) {
    stat(cpu, s, STAT.FREE_SLAB);
    discard_slab(cpu, s, slab);
  }
  return true;
}
