/**
 * vmalloc(): blocks of whole pages in an area of their own, so that is_vmalloc_addr() tells them by their address. For
 * kvmalloc() and kfree_rcu() they are the second kind of memory. mm/vmalloc.c.
 *
 *   vmalloc, vzalloc    task, may sleep
 *   vfree               task; interrupts too: the block is then queued for a work item, as vfree_atomic() does
 *   is_vmalloc_addr     any
 *
 * A block is the first free run of pages that is long enough, with one guard page behind it: an address there belongs
 * to no block. vmap_area_lock is taken in task context only, hence with IRQs on; nothing is taken under it.
 *
 * Differs: there is no MMU. A block is a run of pages in the area itself, not of any pages that are mapped there, so
 * fragmentation of the area can make an allocation fail; guard pages catch nothing by themselves; and the pages belong
 * to no node. A list of blocks by address, walked from the start, takes the place of the tree of free areas, and a
 * block is free again at once: with no TLB there is nothing to purge lazily. No debug facility looks at the area.
 */
import { PAGE_SHIFT, PAGE_SIZE } from "../../base/limits.ts";
import { bug, warn } from "../../cpu/bug.ts";
import { bind_callback } from "../../cpu/callback_table.ts";
import { describe_context, in_interrupt, in_item, in_nmi, irqs_disabled, might_sleep } from "../../cpu/context.ts";
import { per_cpu_ptr, this_cpu_ptr, type Cpu } from "../../cpu/cpu.ts";
import { oracle_allow_nolock, oracle_move } from "../../cpu/oracle.ts";
import { EV_ALLOC, EV_FREE, trace } from "../../cpu/trace.ts";
import { CB } from "../../layout/callbacks.ts";
import { __GFP_ZERO, GFP_KERNEL } from "../../layout/gfp.ts";
import { Globals } from "../../layout/globals.ts";
import { PerCpu } from "../../layout/percpu.ts";
import { VfreeDeferred, VmallocGlobals, VmapArea } from "../../layout/vmalloc.ts";
import { O_NONE, O_USER } from "../../mem/oracle.ts";
import { container_of, embedded, NULL, type Ptr } from "../../mem/struct.ts";
import { INIT_LIST_HEAD, list_add_tail, list_del, list_next } from "../lib/list.ts";
import { init_llist_head, llist_add, llist_del_all, llist_next } from "../lib/llist.ts";
import { init_work, queue_work } from "../kernel/workqueue.ts";
import { LC, lockdep_check_may_sleep } from "../sync/lockdep.ts";
import { spin_lock, spin_lock_init, spin_unlock } from "../sync/spinlock.ts";
import { POISON_FREE, want_init_on_free } from "./debug/init_on_free.ts";

const { vmalloc: VMALLOC, poison_free: POISON_FREE_ON } = Globals.offset;
const { vmap_area_lock: LOCK, vmap_area_list: AREAS, nr_vmalloc_pages: NR_PAGES } = VmallocGlobals.offset;
const { va_start: VA_START, va_end: VA_END, list: LIST } = VmapArea.offset;
const { vfree_deferred: VFREE_DEFERRED } = PerCpu.offset;
const { list: DEFERRED, wq: WQ } = VfreeDeferred.offset;

type Area = Ptr<"vmap_area">;

/** vmalloc_init() - nothing is allocated, nothing deferred. @kernel mm/vmalloc.c @context Task, at boot, alone. */
export function vmalloc_init(cpu: Cpu): void {
  const globals = embedded(cpu.globals, VMALLOC);
  spin_lock_init(cpu, embedded(globals, LOCK), LC.vmap_area);
  INIT_LIST_HEAD(cpu, embedded(globals, AREAS));
  cpu.mem.init(globals, NR_PAGES, 0);
  for (let id = 0; id < cpu.map.shape.cpus; id++) {
    const deferred = per_cpu_ptr(cpu, VFREE_DEFERRED, id);
    init_llist_head(cpu, embedded(deferred, DEFERRED));
    init_work(cpu, embedded(deferred, WQ), CB.delayed_vfree_work);
  }
}
/** Binds this file's callback number. Once per thread. */
export function bind_vmalloc(): void {
  bind_callback(CB.delayed_vfree_work, delayed_vfree_work);
}

/** Does this address lie in the vmalloc area? Whatever is there. @kernel mm/vmalloc.c @context Any */
export function is_vmalloc_addr(cpu: Cpu, address: Ptr): boolean {
  return address >= cpu.map.vmalloc && address < cpu.map.vmallocEnd;
}
/** The record of the page that an address of the vmalloc area lies in. */
function vmap_area_of(cpu: Cpu, address: number): Area {
  return (cpu.map.vmapAreas + ((address - cpu.map.vmalloc) >> PAGE_SHIFT) * VmapArea.size) as Area;
}
/** The block that begins at an address; NULL: none does. @kernel mm/vmalloc.c @context Any, while the block stays. */
function find_vmap_area(cpu: Cpu, address: Ptr): Area {
  if (!is_vmalloc_addr(cpu, address)) return NULL;
  const va = vmap_area_of(cpu, address);
  // Race: of another block, if the address is wrong; the answer is that of some moment then.
  return cpu.mem.data_race_read(va, VA_START) === address ? va : NULL;
}
/** Bytes of a block without its guard page. @kernel include/linux/vmalloc.h @context Its owner */
function get_vm_area_size(cpu: Cpu, va: Area): number {
  return cpu.mem.read(va, VA_END) - cpu.mem.read(va, VA_START) - PAGE_SIZE;
}

/**
 * alloc_vmap_area() - take the first gap of `size` bytes.
 * @kernel  mm/vmalloc.c
 * @returns NULL: there is none. @context Task
 */
function alloc_vmap_area(cpu: Cpu, size: number): Area {
  const mem = cpu.mem;
  const globals = embedded(cpu.globals, VMALLOC);
  const head = embedded(globals, AREAS);
  spin_lock(cpu, embedded(globals, LOCK));
  let start = cpu.map.vmalloc;
  let at = list_next(cpu, head);
  while (at !== head && mem.read(container_of(at, LIST), VA_START) - start < size) {
    start = mem.read(container_of(at, LIST), VA_END);
    at = list_next(cpu, at);
  }
  const fits = start + size <= cpu.map.vmallocEnd;
  const va = fits ? vmap_area_of(cpu, start) : NULL;
  if (va !== NULL) {
    mem.write(va, VA_START, start);
    mem.write(va, VA_END, start + size);
    list_add_tail(cpu, embedded(va, LIST), at);
  }
  spin_unlock(cpu, embedded(globals, LOCK));
  return va;
}
/** Makes the pages of a block free. @kernel mm/vmalloc.c @context Task */
function free_vmap_area(cpu: Cpu, va: Area): void {
  const globals = embedded(cpu.globals, VMALLOC);
  cpu.mem.fetch_add(globals, NR_PAGES, -(get_vm_area_size(cpu, va) >> PAGE_SHIFT));
  spin_lock(cpu, embedded(globals, LOCK));
  list_del(cpu, embedded(va, LIST));
  cpu.mem.write(va, VA_START, 0);
  cpu.mem.write(va, VA_END, 0);
  spin_unlock(cpu, embedded(globals, LOCK));
}

/**
 * __vmalloc() - allocate whole pages.
 * @kernel  mm/vmalloc.c
 * @returns NULL: no run of pages is long enough. @context Task, may sleep.
 */
export function __vmalloc(cpu: Cpu, bytes: number, gfp: number): Ptr<"object"> {
  might_sleep(cpu, "vmalloc");
  if (bytes <= 0) {
    warn(cpu, `vmalloc(${bytes})`);
    return NULL;
  }
  const pages = Math.ceil(bytes / PAGE_SIZE);
  if (pages >= cpu.map.nrVmallocPages) return NULL;
  const va = alloc_vmap_area(cpu, (pages + 1) * PAGE_SIZE);
  if (va === NULL) return NULL;
  cpu.mem.fetch_add(embedded(cpu.globals, VMALLOC), NR_PAGES, pages);
  const object = cpu.mem.read(va, VA_START) as Ptr<"object">;
  if (gfp & __GFP_ZERO) cpu.mem.fill(object, pages * PAGE_SIZE, 0);
  oracle_move(cpu, object, O_NONE, O_USER);
  oracle_allow_nolock(cpu, object); // kfree_rcu_nolock() defers what lies here, so in the end vfree() frees it.
  trace(cpu, EV_ALLOC, object, 0);
  return object;
}
/** vmalloc() - allocate whole pages. @kernel mm/vmalloc.c @returns NULL: no room. @context Task, may sleep. */
export function vmalloc(cpu: Cpu, bytes: number): Ptr<"object"> {
  return __vmalloc(cpu, bytes, GFP_KERNEL);
}
/** vmalloc() of zeroed memory. @kernel mm/vmalloc.c */
export function vzalloc(cpu: Cpu, bytes: number): Ptr<"object"> {
  return __vmalloc(cpu, bytes, GFP_KERNEL | __GFP_ZERO);
}
/** Bytes of a block: whole pages. @context Any, while the block stays allocated. */
export function vmalloc_size(cpu: Cpu, object: Ptr): number {
  const va = find_vmap_area(cpu, object);
  if (va !== NULL) return get_vm_area_size(cpu, va);
  warn(cpu, `vmalloc_size(${object}): no block begins there`);
  return 0;
}
/** Pages in blocks. @kernel mm/vmalloc.c @context Any */
export function vmalloc_nr_pages(cpu: Cpu): number {
  return cpu.mem.read_once(embedded(cpu.globals, VMALLOC), NR_PAGES);
}

/**
 * vfree() - free a block; NULL is ignored, and an address at which none begins is reported.
 *
 * For its user, and for the oracle, the block is gone when this is called: poison or zeros show who still looks. Its
 * pages are given out again when the work item has come by, if this is an interrupt.
 *
 * @kernel  mm/vmalloc.c
 * @context Task (work item or may sleep), Softirq, Hardirq; never NMI.
 */
export function vfree(cpu: Cpu, object: Ptr): void {
  if (in_nmi(cpu)) bug(cpu, `vfree() in ${describe_context(cpu)}`);
  const deferred = in_interrupt(cpu);
  if (!deferred) check_may_free(cpu);
  if (object === NULL) return;
  const va = find_vmap_area(cpu, object);
  if (va === NULL) {
    warn(cpu, `vfree(${object}): no block begins there`);
    return;
  }
  oracle_move(cpu, object, O_USER, O_NONE);
  trace(cpu, EV_FREE, object, 0);
  wipe_block(cpu, object, get_vm_area_size(cpu, va));
  if (deferred) vfree_atomic(cpu, object);
  else free_vmap_area(cpu, va);
}
/** In the kernel vfree() may sleep; a work item may do so there. */
function check_may_free(cpu: Cpu): void {
  if (!in_item(cpu)) might_sleep(cpu, "vfree");
  else if (irqs_disabled(cpu)) bug(cpu, `vfree() in ${describe_context(cpu)}`);
  lockdep_check_may_sleep(cpu, "vfree");
}
/** As slub does: init_on_free wins over poison. */
function wipe_block(cpu: Cpu, object: Ptr, bytes: number): void {
  if (want_init_on_free(cpu)) cpu.mem.fill(object, bytes, 0);
  else if (cpu.mem.peek(cpu.globals, POISON_FREE_ON) !== 0) cpu.mem.fill(object, bytes, POISON_FREE);
}

/**
 * vfree_atomic() - queue a block, by its own first word, and see to it that the work item comes.
 *
 * @kernel  mm/vmalloc.c
 * @context Softirq, Hardirq: producer and consumer are of this CPU, since neither can move to another one.
 * @pairs   delayed_vfree_work(): whoever finds the list empty queues the work. An interrupt between the two finds it
 *          not empty, and is over before the work can run.
 */
function vfree_atomic(cpu: Cpu, object: Ptr): void {
  const deferred = this_cpu_ptr(cpu, VFREE_DEFERRED);
  if (llist_add(cpu, object as Ptr<"llist_node">, embedded(deferred, DEFERRED))) {
    queue_work(cpu, embedded(deferred, WQ));
  }
}
/** Frees what interrupts of this CPU have queued. @kernel mm/vmalloc.c @context Task, work item */
function delayed_vfree_work(cpu: Cpu, work: Ptr<"work_struct">): void {
  let node = llist_del_all(cpu, embedded(container_of(work, WQ), DEFERRED));
  while (node !== NULL) {
    const next = llist_next(cpu, node); // Before its pages are free: the link lies there.
    free_vmap_area(cpu, vmap_area_of(cpu, node));
    node = next;
  }
}
