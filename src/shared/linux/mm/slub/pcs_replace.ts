/**
 * What the sheaf fast paths do when main is empty (allocation) or full (free): spare, barn, and at last a new sheaf.
 *
 *   function                    entry               exit
 *   __pcs_replace_empty_main    lock, main empty    lock and main->size >= 1, or NULL without the lock
 *   __pcs_replace_full_main     lock, main full     lock and room in main, or NULL without the lock
 *   __pcs_install_empty_sheaf   lock                lock and room in main
 *
 * Without allow_spin they only swap sheaves, with the barn by trylock: no allocation, no flush. With it the lock is
 * dropped around what allocates or frees. Meanwhile interrupts and other tasks use these sheaves, and this task may
 * have gone to another CPU: so afterwards everything is read anew, and taking the lock again may fail. A sheaf that
 * then has no place goes to the barn, whatever its limit. `barn` may by then be the old CPU's: that costs locality only.
 *
 * Context: as allow_spin says. Lock order: sheaf lock, barn lock. Kernel: mm/slub.c. Spec: slub 2.4, 2.8.
 */
import { has_bug } from "../../../cpu/bugs.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import {
  BUG_BLOCKING_FLUSH,
  BUG_REFILL_BLOCKING_ONLY,
  BUG_REFILL_LEAK,
  BUG_RELOCK_LEAK,
} from "../../../layout/bugs.ts";
import { __GFP_NOMEMALLOC, __GFP_NOWARN, gfpflags_allow_blocking } from "../../../layout/gfp.ts";
import { KmemCache, SlabSheaf, SlubPercpuSheaves } from "../../../layout/slab.ts";
import { STAT } from "../../../layout/slab_stat.ts";
import { alloc_flags_allow_spinning, SLAB_ALLOC_DEFAULT } from "../../../layout/slab_flags.ts";
import { embedded, NULL, type Ptr } from "../../../mem/struct.ts";
import { local_trylock, local_unlock } from "../../sync/local_lock.ts";
import {
  barn_get_empty_sheaf,
  barn_put_empty_sheaf,
  barn_put_full_sheaf,
  barn_replace_empty_sheaf,
  barn_replace_full_sheaf,
  E2BIG,
  ERR_PTR,
  IS_ERR,
} from "./barn.ts";
import { sheaf_flush_main, sheaf_try_flush_main } from "./flush.ts";
import { get_barn, this_cpu_sheaves } from "./pcs.ts";
import {
  alloc_empty_sheaf,
  alloc_empty_sheaf_for_free,
  cache_has_sheaves,
  free_empty_sheaf,
  refill_sheaf,
  sheaf_flush_unused,
} from "./sheaf.ts";
import { slab_lockdep_assert_held } from "./assert_held.ts";
import { stat } from "./stat.ts";
import { pcs_unlocked_window } from "./window.ts";

const { sheaf_capacity: SHEAF_CAPACITY } = KmemCache.offset;
const { lock: LOCK, main: MAIN, spare: SPARE } = SlubPercpuSheaves.offset;
const { size: SIZE } = SlabSheaf.offset;

type Cache = Ptr<"kmem_cache">;
type Pcs = Ptr<"slub_percpu_sheaves">;
type Sheaf = Ptr<"slab_sheaf">;

function unlock(cpu: Cpu, pcs: Pcs): Pcs {
  local_unlock(cpu, embedded(pcs, LOCK));
  return NULL;
}
/** Takes the lock of the CPU that runs now. @returns its sheaves, or NULL. */
function relock(cpu: Cpu, s: Cache): Pcs {
  pcs_unlocked_window(cpu);
  const pcs = this_cpu_sheaves(cpu, s);
  return local_trylock(cpu, embedded(pcs, LOCK)) ? pcs : NULL;
}
function swap_main_and_spare(cpu: Cpu, pcs: Pcs, main: Sheaf, spare: Sheaf): Pcs {
  cpu.mem.write(pcs, MAIN, spare);
  cpu.mem.write(pcs, SPARE, main);
  return pcs;
}

/** @kernel mm/slub.c @context Any with SLAB_ALLOC_NOLOCK; else Hardirq, or Task if gfp may block. Contract: header. */
export function __pcs_replace_empty_main(cpu: Cpu, s: Cache, pcs: Pcs, gfp: number, alloc_flags: number): Pcs {
  const mem = cpu.mem;
  slab_lockdep_assert_held(cpu, embedded(pcs, LOCK));
  // Bootstrap and debug caches, and kmalloc caches during boot: main is the shared sheaf of capacity 0.
  if (!cache_has_sheaves(cpu, s)) return unlock(cpu, pcs);
  const main = mem.read(pcs, MAIN);
  const spare = mem.read(pcs, SPARE);
  if (spare !== NULL && mem.read(spare, SIZE) > 0) return swap_main_and_spare(cpu, pcs, main, spare);
  const barn = get_barn(cpu, s);
  if (barn === NULL) return unlock(cpu, pcs);
  const allow_spin = alloc_flags_allow_spinning(alloc_flags);
  const full = barn_replace_empty_sheaf(cpu, barn, main, allow_spin);
  if (full !== NULL) {
    stat(cpu, s, STAT.BARN_GET, 1);
    mem.write(pcs, MAIN, full);
    return pcs;
  }
  stat(cpu, s, STAT.BARN_GET_FAIL, 1);
  let empty: Sheaf = NULL;
  const refills = allow_spin && (!has_bug(cpu, BUG_REFILL_BLOCKING_ONLY) || gfpflags_allow_blocking(gfp));
  if (refills) {
    if (spare === NULL) {
      empty = barn_get_empty_sheaf(cpu, barn, true);
    } else {
      empty = spare;
      mem.write(pcs, SPARE, NULL);
    }
  }
  unlock(cpu, pcs);
  if (!refills) return NULL;
  const filled = full_sheaf(cpu, s, empty, gfp, alloc_flags);
  return filled === NULL ? NULL : install_full_sheaf(cpu, s, filled, barn);
}

/** `empty`, or a new sheaf, filled from slabs. @returns NULL: too little memory; then nothing is left of it. */
function full_sheaf(cpu: Cpu, s: Cache, empty: Sheaf, gfp: number, alloc_flags: number): Sheaf {
  pcs_unlocked_window(cpu);
  const sheaf = empty === NULL ? alloc_empty_sheaf(cpu, s, gfp, alloc_flags) : empty;
  if (sheaf === NULL) return NULL;
  // Reserves are for the one object that is asked for, not for a sheaf full of them.
  if (refill_sheaf(cpu, s, sheaf, gfp | __GFP_NOMEMALLOC | __GFP_NOWARN)) return sheaf;
  if (has_bug(cpu, BUG_REFILL_LEAK)) cpu.mem.write(sheaf, SIZE, 0);
  sheaf_flush_unused(cpu, s, sheaf);
  free_empty_sheaf(cpu, s, sheaf);
  return NULL;
}

/** Brings a full sheaf to the CPU that runs now. @returns its sheaves, locked and with objects in main, or NULL. */
function install_full_sheaf(cpu: Cpu, s: Cache, full: Sheaf, barn: Ptr<"node_barn">): Pcs {
  const mem = cpu.mem;
  const pcs = relock(cpu, s);
  if (pcs === NULL) {
    if (has_bug(cpu, BUG_RELOCK_LEAK)) return NULL;
    barn_put_full_sheaf(cpu, barn, full);
    stat(cpu, s, STAT.BARN_PUT, 1);
    return NULL;
  }
  const main = mem.read(pcs, MAIN);
  const spare = mem.read(pcs, SPARE);
  if (mem.read(main, SIZE) === 0) {
    if (spare === NULL) mem.write(pcs, SPARE, main);
    else barn_put_empty_sheaf(cpu, barn, main);
    mem.write(pcs, MAIN, full);
  } else if (spare === NULL) {
    mem.write(pcs, SPARE, full);
  } else if (mem.read(spare, SIZE) === 0) {
    barn_put_empty_sheaf(cpu, barn, spare);
    mem.write(pcs, SPARE, full);
  } else {
    barn_put_full_sheaf(cpu, barn, full);
    stat(cpu, s, STAT.BARN_PUT, 1);
  }
  return pcs;
}

/** @kernel mm/slub.c @context Any without `allow_spin`, else Hardirq. Contract: header. */
export function __pcs_replace_full_main(cpu: Cpu, s: Cache, locked: Pcs, allow_spin: boolean): Pcs {
  const mem = cpu.mem;
  let pcs = locked;
  for (;;) {
    slab_lockdep_assert_held(cpu, embedded(pcs, LOCK));
    const barn = cache_has_sheaves(cpu, s) ? get_barn(cpu, s) : NULL;
    if (barn === NULL) return unlock(cpu, pcs);
    const main = mem.read(pcs, MAIN);
    const spare = mem.read(pcs, SPARE);
    let put_fail = false;
    let empty: Sheaf = NULL;
    if (spare === NULL) {
      empty = barn_get_empty_sheaf(cpu, barn, allow_spin);
      if (empty !== NULL) return swap_main_and_spare(cpu, pcs, main, empty);
    } else if (mem.read(spare, SIZE) < mem.read(s, SHEAF_CAPACITY)) {
      return swap_main_and_spare(cpu, pcs, main, spare);
    } else {
      empty = barn_replace_full_sheaf(cpu, barn, main, allow_spin);
      if (!IS_ERR(empty)) {
        stat(cpu, s, STAT.BARN_PUT, 1);
        mem.write(pcs, MAIN, empty);
        return pcs;
      }
      if (empty === ERR_PTR(E2BIG) && allow_spin) {
        stat(cpu, s, STAT.BARN_PUT_FAIL, 1);
        mem.write(pcs, SPARE, NULL);
        unlock(cpu, pcs);
        pcs_unlocked_window(cpu);
        sheaf_flush_unused(cpu, s, spare);
        return install_after_window(cpu, s, spare, barn);
      }
      put_fail = true;
    }
    unlock(cpu, pcs);
    if (!allow_spin) return NULL;
    pcs_unlocked_window(cpu);
    empty = alloc_empty_sheaf_for_free(cpu, s, SLAB_ALLOC_DEFAULT);
    if (empty !== NULL) return install_after_window(cpu, s, empty, barn);
    if (put_fail) stat(cpu, s, STAT.BARN_PUT_FAIL, 1);
    if (has_bug(cpu, BUG_BLOCKING_FLUSH)) sheaf_flush_main(cpu, s);
    else if (!sheaf_try_flush_main(cpu, s)) return NULL;
    pcs = relock(cpu, s);
    if (pcs === NULL) return NULL;
    // An interrupt may have filled main again.
    if (mem.read(mem.read(pcs, MAIN), SIZE) < mem.read(s, SHEAF_CAPACITY)) return pcs;
  }
}

/** Brings an empty sheaf to the CPU that runs now. @returns its sheaves, locked and with room in main, or NULL. */
function install_after_window(cpu: Cpu, s: Cache, empty: Sheaf, barn: Ptr<"node_barn">): Pcs {
  const pcs = relock(cpu, s);
  if (pcs === NULL) barn_put_empty_sheaf(cpu, barn, empty);
  else __pcs_install_empty_sheaf(cpu, s, pcs, empty, barn);
  return pcs;
}

/**
 * __pcs_install_empty_sheaf() - find the place for an empty sheaf after main was seen full some time ago.
 * The spare may become a main that is not full: everybody who looks at a spare allows for that.
 *
 * @kernel  mm/slub.c
 * @context Hardirq. Contract: header.
 */
export function __pcs_install_empty_sheaf(cpu: Cpu, s: Cache, pcs: Pcs, empty: Sheaf, barn: Ptr<"node_barn">): void {
  const mem = cpu.mem;
  slab_lockdep_assert_held(cpu, embedded(pcs, LOCK));
  const main = mem.read(pcs, MAIN);
  const spare = mem.read(pcs, SPARE);
  const capacity = mem.read(s, SHEAF_CAPACITY);
  if (spare === NULL) {
    swap_main_and_spare(cpu, pcs, main, empty);
  } else if (mem.read(main, SIZE) < capacity) {
    barn_put_empty_sheaf(cpu, barn, empty);
  } else if (mem.read(spare, SIZE) < capacity) {
    swap_main_and_spare(cpu, pcs, main, spare);
    barn_put_empty_sheaf(cpu, barn, empty);
  } else {
    barn_put_full_sheaf(cpu, barn, main);
    stat(cpu, s, STAT.BARN_PUT, 1);
    mem.write(pcs, MAIN, empty);
  }
}
