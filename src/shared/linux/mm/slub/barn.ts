/**
 * Barns: the sheaves that the CPUs of one node share, a list of full ones and a list of empty ones, both LIFO.
 *
 *   operation                      lock               effect
 *   barn_get_empty_sheaf           trylock if !spin   pop an empty
 *   barn_put_empty_sheaf           spin               push an empty, no limit
 *   barn_put_full_sheaf            spin               push a full, no limit
 *   barn_get_full_or_empty_sheaf   spin               pop a full, else an empty
 *   barn_replace_empty_sheaf       trylock if !spin   push the given empty, pop a full; the limit is ignored
 *   barn_replace_full_sheaf        trylock if !spin   push the given full, pop an empty; -E2BIG, -ENOMEM, -EBUSY
 *   barn_shrink                    spin               take all, flush and free them without the lock
 *
 * Get and replace look at a counter without the lock and do not take it when there is nothing to gain. A counter
 * changes in the same section as its list. A sheaf in a barn belongs to the barn alone.
 *
 * Context: any; a trylock where the caller may not spin. Lock order: below the sheaf lock, beside list_lock, never
 * both. Kernel: mm/slub.c. Spec: slub 2.9.
 */
import { has_bug } from "../../../cpu/bugs.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { BUG_BARN_NULL } from "../../../layout/bugs.ts";
import { Globals } from "../../../layout/globals.ts";
import {
  MAX_EMPTY_SHEAVES,
  MAX_FULL_SHEAVES,
  NodeBarn,
  SlabSheaf,
  TINY_MAX_EMPTY_SHEAVES,
  TINY_MAX_FULL_SHEAVES,
} from "../../../layout/slab.ts";
import { container_of, embedded, NULL, type Ptr } from "../../../mem/struct.ts";
import { INIT_LIST_HEAD, list_add, list_del, list_first } from "../../lib/list.ts";
import { ListHead } from "../../../layout/types.ts";
import { LC } from "../../sync/lockdep.ts";
import {
  spin_lock_init,
  spin_lock_irqsave,
  spin_trylock_irqsave,
  spin_unlock_irqrestore,
} from "../../sync/spinlock.ts";
import { free_empty_sheaf, sheaf_flush_unused } from "./sheaf.ts";

const {
  lock: LOCK,
  sheaves_full: SHEAVES_FULL,
  sheaves_empty: SHEAVES_EMPTY,
  nr_full: NR_FULL,
  nr_empty: NR_EMPTY,
} = NodeBarn.offset;
const { next: NEXT } = ListHead.offset;
const { barn_list: BARN_LIST } = SlabSheaf.offset;
const { tiny: TINY } = Globals.offset;

export const E2BIG = 7;
export const ENOMEM = 12;
export const EBUSY = 16;
/** The lock could not be had. */
const BUSY = -1;

type Barn = Ptr<"node_barn">;
type Sheaf = Ptr<"slab_sheaf">;

/** An errno in place of a pointer: negative, as no address is. include/linux/err.h. */
export function ERR_PTR(errno: number): Sheaf {
  return -errno as Sheaf;
}
export function IS_ERR(sheaf: Sheaf): boolean {
  return sheaf < 0;
}

/** How many full sheaves a barn takes before it is said to be full. */
export function max_full_sheaves(cpu: Cpu): number {
  return cpu.mem.peek(cpu.globals, TINY) !== 0 ? TINY_MAX_FULL_SHEAVES : MAX_FULL_SHEAVES;
}
/** How many empty sheaves a barn keeps for reuse. */
export function max_empty_sheaves(cpu: Cpu): number {
  return cpu.mem.peek(cpu.globals, TINY) !== 0 ? TINY_MAX_EMPTY_SHEAVES : MAX_EMPTY_SHEAVES;
}

/** Makes an empty barn. @kernel mm/slub.c @context Any: nobody else can reach it yet. */
export function barn_init(cpu: Cpu, barn: Barn): void {
  spin_lock_init(cpu, embedded(barn, LOCK), LC.barn);
  INIT_LIST_HEAD(cpu, embedded(barn, SHEAVES_FULL));
  INIT_LIST_HEAD(cpu, embedded(barn, SHEAVES_EMPTY));
  cpu.mem.init(barn, NR_FULL, 0);
  cpu.mem.init(barn, NR_EMPTY, 0);
}

/** @returns the IRQ flags to give back, or BUSY. */
function lock_barn(cpu: Cpu, barn: Barn, allow_spin: boolean): number {
  const lock = embedded(barn, LOCK);
  return allow_spin ? spin_lock_irqsave(cpu, lock) : spin_trylock_irqsave(cpu, lock);
}
function unlock_barn(cpu: Cpu, barn: Barn, flags: number): void {
  spin_unlock_irqrestore(cpu, embedded(barn, LOCK), flags);
}

// Under the lock.
function push_full(cpu: Cpu, barn: Barn, sheaf: Sheaf): void {
  list_add(cpu, embedded(sheaf, BARN_LIST), embedded(barn, SHEAVES_FULL));
  cpu.mem.write(barn, NR_FULL, cpu.mem.read(barn, NR_FULL) + 1);
}
function push_empty(cpu: Cpu, barn: Barn, sheaf: Sheaf): void {
  list_add(cpu, embedded(sheaf, BARN_LIST), embedded(barn, SHEAVES_EMPTY));
  cpu.mem.write(barn, NR_EMPTY, cpu.mem.read(barn, NR_EMPTY) + 1);
}
function pop_full(cpu: Cpu, barn: Barn): Sheaf {
  const left = cpu.mem.read(barn, NR_FULL) - 1;
  if (left < 0) return NULL;
  const entry = list_first(cpu, embedded(barn, SHEAVES_FULL));
  list_del(cpu, entry);
  cpu.mem.write(barn, NR_FULL, left);
  return container_of(entry, BARN_LIST);
}
function pop_empty(cpu: Cpu, barn: Barn): Sheaf {
  const left = cpu.mem.read(barn, NR_EMPTY) - 1;
  if (left < 0) return NULL;
  const entry = list_first(cpu, embedded(barn, SHEAVES_EMPTY));
  list_del(cpu, entry);
  cpu.mem.write(barn, NR_EMPTY, left);
  return container_of(entry, BARN_LIST);
}

/** Pops an empty sheaf. @kernel mm/slub.c @returns NULL: none, or !allow_spin and locked. @context Any; see header. */
export function barn_get_empty_sheaf(cpu: Cpu, barn: Barn, allow_spin: boolean): Sheaf {
  // Race: a sheaf that comes just now is missed as if it came a moment later; under the lock it is counted again.
  if (cpu.mem.data_race_read(barn, NR_EMPTY) === 0) return NULL;
  const flags = lock_barn(cpu, barn, allow_spin);
  if (flags === BUSY) return NULL;
  const empty = pop_empty(cpu, barn);
  unlock_barn(cpu, barn, flags);
  return empty;
}

/** Pushes an empty sheaf, whatever the limit says. @kernel mm/slub.c @context Hardirq */
export function barn_put_empty_sheaf(cpu: Cpu, barn: Barn, sheaf: Sheaf): void {
  const flags = lock_barn(cpu, barn, true);
  push_empty(cpu, barn, sheaf);
  unlock_barn(cpu, barn, flags);
}

/** Pushes a full (or partly filled) sheaf, whatever the limit says. @kernel mm/slub.c @context Hardirq */
export function barn_put_full_sheaf(cpu: Cpu, barn: Barn, sheaf: Sheaf): void {
  const flags = lock_barn(cpu, barn, true);
  push_full(cpu, barn, sheaf);
  unlock_barn(cpu, barn, flags);
}

/** Pops a full sheaf, else an empty one. @kernel mm/slub.c @returns NULL: there is neither. @context Hardirq */
export function barn_get_full_or_empty_sheaf(cpu: Cpu, barn: Barn): Sheaf {
  // Race: as in barn_get_empty_sheaf().
  if (cpu.mem.data_race_read(barn, NR_FULL) === 0 && cpu.mem.data_race_read(barn, NR_EMPTY) === 0) return NULL;
  const flags = lock_barn(cpu, barn, true);
  let sheaf = pop_full(cpu, barn);
  if (sheaf === NULL) sheaf = pop_empty(cpu, barn);
  unlock_barn(cpu, barn, flags);
  return sheaf;
}

/**
 * barn_replace_empty_sheaf() - exchange an empty sheaf for a full one.
 * The number of sheaves stays the same, so the limit on empties does not matter.
 *
 * @kernel  mm/slub.c
 * @returns NULL: no full sheaf, or !allow_spin and locked; the caller then keeps `empty`.
 * @context Any; see header.
 */
export function barn_replace_empty_sheaf(cpu: Cpu, barn: Barn, empty: Sheaf, allow_spin: boolean): Sheaf {
  // Race: as in barn_get_empty_sheaf().
  if (cpu.mem.data_race_read(barn, NR_FULL) === 0) return NULL;
  const flags = lock_barn(cpu, barn, allow_spin);
  if (flags === BUSY) return NULL;
  const full = pop_full(cpu, barn);
  if (full !== NULL) push_empty(cpu, barn, empty);
  unlock_barn(cpu, barn, flags);
  return full;
}

/**
 * barn_replace_full_sheaf() - exchange a full sheaf for an empty one.
 *
 * @kernel  mm/slub.c
 * @returns the empty sheaf; or, the caller keeping `full`: -E2BIG the barn has enough full ones, -ENOMEM it has no
 *          empty one, -EBUSY !allow_spin and locked. Never NULL (slub B16).
 * @context Any; see header.
 */
export function barn_replace_full_sheaf(cpu: Cpu, barn: Barn, full: Sheaf, allow_spin: boolean): Sheaf {
  // Race: the limit is soft, so it is checked here only; two CPUs at once may exceed it by one.
  if (cpu.mem.data_race_read(barn, NR_FULL) >= max_full_sheaves(cpu)) return ERR_PTR(E2BIG);
  // Race: as in barn_get_empty_sheaf().
  if (cpu.mem.data_race_read(barn, NR_EMPTY) === 0) return ERR_PTR(ENOMEM);
  const flags = lock_barn(cpu, barn, allow_spin);
  if (flags === BUSY) return has_bug(cpu, BUG_BARN_NULL) ? NULL : ERR_PTR(EBUSY);
  const empty = pop_empty(cpu, barn);
  if (empty !== NULL) push_full(cpu, barn, full);
  unlock_barn(cpu, barn, flags);
  return empty === NULL ? ERR_PTR(ENOMEM) : empty;
}

/**
 * barn_shrink() - empty a barn: objects of full sheaves go to their slabs, the sheaves are freed.
 *
 * @kernel  mm/slub.c
 * @context Task. Flushes without the lock: that takes list_lock, which is never taken under a barn's.
 */
export function barn_shrink(cpu: Cpu, s: Ptr<"kmem_cache">, barn: Barn): void {
  const full_head = embedded(barn, SHEAVES_FULL);
  const empty_head = embedded(barn, SHEAVES_EMPTY);
  const flags = lock_barn(cpu, barn, true);
  // Why: a private list needs no head in memory; the chains end where they did, at the heads that are left empty.
  let full = cpu.mem.read(full_head, NEXT);
  let empty = cpu.mem.read(empty_head, NEXT);
  INIT_LIST_HEAD(cpu, full_head);
  INIT_LIST_HEAD(cpu, empty_head);
  cpu.mem.write(barn, NR_FULL, 0);
  cpu.mem.write(barn, NR_EMPTY, 0);
  unlock_barn(cpu, barn, flags);
  while (full !== full_head) {
    const sheaf = container_of(full, BARN_LIST);
    full = cpu.mem.read(full, NEXT);
    sheaf_flush_unused(cpu, s, sheaf);
    free_empty_sheaf(cpu, s, sheaf);
  }
  while (empty !== empty_head) {
    const sheaf = container_of(empty, BARN_LIST);
    empty = cpu.mem.read(empty, NEXT);
    free_empty_sheaf(cpu, s, sheaf);
  }
}
