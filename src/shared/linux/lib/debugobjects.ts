/**
 * debugobjects: what state is an object in, that others only see as memory? Here: is an rcu_head, or an object given to
 * kfree_rcu(), queued already? lib/debugobjects.c; spec rcu 3.3.
 *
 *   state     activate              deactivate    free of its memory
 *   unknown   ACTIVE                warns         -
 *   INACTIVE  ACTIVE                warns         forgotten
 *   ACTIVE    warns, false: leak it INACTIVE      warns, forgotten
 *
 * A tracker object stands for each address; it lies in the bucket of the address's page, under the bucket's raw spinlock,
 * or in the pool, under another one. Both are waited for, with IRQs off, so nothing here may be called from NMI, or by a
 * nolock function that finds IRQs off: those reach kvfree_call_rcu() and call_rcu() by way of deferred lists. All memory
 * of a page is in one bucket, so a free looks through as many buckets as it covers pages. What a nolock free leaves behind
 * is forgotten when its pages are freed.
 *
 * Lock order: bucket, pool; the last of all locks. Raw locks of the caller may be held.
 * Differs: one type of object, which needs no initialisation (is_static_object). A fixed number of trackers: when the
 * pool is empty debugobjects switches itself off, as in the kernel.
 */
import { PAGE_SHIFT } from "../../base/limits.ts";
import { warn } from "../../cpu/bug.ts";
import type { Cpu } from "../../cpu/cpu.ts";
import { printk } from "../../cpu/printk.ts";
import {
  DebugBucket,
  DebugGlobals,
  DebugObj,
  DebugobjectsState,
  ODEBUG_HASH_SIZE,
  ODEBUG_STATE_ACTIVE,
  ODEBUG_STATE_INACTIVE,
} from "../../layout/debug.ts";
import { Globals } from "../../layout/globals.ts";
import { KERN_WARNING } from "../../layout/printk.ts";
import { embedded, embedded_at, NULL, type Ptr } from "../../mem/struct.ts";
import { LC } from "../sync/lockdep.ts";
import {
  raw_spin_lock,
  raw_spin_lock_init,
  raw_spin_lock_irqsave,
  raw_spin_unlock,
  raw_spin_unlock_irqrestore,
} from "../sync/spinlock.ts";

const { debug: DEBUG } = Globals.offset;
const { debugobjects: DEBUGOBJECTS } = DebugGlobals.offset;
const { pool_lock: POOL_LOCK, pool: POOL, enabled: ENABLED, buckets: BUCKETS } = DebugobjectsState.offset;
const { lock: LOCK, list: LIST } = DebugBucket.offset;
const { next: NEXT, object: OBJECT, state: STATE } = DebugObj.offset;

type State = Ptr<"debugobjects_state">;
type Bucket = Ptr<"debug_bucket">;
type Tracker = Ptr<"debug_obj">;

/** @param count  trackers at `pool`. @kernel lib/debugobjects.c @context Task, at boot, alone */
export function debug_objects_mem_init(cpu: Cpu, state: State, pool: Ptr, count: number): void {
  const { mem } = cpu;
  raw_spin_lock_init(cpu, embedded(state, POOL_LOCK), LC.debug_pool);
  for (let i = 0; i < ODEBUG_HASH_SIZE; i++)
    raw_spin_lock_init(cpu, embedded(bucket_at(state, i), LOCK), LC.debug_bucket);
  for (let i = count - 1; i >= 0; i--) {
    const tracker = (pool + i * DebugObj.size) as Tracker;
    mem.init(tracker, NEXT, mem.peek(state, POOL));
    mem.init(state, POOL, tracker);
  }
  mem.init(state, ENABLED, 1);
  mem.init(embedded(cpu.globals, DEBUG), DEBUGOBJECTS, state);
}

/** NULL: off, or switched off. @context Any */
function debug_objects_state(cpu: Cpu): State {
  const state = cpu.mem.peek(embedded(cpu.globals, DEBUG), DEBUGOBJECTS);
  return state !== NULL && cpu.mem.read_once(state, ENABLED) !== 0 ? state : NULL;
}
function bucket_at(state: State, i: number): Bucket {
  return embedded_at(state, BUCKETS, i & (ODEBUG_HASH_SIZE - 1), DebugBucket.size);
}
function get_bucket(state: State, address: Ptr): Bucket {
  return bucket_at(state, address >>> PAGE_SHIFT);
}

/** @kernel lib/debugobjects.c @returns NULL: unknown. @context bucket lock held */
function lookup_object(cpu: Cpu, bucket: Bucket, address: Ptr): Tracker {
  let tracker = cpu.mem.read(bucket, LIST);
  while (tracker !== NULL && cpu.mem.read(tracker, OBJECT) !== address) tracker = cpu.mem.read(tracker, NEXT);
  return tracker;
}
/** @kernel lib/debugobjects.c @returns NULL: the pool is empty. @context bucket lock held, IRQs off */
function alloc_object(cpu: Cpu, state: State, bucket: Bucket, address: Ptr): Tracker {
  const { mem } = cpu;
  raw_spin_lock(cpu, embedded(state, POOL_LOCK));
  const tracker = mem.read(state, POOL);
  if (tracker !== NULL) mem.write(state, POOL, mem.read(tracker, NEXT));
  raw_spin_unlock(cpu, embedded(state, POOL_LOCK));
  if (tracker === NULL) {
    if (mem.xchg(state, ENABLED, 0) !== 0) printk(cpu, KERN_WARNING, "ODEBUG: out of trackers; it is off now");
    return NULL;
  }
  mem.write(tracker, OBJECT, address as Ptr<"object">);
  mem.write(tracker, NEXT, mem.read(bucket, LIST));
  mem.write(bucket, LIST, tracker);
  return tracker;
}
/** @kernel lib/debugobjects.c @context bucket lock held, IRQs off; the tracker has left its bucket */
function free_object(cpu: Cpu, state: State, tracker: Tracker): void {
  raw_spin_lock(cpu, embedded(state, POOL_LOCK));
  cpu.mem.write(tracker, NEXT, cpu.mem.read(state, POOL));
  cpu.mem.write(state, POOL, tracker);
  raw_spin_unlock(cpu, embedded(state, POOL_LOCK));
}
function debug_print_object(cpu: Cpu, what: string, address: Ptr): void {
  warn(cpu, `ODEBUG: ${what}: 0x${address.toString(16)}, object type: rcu_head`);
}

/**
 * debug_object_activate() - an object is being queued.
 *
 * @kernel  lib/debugobjects.c
 * @returns false: it is queued already. That has been warned about, and the caller must not queue it again.
 * @context Any but NMI. Waits for bucket locks.
 */
export function debug_object_activate(cpu: Cpu, address: Ptr): boolean {
  const { mem } = cpu;
  const state = debug_objects_state(cpu);
  if (state === NULL) return true;
  const bucket = get_bucket(state, address);
  const flags = raw_spin_lock_irqsave(cpu, embedded(bucket, LOCK));
  let tracker = lookup_object(cpu, bucket, address);
  const active = tracker !== NULL && mem.read(tracker, STATE) === ODEBUG_STATE_ACTIVE;
  if (tracker === NULL) tracker = alloc_object(cpu, state, bucket, address);
  if (tracker !== NULL) mem.write(tracker, STATE, ODEBUG_STATE_ACTIVE);
  raw_spin_unlock_irqrestore(cpu, embedded(bucket, LOCK), flags);
  if (active) debug_print_object(cpu, "activate active", address);
  return !active;
}

/**
 * debug_object_deactivate() - an object leaves its queue: it is about to be invoked or freed.
 *
 * @kernel  lib/debugobjects.c
 * @context Any but NMI. Waits for bucket locks.
 */
export function debug_object_deactivate(cpu: Cpu, address: Ptr): void {
  const { mem } = cpu;
  const state = debug_objects_state(cpu);
  if (state === NULL) return;
  const bucket = get_bucket(state, address);
  const flags = raw_spin_lock_irqsave(cpu, embedded(bucket, LOCK));
  const tracker = lookup_object(cpu, bucket, address);
  const active = tracker !== NULL && mem.read(tracker, STATE) === ODEBUG_STATE_ACTIVE;
  if (active) mem.write(tracker, STATE, ODEBUG_STATE_INACTIVE);
  raw_spin_unlock_irqrestore(cpu, embedded(bucket, LOCK), flags);
  if (!active) debug_print_object(cpu, tracker === NULL ? "deactivate unknown" : "deactivate inactive", address);
}

/**
 * debug_check_no_obj_freed() - memory is being freed: nothing in it may be queued, and nothing stays known.
 *
 * @kernel  lib/debugobjects.c
 * @context Any but NMI. Waits for bucket locks.
 */
export function debug_check_no_obj_freed(cpu: Cpu, address: Ptr, size: number): void {
  const state = debug_objects_state(cpu);
  if (state === NULL) return;
  const end = address + size;
  const first = address >>> PAGE_SHIFT;
  const last = Math.min((end - 1) >>> PAGE_SHIFT, first + ODEBUG_HASH_SIZE - 1);
  for (let page = first; page <= last; page++) {
    const active = forget_objects(cpu, state, bucket_at(state, page), address, end);
    if (active !== NULL) debug_print_object(cpu, "free active", active);
  }
}
/** Forgets what lies from `start` to `end`. @returns one that was active, or NULL. */
function forget_objects(cpu: Cpu, state: State, bucket: Bucket, start: number, end: number): Ptr {
  const { mem } = cpu;
  let active: Ptr = NULL;
  const flags = raw_spin_lock_irqsave(cpu, embedded(bucket, LOCK));
  let before: Tracker = NULL;
  for (let tracker = mem.read(bucket, LIST); tracker !== NULL;) {
    const next = mem.read(tracker, NEXT);
    const object = mem.read(tracker, OBJECT);
    if (object >= start && object < end) {
      if (mem.read(tracker, STATE) === ODEBUG_STATE_ACTIVE) active = object;
      if (before === NULL) mem.write(bucket, LIST, next);
      else mem.write(before, NEXT, next);
      free_object(cpu, state, tracker);
    } else {
      before = tracker;
    }
    tracker = next;
  }
  raw_spin_unlock_irqrestore(cpu, embedded(bucket, LOCK), flags);
  return active;
}

/** Objects that are queued; none if it is switched off: it has not seen them leave. Peeks only. @context Machine at rest */
export function active_debug_objects(cpu: Cpu): Ptr[] {
  const { mem } = cpu;
  const state = mem.peek(embedded(cpu.globals, DEBUG), DEBUGOBJECTS);
  const active: Ptr[] = [];
  if (state === NULL || mem.peek(state, ENABLED) === 0) return active;
  for (let i = 0; i < ODEBUG_HASH_SIZE; i++) {
    let tracker = mem.peek(bucket_at(state, i), LIST);
    for (; tracker !== NULL; tracker = mem.peek(tracker, NEXT)) {
      if (mem.peek(tracker, STATE) === ODEBUG_STATE_ACTIVE) active.push(mem.peek(tracker, OBJECT));
    }
  }
  return active;
}
