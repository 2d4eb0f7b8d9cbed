/**
 * kfree_rcu sheaves, consumers: the RCU callbacks that get a sheaf after its grace period, and the work item that
 * submits a sheaf which is not full. mm/slub.c; spec slub 5.4, 5.6.
 *
 *   rcu_free_sheaf         full sheaf: to the barn of its node, at once allocatable, or else flushed to the slabs
 *   rcu_free_sheaf_nobarn  sheaf that a flush submitted: to the slabs, since its cache may be going away
 *
 * The free hooks of the objects run here. A grace period that covers the newest object of a sheaf covers them all.
 */
import { CB } from "../../../layout/callbacks.ts";
import { KvfreeCounters } from "../../../layout/kvfree_rcu.ts";
import { PerCpu } from "../../../layout/percpu.ts";
import { NodeBarn, SL_pfmemalloc, Slab, SlabSheaf, SlubPercpuSheaves } from "../../../layout/slab.ts";
import { STAT } from "../../../layout/slab_stat.ts";
import { O_SHEAF, O_TRANSIT } from "../../../mem/oracle.ts";
import { container_of, element, embedded, NULL, type Ptr } from "../../../mem/struct.ts";
import { assert, bug } from "../../../cpu/bug.ts";
import { this_cpu_ptr, type Cpu } from "../../../cpu/cpu.ts";
import { oracle_grace_period_end, oracle_move } from "../../../cpu/oracle.ts";
import { local_lock, local_unlock } from "../../sync/local_lock.ts";
import { call_rcu } from "../../rcu/tree.ts";
import { barn_put_empty_sheaf, barn_put_full_sheaf, max_empty_sheaves, max_full_sheaves } from "../slub/barn.ts";
import { slab_free_hook } from "../slub/hooks.ts";
import { assert_alive } from "../slub/kmalloc.ts";
import { get_node_barn, this_cpu_sheaves } from "../slub/pcs.ts";
import { free_empty_sheaf, sheaf_flush_unused } from "../slub/sheaf.ts";
import { virt_to_slab } from "../slub/slab.ts";
import { stat } from "../slub/stat.ts";

const { rcu_head: RCU_HEAD, cache: CACHE, size: SIZE, node: NODE, objects: OBJECTS } = SlabSheaf.offset;
const { lock: LOCK, rcu_free: RCU_FREE, flush_work: FLUSH_WORK, cache: PCS_CACHE } = SlubPercpuSheaves.offset;
const { nr_full: NR_FULL, nr_empty: NR_EMPTY } = NodeBarn.offset;
const { flags: SLAB_FLAGS } = Slab.offset;
const { kvfree: KVFREE } = PerCpu.offset;
const { rcu_sheaves_freed: N_FREED } = KvfreeCounters.offset;

/**
 * __rcu_free_sheaf_prepare() - run the free hooks of all objects; those that a hook keeps leave the sheaf.
 *
 * @kernel  mm/slub.c
 * @returns true if an object that stayed is from memory reserves: the sheaf must not go where anybody can allocate it.
 * @context Softirq, after the grace period of all objects.
 */
function __rcu_free_sheaf_prepare(cpu: Cpu, s: Ptr<"kmem_cache">, sheaf: Ptr<"slab_sheaf">): boolean {
  const mem = cpu.mem;
  assert_alive(cpu, s);
  let pfmemalloc = false;
  let size = mem.read(sheaf, SIZE);
  for (let i = 0; i < size;) {
    const object = mem.read(sheaf, element(OBJECTS, i));
    oracle_grace_period_end(cpu, object);
    if (!slab_free_hook(cpu, s, object, true)) {
      size--;
      mem.write(sheaf, element(OBJECTS, i), mem.read(sheaf, element(OBJECTS, size)));
      continue;
    }
    const slab = virt_to_slab(cpu, object);
    if (slab === NULL) bug(cpu, `object ${object} of an rcu sheaf is on no slab`);
    if (mem.data_race_read(slab, SLAB_FLAGS) & SL_pfmemalloc) pfmemalloc = true; // Race: as in can_free_to_pcs().
    i++;
  }
  mem.write(sheaf, SIZE, size);
  mem.count(this_cpu_ptr(cpu, KVFREE), N_FREED, 1);
  return pfmemalloc;
}

/**
 * rcu_free_sheaf() - the grace period of a full sheaf is over.
 *
 * @kernel  mm/slub.c
 * @context Softirq (RCU callback). Spins on barn and list locks.
 * @pairs   __kfree_rcu_sheaf(): what it wrote before call_rcu() is seen here.
 */
export function rcu_free_sheaf(cpu: Cpu, head: Ptr<"rcu_head">): void {
  const mem = cpu.mem;
  const sheaf = container_of(head, RCU_HEAD);
  const s = mem.read(sheaf, CACHE);
  const pfmemalloc = __rcu_free_sheaf_prepare(cpu, s, sheaf);
  // The node on which the sheaf was detached: this may run elsewhere. Objects of another node, which a migration let in,
  // stay: allocation checks the node of what it takes only if one was asked for.
  const barn = pfmemalloc ? NULL : get_node_barn(cpu, s, mem.read(sheaf, NODE));
  const size = mem.read(sheaf, SIZE);
  if (barn === NULL || size > 0) {
    // Race: the limits are soft; two CPUs at once may exceed them by one.
    if (barn !== NULL && mem.data_race_read(barn, NR_FULL) < max_full_sheaves(cpu)) {
      for (let i = 0; i < size; i++) oracle_move(cpu, mem.read(sheaf, element(OBJECTS, i)), O_TRANSIT, O_SHEAF);
      stat(cpu, s, STAT.BARN_PUT, 1);
      barn_put_full_sheaf(cpu, barn, sheaf); // Full or not: a hook may have kept some objects.
      return;
    }
    stat(cpu, s, STAT.BARN_PUT_FAIL, 1);
    sheaf_flush_unused(cpu, s, sheaf);
  }
  if (barn !== NULL && mem.data_race_read(barn, NR_EMPTY) < max_empty_sheaves(cpu)) {
    barn_put_empty_sheaf(cpu, barn, sheaf);
  } else {
    free_empty_sheaf(cpu, s, sheaf);
  }
}

/**
 * rcu_free_sheaf_nobarn() - the grace period of a sheaf that some flush submitted is over.
 *
 * @kernel  mm/slub.c
 * @context Softirq (RCU callback).
 */
export function rcu_free_sheaf_nobarn(cpu: Cpu, head: Ptr<"rcu_head">): void {
  const sheaf = container_of(head, RCU_HEAD);
  const s = cpu.mem.read(sheaf, CACHE);
  __rcu_free_sheaf_prepare(cpu, s, sheaf);
  sheaf_flush_unused(cpu, s, sheaf);
  free_empty_sheaf(cpu, s, sheaf);
}

/**
 * flush_rcu_sheaf() - submit this CPU's rcu_free sheaf, full or not.
 *
 * @kernel  mm/slub.c
 * @context Task: work item on the CPU whose sheaf it is.
 * @pairs   __kfree_rcu_sheaf(): it submits under the sheaf lock what it detaches, so what is not in rcu_free here has
 *          been submitted. flush_rcu_sheaves_on_cache(): waits for us before its caller goes on to rcu_barrier().
 */
export function flush_rcu_sheaf(cpu: Cpu, work: Ptr<"work_struct">): void {
  const mem = cpu.mem;
  const pcs = container_of(work, FLUSH_WORK);
  assert(cpu, pcs === this_cpu_sheaves(cpu, mem.read(pcs, PCS_CACHE)), "flush_rcu_sheaf() on another CPU");
  local_lock(cpu, embedded(pcs, LOCK));
  const rcu_free = mem.read(pcs, RCU_FREE);
  mem.write(pcs, RCU_FREE, NULL);
  local_unlock(cpu, embedded(pcs, LOCK));
  if (rcu_free !== NULL) call_rcu(cpu, embedded(rcu_free, RCU_HEAD), CB.rcu_free_sheaf_nobarn);
}
