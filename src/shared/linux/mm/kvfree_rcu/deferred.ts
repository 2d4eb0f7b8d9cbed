/**
 * deferred_percpu_work, producers: where nolock code leaves what it may not do where it stands. Each CPU has
 * three lock-free lists and one irq_work, which runs once the CPU has IRQs on: outside every irqsave section of the CPU,
 * and outside call_rcu().
 *
 *   list            node                         by                      the handler (deferred_work.ts)
 *   objects         free-pointer slot            kfree_nolock()          __slab_free()
 *   objects_by_rcu  kvfree_rcu_head in the       kfree_rcu_nolock()      kvfree_call_rcu()
 *                   object: its other bytes may still have readers
 *   rcu_sheaves     slab_sheaf.llnode            __kfree_rcu_sheaf()     call_rcu()
 *
 * Producers: any context of the list's own CPU, NMI included; no locks. They run with preemption off, so that list and
 * irq_work belong to the CPU that runs. Consumer: the handler, on the same CPU.
 *
 * Differs: the kernel calls irq_work_queue() only if llist_add() found the list empty. Then a producer that interrupts
 * another one between these two finds the list not empty and returns with no work pending, and a deferred_work_barrier()
 * on another CPU misses its object (spec slub 6.4a). Here every producer queues. KB_NESTED_PRODUCER restores the kernel's.
 */
import { CB } from "../../../layout/callbacks.ts";
import { Globals, KB_NESTED_PRODUCER } from "../../../layout/globals.ts";
import { DeferredPercpuWork, KvfreeCounters } from "../../../layout/kvfree_rcu.ts";
import { PerCpu } from "../../../layout/percpu.ts";
import { POINT } from "../../../layout/points.ts";
import { KmemCache, SlabSheaf } from "../../../layout/slab.ts";
import { O_DEFERRED, O_DEFERRED_RCU, O_TRANSIT, O_USER } from "../../../mem/oracle.ts";
import { embedded, type Ptr } from "../../../mem/struct.ts";
import { preempt_disable, preempt_enable } from "../../../cpu/context.ts";
import { per_cpu_ptr, this_cpu_ptr, type Cpu } from "../../../cpu/cpu.ts";
import { oracle_move } from "../../../cpu/oracle.ts";
import { EV_DEFER, point, trace } from "../../../cpu/trace.ts";
import { init_irq_work, irq_work_queue } from "../../kernel/irq_work.ts";
import { llist_add } from "../../lib/llist.ts";

const { deferred_percpu_work: DEFERRED_PERCPU_WORK, kvfree: KVFREE } = PerCpu.offset;
const {
  objects: OBJECTS,
  objects_by_rcu: OBJECTS_BY_RCU,
  rcu_sheaves: RCU_SHEAVES,
  work: WORK,
} = DeferredPercpuWork.offset;
const {
  kfree_nolock_deferred: N_OBJECTS,
  kfree_rcu_nolock_deferred: N_OBJECTS_BY_RCU,
  rcu_sheaves_deferred: N_RCU_SHEAVES,
} = KvfreeCounters.offset;
const { kernel_behaviour: KERNEL_BEHAVIOUR } = Globals.offset;
const { offset: OFFSET } = KmemCache.offset;
const { llnode: LLNODE } = SlabSheaf.offset;

/** Makes the work of every CPU usable. @context Task, at boot */
export function deferred_percpu_work_init(cpu: Cpu): void {
  for (let id = 0; id < cpu.map.shape.cpus; id++) {
    init_irq_work(cpu, embedded(per_cpu_ptr(cpu, DEFERRED_PERCPU_WORK, id), WORK), CB.deferred_percpu_work_fn);
  }
}

/**
 * defer_free() - park an object whose free hooks have run. Its free-pointer slot becomes the link, so nothing is
 * allocated; that slot may lie behind the object, so poison is not damaged.
 *
 * @kernel  mm/slub.c
 * @context Any, NMI included. Takes no lock and waits for nobody.
 * @pairs   deferred_percpu_work_fn(): its xchg sees all that precedes our cmpxchg.
 */
export function defer_free(cpu: Cpu, s: Ptr<"kmem_cache">, object: Ptr): void {
  const node = (object + cpu.mem.read(s, OFFSET)) as Ptr<"llist_node">;
  oracle_move(cpu, object, O_TRANSIT, O_DEFERRED);
  preempt_disable(cpu);
  const dpw = this_cpu_ptr(cpu, DEFERRED_PERCPU_WORK);
  cpu.mem.count(this_cpu_ptr(cpu, KVFREE), N_OBJECTS, 1);
  defer(cpu, node, embedded(dpw, OBJECTS), embedded(dpw, WORK));
  preempt_enable(cpu);
}

/**
 * defer_kfree_rcu() - park an object that kfree_rcu_nolock() could not put into a sheaf. Only its head is touched: RCU
 * readers may be looking at everything else.
 *
 * @kernel  mm/slub.c
 * @context Any, NMI included. Takes no lock and waits for nobody.
 * @pairs   deferred_percpu_work_fn()
 */
export function defer_kfree_rcu(cpu: Cpu, head: Ptr<"kvfree_rcu_head">, object: Ptr): void {
  oracle_move(cpu, object, O_USER, O_DEFERRED_RCU);
  preempt_disable(cpu);
  const dpw = this_cpu_ptr(cpu, DEFERRED_PERCPU_WORK);
  cpu.mem.count(this_cpu_ptr(cpu, KVFREE), N_OBJECTS_BY_RCU, 1);
  defer(cpu, head as Ptr as Ptr<"llist_node">, embedded(dpw, OBJECTS_BY_RCU), embedded(dpw, WORK));
  preempt_enable(cpu);
}

/**
 * Parks a full sheaf that must not be given to call_rcu() here.
 *
 * @kernel  mm/slub.c, in __kfree_rcu_sheaf()
 * @context Any, NMI included; the sheaf's lock held, which keeps preemption off.
 * @pairs   deferred_percpu_work_fn()
 */
export function defer_rcu_sheaf(cpu: Cpu, sheaf: Ptr<"slab_sheaf">): void {
  const dpw = this_cpu_ptr(cpu, DEFERRED_PERCPU_WORK);
  cpu.mem.count(this_cpu_ptr(cpu, KVFREE), N_RCU_SHEAVES, 1);
  defer(cpu, embedded(sheaf, LLNODE), embedded(dpw, RCU_SHEAVES), embedded(dpw, WORK));
}

/** Puts a node on a list, and has the list's work run on this CPU. @context Any, NMI included; preemption off. */
export function defer(cpu: Cpu, node: Ptr<"llist_node">, list: Ptr<"llist_head">, work: Ptr<"irq_work">): void {
  trace(cpu, EV_DEFER, node, list);
  const was_empty = llist_add(cpu, node, list);
  point(cpu, POINT.llist_added_before_queue);
  if (was_empty || (cpu.mem.peek(cpu.globals, KERNEL_BEHAVIOUR) & KB_NESTED_PRODUCER) === 0) {
    irq_work_queue(cpu, work);
  }
}
