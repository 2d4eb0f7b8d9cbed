/** How kernel code tells the oracle (mem/oracle.ts) what it does. Nothing here is a step; a rebuild reports nothing. */
import { PAGE_SHIFT, PAGE_SIZE } from "../base/limits.ts";
import { CpuSlot } from "../layout/cpu.ts";
import { Globals, KB_NOLOCK_ORIGIN } from "../layout/globals.ts";
import { Page, PGTY_slab } from "../layout/page.ts";
import { Slab } from "../layout/slab.ts";
import type { OracleFault } from "../mem/oracle.ts";
import { NULL, type Ptr } from "../mem/struct.ts";
import { bug } from "./bug.ts";
import { current_context } from "./context.ts";
import type { Cpu } from "./cpu.ts";
import { describe_biography, describe_object } from "./oracle_report.ts";

const { current: CURRENT } = CpuSlot.offset;
const { kernel_behaviour: KERNEL_BEHAVIOUR } = Globals.offset;
const { type: TYPE, order: ORDER } = Page.offset;
const { slab_cache: SLAB_CACHE } = Slab.offset;

function watching(cpu: Cpu): boolean {
  return cpu.checked && cpu.oracle.active && !cpu.mem.rebuilding;
}
/** Stops the machine with all that is known about the object. @context Any */
export function object_bug(cpu: Cpu, object: Ptr, what: string): never {
  const where = describe_object(cpu.mem, cpu.map, object);
  bug(cpu, [what, where, ...describe_biography(cpu.oracle.biography(object))].join("\n  "));
}
function fail(cpu: Cpu, { object, what }: OracleFault): never {
  object_bug(cpu, object, what);
}

/** The object goes from one of the places `from` to the place `to` (O_*). @context Any */
export function oracle_move(cpu: Cpu, object: Ptr, from: number, to: number): void {
  if (!watching(cpu)) return;
  const fault = cpu.oracle.move(cpu.id, object, from, to, current_context(cpu));
  if (fault !== undefined) fail(cpu, fault);
}
/** `count` objects of `size` bytes from `base` on change place together: a slab is made or released. */
export function oracle_slab(cpu: Cpu, base: number, size: number, count: number, from: number, to: number): void {
  if (!watching(cpu)) return;
  const fault = cpu.oracle.slab(cpu.id, base, size, count, from, to, current_context(cpu));
  if (fault !== undefined) fail(cpu, fault);
}

/**
 * An object that has just been allocated may be freed by the nolock functions: kmalloc_nolock() says so of its objects,
 * and a test that knows what it does of others. @context Any
 */
export function oracle_allow_nolock(cpu: Cpu, object: Ptr): void {
  if (watching(cpu)) cpu.oracle.allow_nolock(object);
}
/**
 * A nolock function is about to free the object. The kernel does not support objects of kmalloc(), whose alloc hooks
 * (kmemleak, kfence) have no match in a nolock free, and does not notice them either. @context Any
 */
export function oracle_check_nolock(cpu: Cpu, object: Ptr, caller: string): void {
  if (!watching(cpu) || !cpu.oracle.forbids_nolock(object)) return;
  if ((cpu.mem.peek(cpu.globals, KERNEL_BEHAVIOUR) & KB_NOLOCK_ORIGIN) !== 0) return;
  const what = `${caller}(0x${object.toString(16)}): unsupported: the object is not from kmalloc_nolock()`;
  fail(cpu, { object, what });
}

/** An outermost reader has begun. */
export function oracle_reader_enter(cpu: Cpu): void {
  if (watching(cpu)) cpu.oracle.reader_enter(cpu.task_id);
}
/** An outermost reader is about to end. */
export function oracle_reader_exit(cpu: Cpu): void {
  if (watching(cpu)) cpu.oracle.reader_exit(cpu.task_id);
}
/** A grace period has been asked for; `key` (rcu_head, object) names the request. Call it first. */
export function oracle_grace_period_begin(cpu: Cpu, key: Ptr): void {
  if (watching(cpu)) cpu.oracle.grace_period_begin(cpu.id, key);
}
/** The grace period asked for under `key` is said to be over. */
export function oracle_grace_period_end(cpu: Cpu, key: Ptr): void {
  if (!watching(cpu)) return;
  const fault = cpu.oracle.grace_period_end(cpu.id, key);
  if (fault !== undefined) fail(cpu, fault);
}

/**
 * A deferring free (kfree_nolock, kfree_rcu, kfree_rcu_nolock) is about to return to its caller: from now on a barrier
 * has to wait for the object. Last action of the function, so that nobody can expect it earlier.
 */
export function oracle_issued(cpu: Cpu, object: Ptr): void {
  if (watching(cpu)) cpu.oracle.issued(cpu.id, object);
}
/** A barrier begins. Call it first. @context Task */
export function oracle_barrier_begin(cpu: Cpu): void {
  if (watching(cpu)) cpu.oracle.barrier_begin(cpu.id, barrier_key(cpu));
}
/**
 * The barrier is about to return: no free that had returned before it began may still be on its way.
 * @param s  the cache whose objects it waited for; NULL: all caches.
 */
export function oracle_barrier_end(cpu: Cpu, s: Ptr<"kmem_cache">): void {
  if (!watching(cpu)) return;
  const epoch = cpu.oracle.barrier_end(barrier_key(cpu));
  if (epoch === undefined) return;
  const { map } = cpu;
  const bytes = map.vmallocEnd - map.pages; // Pages and the vmalloc area.
  const object = s === NULL ? cpu.oracle.overdue(epoch, map.pages, bytes) : overdue_of_cache(cpu, epoch, s);
  if (object === NULL) return;
  const barrier = s === NULL ? "kvfree_rcu_barrier()" : "kvfree_rcu_barrier_on_cache()";
  const what = `object 0x${object.toString(16)}: missed by ${barrier} on CPU ${cpu.id}: its free had returned before`;
  fail(cpu, { object, what });
}
/** A task is in one barrier at a time. */
function barrier_key(cpu: Cpu): Ptr {
  return cpu.mem.peek(cpu.slot, CURRENT);
}
/**
 * Race: pages come and go meanwhile. A slab with an object that is on its way is not released, so a page that belongs to
 * the cache before and after the look did so when its free was issued.
 */
function overdue_of_cache(cpu: Cpu, epoch: number, s: Ptr<"kmem_cache">): Ptr {
  for (let i = 0; i < cpu.map.nrPages; i++) {
    const bytes = slab_bytes(cpu, i, s);
    if (bytes === 0) continue;
    const object = cpu.oracle.overdue(epoch, cpu.map.pages + (i << PAGE_SHIFT), bytes);
    if (object !== NULL && slab_bytes(cpu, i, s) === bytes) return object;
  }
  return NULL;
}
/** Bytes of the slab that page `index` heads, if it is one of cache `s`; else 0. */
function slab_bytes(cpu: Cpu, index: number, s: Ptr<"kmem_cache">): number {
  const page = (cpu.map.memMap + index * Page.size) as Ptr<"page">;
  if (cpu.mem.peek(page, TYPE) !== PGTY_slab) return 0;
  if (cpu.mem.peek(page as Ptr as Ptr<"slab">, SLAB_CACHE) !== s) return 0;
  return PAGE_SIZE << cpu.mem.peek(page, ORDER);
}
