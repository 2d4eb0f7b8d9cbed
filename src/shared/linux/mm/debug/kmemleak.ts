/**
 * kmemleak: which allocated blocks does nobody point to any more? mm/kmemleak.c; spec rcu 3.2.
 *
 * kmalloc() registers a block, kfree() removes it; kmemleak_scan.ts looks for pointers to it. All that is known lies in a
 * hash table under one raw spinlock, which is waited for, by every caller: so nothing here may be called from NMI or on
 * top of whatever was interrupted. kmalloc_nolock() and kfree_nolock() therefore do not call it, and a block of
 * kmalloc_nolock() is unknown when kfree() or kfree_rcu() meets it. delete_object_full() and paint_ptr() say nothing
 * then. They used to warn: KB_KMEMLEAK_UNKNOWN. kmemleak_no_scan() still does; its callers allocate what they name.
 *
 * Why kmemleak_ignore() in kvfree_call_rcu(): the object's address goes into a page that no scan looks at, since pages
 * are not registered. Without it every object that waits there for its grace period would be a leak.
 *
 * Lock order: kmemleak_lock is waited for under krc lock (kmemleak_ignore), and is the last but the debug locks.
 * Differs: a hash table instead of a tree, no lock of its own for each block, and a fixed number of records. When they
 * run out kmemleak switches itself off, as it does when it gets no memory. vmalloc() does not register its areas.
 */
import { warn } from "../../../cpu/bug.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { printk } from "../../../cpu/printk.ts";
import {
  DebugGlobals,
  KMEMLEAK_BLACK,
  KMEMLEAK_GREY,
  KmemleakObject,
  KmemleakState,
  OBJECT_NO_SCAN,
} from "../../../layout/debug.ts";
import { Globals, KB_KMEMLEAK_UNKNOWN } from "../../../layout/globals.ts";
import { KERN_WARNING } from "../../../layout/printk.ts";
import { element, embedded, type Field, NULL, type Ptr } from "../../../mem/struct.ts";
import { LC } from "../../sync/lockdep.ts";
import { raw_spin_lock_init, raw_spin_lock_irqsave, raw_spin_unlock_irqrestore } from "../../sync/spinlock.ts";
import { debug_state_alloc, debug_state_capacity } from "./state.ts";

const { debug: DEBUG, kernel_behaviour: KERNEL_BEHAVIOUR, jiffies: JIFFIES } = Globals.offset;
const { kmemleak: KMEMLEAK } = DebugGlobals.offset;
const {
  lock: LOCK,
  free: FREE,
  nr_objects: NR_OBJECTS,
  nr_unknown: NR_UNKNOWN,
  bucket_mask: BUCKET_MASK,
  enabled: ENABLED,
  buckets: BUCKETS,
} = KmemleakState.offset;
const {
  next: NEXT,
  pointer: POINTER,
  size: SIZE,
  min_count: MIN_COUNT,
  flags: FLAGS,
  jiffies: CREATED,
} = KmemleakObject.offset;
/** Of the machine's pages, for records. */
const SHARE = 1 / 16;
/** Records per bucket when all are in use. */
const LOAD = 4;

type State = Ptr<"kmemleak_state">;
type Record = Ptr<"kmemleak_object">;

/** NULL: kmemleak is not on. @context Any */
export function kmemleak_state(cpu: Cpu): State {
  return cpu.mem.peek(embedded(cpu.globals, DEBUG), KMEMLEAK);
}
/** @kernel mm/kmemleak.c @context Task, at boot, alone */
export function kmemleak_init(cpu: Cpu): void {
  const { mem } = cpu;
  const capacity = debug_state_capacity(cpu, SHARE, KmemleakObject.size);
  const nr_buckets = 1 << (31 - Math.clz32(capacity / LOAD));
  const state = debug_state_alloc(cpu, "kmemleak", KmemleakState.size + nr_buckets * 8) as State;
  const records = debug_state_alloc(cpu, "kmemleak", capacity * KmemleakObject.size);
  raw_spin_lock_init(cpu, embedded(state, LOCK), LC.kmemleak);
  mem.init(state, BUCKET_MASK, nr_buckets - 1);
  mem.init(state, ENABLED, 1);
  for (let i = capacity - 1; i >= 0; i--) {
    const record = (records + i * KmemleakObject.size) as Record;
    mem.init(record, NEXT, mem.peek(state, FREE));
    mem.init(state, FREE, record);
  }
  mem.init(embedded(cpu.globals, DEBUG), KMEMLEAK, state);
}

/** The list that a block is in. */
export function bucket_of(
  cpu: Cpu,
  state: State,
  pointer: Ptr,
): Field<"kmemleak_state", "plain", Ptr<"kmemleak_object">> {
  const hash = Math.imul(pointer >>> 3, 0x9e3779b1) >>> 12;
  return element(BUCKETS, hash & cpu.mem.peek(state, BUCKET_MASK));
}
/** @kernel mm/kmemleak.c @returns NULL: unknown. @context kmemleak_lock held */
function lookup_object(cpu: Cpu, state: State, pointer: Ptr): Record {
  let record = cpu.mem.read(state, bucket_of(cpu, state, pointer));
  while (record !== NULL && cpu.mem.read(record, POINTER) !== pointer) record = cpu.mem.read(record, NEXT);
  return record;
}
/** Is there a lock to take? */
function on(cpu: Cpu, state: State): boolean {
  return state !== NULL && cpu.mem.read_once(state, ENABLED) !== 0;
}

/** There are no records left: what it says from now on would be wrong. @kernel mm/kmemleak.c @context kmemleak_lock held */
function kmemleak_disable(cpu: Cpu, state: State): void {
  if (cpu.mem.xchg(state, ENABLED, 0) !== 0) printk(cpu, KERN_WARNING, "kmemleak: out of records; it is off now");
}

/**
 * create_object() - a block has been allocated.
 * @kernel  mm/kmemleak.c
 * @param   min_count  references that it needs in order not to be a leak.
 * @context Any but NMI. Waits for kmemleak_lock.
 */
function create_object(cpu: Cpu, pointer: Ptr<"object">, size: number, min_count: number): void {
  const { mem } = cpu;
  const state = kmemleak_state(cpu);
  if (!on(cpu, state)) return;
  const flags = raw_spin_lock_irqsave(cpu, embedded(state, LOCK));
  const known = lookup_object(cpu, state, pointer) !== NULL;
  const record = known ? NULL : mem.read(state, FREE);
  if (record !== NULL) {
    mem.write(state, FREE, mem.read(record, NEXT));
    const bucket = bucket_of(cpu, state, pointer);
    mem.write(record, POINTER, pointer);
    mem.write(record, SIZE, size);
    mem.write(record, MIN_COUNT, min_count);
    mem.write(record, FLAGS, 0);
    mem.write(record, CREATED, mem.data_race_read(cpu.globals, JIFFIES)); // Race: a tick more or less is no matter.
    mem.write(record, NEXT, mem.read(state, bucket));
    mem.write(state, bucket, record);
    mem.write(state, NR_OBJECTS, mem.read(state, NR_OBJECTS) + 1);
  } else if (!known) {
    kmemleak_disable(cpu, state);
  }
  raw_spin_unlock_irqrestore(cpu, embedded(state, LOCK), flags);
  if (known) warn(cpu, `kmemleak: cannot insert ${hex(pointer)}: it is known, so it has been freed behind our back`);
}

/**
 * delete_object_full() - a block is being freed. An unknown one is none of our business.
 * @kernel  mm/kmemleak.c
 * @context Any but NMI. Waits for kmemleak_lock.
 */
function delete_object_full(cpu: Cpu, pointer: Ptr): void {
  const { mem } = cpu;
  const state = kmemleak_state(cpu);
  if (!on(cpu, state)) return;
  const flags = raw_spin_lock_irqsave(cpu, embedded(state, LOCK));
  const bucket = bucket_of(cpu, state, pointer);
  let before: Record = NULL;
  let record = mem.read(state, bucket);
  while (record !== NULL && mem.read(record, POINTER) !== pointer) {
    before = record;
    record = mem.read(record, NEXT);
  }
  if (record !== NULL) {
    const next = mem.read(record, NEXT);
    if (before === NULL) mem.write(state, bucket, next);
    else mem.write(before, NEXT, next);
    mem.write(record, NEXT, mem.read(state, FREE));
    mem.write(state, FREE, record);
    mem.write(state, NR_OBJECTS, mem.read(state, NR_OBJECTS) - 1);
  } else {
    mem.write(state, NR_UNKNOWN, mem.read(state, NR_UNKNOWN) + 1);
  }
  raw_spin_unlock_irqrestore(cpu, embedded(state, LOCK), flags);
  if (record === NULL) unknown(cpu, "freeing", pointer);
}
/** What was said of an unknown block until kmalloc_nolock() got company. */
function unknown(cpu: Cpu, what: string, pointer: Ptr): void {
  if (cpu.mem.peek(cpu.globals, KERNEL_BEHAVIOUR) & KB_KMEMLEAK_UNKNOWN) {
    warn(cpu, `kmemleak: ${what} unknown object at ${hex(pointer)}`);
  }
}
const hex = (address: number): string => `0x${address.toString(16)}`;

/** Changes a known block. @returns false: it is unknown. @context Any but NMI. Waits for kmemleak_lock. */
function change_object(cpu: Cpu, state: State, pointer: Ptr, min_count: number | undefined, set: number): boolean {
  const { mem } = cpu;
  const flags = raw_spin_lock_irqsave(cpu, embedded(state, LOCK));
  const record = lookup_object(cpu, state, pointer);
  if (record !== NULL) {
    if (min_count !== undefined) mem.write(record, MIN_COUNT, min_count);
    if (set !== 0) mem.write(record, FLAGS, mem.read(record, FLAGS) | set);
  } else {
    mem.write(state, NR_UNKNOWN, mem.read(state, NR_UNKNOWN) + 1);
  }
  raw_spin_unlock_irqrestore(cpu, embedded(state, LOCK), flags);
  return record !== NULL;
}
/** paint_ptr() - say how much of a leak a block can be. Unknown ones as in delete_object_full(). @kernel mm/kmemleak.c */
function paint_ptr(cpu: Cpu, pointer: Ptr, color: number): void {
  const state = kmemleak_state(cpu);
  if (!on(cpu, state)) return;
  const set = color === KMEMLEAK_BLACK ? OBJECT_NO_SCAN : 0;
  if (!change_object(cpu, state, pointer, color, set)) unknown(cpu, "coloring", pointer);
}

/** A block that slub has given out. @kernel include/linux/kmemleak.h @context as create_object() */
export function kmemleak_alloc(cpu: Cpu, pointer: Ptr, size: number, min_count: number): void {
  create_object(cpu, pointer as Ptr<"object">, size, min_count);
}
/** @kernel mm/kmemleak.c @context as delete_object_full() */
export function kmemleak_free(cpu: Cpu, pointer: Ptr): void {
  delete_object_full(cpu, pointer);
}
/** The block is no leak even if nobody points to it; it may point to others. @kernel mm/kmemleak.c @context Any but NMI */
export function kmemleak_not_leak(cpu: Cpu, pointer: Ptr): void {
  paint_ptr(cpu, pointer, KMEMLEAK_GREY);
}
/** The block is neither reported nor scanned. @kernel mm/kmemleak.c @context Any but NMI; krc lock may be held */
export function kmemleak_ignore(cpu: Cpu, pointer: Ptr): void {
  paint_ptr(cpu, pointer, KMEMLEAK_BLACK);
}
/** The block holds no pointers. An unknown one is warned about. @kernel mm/kmemleak.c @context Any but NMI */
export function kmemleak_no_scan(cpu: Cpu, pointer: Ptr): void {
  const state = kmemleak_state(cpu);
  if (!on(cpu, state) || change_object(cpu, state, pointer, undefined, OBJECT_NO_SCAN)) return;
  warn(cpu, `kmemleak: not scanning unknown object at ${hex(pointer)}`);
}
