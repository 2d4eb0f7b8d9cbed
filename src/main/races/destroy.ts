/**
 * kmem_cache_destroy() against frees that have returned, but are still on one of the deferred lists of another CPU, whose
 * irq_work comes late. Spec slub 5.8, 6.3. When it returns the cache has no pages any more, and nothing waits.
 */
import { bug } from "../../shared/cpu/bug.ts";
import { local_irq_restore, local_irq_save } from "../../shared/cpu/context.ts";
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { IRQWORK_LATE } from "../../shared/layout/globals.ts";
import { check_deferred } from "../../shared/linux/mm/kvfree_rcu/check.ts";
import { kmem_cache_destroy } from "../../shared/linux/mm/kvfree_rcu/destroy.ts";
import { SLAB_NO_SHEAVES } from "../../shared/layout/slab_flags.ts";
import { check_page_allocator } from "../../shared/linux/mm/page_alloc/check.ts";
import { slabs_of_cache } from "../../shared/linux/mm/slub/check.ts";
import { kfree_nolock } from "../../shared/linux/mm/slub/nolock.ts";
import { call_rcu } from "../../shared/linux/rcu/tree.ts";
import { container_of, embedded, type Ptr } from "../../shared/mem/struct.ts";
import { callbackId, type Operation } from "../explore/scenario.ts";
import { cache, CAPACITY, makeCache, makeThings, race, RCU, take } from "./kit.ts";
import { freeNolock, freeRcu, freeRcuNolock, insideSheafLock } from "./kit_frees.ts";

const destroy: Operation = (cpu) => {
  if (kmem_cache_destroy(cpu, cache(cpu)) !== 0) bug(cpu, "objects are left");
};
const gone = (cpu: Cpu): string | undefined => {
  const pages = slabs_of_cache(cpu, cache(cpu)).size;
  if (pages !== 0) return `${pages} slabs of a cache that is gone`;
  return check_deferred(cpu)[0] ?? check_page_allocator(cpu)[0];
};
const destroyDeferred = (what: string, summary: string, count: number, defer: Operation, flags = 0) =>
  race({
    name: `destroy-deferred-${what}`,
    summary: `kmem_cache_destroy() against ${summary} on another CPU`,
    globals: { irqwork_mode: IRQWORK_LATE },
    setup: (cpu) => {
      makeThings(cpu, makeCache(cpu, flags), count);
      defer(cpu);
    },
    cpus: [[], [destroy]],
    callbacks: [(cpu, head) => kfree_nolock(cpu, container_of(head as Ptr<"rcu_head">, RCU))],
    check: gone,
  });

export default [
  destroyDeferred("objects", "an object that kfree_nolock() has deferred", 1, (cpu) =>
    insideSheafLock(cpu, freeNolock(0)),
  ),
  destroyDeferred("objects_by_rcu", "an object that kfree_rcu_nolock() has deferred", 1, (cpu) =>
    insideSheafLock(cpu, freeRcuNolock(0)),
  ),
  destroyDeferred("rcu_sheaves", "a full sheaf that kfree_rcu_nolock() has deferred", CAPACITY, (cpu) => {
    for (let i = 1; i < CAPACITY; i++) freeRcu(i)(cpu);
    const flags = local_irq_save(cpu);
    freeRcuNolock(0)(cpu);
    local_irq_restore(cpu, flags);
  }),
  destroyDeferred(
    "callback",
    "an RCU callback that defers by kfree_nolock()",
    1,
    (cpu) => call_rcu(cpu, embedded(take(cpu, 0), RCU), callbackId(0)),
    SLAB_NO_SHEAVES,
  ),
];
