/**
 * Object cgroups: what a charged object holds a reference to. There is one cgroup. Its objcg can be replaced, as when a
 * cgroup goes offline; the old one lives as long as something is charged to it. mm/memcontrol.c; spec rcu 3.5, slub B24.
 *
 *   get      rcu_read_lock(), and the count unless it is 0: the place of an objcg is used again a grace period after its
 *            release at the earliest
 *   put      the last one releases: what has come back is uncharged, the objcg leaves the cgroup under objcg_lock
 *
 * objcg_lock, raw, irqsave, is waited for. So where nothing may wait the last put leaves the release to an irq_work of
 * this CPU. Differs: the kernel releases there too, and spins in NMI (B24); KB_OBJCG_SPIN restores that.
 *
 * Differs: objcgs lie in a table, and have a plain reference count instead of a percpu_ref.
 */
import { PAGE_SHIFT, PAGE_SIZE } from "../../../base/limits.ts";
import { warn } from "../../../cpu/bug.ts";
import { preempt_disable, preempt_enable } from "../../../cpu/context.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { CB } from "../../../layout/callbacks.ts";
import { DebugGlobals } from "../../../layout/debug.ts";
import { MemcgState, NR_OBJCGS, ObjCgroup, ObjStock } from "../../../layout/debug_memcg.ts";
import { Globals, KB_OBJCG_SPIN } from "../../../layout/globals.ts";
import { container_of, embedded, embedded_at, NULL, type Ptr } from "../../../mem/struct.ts";
import { irq_work_queue } from "../../kernel/irq_work.ts";
import { llist_add, llist_del_all, llist_next } from "../../lib/llist.ts";
import { refcount_inc_not_zero } from "../../lib/refcount.ts";
import { call_rcu } from "../../rcu/tree.ts";
import { rcu_read_lock, rcu_read_unlock } from "../../rcu/update.ts";
import { raw_spin_lock_irqsave, raw_spin_unlock_irqrestore } from "../../sync/spinlock.ts";

const { debug: DEBUG, kernel_behaviour: KERNEL_BEHAVIOUR } = Globals.offset;
const { memcg: MEMCG } = DebugGlobals.offset;
const {
  memory: MEMORY,
  max: MAX,
  objcg: OBJCG,
  objcg_lock: OBJCG_LOCK,
  nr_objcgs: NR_LIVE,
  objcgs: OBJCGS,
  stocks: STOCKS,
} = MemcgState.offset;
const {
  refcnt: REFCNT,
  in_use: IN_USE,
  nr_charged_bytes: NR_CHARGED_BYTES,
  rcu: RCU,
  release: RELEASE,
} = ObjCgroup.offset;
const { released: RELEASED, release_work: RELEASE_WORK } = ObjStock.offset;

type Objcg = Ptr<"obj_cgroup">;

/** NULL: nobody pays for anything. @context Any */
export function memcg_state(cpu: Cpu): Ptr<"memcg_state"> {
  return cpu.mem.peek(embedded(cpu.globals, DEBUG), MEMCG);
}
/** The stock of CPU `id`. */
export function obj_stock(cpu: Cpu, id: number): Ptr<"obj_stock"> {
  return embedded_at(memcg_state(cpu), STOCKS, id, ObjStock.size);
}

/** page_counter_try_charge() @kernel mm/page_counter.c @returns false: the limit is reached. @context Any */
export function page_counter_try_charge(cpu: Cpu, nr_pages: number): boolean {
  const state = memcg_state(cpu);
  if (cpu.mem.fetch_add(state, MEMORY, nr_pages) + nr_pages <= cpu.mem.peek(state, MAX)) return true;
  // Race: another charge may fail because of what we take back here. The limit is not passed, that is all.
  page_counter_uncharge(cpu, nr_pages);
  return false;
}
/** Passes the limit if need be. @kernel mm/page_counter.c @context Any */
export function page_counter_charge(cpu: Cpu, nr_pages: number): void {
  cpu.mem.fetch_add(memcg_state(cpu), MEMORY, nr_pages);
}
/** @kernel mm/page_counter.c @context Any */
export function page_counter_uncharge(cpu: Cpu, nr_pages: number): void {
  const left = cpu.mem.fetch_add(memcg_state(cpu), MEMORY, -nr_pages) - nr_pages;
  if (left < 0) warn(cpu, `page_counter underflow: ${left} pages are charged`);
}

/** obj_cgroup_alloc() - an objcg with one reference. @kernel mm/memcontrol.c @returns NULL: all are in use. @context Hardirq */
export function obj_cgroup_alloc(cpu: Cpu): Objcg {
  const { mem } = cpu;
  const state = memcg_state(cpu);
  for (let i = 0; i < NR_OBJCGS; i++) {
    const objcg = embedded_at(state, OBJCGS, i, ObjCgroup.size);
    if (mem.cmpxchg(objcg, IN_USE, 0, 1) !== 0) continue;
    mem.init(objcg, NR_CHARGED_BYTES, 0);
    mem.write_once(objcg, REFCNT, 1);
    count_live(cpu, 1);
    return objcg;
  }
  return NULL;
}
function count_live(cpu: Cpu, by: number): void {
  const state = memcg_state(cpu);
  const flags = raw_spin_lock_irqsave(cpu, embedded(state, OBJCG_LOCK));
  cpu.mem.write(state, NR_LIVE, cpu.mem.read(state, NR_LIVE) + by);
  raw_spin_unlock_irqrestore(cpu, embedded(state, OBJCG_LOCK), flags);
}
/** The place of a released objcg may be used again. @kernel mm/memcontrol.c @context Softirq: RCU callback */
export function obj_cgroup_free(cpu: Cpu, head: Ptr<"rcu_head">): void {
  cpu.mem.write_once(container_of(head, RCU), IN_USE, 0);
}

/** A reference to the objcg that pays now. @kernel mm/memcontrol.c, get_obj_cgroup_from_memcg() @context Any */
export function get_obj_cgroup(cpu: Cpu): Objcg {
  rcu_read_lock(cpu);
  let objcg = cpu.mem.read_once(memcg_state(cpu), OBJCG);
  // One whose last reference is gone has been replaced before: the next look finds another one.
  while (!obj_cgroup_tryget(cpu, objcg)) objcg = cpu.mem.read_once(memcg_state(cpu), OBJCG);
  rcu_read_unlock(cpu);
  return objcg;
}
/** @kernel include/linux/memcontrol.h @returns false: it is being released. @context Any, under rcu_read_lock() */
function obj_cgroup_tryget(cpu: Cpu, objcg: Objcg): boolean {
  return refcount_inc_not_zero(cpu, objcg, REFCNT);
}
/** One more reference. @kernel include/linux/memcontrol.h @context Any, for whoever has one */
export function obj_cgroup_get(cpu: Cpu, objcg: Objcg): void {
  cpu.mem.fetch_add(objcg, REFCNT, 1);
}
/**
 * obj_cgroup_put() - one reference less.
 * @kernel  include/linux/memcontrol.h
 * @context Any without allow_spin, else Hardirq: the last one waits for objcg_lock.
 */
export function obj_cgroup_put(cpu: Cpu, objcg: Objcg, allow_spin: boolean): void {
  if (cpu.mem.fetch_add(objcg, REFCNT, -1) !== 1) return;
  if (allow_spin || spins_anyway(cpu)) {
    obj_cgroup_release(cpu, objcg);
    return;
  }
  preempt_disable(cpu);
  const stock = obj_stock(cpu, cpu.id);
  llist_add(cpu, embedded(objcg, RELEASE), embedded(stock, RELEASED));
  irq_work_queue(cpu, embedded(stock, RELEASE_WORK)); // Always: spec slub 6.4a.
  preempt_enable(cpu);
}
/** Does nolock code wait for locks, as the kernel's does (B24)? */
export function spins_anyway(cpu: Cpu): boolean {
  return (cpu.mem.peek(cpu.globals, KERNEL_BEHAVIOUR) & KB_OBJCG_SPIN) !== 0;
}

/** obj_cgroup_release() - nobody refers to an objcg any more. @kernel mm/memcontrol.c @context Hardirq, never NMI */
function obj_cgroup_release(cpu: Cpu, objcg: Objcg): void {
  const bytes = cpu.mem.read_once(objcg, NR_CHARGED_BYTES);
  if (bytes & (PAGE_SIZE - 1)) warn(cpu, `objcg ${objcg} is released with ${bytes} bytes: some are charged to nobody`);
  page_counter_uncharge(cpu, bytes >> PAGE_SHIFT);
  count_live(cpu, -1);
  call_rcu(cpu, embedded(objcg, RCU), CB.obj_cgroup_free);
}
/** Releases what nolock code could not. @context Hardirq: irq_work */
export function obj_cgroup_release_workfn(cpu: Cpu, work: Ptr<"irq_work">): void {
  const stock = container_of(work, RELEASE_WORK);
  for (let node = llist_del_all(cpu, embedded(stock, RELEASED)); node !== NULL;) {
    const next = llist_next(cpu, node); // Before the release: the objcg may soon be another one.
    obj_cgroup_release(cpu, container_of(node, RELEASE));
    node = next;
  }
}
