/**
 * E21: a cache may be destroyed as soon as the last free has returned, of whatever kind and from whatever context. The
 * mechanism is that kmem_cache_destroy() waits; without, the objects are still on their way when it counts them.
 */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { GFP_KERNEL } from "../../shared/layout/gfp.ts";
import { Globals } from "../../shared/layout/globals.ts";
import { SLAB_NO_SHEAVES } from "../../shared/layout/slab_flags.ts";
import { SlabGlobals } from "../../shared/layout/slab.ts";
import { kmem_cache_destroy } from "../../shared/linux/mm/kvfree_rcu/destroy.ts";
import { kmem_cache_create } from "../../shared/linux/mm/slub/cache.ts";
import { kmem_cache_alloc } from "../../shared/linux/mm/slub/kmalloc.ts";
import { kfree_nolock } from "../../shared/linux/mm/slub/nolock.ts";
import { __kmem_cache_shutdown } from "../../shared/linux/mm/slub/shutdown.ts";
import { cpus_read_lock, cpus_read_unlock } from "../../shared/linux/sync/cpu_hotplug.ts";
import { mutex_lock, mutex_unlock } from "../../shared/linux/sync/mutex.ts";
import { element, embedded, type Ptr } from "../../shared/mem/struct.ts";
import { get, result, resultOf, set, type Scenario } from "../explore/scenario.ts";
import type { Litmus } from "./litmus.ts";

const { slab: SLAB, scenario: WORDS } = Globals.offset;
const { slab_mutex: SLAB_MUTEX } = SlabGlobals.offset;
const CACHE = 0;
const OBJECT = 1;
const FREED = 2;
const CLAIMED = 3;

const cache = (cpu: Cpu): Ptr<"kmem_cache"> => get(cpu, CACHE) as Ptr<"kmem_cache">;
/** Frees the object unless that has been done: from the program of CPU 0, or from an NMI there. */
const free = (cpu: Cpu): void => {
  if (cpu.id !== 0 || cpu.mem.cmpxchg(cpu.globals, element(WORDS, CLAIMED), 0, 1) !== 0) return;
  kfree_nolock(cpu, get(cpu, OBJECT) as Ptr);
  set(cpu, FREED, 1);
};
function shutdownAtOnce(cpu: Cpu, s: Ptr<"kmem_cache">): number {
  const mutex = embedded(embedded(cpu.globals, SLAB), SLAB_MUTEX);
  cpus_read_lock(cpu);
  mutex_lock(cpu, mutex);
  const error = __kmem_cache_shutdown(cpu, s);
  mutex_unlock(cpu, mutex);
  cpus_read_unlock(cpu);
  return error;
}

const program = (destroy: (cpu: Cpu, s: Ptr<"kmem_cache">) => number): Omit<Scenario, "name"> => ({
  globals: { panic_on_warn: 0, tiny: 1 },
  setup: (cpu) => {
    const s = kmem_cache_create(cpu, "litmus", 128, { flags: SLAB_NO_SHEAVES });
    set(cpu, CACHE, s);
    set(cpu, OBJECT, kmem_cache_alloc(cpu, s, GFP_KERNEL));
  },
  cpus: [
    [free],
    [
      (cpu) => {
        if (get(cpu, FREED) === 1) result(cpu, 0, destroy(cpu, cache(cpu)) === 0 ? 0 : 1);
      },
    ],
  ],
  nmi: free,
  nmis: 1,
});

const litmus: Litmus = {
  title: "the last object is freed by kfree_nolock(), also in an NMI, then the cache is destroyed",
  outcome: "objects are left",
  verdict: "F",
  observed: (cpu) => resultOf(cpu, 0) === 1,
  bound: 1,
  scenario: { name: "E21", ...program(kmem_cache_destroy) },
  vacuity: { name: "E21+no-op", ...program(shutdownAtOnce) },
};
export default litmus;
