/**
 * obj_cgroup: counted references that are looked up under RCU. A memory cgroup points at one and holds a reference; who
 * finds it takes another one, unless the count has been 0 already, and keeps it beyond the reader. The last put frees the
 * object by kfree_rcu(), for the sake of those who are just looking at the count. mm/memcontrol.c; spec rcu 2.1.
 *
 *   get_obj_cgroup_from_memcg()   Any; a reader
 *   obj_cgroup_put()              Any; the last one frees, in an NMI by kfree_rcu_nolock()
 *   memcg_replace_objcg()         Task or Hardirq; objcg_lock
 *
 * Differs: the kernel's count is a percpu_ref, and an obj_cgroup stays on its parent's list until the last put. Here it
 * leaves the list with its memory cgroup, so that the last put takes no lock and may come in an NMI.
 */
import { bug } from "../../shared/cpu/bug.ts";
import { in_nmi } from "../../shared/cpu/context.ts";
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { random_below } from "../../shared/cpu/random.ts";
import { NUMA_NO_NODE } from "../../shared/layout/gfp.ts";
import { Globals } from "../../shared/layout/globals.ts";
import {
  NR_MEMCGS,
  NR_OBJCG_STASH,
  ObjcgGlobals,
  WorkloadObjcg,
  WorkloadGlobals,
} from "../../shared/layout/workloads.ts";
import {
  kfree_rcu,
  kfree_rcu_nolock,
  kmalloc_nolock,
  LC,
  rcu_read_lock,
  rcu_read_unlock,
  spin_lock_init,
  spin_lock_irqsave,
  spin_unlock_irqrestore,
} from "../../shared/linux/api.ts";
import { INIT_LIST_HEAD, list_add, list_del, list_next } from "../../shared/linux/lib/list.ts";
import { refcount_inc_not_zero } from "../../shared/linux/lib/refcount.ts";
import { container_of, element, embedded, NULL, type Ptr } from "../../shared/mem/struct.ts";
import { assert_batching, check_tag, TAG_END, tag_object } from "./tag.ts";

const { workloads: WORKLOADS } = Globals.offset;
const { objcg: OBJCG } = WorkloadGlobals.offset;
const { lock: LOCK, list: OBJCG_LIST, objcg: MEMCG_OBJCG, stash: STASH } = ObjcgGlobals.offset;
const {
  refcnt: REFCNT,
  memcg: MEMCG,
  nr_charged_bytes: NR_CHARGED_BYTES,
  list: LIST,
  rcu: RCU,
  tag: TAG,
} = WorkloadObjcg.offset;

type Objcg = Ptr<"workload_objcg">;

const SIZE = WorkloadObjcg.size + TAG_END;
/** What a reference in the stash has charged. */
const CHARGE = 64;

const roots = (cpu: Cpu): Ptr<"objcg_globals"> => embedded(embedded(cpu.globals, WORKLOADS), OBJCG);

/** No memory cgroup has one. @context Task, alone */
export function obj_cgroup_init(cpu: Cpu): void {
  assert_batching(cpu);
  spin_lock_init(cpu, embedded(roots(cpu), LOCK), LC.test);
  INIT_LIST_HEAD(cpu, embedded(roots(cpu), OBJCG_LIST));
}

/** One with a count of 1. @returns NULL: no memory. @context Any */
function obj_cgroup_alloc(cpu: Cpu, memcg: number): Objcg {
  const objcg = kmalloc_nolock(cpu, SIZE, 0, NUMA_NO_NODE) as Ptr as Objcg;
  if (objcg === NULL) return NULL;
  cpu.mem.init(objcg, REFCNT, 1);
  cpu.mem.init(objcg, MEMCG, memcg);
  cpu.mem.init(objcg, NR_CHARGED_BYTES, 0);
  tag_object(cpu, objcg, embedded(objcg, TAG), SIZE);
  return objcg;
}

/** obj_cgroup_put() - one reference less. @context Any, NMI included */
export function obj_cgroup_put(cpu: Cpu, objcg: Objcg): void {
  if (cpu.mem.fetch_add(objcg, REFCNT, -1) === 1) obj_cgroup_release(cpu, objcg);
}
/** There is no reference any more, and no way to get one; but readers may be looking at the count. @context Any */
function obj_cgroup_release(cpu: Cpu, objcg: Objcg): void {
  check_tag(cpu, objcg, embedded(objcg, TAG), "obj_cgroup_release()");
  const charged = cpu.mem.read_once(objcg, NR_CHARGED_BYTES);
  if (charged !== 0) bug(cpu, `an obj_cgroup without references has ${charged} bytes charged`);
  if (in_nmi(cpu) || random_below(cpu, 2) === 0) kfree_rcu_nolock(cpu, objcg, RCU);
  else kfree_rcu(cpu, objcg, RCU);
}

/** get_obj_cgroup_from_memcg() - a reference to the present one. @returns NULL: there is none. @context Any */
export function get_obj_cgroup_from_memcg(cpu: Cpu, memcg: number): Objcg {
  rcu_read_lock(cpu);
  const objcg = cpu.mem.read_once(roots(cpu), element(MEMCG_OBJCG, memcg));
  if (objcg !== NULL) check_tag(cpu, objcg, embedded(objcg, TAG), "reader of obj_cgroup");
  const got = objcg !== NULL && refcount_inc_not_zero(cpu, objcg, REFCNT);
  rcu_read_unlock(cpu);
  return got ? objcg : NULL;
}
/** Charges bytes, or with a negative number takes them back. @context Any, a reference held */
export function obj_cgroup_charge(cpu: Cpu, objcg: Objcg, bytes: number): void {
  check_tag(cpu, objcg, embedded(objcg, TAG), "holder of obj_cgroup");
  cpu.mem.fetch_add(objcg, NR_CHARGED_BYTES, bytes);
}
/** Gets a reference, charges, and leaves both to somebody; settles what somebody has left. @context Any */
export function obj_cgroup_pass_on(cpu: Cpu, memcg: number, place: number): void {
  const objcg = get_obj_cgroup_from_memcg(cpu, memcg);
  if (objcg !== NULL) obj_cgroup_charge(cpu, objcg, CHARGE);
  settle(cpu, cpu.mem.xchg(roots(cpu), element(STASH, place), objcg));
}
function settle(cpu: Cpu, objcg: Objcg): void {
  if (objcg === NULL) return;
  obj_cgroup_charge(cpu, objcg, -CHARGE);
  obj_cgroup_put(cpu, objcg);
}

/**
 * The memory cgroup gets another obj_cgroup, and gives up its reference to the old one.
 * @returns false: no memory, nothing is changed.
 * @context Task or Hardirq
 */
export function memcg_replace_objcg(cpu: Cpu, memcg: number): boolean {
  const objcg = obj_cgroup_alloc(cpu, memcg);
  if (objcg === NULL) return false;
  exchange(cpu, memcg, objcg);
  return true;
}
/** memcg_offline: no new references. @context Task or Hardirq */
export function memcg_remove_objcg(cpu: Cpu, memcg: number): void {
  exchange(cpu, memcg, NULL);
}
function exchange(cpu: Cpu, memcg: number, objcg: Objcg): void {
  const { mem } = cpu;
  const root = roots(cpu);
  const flags = spin_lock_irqsave(cpu, embedded(root, LOCK));
  if (objcg !== NULL) list_add(cpu, embedded(objcg, LIST), embedded(root, OBJCG_LIST));
  const old = mem.xchg(root, element(MEMCG_OBJCG, memcg), objcg);
  if (old !== NULL) list_del(cpu, embedded(old, LIST)); // Before the put: the head lies over `list`.
  spin_unlock_irqrestore(cpu, embedded(root, LOCK), flags);
  if (old !== NULL) obj_cgroup_put(cpu, old);
}

/** Walks the list: what is on it has its memory cgroup's reference, and is whole. @context Task or Hardirq */
export function check_objcg_list(cpu: Cpu): void {
  const { mem } = cpu;
  const root = roots(cpu);
  const head = embedded(root, OBJCG_LIST);
  const flags = spin_lock_irqsave(cpu, embedded(root, LOCK));
  for (let entry = list_next(cpu, head); entry !== head; entry = list_next(cpu, entry)) {
    const objcg = container_of(entry, LIST);
    check_tag(cpu, objcg, embedded(objcg, TAG), "walker of objcg_list");
    const memcg = mem.read(objcg, MEMCG);
    if (mem.read_once(root, element(MEMCG_OBJCG, memcg)) !== objcg)
      bug(cpu, `objcg_list has an obj_cgroup that memory cgroup ${memcg} does not use`);
  }
  spin_unlock_irqrestore(cpu, embedded(root, LOCK), flags);
}
/** Gives everything back. @context Task, alone */
export function obj_cgroup_destroy(cpu: Cpu): void {
  for (let i = 0; i < NR_OBJCG_STASH; i++) settle(cpu, cpu.mem.xchg(roots(cpu), element(STASH, i), NULL));
  for (let memcg = 0; memcg < NR_MEMCGS; memcg++) memcg_remove_objcg(cpu, memcg);
}
