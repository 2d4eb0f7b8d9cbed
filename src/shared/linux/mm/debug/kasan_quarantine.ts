/**
 * The quarantine of KASAN: freed objects wait, so that it takes a while until their memory is somebody else's and a late
 * access goes to memory that is marked as freed. mm/kasan/quarantine.c; spec rcu 3.4.
 *
 *   kasan_quarantine_put           free: to this CPU's queue; when that holds too much, all of it to the queue of all
 *   kasan_quarantine_reduce        allocation that may block: the oldest objects go back to their slabs
 *   kasan_quarantine_remove_cache  kmem_cache_destroy(): all objects of a cache go back, from all queues
 *
 *   queue of a CPU    IRQs off on that CPU; others reach it by a cross-CPU call only. No NMI comes here.
 *   queue of all      quarantine_lock, raw, irqsave; the innermost lock. Nothing is freed under it.
 *
 * A reducer has its objects in no queue until it has freed them. It is an RCU reader meanwhile, and remove_cache() ends
 * with a grace period: a reducer that took its objects before remove_cache() took the lock has freed them by then, and
 * one that comes later finds none of that cache. Nobody frees to the cache meanwhile: kmem_cache_destroy() has waited for
 * all frees, and for all RCU callbacks, whose free hooks fill the quarantine (slub B7).
 *
 * Differs: one queue of all where the kernel has an array of batches; RCU instead of SRCU, as reducers do not sleep; the
 * link lies in the free pointer's place. The queue of a CPU that goes offline is emptied when nothing can fill it any more, so
 * it is not closed before.
 */
import { PAGE_SIZE } from "../../../base/limits.ts";
import { invoke } from "../../../cpu/callback_table.ts";
import { local_irq_restore, local_irq_save } from "../../../cpu/context.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { oracle_move } from "../../../cpu/oracle.ts";
import { smp_call_function_single } from "../../../cpu/smp.ts";
import { CB } from "../../../layout/callbacks.ts";
import { KasanState, QlistHead, QlistNode } from "../../../layout/debug_kasan.ts";
import { CpuSlot } from "../../../layout/cpu.ts";
import { Globals } from "../../../layout/globals.ts";
import { PerCpu } from "../../../layout/percpu.ts";
import { KmemCache, Slab } from "../../../layout/slab.ts";
import { O_KEPT, O_TRANSIT } from "../../../mem/oracle.ts";
import { embedded, embedded_at, NULL, type Ptr } from "../../../mem/struct.ts";
import { synchronize_rcu } from "../../rcu/tree.ts";
import { rcu_read_lock, rcu_read_unlock } from "../../rcu/update.ts";
import { LC } from "../../sync/lockdep.ts";
import {
  raw_spin_lock,
  raw_spin_lock_init,
  raw_spin_lock_irqsave,
  raw_spin_unlock,
  raw_spin_unlock_irqrestore,
} from "../../sync/spinlock.ts";
import { virt_to_head_page } from "../page_alloc/zone.ts";
import { kasan_state } from "./kasan_shadow.ts";

const { tiny: TINY, online: ONLINE } = Globals.offset;
const { slot: SLOT } = PerCpu.offset;
const { id: ID } = CpuSlot.offset;
const {
  percpu_size: PERCPU_SIZE,
  max_size: MAX_SIZE,
  removed: REMOVED,
  quarantine_lock: QUARANTINE_LOCK,
  global_quarantine: GLOBAL_QUARANTINE,
  cpu_quarantine: CPU_QUARANTINE,
} = KasanState.offset;
const { head: HEAD, tail: TAIL, bytes: BYTES } = QlistHead.offset;
const { next: NEXT } = QlistNode.offset;
const { size: SIZE, offset: OFFSET } = KmemCache.offset;
const { slab_cache: SLAB_CACHE } = Slab.offset;
/** The queue of all may hold one part in so many of the memory. @kernel mm/kasan/quarantine.c */
const QUARANTINE_FRACTION = 32;

type Qlist = Ptr<"qlist_head">;
type Qlink = Ptr<"qlist_node">;
type Cache = Ptr<"kmem_cache">;

/** @context Task, at boot, alone */
export function quarantine_init(cpu: Cpu, state: Ptr<"kasan_state">): void {
  const { mem } = cpu;
  const { nrPages, shape } = cpu.map;
  const all = Math.floor((nrPages * PAGE_SIZE) / QUARANTINE_FRACTION);
  const tiny = mem.peek(cpu.globals, TINY) !== 0;
  mem.init(state, PERCPU_SIZE, tiny ? 128 : Math.floor(all / (4 * shape.cpus)));
  mem.init(state, MAX_SIZE, tiny ? 512 : Math.floor((all * 3) / 4));
  raw_spin_lock_init(cpu, embedded(state, QUARANTINE_LOCK), LC.kasan_quarantine);
}

/** The queue of CPU `id`. */
export function cpu_quarantine(state: Ptr<"kasan_state">, id: number): Qlist {
  return embedded_at(state, CPU_QUARANTINE, id, QlistHead.size);
}
/** Bytes in all queues. Exact while nothing runs. @context Any */
export function quarantine_bytes(cpu: Cpu): number {
  const state = kasan_state(cpu);
  let bytes = cpu.mem.data_race_read(embedded(state, GLOBAL_QUARANTINE), BYTES);
  for (let id = 0; id < cpu.map.shape.cpus; id++) bytes += cpu.mem.data_race_read(cpu_quarantine(state, id), BYTES);
  return bytes;
}
/** The objects in all queues. Peeks only. @context Any, machine at rest */
export function quarantined_objects(cpu: Cpu): Ptr[] {
  const { mem } = cpu;
  const state = kasan_state(cpu);
  if (state === NULL) return [];
  const queues = [embedded(state, GLOBAL_QUARANTINE)];
  for (let id = 0; id < cpu.map.shape.cpus; id++) queues.push(cpu_quarantine(state, id));
  const objects: Ptr[] = [];
  for (const q of queues) {
    for (let qlink = mem.peek(q, HEAD); qlink !== NULL; qlink = mem.peek(qlink, NEXT)) {
      objects.push((qlink - mem.peek(qlink_to_cache(cpu, qlink), OFFSET)) as Ptr);
    }
  }
  return objects;
}
/** The cache of an object, by its link. @kernel mm/kasan/quarantine.c */
function qlink_to_cache(cpu: Cpu, qlink: Qlink): Cache {
  return cpu.mem.read(virt_to_head_page(cpu, qlink) as Ptr as Ptr<"slab">, SLAB_CACHE);
}

/** Appends an object. @kernel mm/kasan/quarantine.c @context owner of the queue */
function qlist_put(cpu: Cpu, q: Qlist, qlink: Qlink, bytes: number): void {
  const { mem } = cpu;
  mem.write(qlink, NEXT, NULL);
  append(cpu, q, qlink, qlink, bytes);
}
function append(cpu: Cpu, q: Qlist, first: Qlink, last: Qlink, bytes: number): void {
  const { mem } = cpu;
  const tail = mem.read(q, TAIL);
  if (tail === NULL) mem.write(q, HEAD, first);
  else mem.write(tail, NEXT, first);
  mem.write(q, TAIL, last);
  mem.write(q, BYTES, mem.read(q, BYTES) + bytes);
}
function empty(cpu: Cpu, q: Qlist): void {
  cpu.mem.write(q, HEAD, NULL);
  cpu.mem.write(q, TAIL, NULL);
  cpu.mem.write(q, BYTES, 0);
}

/**
 * kasan_quarantine_put() - keep a freed object for a while.
 * @kernel  mm/kasan/quarantine.c
 * @context Hardirq, never NMI. Waits for quarantine_lock.
 */
export function kasan_quarantine_put(cpu: Cpu, s: Cache, object: Ptr): void {
  const { mem } = cpu;
  const state = kasan_state(cpu);
  oracle_move(cpu, object, O_TRANSIT, O_KEPT);
  const flags = local_irq_save(cpu);
  const q = cpu_quarantine(state, cpu.id);
  qlist_put(cpu, q, (object + mem.read(s, OFFSET)) as Qlink, mem.read(s, SIZE));
  if (mem.read(q, BYTES) > mem.peek(state, PERCPU_SIZE)) {
    raw_spin_lock(cpu, embedded(state, QUARANTINE_LOCK));
    append(cpu, embedded(state, GLOBAL_QUARANTINE), mem.read(q, HEAD), mem.read(q, TAIL), mem.read(q, BYTES));
    raw_spin_unlock(cpu, embedded(state, QUARANTINE_LOCK));
    empty(cpu, q);
  }
  local_irq_restore(cpu, flags);
}

/**
 * kasan_quarantine_reduce() - give the oldest objects back while there are too many.
 * @kernel  mm/kasan/quarantine.c
 * @context Task: an allocation that may block. Waits for quarantine_lock, and for what a free waits for.
 */
export function kasan_quarantine_reduce(cpu: Cpu): void {
  const { mem } = cpu;
  const state = kasan_state(cpu);
  const q = embedded(state, GLOBAL_QUARANTINE);
  // Race: read without the lock, it only decides whether it is worth taking.
  if (mem.data_race_read(q, BYTES) <= mem.peek(state, MAX_SIZE)) return;
  rcu_read_lock(cpu);
  const flags = raw_spin_lock_irqsave(cpu, embedded(state, QUARANTINE_LOCK));
  const first = mem.read(q, HEAD);
  let last: Qlink = NULL;
  let next = first;
  let bytes = mem.read(q, BYTES);
  while (next !== NULL && bytes > mem.peek(state, MAX_SIZE)) {
    bytes -= mem.read(qlink_to_cache(cpu, next), SIZE);
    last = next;
    next = mem.read(next, NEXT);
  }
  if (last !== NULL) {
    mem.write(last, NEXT, NULL);
    mem.write(q, HEAD, next);
    if (next === NULL) mem.write(q, TAIL, NULL);
    mem.write(q, BYTES, bytes);
  }
  raw_spin_unlock_irqrestore(cpu, embedded(state, QUARANTINE_LOCK), flags);
  if (last !== NULL) qlist_free_all(cpu, first);
  rcu_read_unlock(cpu);
}

/** Gives a private chain of objects back to their slabs. @kernel mm/kasan/quarantine.c @context Hardirq, never NMI */
function qlist_free_all(cpu: Cpu, first: Qlink): void {
  for (let qlink = first; qlink !== NULL;) {
    const next = cpu.mem.read(qlink, NEXT); // Before the free: the link lies in the object.
    const object = (qlink - cpu.mem.read(qlink_to_cache(cpu, qlink), OFFSET)) as Ptr;
    invoke(cpu, CB.___cache_free, object);
    qlink = next;
  }
}

/** Takes the objects of cache `s` (NULL: all) out of a queue. @returns them as a chain. @kernel mm/kasan/quarantine.c */
function qlist_move_cache(cpu: Cpu, q: Qlist, s: Cache): Qlink {
  const { mem } = cpu;
  let taken: Qlink = NULL;
  let qlink = mem.read(q, HEAD);
  empty(cpu, q);
  while (qlink !== NULL) {
    const next = mem.read(qlink, NEXT);
    const cache = qlink_to_cache(cpu, qlink);
    if (s === NULL || cache === s) {
      mem.write(qlink, NEXT, taken);
      taken = qlink;
    } else {
      qlist_put(cpu, q, qlink, mem.read(cache, SIZE));
    }
    qlink = next;
  }
  return taken;
}

/** per_cpu_remove_cache() - on this CPU. @kernel mm/kasan/quarantine.c @context Hardirq: cross-CPU call; IRQs off */
export function per_cpu_remove_cache(cpu: Cpu): void {
  const state = kasan_state(cpu);
  const s = cpu.mem.read_once(state, REMOVED);
  const taken = qlist_move_cache(cpu, cpu_quarantine(state, cpu.id), s);
  if (cpu.rt) move_to_global(cpu, taken);
  else qlist_free_all(cpu, taken);
}
/**
 * With PREEMPT_RT an interrupt cannot free: the task that removes the cache does, from the queue of all, which it looks
 * at next. Differs: the kernel has one more queue per CPU for that (shrink_qlist).
 */
function move_to_global(cpu: Cpu, first: Qlink): void {
  const { mem } = cpu;
  const state = kasan_state(cpu);
  raw_spin_lock(cpu, embedded(state, QUARANTINE_LOCK));
  for (let qlink = first; qlink !== NULL;) {
    const next = mem.read(qlink, NEXT);
    qlist_put(cpu, embedded(state, GLOBAL_QUARANTINE), qlink, mem.read(qlink_to_cache(cpu, qlink), SIZE));
    qlink = next;
  }
  raw_spin_unlock(cpu, embedded(state, QUARANTINE_LOCK));
}

/** kasan_cpu_offline() - gives back what CPU `section` has kept, which is gone. @kernel mm/kasan/quarantine.c @context Task */
export function kasan_cpu_offline(cpu: Cpu, section: Ptr<"percpu">): void {
  if (kasan_state(cpu) === NULL) return;
  const dead = cpu.mem.peek(embedded(section, SLOT), ID);
  qlist_free_all(cpu, qlist_move_cache(cpu, cpu_quarantine(kasan_state(cpu), dead), NULL));
}

/**
 * kasan_quarantine_remove_cache() - give all objects of a cache back; see the proof above.
 *
 * @kernel  mm/kasan/quarantine.c
 * @param   s  NULL: of all caches.
 * @context Task, may sleep, slab_mutex held or alone. Waits for a grace period.
 */
export function kasan_quarantine_remove_cache(cpu: Cpu, s: Cache): void {
  const { mem } = cpu;
  const state = kasan_state(cpu);
  mem.write_once(state, REMOVED, s); // Functions that are called on other CPUs have no argument.
  const online = mem.read_once(cpu.globals, ONLINE);
  for (let id = 0; id < cpu.map.shape.cpus; id++) {
    if (online & (1 << id)) smp_call_function_single(cpu, id, CB.ipi_kasan_remove_cache, true);
  }
  const flags = raw_spin_lock_irqsave(cpu, embedded(state, QUARANTINE_LOCK));
  const taken = qlist_move_cache(cpu, embedded(state, GLOBAL_QUARANTINE), s);
  raw_spin_unlock_irqrestore(cpu, embedded(state, QUARANTINE_LOCK), flags);
  qlist_free_all(cpu, taken);
  synchronize_rcu(cpu);
}
