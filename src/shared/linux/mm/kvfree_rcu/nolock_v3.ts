/**
 * kfree_rcu_nolock() as posted in June 2026 (v3), to be compared with what was merged. mm/slub.c; spec slub 13, rcu 2.6.
 *
 * Its prototype has a struct rcu_head, and inside it was a `bool allow_spin` where slub now has free_flags. It did not look
 * at an object's node, so objects of another node entered a local sheaf, and with it the local barn. And it took for
 * granted that the object lies on a slab: a vmalloc address only drew a VM_WARN_ON(). Review asked for both.
 * The order of its barrier is globals.barrier_order's, BARRIER_FDRK.
 */
import { KvfreeCounters } from "../../../layout/kvfree_rcu.ts";
import { PerCpu } from "../../../layout/percpu.ts";
import { Slab } from "../../../layout/slab.ts";
import { SLAB_FREE_NOLOCK } from "../../../layout/slab_flags.ts";
import { NULL, type Ptr } from "../../../mem/struct.ts";
import { warn } from "../../../cpu/bug.ts";
import { this_cpu_ptr, type Cpu } from "../../../cpu/cpu.ts";
import { virt_to_slab } from "../slub/slab.ts";
import { is_vmalloc_addr } from "../vmalloc.ts";
import { defer_kfree_rcu } from "./deferred.ts";
import { __kfree_rcu_sheaf } from "./kfree_rcu_sheaf.ts";
import { is_unbatched } from "./unbatched.ts";

const { kvfree: KVFREE } = PerCpu.offset;
const { kfree_rcu_nolock_sheaf: N_SHEAF } = KvfreeCounters.offset;
const { slab_cache: SLAB_CACHE } = Slab.offset;

/**
 * kfree_call_rcu_nolock() - into this CPU's rcu_free sheaf, or else onto its objects_by_rcu list.
 *
 * Differs: an object that is on no slab is deferred after the warning. The posted code follows the slab that is not there.
 *
 * @kernel  mm/slub.c, June 2026
 * @context Any, NMI included.
 */
export function kfree_call_rcu_nolock(cpu: Cpu, head: Ptr<"rcu_head">, ptr: Ptr): void {
  const slab = is_vmalloc_addr(cpu, ptr) ? NULL : virt_to_slab(cpu, ptr);
  if (slab === NULL) warn(cpu, `kfree_rcu_nolock() of ${ptr}, which is on no slab`);
  const in_sheaf =
    slab !== NULL &&
    !is_unbatched(cpu) &&
    __kfree_rcu_sheaf(cpu, cpu.mem.read(slab, SLAB_CACHE), ptr, SLAB_FREE_NOLOCK);
  if (in_sheaf) cpu.mem.count(this_cpu_ptr(cpu, KVFREE), N_SHEAF, 1);
  else defer_kfree_rcu(cpu, head as Ptr as Ptr<"kvfree_rcu_head">, ptr);
}
