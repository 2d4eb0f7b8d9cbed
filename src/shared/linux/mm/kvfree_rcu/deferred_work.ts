/**
 * deferred_percpu_work, handler: does what nolock callers of this CPU had to leave (deferred.ts).
 *
 * It runs in hardirq context of the same CPU, once IRQs came on. So it interrupts no irqsave section of this CPU: it may
 * spin on list, barn and krc locks and may enter call_rcu(). It may interrupt the holder of a sheaf lock, which does not
 * disable IRQs: trylocks fail then, and kvfree_call_rcu() takes the krc path. mm/slub.c.
 *
 * Objects go first: they need no grace period. Then objects_by_rcu, which may fill a sheaf and call_rcu() it directly,
 * since spinning is allowed here: nothing is added to rcu_sheaves, the last list. All three are looked at in every run;
 * any of them may be the one that queued it.
 */
import { CB } from "../../../layout/callbacks.ts";
import { DeferredPercpuWork, KvfreeCounters } from "../../../layout/kvfree_rcu.ts";
import { PerCpu } from "../../../layout/percpu.ts";
import { POINT } from "../../../layout/points.ts";
import { KmemCache, Slab, SlabSheaf } from "../../../layout/slab.ts";
import { O_DEFERRED, O_TRANSIT } from "../../../mem/oracle.ts";
import { container_of, embedded, NULL, type Ptr } from "../../../mem/struct.ts";
import { bug } from "../../../cpu/bug.ts";
import { describe_context, in_nmi } from "../../../cpu/context.ts";
import { this_cpu_ptr, type Cpu } from "../../../cpu/cpu.ts";
import { oracle_move } from "../../../cpu/oracle.ts";
import { point } from "../../../cpu/trace.ts";
import { llist_del_all, llist_next } from "../../lib/llist.ts";
import { call_rcu } from "../../rcu/tree.ts";
import { __slab_free } from "../slub/free.ts";
import { assert_alive } from "../slub/kmalloc.ts";
import { virt_to_slab } from "../slub/slab.ts";
import { set_freepointer } from "../slub/slab_word.ts";
import { stat, STAT } from "../slub/stat.ts";
import { kvfree_call_rcu } from "./kvfree_rcu.ts";
import { kvmalloc_obj_start_addr } from "./object_start.ts";

const { kvfree: KVFREE } = PerCpu.offset;
const {
  objects: OBJECTS,
  objects_by_rcu: OBJECTS_BY_RCU,
  rcu_sheaves: RCU_SHEAVES,
  work: WORK,
} = DeferredPercpuWork.offset;
const {
  deferred_runs: N_RUNS,
  deferred_objects: N_OBJECTS,
  deferred_objects_by_rcu: N_OBJECTS_BY_RCU,
  deferred_rcu_sheaves: N_RCU_SHEAVES,
} = KvfreeCounters.offset;
const { offset: OFFSET } = KmemCache.offset;
const { slab_cache: SLAB_CACHE } = Slab.offset;
const { rcu_head: RCU_HEAD, llnode: LLNODE } = SlabSheaf.offset;

/**
 * deferred_percpu_work_fn() - the irq_work's function.
 *
 * @kernel  mm/slub.c
 * @context Hardirq, with no irqsave lock of this CPU held below.
 * @pairs   defer_free(), defer_kfree_rcu(), defer_rcu_sheaf()
 */
export function deferred_percpu_work_fn(cpu: Cpu, work: Ptr<"irq_work">): void {
  if (in_nmi(cpu)) bug(cpu, `deferred work in ${describe_context(cpu)}`);
  const dpw = container_of(work, WORK);
  cpu.mem.count(this_cpu_ptr(cpu, KVFREE), N_RUNS, 1);
  free_objects(cpu, take(cpu, embedded(dpw, OBJECTS)));
  free_objects_by_rcu(cpu, take(cpu, embedded(dpw, OBJECTS_BY_RCU)));
  submit_rcu_sheaves(cpu, take(cpu, embedded(dpw, RCU_SHEAVES)));
}

function take(cpu: Cpu, list: Ptr<"llist_head">): Ptr<"llist_node"> {
  const first = llist_del_all(cpu, list);
  point(cpu, POINT.deferred_list_taken);
  return first;
}

/** The free hooks of these ran in kfree_nolock(). */
function free_objects(cpu: Cpu, first: Ptr<"llist_node">): void {
  const mem = cpu.mem;
  for (let node = first; node !== NULL;) {
    const next = llist_next(cpu, node); // Before the free: the link lies in the object.
    const slab = virt_to_slab(cpu, node);
    if (slab === NULL) bug(cpu, `deferred object at ${node} is on no slab`);
    const s = mem.read(slab, SLAB_CACHE);
    assert_alive(cpu, s);
    const object = (node - mem.read(s, OFFSET)) as Ptr;
    oracle_move(cpu, object, O_DEFERRED, O_TRANSIT);
    mem.count(this_cpu_ptr(cpu, KVFREE), N_OBJECTS, 1);
    set_freepointer(cpu, s, object, NULL); // The bare link would be taken for an encoded free pointer.
    __slab_free(cpu, s, slab, object, object, 1);
    stat(cpu, s, STAT.FREE_SLOWPATH);
    node = next;
  }
}

/** Objects whose heads are linked by kfree_rcu_nolock(). @context as deferred_percpu_work_fn() */
export function free_objects_by_rcu(cpu: Cpu, first: Ptr<"llist_node">): void {
  for (let node = first; node !== NULL;) {
    const next = llist_next(cpu, node); // Before kvfree_call_rcu(), which links the head elsewhere.
    const head = node as Ptr as Ptr<"kvfree_rcu_head">;
    cpu.mem.count(this_cpu_ptr(cpu, KVFREE), N_OBJECTS_BY_RCU, 1);
    kvfree_call_rcu(cpu, head, kvmalloc_obj_start_addr(cpu, head));
    node = next;
  }
}

function submit_rcu_sheaves(cpu: Cpu, first: Ptr<"llist_node">): void {
  for (let node = first; node !== NULL;) {
    const next = llist_next(cpu, node); // Before call_rcu(): rcu_head and llnode share their bytes.
    const sheaf = container_of(node, LLNODE);
    cpu.mem.count(this_cpu_ptr(cpu, KVFREE), N_RCU_SHEAVES, 1);
    call_rcu(cpu, embedded(sheaf, RCU_HEAD), CB.rcu_free_sheaf);
    node = next;
  }
}
