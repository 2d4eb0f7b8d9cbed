/**
 * kfree_rcu(): free an object after a grace period, without a callback of its own. Two forms of head will do: struct
 * rcu_head (16 bytes) and struct kvfree_rcu_head (8), since only its first word is used. mm/slab_common.c; spec rcu 1.3.
 *
 *   kfree_rcu() --> kvfree_call_rcu() --> rcu_free sheaf of this CPU and cache (kfree_rcu_sheaf.ts)
 *                                    \--> kfree_rcu_cpu of this CPU            (krc.ts)
 *
 * From NMI, and from a context that may have interrupted this code: kfree_rcu_nolock().
 *
 * Differs: the second path is a linked list, without the kernel's pages of pointers. kfree_rcu_mightsleep(), the form
 * without a head, is left out. Double frees are found by the oracle instead of debugobjects.
 */
import { KvfreeCounters, KVFREE_RCU_OFFSET_LIMIT } from "../../../layout/kvfree_rcu.ts";
import { PerCpu } from "../../../layout/percpu.ts";
import { NULL, type Inner, type Ptr } from "../../../mem/struct.ts";
import { bug } from "../../../cpu/bug.ts";
import { describe_context, in_nmi } from "../../../cpu/context.ts";
import { this_cpu_ptr, type Cpu } from "../../../cpu/cpu.ts";
import { oracle_grace_period_begin, oracle_issued } from "../../../cpu/oracle.ts";
import { EV_KFREE_RCU, trace } from "../../../cpu/trace.ts";
import { kfree_rcu_sheaf } from "./kfree_rcu_sheaf.ts";
import { add_ptr_to_krc } from "./krc.ts";

const { kvfree: KVFREE } = PerCpu.offset;
const { kfree_rcu: N_CALLS, kfree_rcu_sheaf: N_SHEAF } = KvfreeCounters.offset;

/** Offset of the head that kfree_rcu() needs in a struct S. */
export type KvfreeRcuField<S extends string> = Inner<S, "rcu_head"> | Inner<S, "kvfree_rcu_head">;

/**
 * kfree_rcu() - free `ptr` once every reader that may have found it has finished.
 *
 * @kernel  include/linux/rcupdate.h
 * @param   field  offset of the head inside the object, below 4096. From now on the head belongs to RCU.
 * @context Any but NMI; raw locks may be held. Not on top of call_rcu(), or of the locks named in kvfree_call_rcu().
 */
export function kfree_rcu<S extends string>(cpu: Cpu, ptr: Ptr<S>, field: KvfreeRcuField<NoInfer<S>>): void {
  const head = kvfree_rcu_head_of(cpu, "kfree_rcu", ptr, field);
  if (head === NULL) return;
  cpu.mem.count(this_cpu_ptr(cpu, KVFREE), N_CALLS, 1);
  kvfree_call_rcu(cpu, head, ptr);
  oracle_issued(cpu, ptr);
}

/** What kfree_rcu() and kfree_rcu_nolock() begin with. @returns the head, or NULL if `ptr` is. @context Any */
export function kvfree_rcu_head_of<S extends string>(
  cpu: Cpu,
  caller: string,
  ptr: Ptr<S>,
  field: KvfreeRcuField<S>,
): Ptr<"kvfree_rcu_head"> {
  // An absent field, which the types forbid, is not below the limit either.
  if (!(field >= 0 && field < KVFREE_RCU_OFFSET_LIMIT)) {
    bug(cpu, `${caller}(): needs the offset of a head in the object, below ${KVFREE_RCU_OFFSET_LIMIT}, not ${field}`);
  }
  if (ptr === NULL) return NULL;
  oracle_grace_period_begin(cpu, ptr);
  const head = (ptr + field) as Ptr<"kvfree_rcu_head">;
  trace(cpu, EV_KFREE_RCU, ptr, head);
  return head;
}

/**
 * kvfree_call_rcu() - what kfree_rcu() does, and what the handler of deferred objects does in its place.
 *
 * @kernel  mm/slab_common.c
 * @context Any but NMI; raw locks of the caller may be held. Spins on barn locks and on krc->lock.
 */
export function kvfree_call_rcu(cpu: Cpu, head: Ptr<"kvfree_rcu_head">, ptr: Ptr): void {
  if (in_nmi(cpu)) bug(cpu, `kfree_rcu() in NMI, where only kfree_rcu_nolock() may be used (${describe_context(cpu)})`);
  if (head === NULL) bug(cpu, "kvfree_call_rcu() without a head");
  if (kfree_rcu_sheaf(cpu, ptr)) cpu.mem.count(this_cpu_ptr(cpu, KVFREE), N_SHEAF, 1);
  else add_ptr_to_krc(cpu, head, ptr);
}
