/**
 * CONFIG_SLUB_RCU_DEBUG: the free of an object of a SLAB_TYPESAFE_BY_RCU cache takes effect after a grace period, so that
 * KASAN may mark its memory as freed: readers that may still look are gone. Without it a use after free in such a cache
 * is never found, as its memory always is an object. On with KASAN. mm/slub.c; spec rcu 3.4, slub 3.7.
 *
 * Differs: all free hooks run after the grace period. The kernel runs those before kasan_slab_free() now, and again then.
 *
 * If there is no memory for the callback the object is freed at once, as without.
 */
import { bind_callback } from "../../../cpu/callback_table.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { oracle_move } from "../../../cpu/oracle.ts";
import { CB } from "../../../layout/callbacks.ts";
import { RcuDelayedFree } from "../../../layout/debug_kasan.ts";
import { GFP_NOWAIT } from "../../../layout/gfp.ts";
import { Slab } from "../../../layout/slab.ts";
import { O_KEPT, O_USER } from "../../../mem/oracle.ts";
import { container_of, embedded, NULL, type Ptr } from "../../../mem/struct.ts";
import { call_rcu } from "../../rcu/tree.ts";
import { __slab_free } from "./free.ts";
import { slab_free_hook_delayed } from "./hooks.ts";
import { kfree, kmalloc } from "./kmalloc.ts";
import { virt_to_slab } from "./slab.ts";
import { stat, STAT } from "./stat.ts";

const { head: HEAD, object: OBJECT } = RcuDelayedFree.offset;
const { slab_cache: SLAB_CACHE } = Slab.offset;

/** Binds what KASAN and the grace period call. Once per thread. */
export function bind_rcu_debug(): void {
  bind_callback(CB.slab_free_rcu_debug, slab_free_rcu_debug);
  bind_callback(CB.slab_free_after_rcu_debug, slab_free_after_rcu_debug);
}

/** @kernel mm/slub.c, in slab_free_hook() @returns true: the object is freed later. @context Hardirq, never NMI */
function slab_free_rcu_debug(cpu: Cpu, object: Ptr<"object">): boolean {
  const delayed_free = kmalloc(cpu, RcuDelayedFree.size, GFP_NOWAIT) as Ptr as Ptr<"rcu_delayed_free">;
  if (delayed_free === NULL) return false;
  oracle_move(cpu, object, O_USER, O_KEPT);
  cpu.mem.init(delayed_free, OBJECT, object);
  call_rcu(cpu, embedded(delayed_free, HEAD), CB.slab_free_after_rcu_debug);
  return true;
}

/** The grace period is over. @kernel mm/slub.c @context Softirq: RCU callback */
function slab_free_after_rcu_debug(cpu: Cpu, head: Ptr<"rcu_head">): void {
  const delayed_free = container_of(head, HEAD);
  const object = cpu.mem.read(delayed_free, OBJECT);
  kfree(cpu, delayed_free);
  const slab = virt_to_slab(cpu, object);
  const s = cpu.mem.read(slab, SLAB_CACHE);
  if (!slab_free_hook_delayed(cpu, s, object)) return;
  __slab_free(cpu, s, slab, object, object, 1);
  stat(cpu, s, STAT.FREE_SLOWPATH, 1);
}
