/**
 * Users of prefilled sheaves, which they hold for a while, and of bulks, whose objects come from everywhere. One cache for
 * all CPUs: each frees what others have allocated. Spec slub 2.12, 2.13.
 *
 * Context: task, may sleep, but for what says otherwise.
 */
import { bug, no_memory } from "../../shared/cpu/bug.ts";
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { random_below } from "../../shared/cpu/random.ts";
import { __GFP_ACCOUNT, __GFP_MEMALLOC, GFP_KERNEL } from "../../shared/layout/gfp.ts";
import { Globals } from "../../shared/layout/globals.ts";
import { PerCpu } from "../../shared/layout/percpu.ts";
import { ObjectArray } from "../../shared/layout/slab.ts";
import {
  NR_PREFILL_STASH,
  PrefillCpu,
  PrefillGlobals,
  WorkloadCpu,
  WorkloadGlobals,
} from "../../shared/layout/workloads.ts";
import {
  kfree,
  kfree_bulk,
  kfree_nolock,
  kfree_rcu,
  kmalloc,
  kmem_cache_alloc,
  kmem_cache_alloc_bulk,
  kmem_cache_alloc_for_nolock,
  kmem_cache_alloc_from_sheaf,
  kmem_cache_create,
  kmem_cache_destroy,
  kmem_cache_free,
  kmem_cache_free_bulk,
  kmem_cache_prefill_sheaf,
  kmem_cache_refill_sheaf,
  kmem_cache_return_sheaf,
  kmem_cache_sheaf_size,
  kmem_cache_shrink,
} from "../../shared/linux/api.ts";
import { element, embedded, NULL, type Ptr } from "../../shared/mem/struct.ts";
import { check_object, head_of, stamp_object } from "../../nmi/objects.ts";
import { check_ordinary } from "./reserves.ts";

const { workloads: WORKLOADS } = Globals.offset;
const { workloads: WORKLOADS_CPU } = PerCpu.offset;
const { prefill: PREFILL } = WorkloadGlobals.offset;
const { prefill: PREFILL_CPU } = WorkloadCpu.offset;
const { cache: CACHE, stash: STASH, stash_nolock: STASH_NOLOCK } = PrefillGlobals.offset;
const { sheaf: SHEAF, promised: PROMISED } = PrefillCpu.offset;
const { slots: SLOTS } = ObjectArray.offset;

/** Bytes of an object of the cache. */
const SIZE = 96;
/** Objects of the largest sheaf, more than any sheaf of the cache has; of the largest bulk. */
const MAX_SHEAF = 80;
const MAX_BULK = 60;

type Obj = Ptr<"torture_object">;
type Sheaf = Ptr<"slab_sheaf">;

const globals_of = (cpu: Cpu): Ptr<"prefill_globals"> => embedded(embedded(cpu.globals, WORKLOADS), PREFILL);
const own = (cpu: Cpu): Ptr<"prefill_cpu"> => embedded(embedded(cpu.home, WORKLOADS_CPU), PREFILL_CPU);
const cache_of = (cpu: Cpu): Ptr<"kmem_cache"> => cpu.mem.peek(globals_of(cpu), CACHE);
const random_gfp = (cpu: Cpu): number => GFP_KERNEL | [0, 0, __GFP_ACCOUNT, __GFP_MEMALLOC][random_below(cpu, 4)];

/** Frees an object of the cache in one of the ways there are, or leaves it for another CPU. @context Hardirq */
function free_somehow(cpu: Cpu, object: Obj): void {
  check_object(cpu, object, "owner");
  switch (random_below(cpu, 5)) {
    case 0:
      kfree(cpu, object);
      break;
    case 1:
      kfree_rcu(cpu, object, head_of(cpu, object));
      break;
    case 2:
      exchange_with_stash(cpu, object);
      break;
    default:
      kmem_cache_free(cpu, cache_of(cpu), object);
  }
}
/** Leaves an object for any CPU, and frees what was there. @context Hardirq */
function exchange_with_stash(cpu: Cpu, object: Obj): void {
  const slot = element(STASH, random_below(cpu, NR_PREFILL_STASH));
  const found = cpu.mem.xchg(globals_of(cpu), slot, object);
  if (found === NULL) return;
  check_object(cpu, found, "finder");
  kmem_cache_free(cpu, cache_of(cpu), found);
}
/** An object from where any CPU left it. @returns NULL: none. @context Any */
function take_from_stash(cpu: Cpu): Obj {
  const found = cpu.mem.xchg(globals_of(cpu), element(STASH, random_below(cpu, NR_PREFILL_STASH)), NULL);
  if (found !== NULL) check_object(cpu, found, "finder");
  return found;
}
/** What an IRQ does: it allocates one, and frees what some CPU left. @context Hardirq */
export function prefill_irq(cpu: Cpu, gfp: number): void {
  const object = kmem_cache_alloc(cpu, cache_of(cpu), gfp) as Ptr as Obj;
  if (object === NULL) return;
  check_ordinary(cpu, object);
  stamp_object(cpu, object, SIZE, 0);
  exchange_with_stash(cpu, object);
}

/** Leaves an object for any NMI, and frees what was there. @context Hardirq, or Task if gfp may block */
export function offer_nolock(cpu: Cpu, gfp: number): void {
  const object = kmem_cache_alloc_for_nolock(cpu, cache_of(cpu), gfp) as Ptr as Obj;
  if (object !== NULL) stamp_object(cpu, object, SIZE, 0);
  free_nolock(cpu, object);
}
/** Frees what was left for NMIs. @context Any */
export function prefill_nmi(cpu: Cpu): void {
  free_nolock(cpu, NULL);
}
/** @param instead  what is left there. */
function free_nolock(cpu: Cpu, instead: Obj): void {
  const found = cpu.mem.xchg(globals_of(cpu), element(STASH_NOLOCK, random_below(cpu, NR_PREFILL_STASH)), instead);
  if (found === NULL) return;
  check_object(cpu, found, "finder");
  kfree_nolock(cpu, found);
}

/** A sheaf in use, and how many objects it must still give. */
interface Held {
  readonly sheaf: Sheaf;
  readonly promised: number;
}
/** Takes what this thread's task holds: the words at cpu.home are its own, wherever it goes. @returns undefined: nothing. */
function take_held(cpu: Cpu): Held | undefined {
  const { mem } = cpu;
  const held = { sheaf: mem.read(own(cpu), SHEAF), promised: mem.read(own(cpu), PROMISED) };
  mem.write(own(cpu), SHEAF, NULL);
  return held.sheaf === NULL ? undefined : held;
}
/** This thread's task holds it from now on. It holds no other: take_held() has been there. */
function hold(cpu: Cpu, { sheaf, promised }: Held): void {
  const found = kmem_cache_sheaf_size(cpu, sheaf);
  if (found < promised) bug(cpu, `a sheaf that has promised ${promised} objects has ${found}`);
  cpu.mem.write(own(cpu), SHEAF, sheaf);
  cpu.mem.write(own(cpu), PROMISED, promised);
}

/** Sees to it that this thread's task holds a sheaf with some objects; uses some of what it holds, or gives it back. */
export function use_sheaf(cpu: Cpu): void {
  const held = take_held(cpu);
  const size = 1 + random_below(cpu, MAX_SHEAF);
  if (held === undefined) {
    const sheaf = kmem_cache_prefill_sheaf(cpu, cache_of(cpu), random_gfp(cpu), size);
    if (sheaf !== NULL) hold(cpu, { sheaf, promised: size });
    return;
  }
  switch (random_below(cpu, 8)) {
    case 0:
      kmem_cache_return_sheaf(cpu, cache_of(cpu), GFP_KERNEL, held.sheaf);
      break;
    case 1: {
      const sheaf = kmem_cache_refill_sheaf(cpu, cache_of(cpu), random_gfp(cpu), held.sheaf, size);
      hold(cpu, sheaf > 0 ? { sheaf, promised: size } : held);
      break;
    }
    default:
      hold(cpu, { sheaf: held.sheaf, promised: take_some(cpu, held) });
  }
}
/** Takes objects out of a sheaf, and frees them. @returns how many are promised now. */
function take_some(cpu: Cpu, { sheaf, promised }: Held): number {
  let left = promised;
  for (let n = 1 + random_below(cpu, 16); n > 0; n--) {
    const object = kmem_cache_alloc_from_sheaf(cpu, cache_of(cpu), 0, sheaf) as Ptr as Obj;
    if (object === NULL) {
      if (left > 0) bug(cpu, `a prefilled sheaf is empty ${left} objects too early`);
      break;
    }
    if (left > 0) left--;
    stamp_object(cpu, object, SIZE, 0);
    free_somehow(cpu, object);
  }
  return left;
}
/** Gives back what this thread's task holds. */
export function prefill_teardown(cpu: Cpu): void {
  const held = take_held(cpu);
  if (held !== undefined) kmem_cache_return_sheaf(cpu, cache_of(cpu), GFP_KERNEL, held.sheaf);
}

/** Allocates a bulk, frees part of it one by one, and the rest as a bulk, with objects of other CPUs in between. */
export function bulk(cpu: Cpu): void {
  const { mem } = cpu;
  const s = cache_of(cpu);
  const n = 1 + random_below(cpu, MAX_BULK);
  const p = kmalloc(cpu, 8 * n, GFP_KERNEL) as Ptr as Ptr<"object_array">;
  if (p === NULL) return;
  if (!kmem_cache_alloc_bulk(cpu, s, random_gfp(cpu), n, p)) {
    kfree(cpu, p);
    return;
  }
  let rest = 0;
  for (let i = 0; i < n; i++) stamp_object(cpu, mem.read(p, element(SLOTS, i)) as Ptr as Obj, SIZE, 0);
  for (let i = 0; i < n; i++) {
    const object = mem.read(p, element(SLOTS, i)) as Ptr as Obj;
    check_object(cpu, object, "owner of a bulk");
    if (random_below(cpu, 4) === 0) {
      free_somehow(cpu, object);
      const other = take_from_stash(cpu);
      if (other !== NULL) mem.write(p, element(SLOTS, rest++), other as Ptr as Ptr<"object">);
    } else {
      mem.write(p, element(SLOTS, rest++), object as Ptr as Ptr<"object">);
    }
  }
  if (random_below(cpu, 3) === 0) kfree_bulk(cpu, rest, p);
  else kmem_cache_free_bulk(cpu, s, rest, p);
  kfree(cpu, p);
}

export function shrink_prefill_cache(cpu: Cpu): void {
  kmem_cache_shrink(cpu, cache_of(cpu));
}

/** @context Task, alone */
export function prefill_init(cpu: Cpu): void {
  const s = kmem_cache_create(cpu, "prefill", SIZE);
  if (s === NULL) no_memory(cpu, "the cache prefill");
  cpu.mem.poke(globals_of(cpu), CACHE, s);
}
/** @context Task, alone */
export function prefill_destroy(cpu: Cpu): void {
  for (let i = 0; i < NR_PREFILL_STASH; i++) {
    const object = cpu.mem.xchg(globals_of(cpu), element(STASH, i), NULL);
    if (object !== NULL) kmem_cache_free(cpu, cache_of(cpu), object);
    const other = cpu.mem.xchg(globals_of(cpu), element(STASH_NOLOCK, i), NULL);
    if (other !== NULL) kfree_nolock(cpu, other);
  }
  kmem_cache_destroy(cpu, cache_of(cpu));
}
