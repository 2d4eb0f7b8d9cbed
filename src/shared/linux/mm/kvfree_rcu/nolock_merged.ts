/** kfree_rcu_nolock() as merged in 7.3. mm/slub.c; spec slub 5.2, rcu 2.7.2. */
import { KvfreeCounters } from "../../../layout/kvfree_rcu.ts";
import { PerCpu } from "../../../layout/percpu.ts";
import { SLAB_FREE_NOLOCK } from "../../../layout/slab_flags.ts";
import type { Ptr } from "../../../mem/struct.ts";
import { this_cpu_ptr, type Cpu } from "../../../cpu/cpu.ts";
import { defer_kfree_rcu } from "./deferred.ts";
import { kfree_rcu_sheaf } from "./kfree_rcu_sheaf.ts";
import { is_unbatched } from "./unbatched.ts";

const { kvfree: KVFREE } = PerCpu.offset;
const { kfree_rcu_nolock_sheaf: N_SHEAF } = KvfreeCounters.offset;

/**
 * kfree_call_rcu_nolock() - into this CPU's rcu_free sheaf, or else onto its objects_by_rcu list. Always deferred are
 * vmalloc areas, large kmallocs, objects of another node, which must not enter a local sheaf, and all objects of a machine
 * without batching, where the rest is call_rcu().
 *
 * @kernel  mm/slub.c
 * @context Any, NMI included.
 */
export function kfree_call_rcu_nolock(cpu: Cpu, head: Ptr<"kvfree_rcu_head">, ptr: Ptr): void {
  if (!is_unbatched(cpu) && kfree_rcu_sheaf(cpu, ptr, SLAB_FREE_NOLOCK)) {
    cpu.mem.count(this_cpu_ptr(cpu, KVFREE), N_SHEAF, 1);
  } else {
    defer_kfree_rcu(cpu, head, ptr);
  }
}
