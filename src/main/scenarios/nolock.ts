/**
 * Scenario nolock, the default: everything at once on every CPU. Readers hold objects while updaters replace them, tasks
 * and interrupts of all CPUs free each other's objects, barriers are called and checked, caches come and go.
 */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { random_below } from "../../shared/cpu/random.ts";
import { GFP_KERNEL } from "../../shared/layout/gfp.ts";
import { TortureObject } from "../../shared/layout/torture.ts";
import { kfree, kfree_rcu, kmalloc, memcg_offline, shrink_kvfree_rcu } from "../../shared/linux/api.ts";
import { NULL, type Ptr } from "../../shared/mem/struct.ts";
import { MAX_OBJECT } from "../../nmi/objects.ts";
import { exchange } from "../../nmi/ordinary.ts";
import { exchange_nolock } from "../../nmi/traffic.ts";
import { cache_loop, checked_kvfree_rcu_barrier } from "./cache_loop.ts";
import {
  bind_checked_barriers,
  checked_flush_work,
  checked_irq_work_sync,
  checked_rcu_barrier,
  init_checked_barriers,
} from "./checked_barriers.ts";
import { burst, keep_or_free, offer_object, page_burst } from "./holdings.ts";
import { update_mightsleep, vmalloc_and_free } from "./kvfree.ts";
import { objects_of_node } from "./nodes.ts";
import { reader, reader_by_irqs_off } from "./readers.ts";
import { type Mix, run_one_of, type Scenario, totalWeight } from "./scenario.ts";
import { shrink_kmalloc_cache } from "./shrinking.ts";
import { update, update_and_wait, update_with_irqs_off } from "./updaters.ts";

const { kvfree_rcu: KVFREE_RCU } = TortureObject.offset;

/** Beyond the largest bucket pages are allocated. */
function large_kmalloc(cpu: Cpu): void {
  const size = MAX_OBJECT + 1 + random_below(cpu, 3 * MAX_OBJECT);
  const object = kmalloc(cpu, size, GFP_KERNEL) as Ptr as Ptr<"torture_object">;
  if (object === NULL) return;
  if (random_below(cpu, 2) === 0) kfree(cpu, object);
  else kfree_rcu(cpu, object, KVFREE_RCU);
}

/** What waits for a grace period is rare: a CPU that sleeps is no torture. Scenario barriers has more of it. */
const MIX: Mix = [
  [1000, reader],
  [160, reader_by_irqs_off],
  [1000, update],
  [320, update_with_irqs_off],
  [640, keep_or_free],
  [160, burst],
  [320, (cpu) => exchange(cpu, GFP_KERNEL)],
  [320, exchange_nolock],
  [320, offer_object],
  [16, large_kmalloc],
  [32, objects_of_node], // Does something with several nodes only.
  [32, update_mightsleep],
  [16, vmalloc_and_free],
  [32, page_burst],
  [32, checked_irq_work_sync],
  [16, checked_flush_work],
  [8, update_and_wait],
  [4, checked_rcu_barrier],
  [2, checked_kvfree_rcu_barrier],
  [4, cache_loop],
  [1, shrink_kmalloc_cache],
  [1, shrink_kvfree_rcu],
  [2, memcg_offline], // Does something with --hooks memcg only.
];
const TOTAL = totalWeight(MIX);

export const nolock: Scenario = {
  bind: bind_checked_barriers,
  setup: init_checked_barriers,
  operation: (cpu) => run_one_of(cpu, MIX, TOTAL),
};
