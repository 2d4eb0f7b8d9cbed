/**
 * Caches that live for one operation: created, filled, emptied in every way there is, and destroyed at once. Nobody else
 * allocates from such a cache, so an object's own memory tells whether it was freed: it is poisoned then, and still
 * carries its stamp otherwise. That is how barriers are checked per object, and not only through destroy.
 *
 * Differs: objects of a kmem_cache are given to the nolock functions, which the kernel allows for kmalloc_nolock()
 * objects only (kmem_cache_alloc_for_nolock()). Nothing else reaches the deferred lists with objects of a cache that can
 * be destroyed.
 */
import { bug } from "../../shared/cpu/bug.ts";
import { local_irq_restore, local_irq_save } from "../../shared/cpu/context.ts";
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { random_below } from "../../shared/cpu/random.ts";
import { GFP_KERNEL } from "../../shared/layout/gfp.ts";
import { PerCpu } from "../../shared/layout/percpu.ts";
import { NR_MAILBOX, TortureCpu, TortureObject } from "../../shared/layout/torture.ts";
import {
  kfree,
  kfree_rcu,
  kmem_cache_alloc_for_nolock,
  kmem_cache_create,
  kmem_cache_destroy,
  kmem_cache_free,
  kmem_cache_shrink,
  kvfree_rcu_barrier,
  kvfree_rcu_barrier_on_cache,
} from "../../shared/linux/api.ts";
import { embedded, NULL, type Ptr } from "../../shared/mem/struct.ts";
import { check_object, head_of, stamp_object } from "../../nmi/objects.ts";
import { free_nolock } from "../../nmi/traffic.ts";
import { close_mailbox, offer } from "./holdings.ts";

const { torture: TORTURE } = PerCpu.offset;
const { caches: CACHES, shrinks: SHRINKS } = TortureCpu.offset;
const { stamp: STAMP } = TortureObject.offset;

const MAX_OBJECTS = 96;
/** So that the free pointer, which poison spares, does not lie on the stamp. */
const MIN_SIZE = 48;
const MAX_SIZE = 256;

interface Stamped {
  readonly object: Ptr<"torture_object">;
  readonly stamp: number;
}

/** create, alloc, free by all means, destroy. @context Task, may sleep */
export function cache_loop(cpu: Cpu): void {
  const s = create(cpu);
  if (s === NULL) return;
  for (const { object } of fill(cpu, s)) free_somehow(cpu, s, object);
  close_mailbox(cpu);
  if (random_below(cpu, 2) === 0) shrink(cpu, s);
  destroy(cpu, s);
}

/**
 * kvfree_rcu_barrier() and kvfree_rcu_barrier_on_cache(): every object whose kfree_rcu() or kfree_rcu_nolock() had
 * returned has been freed.
 *
 * @context Task, may sleep
 */
export function checked_kvfree_rcu_barrier(cpu: Cpu): void {
  const s = create(cpu);
  if (s === NULL) return;
  const objects = fill(cpu, s);
  for (const { object } of objects) {
    if (random_below(cpu, 4) === 0) offer(cpu, object);
    else free_by_rcu(cpu, object);
  }
  close_mailbox(cpu);
  offer_more(cpu, s);
  const global = random_below(cpu, 4) === 0;
  if (global) kvfree_rcu_barrier(cpu);
  else kvfree_rcu_barrier_on_cache(cpu, s);
  for (const { object, stamp } of objects) {
    if (cpu.mem.read(object, STAMP) !== stamp) continue;
    const name = global ? "kvfree_rcu_barrier()" : "kvfree_rcu_barrier_on_cache()";
    bug(cpu, `${name} returned before object 0x${object.toString(16)} was freed`);
  }
  close_mailbox(cpu);
  destroy(cpu, s);
}

/**
 * For interrupts to free while the barrier runs: they may fill the sheaf that holds an object for which it waits (the
 * window of the orders D F R K and F D R K, rcu 2.8).
 */
function offer_more(cpu: Cpu, s: Ptr<"kmem_cache">): void {
  for (let left = random_below(cpu, 2 * NR_MAILBOX); left > 0; left--) {
    const object = alloc(cpu, s);
    if (object === NULL) return;
    stamp_object(cpu, object, MIN_SIZE, 0);
    offer(cpu, object);
  }
}

function create(cpu: Cpu): Ptr<"kmem_cache"> {
  const size = MIN_SIZE + 8 * random_below(cpu, (MAX_SIZE - MIN_SIZE) / 8 + 1);
  const s = kmem_cache_create(cpu, "torture", size, {});
  if (s !== NULL) cpu.mem.count(embedded(cpu.home, TORTURE), CACHES, 1);
  return s;
}
function alloc(cpu: Cpu, s: Ptr<"kmem_cache">): Ptr<"torture_object"> {
  return kmem_cache_alloc_for_nolock(cpu, s, GFP_KERNEL) as Ptr as Ptr<"torture_object">;
}
function fill(cpu: Cpu, s: Ptr<"kmem_cache">): readonly Stamped[] {
  const objects: Stamped[] = [];
  for (let left = 1 + random_below(cpu, MAX_OBJECTS); left > 0; left--) {
    const object = alloc(cpu, s);
    if (object !== NULL) objects.push({ object, stamp: stamp_object(cpu, object, MIN_SIZE, 0) });
  }
  return objects;
}
function free_somehow(cpu: Cpu, s: Ptr<"kmem_cache">, object: Ptr<"torture_object">): void {
  check_object(cpu, object, "owner in cache_loop");
  switch (random_below(cpu, 6)) {
    case 0:
      kmem_cache_free(cpu, s, object);
      break;
    case 1:
      kfree(cpu, object);
      break;
    case 2:
      offer(cpu, object);
      break;
    case 3:
      free_nolock(cpu, object, false);
      break;
    default:
      free_by_rcu(cpu, object);
  }
}
function free_by_rcu(cpu: Cpu, object: Ptr<"torture_object">): void {
  const way = random_below(cpu, 4);
  const flags = way === 0 ? local_irq_save(cpu) : 0;
  if (way < 2) free_nolock(cpu, object, true);
  else kfree_rcu(cpu, object, head_of(cpu, object));
  if (way === 0) local_irq_restore(cpu, flags);
}
/** @context Task, may sleep */
function shrink(cpu: Cpu, s: Ptr<"kmem_cache">): void {
  kmem_cache_shrink(cpu, s);
  cpu.mem.count(embedded(cpu.home, TORTURE), SHRINKS, 1);
}
function destroy(cpu: Cpu, s: Ptr<"kmem_cache">): void {
  if (random_below(cpu, 8) === 0) shrink(cpu, s);
  kmem_cache_destroy(cpu, s);
}
