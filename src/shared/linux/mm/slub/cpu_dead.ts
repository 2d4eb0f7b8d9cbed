/** The sheaves of a CPU that is gone. mm/slub.c; spec slub 2.14. */
import type { Cpu } from "../../../cpu/cpu.ts";
import { CpuSlot } from "../../../layout/cpu.ts";
import { Globals } from "../../../layout/globals.ts";
import { PerCpu } from "../../../layout/percpu.ts";
import { KmemCache, SlabGlobals } from "../../../layout/slab.ts";
import { container_of, embedded, type Ptr } from "../../../mem/struct.ts";
import { list_next } from "../../lib/list.ts";
import { mutex_lock, mutex_unlock } from "../../sync/mutex.ts";
import { __pcs_flush_all_cpu } from "./flush.ts";
import { cache_has_sheaves } from "./sheaf.ts";

const { slab: SLAB } = Globals.offset;
const { slab_mutex: SLAB_MUTEX, slab_caches: SLAB_CACHES } = SlabGlobals.offset;
const { list: LIST } = KmemCache.offset;
const { slot: SLOT } = PerCpu.offset;
const { id: ID } = CpuSlot.offset;

/**
 * slub_cpu_dead() - empty the sheaves of a CPU that is gone. Nobody looks for them any more: flushes and barriers go to
 * online CPUs. Its rcu_free sheaves go to RCU, its other objects to their slabs; an empty main sheaf stays.
 *
 * Its deferred_percpu_work has run on the way out (kernel/cpu.ts), and its kfree_rcu_cpu is drained by works that run
 * elsewhere. Differs: slub_cpu_setup() is not needed for the way back: caches have their barns for all nodes from the start.
 *
 * @kernel  mm/slub.c
 * @context Task, may sleep, CPUs locked for writing. Takes slab_mutex.
 */
export function slub_cpu_dead(cpu: Cpu, section: Ptr<"percpu">): void {
  const dead = cpu.mem.peek(embedded(section, SLOT), ID);
  const slab = embedded(cpu.globals, SLAB);
  const caches = embedded(slab, SLAB_CACHES);
  mutex_lock(cpu, embedded(slab, SLAB_MUTEX));
  for (let entry = list_next(cpu, caches); entry !== caches; entry = list_next(cpu, entry)) {
    const s = container_of(entry, LIST);
    if (cache_has_sheaves(cpu, s)) __pcs_flush_all_cpu(cpu, s, dead);
  }
  mutex_unlock(cpu, embedded(slab, SLAB_MUTEX));
}
