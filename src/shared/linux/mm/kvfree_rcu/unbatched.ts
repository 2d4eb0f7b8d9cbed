/**
 * kfree_rcu() of a machine without batching (globals.unbatched; !CONFIG_KVFREE_RCU_BATCHED, as with SLUB_TINY): one
 * call_rcu() for each object, and no sheaves. mm/slab_common.c; spec rcu 1.12.
 *
 * call_rcu() writes two words. So in such a build struct kvfree_rcu_head is as large as struct rcu_head. Here layouts are
 * the same in every machine: whoever runs one without batching keeps 16 bytes for the head, and one that does not fit in
 * its object is a bug.
 */
import { CB } from "../../../layout/callbacks.ts";
import { Globals } from "../../../layout/globals.ts";
import { KvfreeCounters } from "../../../layout/kvfree_rcu.ts";
import { PerCpu } from "../../../layout/percpu.ts";
import { KmemCache, Slab } from "../../../layout/slab.ts";
import { RcuHead } from "../../../layout/types.ts";
import { O_DEFERRED_RCU, O_KRC, O_USER } from "../../../mem/oracle.ts";
import { NULL, type Ptr } from "../../../mem/struct.ts";
import { bug } from "../../../cpu/bug.ts";
import { this_cpu_ptr, type Cpu } from "../../../cpu/cpu.ts";
import { oracle_grace_period_end, oracle_move } from "../../../cpu/oracle.ts";
import { call_rcu, synchronize_rcu } from "../../rcu/tree.ts";
import { large_kmalloc_size } from "../slub/large_kmalloc.ts";
import { virt_to_slab } from "../slub/slab.ts";
import { kvfree } from "../util.ts";
import { is_vmalloc_addr, vmalloc_size } from "../vmalloc.ts";
import { kvmalloc_obj_start_addr } from "./object_start.ts";

const { unbatched: UNBATCHED } = Globals.offset;
const { kvfree: KVFREE } = PerCpu.offset;
const { kfree_rcu_call_rcu: N_CALL_RCU, kfree_rcu_synchronous: N_SYNCHRONOUS } = KvfreeCounters.offset;
const { slab_cache: SLAB_CACHE } = Slab.offset;
const { object_size: OBJECT_SIZE } = KmemCache.offset;

/** Is this a machine without batching? @context Any */
export function is_unbatched(cpu: Cpu): boolean {
  return cpu.mem.peek(cpu.globals, UNBATCHED) !== 0;
}

/** kvfree_call_rcu() without batching. @context Any but NMI; a task that may sleep if `head` is NULL. */
export function kvfree_call_rcu_unbatched(cpu: Cpu, head: Ptr<"kvfree_rcu_head">, object: Ptr): void {
  if (head === NULL) {
    synchronize_rcu_and_kvfree(cpu, object);
    return;
  }
  assert_rcu_head_fits(cpu, head, object);
  oracle_move(cpu, object, O_USER | O_DEFERRED_RCU, O_KRC);
  cpu.mem.count(this_cpu_ptr(cpu, KVFREE), N_CALL_RCU, 1);
  call_rcu(cpu, head as Ptr as Ptr<"rcu_head">, CB.kvfree_rcu_cb);
}
/** kvfree_rcu_cb() - the grace period of one object is over. @kernel mm/slab_common.c @context Softirq (RCU callback) */
export function kvfree_rcu_cb(cpu: Cpu, head: Ptr<"rcu_head">): void {
  const object = kvmalloc_obj_start_addr(cpu, head);
  oracle_grace_period_end(cpu, object);
  oracle_move(cpu, object, O_KRC, O_USER); // Ours now, and kvfree() takes it from us.
  kvfree(cpu, object);
}
/**
 * What kfree_rcu_mightsleep() comes to where nothing can record the object.
 *
 * @kernel  mm/slab_common.c, in kvfree_call_rcu()
 * @context Task, may sleep.
 */
export function synchronize_rcu_and_kvfree(cpu: Cpu, object: Ptr): void {
  cpu.mem.count(this_cpu_ptr(cpu, KVFREE), N_SYNCHRONOUS, 1);
  synchronize_rcu(cpu);
  oracle_grace_period_end(cpu, object);
  kvfree(cpu, object);
}

/** A bug unless the object has room for what call_rcu() writes. @context Any */
function assert_rcu_head_fits(cpu: Cpu, head: Ptr<"kvfree_rcu_head">, object: Ptr): void {
  const bytes = object_bytes(cpu, object);
  if (head + RcuHead.size <= object + bytes) return;
  const where = `${head - object} of ${bytes} bytes of object ${object}`;
  bug(cpu, `kfree_rcu(): without batching a head takes ${RcuHead.size} bytes, which do not fit at offset ${where}`);
}
function object_bytes(cpu: Cpu, object: Ptr): number {
  if (is_vmalloc_addr(cpu, object)) return vmalloc_size(cpu, object);
  const slab = virt_to_slab(cpu, object);
  return slab === NULL ? large_kmalloc_size(cpu, object) : cpu.mem.read(cpu.mem.read(slab, SLAB_CACHE), OBJECT_SIZE);
}
