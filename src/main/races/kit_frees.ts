/**
 * The ways in which races allocate and free their things, and what makes krc move. A thing that somebody else has taken is
 * NULL: kfree_nolock(), kfree_rcu() and kfree_rcu_nolock() do nothing with that, as in the kernel.
 */
import { local_irq_restore, local_irq_save } from "../../shared/cpu/context.ts";
import { this_cpu_ptr, type Cpu } from "../../shared/cpu/cpu.ts";
import { oracle_barrier_begin, oracle_barrier_end } from "../../shared/cpu/oracle.ts";
import { FREE_N_CHANNELS, KfreeRcuCpu, KvfreeRcuBulkData } from "../../shared/layout/kvfree_rcu.ts";
import { PerCpu } from "../../shared/layout/percpu.ts";
import { RcuGpOldstate, RcuNode, RcuState } from "../../shared/layout/rcu.ts";
import { SlubPercpuSheaves } from "../../shared/layout/slab.ts";
import { mod_delayed_work } from "../../shared/linux/kernel/workqueue.ts";
import { bnodes_of } from "../../shared/linux/mm/kvfree_rcu/check_krc.ts";
import { __kvfree_rcu_barrier } from "../../shared/linux/mm/kvfree_rcu/krc_barrier.ts";
import { bulk_head_of } from "../../shared/linux/mm/kvfree_rcu/krc.ts";
import { kfree_rcu } from "../../shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { kfree_rcu_nolock } from "../../shared/linux/mm/kvfree_rcu/nolock.ts";
import { __slab_free } from "../../shared/linux/mm/slub/free.ts";
import { slab_free_hook } from "../../shared/linux/mm/slub/hooks.ts";
import { kmem_cache_free } from "../../shared/linux/mm/slub/kmalloc.ts";
import { kfree_nolock } from "../../shared/linux/mm/slub/nolock.ts";
import { this_cpu_sheaves } from "../../shared/linux/mm/slub/pcs.ts";
import { virt_to_slab } from "../../shared/linux/mm/slub/slab.ts";
import { rcu_get_root, rcu_state } from "../../shared/linux/rcu/rcu_node.ts";
import { local_lock, local_unlock } from "../../shared/linux/sync/local_lock.ts";
import { embedded, NULL } from "../../shared/mem/struct.ts";
import type { Operation } from "../explore/scenario.ts";
import { alloc, cache, HEAD, put, take } from "./kit.ts";

const { krc: KRC } = PerCpu.offset;
const { monitor_work: MONITOR_WORK, head_gp_snap: HEAD_GP_SNAP } = KfreeRcuCpu.offset;
const { gp_snap: GP_SNAP } = KvfreeRcuBulkData.offset;
const { norm: NORM } = RcuGpOldstate.offset;
const { gp_seq: GP_SEQ } = RcuNode.offset;
const { gp_seq_polled: GP_SEQ_POLLED } = RcuState.offset;
const { lock: LOCK } = SlubPercpuSheaves.offset;

export const allocate =
  (i: number): Operation =>
  (cpu) =>
    put(cpu, i, alloc(cpu));
export const free =
  (i: number): Operation =>
  (cpu) =>
    kmem_cache_free(cpu, cache(cpu), take(cpu, i));
export const freeNolock =
  (i: number): Operation =>
  (cpu) =>
    kfree_nolock(cpu, take(cpu, i));
export const freeRcu =
  (i: number): Operation =>
  (cpu) =>
    kfree_rcu(cpu, take(cpu, i), HEAD);
export const freeRcuNolock =
  (i: number): Operation =>
  (cpu) =>
    kfree_rcu_nolock(cpu, take(cpu, i), HEAD);
/** Thing `i` goes straight to its slab, as from a CPU of another node, a flush, or the irq_work handler. */
export const slabFree =
  (i: number): Operation =>
  (cpu) => {
    const thing = take(cpu, i);
    const s = cache(cpu);
    const slab = virt_to_slab(cpu, thing);
    if (slab !== NULL && slab_free_hook(cpu, s, thing, false)) __slab_free(cpu, s, slab, thing, thing, 1);
  };
/**
 * Runs `frees` as an NMI would that hit a holder of the sheaf lock with IRQs off: what they free is deferred, and the
 * irq_work is pending at the end if it comes late.
 */
export function insideSheafLock(cpu: Cpu, frees: Operation): void {
  const lock = embedded(this_cpu_sheaves(cpu, cache(cpu)), LOCK);
  const flags = local_irq_save(cpu);
  local_lock(cpu, lock);
  frees(cpu);
  local_unlock(cpu, lock);
  local_irq_restore(cpu, flags);
}

/** The monitor of this CPU's krc has waited for long enough: it comes as the next work item. */
export function monitorIsDue(cpu: Cpu): void {
  mod_delayed_work(cpu, embedded(this_cpu_ptr(cpu, KRC), MONITOR_WORK), 0);
}
/** The grace periods of all that is pending in this CPU's krc are over, as if it had been there for long. No steps. */
export function pendingIsReady(cpu: Cpu): void {
  const { mem } = cpu;
  const krcp = this_cpu_ptr(cpu, KRC);
  const gp_seq = mem.peek(rcu_get_root(cpu), GP_SEQ);
  for (let idx = 0; idx < FREE_N_CHANNELS; idx++) {
    for (const bnode of bnodes_of(cpu, bulk_head_of(krcp, idx))) mem.poke(embedded(bnode, GP_SNAP), NORM, gp_seq);
  }
  mem.poke(krcp, HEAD_GP_SNAP, mem.peek(rcu_state(cpu), GP_SEQ_POLLED));
}
/** __kvfree_rcu_barrier(), as the oracle knows barriers. */
export const krcBarrier: Operation = (cpu) => {
  oracle_barrier_begin(cpu);
  __kvfree_rcu_barrier(cpu);
  oracle_barrier_end(cpu, NULL);
};
/** An NMI that frees thing `i`, on CPU 0. */
export const nmiFrees =
  (i: number): Operation =>
  (cpu) => {
    if (cpu.id === 0) freeRcuNolock(i)(cpu);
  };
