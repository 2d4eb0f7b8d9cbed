/**
 * The heap's own functions that kernel code calls through numbers.
 *
 *   heap_construct   once for each object of a new slab of a cache that has a constructor
 *   heap_retired     the grace period of an object is over that found no place in a sheaf
 */
import { bind_callback } from "../../shared/cpu/callback_table.ts";
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { CB } from "../../shared/layout/callbacks.ts";
import { GFP_KERNEL, __GFP_NOWARN } from "../../shared/layout/gfp.ts";
import { RcuHead } from "../../shared/layout/types.ts";
import { bind_all } from "../../shared/linux/init.ts";
import { call_rcu, kfree, kmalloc, kvfree } from "../../shared/linux/api.ts";
import { kfree_rcu_sheaf } from "../../shared/linux/mm/kvfree_rcu/kfree_rcu_sheaf.ts";
import { container_of, embedded, NULL, ptr, type Ptr, struct } from "../../shared/mem/struct.ts";
import { GRANULE_SHIFT, HeapGlobals } from "./layout.ts";

const { tags: TAGS } = HeapGlobals.offset;

/** For all allocations: the caller may wait for locks, and says itself what there is no memory for. */
export const GFP_HEAP = GFP_KERNEL | __GFP_NOWARN;

/** Notes an object of retire() down. */
const Retired = struct("heap_retired", { head: RcuHead, object: ptr("object") });
const { head: HEAD, object: OBJECT } = Retired.offset;

/** Binds all callback numbers. Once per thread; again is harmless. */
export function bindHeap(): void {
  bind_all();
  bind_callback(CB.heap_construct, heap_construct);
  bind_callback(CB.heap_retired, heap_retired);
}

/**
 * The object's memory is new: its next user has to construct it. Users' constructors are functions of one thread, and any
 * thread may come to make a new slab, so they run when the object is handed out.
 */
function heap_construct(cpu: Cpu, object: Ptr<"object">): void {
  const heap = cpu.map.shape.bytes as Ptr<"heap_globals">;
  cpu.mem.store_byte(cpu.mem.peek(heap, TAGS) + (object >> GRANULE_SHIFT), 0);
}

/**
 * heap_retire() - kfree_rcu() for an object in which there is no room for a head: into the rcu_free sheaf of this CPU and
 * cache; else, for blocks of pages, by an RCU callback whose head lies elsewhere. docs/adr/0011.
 *
 * @returns false: there was no memory for that head.
 * @context Task
 */
export function heap_retire(cpu: Cpu, object: Ptr<"object">): boolean {
  if (kfree_rcu_sheaf(cpu, object)) return true;
  const retired = kmalloc(cpu, Retired.size, GFP_HEAP) as Ptr as Ptr<"heap_retired">;
  if (retired === NULL) return false;
  cpu.mem.write(retired, OBJECT, object);
  call_rcu(cpu, embedded(retired, HEAD), CB.heap_retired);
  return true;
}
/** @context Softirq (RCU callback) */
function heap_retired(cpu: Cpu, head: Ptr<"rcu_head">): void {
  const retired = container_of(head, HEAD);
  kvfree(cpu, cpu.mem.read(retired, OBJECT));
  kfree(cpu, retired);
}
