/**
 * kfree_rcu_nolock(): kfree_rcu() for any context, NMI and "on top of whatever was interrupted" included. It takes no
 * lock but by trying, never fails and never waits: what cannot be done at once is parked for an irq_work. For objects of
 * kmalloc_nolock(). include/linux/rcupdate.h; spec slub 5.2, 13, rcu 2.3 to 2.7.
 *
 * There is no form without a head: its slow path is synchronize_rcu(), impossible here.
 *
 * How it is done has changed during review. globals.nolock_variant selects; all have one interface:
 *
 *   merged  7.3           sheaf; full ones and what finds none are deferred              nolock_merged.ts
 *   v3      June 2026     the same, for objects of this node's slabs only                nolock_v3.ts
 *   rfc     February      sheaf, never full; then krc->head under a trylock; deferred    nolock_rfc.ts
 */
import { Globals, VARIANT_RFC, VARIANT_V3 } from "../../../layout/globals.ts";
import { KvfreeCounters } from "../../../layout/kvfree_rcu.ts";
import { PerCpu } from "../../../layout/percpu.ts";
import { NULL, type Ptr } from "../../../mem/struct.ts";
import { this_cpu_ptr, type Cpu } from "../../../cpu/cpu.ts";
import { oracle_check_nolock, oracle_issued } from "../../../cpu/oracle.ts";
import { kvfree_rcu_head_of, type KvfreeRcuField } from "./kvfree_rcu.ts";
import { kfree_call_rcu_nolock as merged } from "./nolock_merged.ts";
import { kfree_call_rcu_nolock as rfc } from "./nolock_rfc.ts";
import { kfree_call_rcu_nolock as v3 } from "./nolock_v3.ts";

const { kvfree: KVFREE } = PerCpu.offset;
const { kfree_rcu_nolock: N_CALLS } = KvfreeCounters.offset;
const { nolock_variant: NOLOCK_VARIANT } = Globals.offset;

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
  oracle_check_nolock(cpu, ptr, "kfree_rcu_nolock");
  cpu.mem.count(this_cpu_ptr(cpu, KVFREE), N_CALLS, 1);
  const variant = cpu.mem.peek(cpu.globals, NOLOCK_VARIANT);
  if (variant === VARIANT_RFC) rfc(cpu, head, ptr);
  else if (variant === VARIANT_V3) v3(cpu, head as Ptr as Ptr<"rcu_head">, ptr);
  else merged(cpu, head, ptr);
  oracle_issued(cpu, ptr);
}
