/**
 * kfree_rcu_nolock(): kfree_rcu() for any context, NMI and "on top of whatever was interrupted" included. It takes no
 * lock but by trying, never fails and never waits: what finds no sheaf is parked for an irq_work, which does the rest
 * (deferred.ts). For objects of kmalloc_nolock(). mm/slub.c; spec slub 5.2, rcu 2.7.2.
 *
 * There is no form without a head: its slow path is synchronize_rcu(), impossible here.
 */
import { KvfreeCounters } from "../../../layout/kvfree_rcu.ts";
import { PerCpu } from "../../../layout/percpu.ts";
import { Slab } from "../../../layout/slab.ts";
import { SLAB_FREE_NOLOCK } from "../../../layout/slab_flags.ts";
import { NULL, type Ptr } from "../../../mem/struct.ts";
import { this_cpu_ptr, type Cpu } from "../../../cpu/cpu.ts";
import { oracle_issued } from "../../../cpu/oracle.ts";
import { numa_mem_id, slab_nid, virt_to_slab } from "../slub/slab.ts";
import { defer_kfree_rcu } from "./deferred.ts";
import { __kfree_rcu_sheaf } from "./kfree_rcu_sheaf.ts";
import { kvfree_rcu_head_of, type KvfreeRcuField } from "./kvfree_rcu.ts";

const { kvfree: KVFREE } = PerCpu.offset;
const { kfree_rcu_nolock: N_CALLS, kfree_rcu_nolock_sheaf: N_SHEAF } = KvfreeCounters.offset;
const { slab_cache: SLAB_CACHE } = Slab.offset;

/**
 * kfree_rcu_nolock() - free `ptr` once every reader that may have found it has finished.
 *
 * @kernel  include/linux/rcupdate.h
 * @param   field  offset of the head inside the object, below 4096. From now on the head belongs to RCU.
 * @context Any, NMI included. Waits for nobody.
 */
export function kfree_rcu_nolock<S extends string>(cpu: Cpu, ptr: Ptr<S>, field: KvfreeRcuField<NoInfer<S>>): void {
  const head = kvfree_rcu_head_of(cpu, "kfree_rcu_nolock", ptr, field);
  if (head === NULL) return;
  kfree_call_rcu_nolock(cpu, head, ptr);
  oracle_issued(cpu, ptr);
}

/**
 * kfree_call_rcu_nolock() - into this CPU's rcu_free sheaf, or else onto its objects_by_rcu list. Large kmallocs and
 * objects of another node, which must not enter a local sheaf, are always deferred.
 *
 * @kernel  mm/slub.c
 * @context Any, NMI included.
 */
export function kfree_call_rcu_nolock(cpu: Cpu, head: Ptr<"kvfree_rcu_head">, ptr: Ptr): void {
  const mem = cpu.mem;
  mem.count(this_cpu_ptr(cpu, KVFREE), N_CALLS, 1);
  const slab = virt_to_slab(cpu, ptr);
  if (
    slab !== NULL &&
    slab_nid(cpu, slab) === numa_mem_id(cpu) &&
    __kfree_rcu_sheaf(cpu, mem.read(slab, SLAB_CACHE), ptr, SLAB_FREE_NOLOCK)
  ) {
    mem.count(this_cpu_ptr(cpu, KVFREE), N_SHEAF, 1);
  } else {
    defer_kfree_rcu(cpu, head, ptr);
  }
}
